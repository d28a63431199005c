//! A record, looked at: a decision of the kernel, or what the daemon tells.

use enforcer_common::{
    event::Kind,
    verdict::{Reason, Verdict},
};
use serde_json::Value;

use crate::object::{FileRef, Object};

/// A decision as its record tells it. Texts are as in the record.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The record itself.
    pub record: &'a Value,
    /// What was decided about; `None` for a kind that this version does not know.
    pub kind: Option<Kind>,
    /// Its name in the record.
    pub kind_name: &'a str,
    /// The outcome.
    pub verdict: Verdict,
    /// Why; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// Its name in the record.
    pub reason_name: &'a str,
    /// Name of the agent.
    pub agent: &'a str,
    /// Session id.
    pub session: Option<&'a str>,
    /// The rule that decided, where one did.
    pub rule: Option<&'a str>,
    /// The executable that acted; without a name it was the launcher's image, or is not known.
    pub actor: FileRef<'a>,
    /// What was acted on.
    pub object: Object<'a>,
}

impl<'a> Decision<'a> {
    /// The decision that a record tells; `None` when it tells something else.
    #[must_use]
    pub fn of(record: &'a Value) -> Option<Self> {
        let unmapped = &record["unmapped"];
        let verdict = unmapped["verdict"].as_str()?;
        let verdict = Verdict::ALL
            .into_iter()
            .find(|known| known.name() == verdict)?;
        let kind_name = record["metadata"]["event_code"].as_str()?;
        let kind = Kind::ALL
            .iter()
            .copied()
            .find(|known| known.name() == kind_name);
        let reason_name = unmapped["reason"].as_str().unwrap_or_default();
        let reason = Reason::ALL
            .iter()
            .copied()
            .find(|known| known.name() == reason_name);
        Some(Self {
            record,
            kind,
            kind_name,
            verdict,
            reason,
            reason_name,
            agent: record["ai_agent"]["name"].as_str().unwrap_or("unknown"),
            session: record["actor"]["session"]["uid"].as_str(),
            rule: record["firewall_rule"]["uid"].as_str(),
            actor: FileRef::of(&record["actor"]["process"]["file"]),
            object: Object::of(record, kind),
        })
    }

    /// Generation of the policies that decided.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        self.record["policy"]["version"].as_str()?.parse().ok()
    }

    /// Whether it is the begin or end of a session, which nobody asked a rule about.
    #[must_use]
    pub fn is_session(&self) -> bool {
        matches!(self.kind, Some(Kind::SessionStart | Kind::SessionEnd))
    }

    /// Whether it is one of the decisions that reports count: an allowed begin or end of a session is
    /// told as a session.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        !(self.is_session() && self.verdict == Verdict::Allow)
    }

    /// Whether the executable that acted is the launcher's image, which no rule can name.
    #[must_use]
    pub fn is_launcher(&self) -> bool {
        self.record["unmapped"]["exec"].as_u64() == Some(0)
    }
}

/// What the daemon tells of itself, and everything else that is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// A policy came into force.
    PolicyApplied,
    /// A policy was taken out of force.
    PolicyRemoved,
    /// A policy was refused.
    PolicyRejected,
    /// The daemon took over.
    DaemonStart,
    /// The daemon stopped reading; what is attached stays so.
    DaemonStop,
    /// Enforcement was removed.
    DaemonRemove,
    /// Events were lost.
    EventsLost,
    /// A torn last line of the log was set aside.
    LogTorn,
    /// A code that this version does not know.
    Unknown,
}

impl Other {
    /// Every code that is known, with its name in records.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("policy-applied", Self::PolicyApplied),
        ("policy-removed", Self::PolicyRemoved),
        ("policy-rejected", Self::PolicyRejected),
        ("daemon-start", Self::DaemonStart),
        ("daemon-stop", Self::DaemonStop),
        ("daemon-remove", Self::DaemonRemove),
        ("events-lost", Self::EventsLost),
        ("log-torn", Self::LogTorn),
    ];

    /// What changed: its name in records after the first dash, `applied` of `policy-applied`.
    pub(crate) fn change(self) -> &'static str {
        let named = Self::NAMES.into_iter().find(|(_, other)| *other == self);
        named.map_or("", |(name, _)| {
            name.split_once('-').map_or(name, |(_, change)| change)
        })
    }

    /// What a record that is no decision tells.
    #[must_use]
    pub fn of(record: &Value) -> Self {
        let code = record["metadata"]["event_code"]
            .as_str()
            .unwrap_or_default();
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == code);
        known.map_or(Self::Unknown, |(_, other)| other)
    }
}
