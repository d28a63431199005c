//! Is anything wrong? First in one sentence, then one by one.

use serde::Serialize;

use super::{
    AgentReport, ChainState, Report,
    words::{count, plural, step, times},
};

/// Denials that are many at once.
const MANY: u64 = 50;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// To be looked at.
    Attention,
    /// Something is wrong.
    Alarm,
}

impl Severity {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Attention => "attention",
            Self::Alarm => "alarm",
        }
    }
}

/// Something that a reader should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, in a sentence.
    pub text: String,
}

/// The answer to "is anything wrong?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The severest of the findings.
    pub severity: Severity,
    /// The answer in one sentence.
    pub sentence: String,
    /// What there is to know, severest first.
    pub findings: Vec<Finding>,
}

pub(super) const fn nothing() -> Summary {
    Summary {
        severity: Severity::Note,
        sentence: String::new(),
        findings: Vec::new(),
    }
}

pub(super) fn of(report: &Report) -> Summary {
    let mut findings = Findings(Vec::new());
    findings.chain(report);
    findings.daemon(report);
    findings.losses(report);
    findings.policies(report);
    findings.agents(report);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let severity = findings
        .first()
        .map_or(Severity::Note, |finding| finding.severity);
    let sentence = sentence(report, severity, &findings);
    Summary {
        severity,
        sentence,
        findings,
    }
}

fn sentence(report: &Report, severity: Severity, findings: &[Finding]) -> String {
    let first = findings
        .first()
        .map_or("", |finding| finding.text.trim_end_matches('.'));
    let more = findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count();
    let more = match more {
        0 | 1 => String::new(),
        2 => " (and one thing more)".to_owned(),
        more => format!(" (and {} things more)", more - 1),
    };
    match severity {
        Severity::Alarm => format!("Something is wrong: {first}{more}."),
        Severity::Attention => {
            format!("Nothing is known to be wrong, but look at this: {first}{more}.")
        }
        Severity::Note if report.totals.records == report.totals.outside_period => {
            "There are no records of this period.".to_owned()
        }
        Severity::Note => format!(
            "Nothing is wrong: {}, and no event was lost.",
            decided(report)
        ),
    }
}

fn decided(report: &Report) -> String {
    let tally = report.totals.decisions;
    let denied = match tally.denied {
        0 => "none was denied".to_owned(),
        1 => "one was denied".to_owned(),
        denied => format!("{} were denied", count(denied)),
    };
    format!("of {} {denied}", plural(tally.total(), "decision"))
}

struct Findings(Vec<Finding>);

impl Findings {
    fn tell(&mut self, severity: Severity, text: String) {
        self.0.push(Finding { severity, text });
    }

    fn chain(&mut self, report: &Report) {
        let text = &report.chain.text;
        match report.chain.state {
            ChainState::Ok => {}
            ChainState::Tampered => self.tell(
                Severity::Alarm,
                format!("The log was tampered with: {text}."),
            ),
            ChainState::Unverifiable => {
                self.tell(
                    Severity::Attention,
                    format!("Whether the log is whole cannot be told: {text}."),
                );
            }
            ChainState::Unchecked => self.tell(
                Severity::Note,
                "Nobody checked whether the log is as it was written (`enforcer log verify`)."
                    .to_owned(),
            ),
        }
    }

    fn daemon(&mut self, report: &Report) {
        for change in report
            .daemon_changes
            .latest
            .iter()
            .filter(|change| change.change == "remove")
        {
            let by = change.by.as_deref().unwrap_or("somebody");
            let reason = change
                .reason
                .as_deref()
                .map(|reason| format!(", saying \"{reason}\""))
                .unwrap_or_default();
            self.tell(
                Severity::Alarm,
                format!(
                    "Enforcement was removed from {} on {} by {by}{reason}.",
                    change.host,
                    change.time.minute()
                ),
            );
        }
        for posture in report.posture.iter().filter(|posture| !posture.enforcing) {
            self.tell(
                Severity::Alarm,
                format!(
                    "{} was not seen to enforce when its daemon last started, on {}.",
                    posture.host,
                    posture.time.minute()
                ),
            );
        }
    }

    fn losses(&mut self, report: &Report) {
        let totals = &report.totals;
        if totals.events_lost > 0 {
            let places: std::collections::BTreeSet<&str> = report
                .losses
                .latest
                .iter()
                .filter(|loss| loss.loss == "events-lost")
                .map(|loss| loss.place.as_str())
                .collect();
            let places: Vec<&str> = places.into_iter().collect();
            let were = was(totals.events_lost);
            self.tell(
                Severity::Attention,
                format!(
                    "{} {were} lost before there was a record ({}).",
                    plural(totals.events_lost, "event"),
                    places.join(", ")
                ),
            );
        }
        if totals.torn_lines > 0 {
            self.tell(
                Severity::Attention,
                format!(
                    "{} of the log {} set aside after a crash.",
                    plural(totals.torn_lines, "torn line"),
                    was(totals.torn_lines)
                ),
            );
        }
        if totals.malformed_lines > 0 {
            self.tell(
                Severity::Attention,
                format!(
                    "{} of the log {} no record.",
                    plural(totals.malformed_lines, "line"),
                    if totals.malformed_lines == 1 {
                        "is"
                    } else {
                        "are"
                    }
                ),
            );
        }
        if totals.unknown_records > 0 {
            self.tell(
                Severity::Note,
                format!(
                    "{} of a kind that this version does not know.",
                    plural(totals.unknown_records, "record")
                ),
            );
        }
    }

    fn policies(&mut self, report: &Report) {
        let rejected = report.totals.policies_rejected;
        if rejected > 0 {
            let was = if rejected == 1 {
                "policy was"
            } else {
                "policies were"
            };
            self.tell(
                Severity::Note,
                format!("{} {was} refused.", count(rejected)),
            );
        }
    }

    fn agents(&mut self, report: &Report) {
        for agent in &report.agents {
            let name = &agent.agent;
            let guard = agent
                .reasons
                .iter()
                .find(|reason| reason.key.reason == "enforcer-guard");
            if let Some(guard) = guard {
                self.tell(
                    Severity::Alarm,
                    format!(
                        "{name} tried to change what is the enforcer's own, {}.",
                        times(guard.tally.total())
                    ),
                );
            }
            if agent.mode == Some("monitor") {
                let until = agent
                    .monitor_until
                    .as_deref()
                    .map(|until| format!(" until {until}"))
                    .unwrap_or_default();
                self.tell(
                    Severity::Attention,
                    format!("{name} is only watched{until}, not held: {} went on that would have been denied.", plural(agent.tally.would_deny, "action")),
                );
            } else if agent.tally.would_deny > 0 {
                self.tell(
                    Severity::Note,
                    format!(
                        "While {name} was only watched, {} went on that would have been denied.",
                        plural(agent.tally.would_deny, "action")
                    ),
                );
            }
            if agent.tally.denied > 0 {
                let top = agent
                    .denials
                    .iter()
                    .max_by_key(|denial| denial.tally.denied);
                let top = top.filter(|top| {
                    agent.tally.denied > 1 && top.tally.denied * 2 > agent.tally.denied
                });
                let top = top.map(|top| {
                    format!(
                        "; mostly {} {}",
                        top.key.what,
                        if top.key.object.is_empty() {
                            &top.key.reason
                        } else {
                            &top.key.object
                        }
                    )
                });
                self.tell(
                    Severity::Note,
                    format!(
                        "{name} was denied {}{}.",
                        plural(agent.tally.denied, "action"),
                        top.unwrap_or_default()
                    ),
                );
            }
            self.burst(agent);
            if !agent.beyond.is_empty() {
                self.tell(
                    Severity::Attention,
                    format!("{name} did more different things than are listed one by one; the sums are exact, the log has the rest."),
                );
            }
            let unused = agent.unused.as_ref().filter(|unused| unused.known);
            let rules = unused.map_or(0, |unused| {
                unused.rules.iter().filter(|rule| rule.never_used).count()
            });
            if rules > 0 {
                let of = unused.map_or(0, |unused| unused.allowing_rules);
                self.tell(
                    Severity::Note,
                    format!("{name} never used {rules} of {of} rules that allow it something."),
                );
            }
        }
    }

    /// Denials that come all at once are seldom an agent's ordinary work.
    fn burst(&mut self, agent: &AgentReport) {
        let line = &agent.timeline;
        let Some(worst) = line.bars.iter().max_by_key(|bar| bar.denied) else {
            return;
        };
        let busy = line.bars.iter().filter(|bar| bar.denied > 0).count() as u64;
        let others = agent.tally.denied - worst.denied.min(agent.tally.denied);
        // Five times what the other busy steps have on average, and a third of all at least.
        let stands_out = worst.denied * busy.saturating_sub(1) > 5 * others
            && worst.denied * 3 > agent.tally.denied;
        if worst.denied >= MANY && busy > 2 && stands_out {
            let (name, all) = (&agent.agent, plural(agent.tally.denied, "denial"));
            let length = step(line.step_seconds);
            let begin = worst.start.minute();
            self.tell(
                Severity::Attention,
                format!(
                    "{name} had {} of its {all} at once, within {length} from {begin} on.",
                    count(worst.denied)
                ),
            );
        }
    }
}

/// `was` of one, `were` of many.
const fn was(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}
