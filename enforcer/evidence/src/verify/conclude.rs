//! What is said in the end: the verdict, and what it does not cover.

use super::{Report, Verdict, Verifier};

impl Verifier {
    pub(super) fn unverifiable(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.out.segments.is_empty() || self.out.lines == 0 {
            reasons.push("there is no line to verify".to_owned());
            return reasons;
        }
        let anchored = self.has_agreed();
        // One key that is vouched for is enough: what it signs covers every line before.
        let vouched = self.out.epochs.iter().any(|epoch| epoch.vouched);
        if let Some(first) = self.out.epochs.first()
            && self.has_root
            && !vouched
            && !anchored
        {
            reasons.push(format!(
                "nothing leads from the given keys to epoch {}, in which reading begins: give the notes that end the epochs between, the key of epoch {}, or a checkpoint that was kept off the host",
                first.epoch, first.epoch
            ));
        }
        reasons
    }

    pub(super) fn limits(&self, has_head: bool) -> Vec<String> {
        let mut limits = Vec::new();
        let anchored = self.has_agreed();
        if !self.has_root && !anchored {
            limits.push("no key and no checkpoint from outside the host was given: a log that was written anew as a whole, with new keys, would look like this".to_owned());
        }
        if !anchored {
            limits.push("no checkpoint kept off the host was given: who is root can have cut off the end, or written the current epoch anew".to_owned());
        }
        if !has_head {
            limits.push("no head was given: lines cut off the end would not be missed".to_owned());
        }
        limits
    }

    pub(super) fn report(
        self,
        unsigned_tail: u64,
        unverifiable: Vec<String>,
        limits: Vec<String>,
    ) -> Report {
        let out = self.out;
        let verdict = match (out.findings.is_empty(), unverifiable.is_empty()) {
            (false, _) => Verdict::Tampered,
            (true, false) => Verdict::Unverifiable,
            (true, true) => Verdict::Ok,
        };
        let kept = || self.anchors.iter().filter(|anchor| anchor.off_host);
        let agreed = kept().filter(|anchor| anchor.agreed).count() as u64;
        // Those that were compared and did not agree are findings; the rest was not read.
        let unread = |size: u64| size < out.first_leaf;
        let off_host_unread = kept()
            .filter(|anchor| !anchor.agreed && unread(anchor.signed.checkpoint.size))
            .count() as u64;
        Report {
            verdict,
            findings: out.findings,
            findings_omitted: out.omitted,
            unverifiable,
            limits,
            origin: self.origin,
            first_leaf: out.first_leaf,
            size: self.tree.size(),
            lines: out.lines,
            first_time_ms: out.times.map(|(first, _)| first),
            last_time_ms: out.times.map(|(_, last)| last),
            segments: out.segments,
            adopted: out.epochs.iter().map(|epoch| epoch.adopted).sum(),
            epochs: out.epochs,
            removed: out
                .removed
                .into_iter()
                .map(|(_, removal)| removal)
                .collect(),
            torn: out.torn,
            torn_tail: out.torn_tail,
            unsigned_tail,
            checkpoints: out.checkpoints,
            off_host_agreed: agreed,
            off_host_unread,
            newest: out.newest,
        }
    }

    /// Whether a checkpoint that was kept off the host agrees with the log.
    fn has_agreed(&self) -> bool {
        let mut kept = self.anchors.iter().filter(|anchor| anchor.off_host);
        kept.any(|anchor| anchor.agreed)
    }
}
