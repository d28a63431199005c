//! One agent while records come in.

use std::collections::BTreeMap;

use enforcer_common::{event::Kind, verdict::Verdict};
use serde::Serialize;

use super::{
    capped::{Budget, Capped, Counted, Key, LIMITS, Moment, Tallies, Tally},
    keys::{Beyond, DenialKey, DestinationKey, ExecutableKey, ReasonKey, RuleKey, Session},
    series::{Series, Timeline},
    watch::{Unused, Watch},
};
use crate::{object::Object, record::Decision};

/// Owners, policy generations and the like of one agent.
const MOST_NAMES: usize = 32;

/// One agent over the period. The names of the fields are those of the JSON form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentReport {
    /// Its name.
    pub agent: String,
    /// Its owners, as its sessions' records say.
    pub owners: Vec<String>,
    /// `enforce` or `monitor`, of the policy in force where that was given.
    pub mode: Option<&'static str>,
    /// End of monitor mode, as the policy writes it.
    pub monitor_until: Option<String>,
    /// All its decisions; begins and ends of sessions are none.
    #[serde(flatten)]
    pub tally: Tally,
    /// Sessions that began in the period.
    pub sessions_started: u64,
    /// Sessions that ended in the period.
    pub sessions_ended: u64,
    /// Its sessions, latest first.
    pub sessions: Vec<Session>,
    /// By rule.
    pub rules: Vec<Counted<RuleKey>>,
    /// By reason.
    pub reasons: Vec<Counted<ReasonKey>>,
    /// By executable that was to be run.
    pub executables: Vec<Counted<ExecutableKey>>,
    /// By destination.
    pub destinations: Vec<Counted<DestinationKey>>,
    /// Denials and would-be denials, most often first.
    pub denials: Vec<Counted<DenialKey>>,
    /// What is beyond the limits of the lists.
    pub beyond: Beyond,
    /// What its policy allows and it never used; absent when the policy was not given.
    pub unused: Option<Unused>,
    /// Its decisions over time.
    pub timeline: Timeline,
}

/// One agent while records come in.
#[derive(Debug)]
pub(super) struct Agent {
    owners: Vec<String>,
    pub tally: Tally,

    sessions_started: u64,
    sessions_ended: u64,
    sessions: Capped<Session>,
    beyond: Tally,
    rules: Tallies,
    reasons: Tallies,
    executables: Tallies,
    destinations: Tallies,
    denials: Tallies,
    pub watch: Option<Watch>,
    series: Series,
}

impl Agent {
    pub(super) fn new(watch: Option<Watch>) -> Self {
        let tallies = || Tallies::new(LIMITS.keys_of_a_list);
        Self {
            owners: Vec::new(),
            tally: Tally::default(),

            sessions_started: 0,
            sessions_ended: 0,
            sessions: Capped::new(LIMITS.keys_of_a_list),
            beyond: Tally::default(),
            rules: tallies(),
            reasons: tallies(),
            executables: tallies(),
            destinations: tallies(),
            denials: tallies(),
            watch,
            series: Series::default(),
        }
    }

    pub(super) fn add(
        &mut self,
        decision: &Decision<'_>,
        at: Moment,
        key: &mut Key,
        budget: &mut Budget,
    ) {
        let owner = decision.record["unmapped"]["owner"].as_str();
        if let Some(owner) = owner.filter(|owner| self.owners.iter().all(|known| known != owner))
            && self.owners.len() < MOST_NAMES
        {
            self.owners.push(owner.to_owned());
        }
        self.session(decision, at, budget);
        if !decision.is_counted() {
            return;
        }
        self.tally.add(decision.verdict, at);
        self.series.add(decision.verdict, at);
        self.reasons
            .add(decision.reason_name, decision.verdict, at, budget);
        if let Some(rule) = decision.rule {
            self.rules.add(rule, decision.verdict, at, budget);
        }
        self.object(decision, at, key, budget);
        if let Some(watch) = &mut self.watch {
            watch.acted(&decision.actor);
        }
        match decision.verdict {
            Verdict::Allow => {
                if let Some(watch) = &mut self.watch {
                    watch.used(decision);
                }
            }
            Verdict::Deny | Verdict::WouldDeny => {
                let object = decision.object.name();
                let parts = [
                    decision.verdict.name(),
                    decision.kind_name,
                    decision.actor.name().unwrap_or_default(),
                    &object,
                    decision.reason_name,
                    decision.rule.unwrap_or_default(),
                ];
                self.denials
                    .add(key.of(&parts), decision.verdict, at, budget);
            }
        }
    }

    fn object(&mut self, decision: &Decision<'_>, at: Moment, key: &mut Key, budget: &mut Budget) {
        let way = match decision.object {
            Object::Run(file) => {
                let name = file.name().unwrap_or("unknown");
                return self.executables.add(name, decision.verdict, at, budget);
            }
            Object::Reach(_) => "reach",
            Object::Listen(_) => "listen",
            Object::Unix(_) => "unix",
            Object::Socket(..)
            | Object::Code(..)
            | Object::Write(..)
            | Object::Number(..)
            | Object::Nothing => return,
        };
        let name = decision.object.name();
        self.destinations
            .add(key.of(&[way, &name]), decision.verdict, at, budget);
    }

    fn session(&mut self, decision: &Decision<'_>, at: Moment, budget: &mut Budget) {
        let allowed = decision.verdict == Verdict::Allow;
        let (starts, ends) = (
            decision.kind == Some(Kind::SessionStart) && allowed,
            decision.kind == Some(Kind::SessionEnd),
        );
        self.sessions_started += u64::from(starts);
        self.sessions_ended += u64::from(ends);
        let Some(id) = decision.session else {
            return;
        };
        let Some(session) = self.sessions.of(id, budget) else {
            if decision.is_counted() {
                self.beyond.add(decision.verdict, at);
            }
            return;
        };
        let record = decision.record;
        if session.session.is_empty() {
            session.session = id.to_owned();
        }
        if session.task.is_none() {
            session.task = record["unmapped"]["task"].as_str().map(str::to_owned);
            session.task_id = record["unmapped"]["task_id"].as_str().map(str::to_owned);
        }
        if session.user.is_none() || starts {
            // A session's own records name who started it; any other the user that acts.
            let user = if decision.is_session() {
                &record["entity"]["user"]
            } else {
                &record["actor"]["user"]
            };
            let user = user["name"].as_str().or_else(|| user["uid"].as_str());
            session.user = user.map(str::to_owned).or(session.user.take());
        }
        if starts {
            session.started = Some(at);
        } else if ends {
            session.ended = Some(at);
        }
        if decision.is_counted() {
            session.tally.add(decision.verdict, at);
        }
    }

    pub(super) const fn sessions(&self) -> u64 {
        self.sessions_started
    }

    pub(super) fn finish(
        self,
        agent: String,
        period: (i64, i64),
        unused: Option<Unused>,
    ) -> AgentReport {
        let mut sessions: Vec<Session> = self.sessions.into_kept().into_values().collect();
        let when = |session: &Session| session.started.max(session.tally.last).max(session.ended);
        sessions.sort_unstable_by(|a, b| {
            when(b)
                .cmp(&when(a))
                .then_with(|| a.session.cmp(&b.session))
        });
        let denied = |tally: &Tally| tally.denied + tally.would_deny;
        let (rules, beyond_rules) = self.rules.finish(Tally::total, |rule| RuleKey {
            rule: rule.to_owned(),
        });
        let (reasons, beyond_reasons) = self.reasons.finish(Tally::total, |reason| ReasonKey {
            reason: reason.to_owned(),
        });
        let (executables, beyond_executables) =
            self.executables.finish(Tally::total, |path| ExecutableKey {
                executable: path.to_owned(),
            });
        let (destinations, beyond_destinations) = self.destinations.finish(Tally::total, |key| {
            let [way, destination] = Key::parts(key);
            DestinationKey { way, destination }
        });
        let (denials, beyond_denials) = self.denials.finish(denied, |key| {
            let [verdict, what, executable, object, reason, rule] = Key::parts(key);
            DenialKey {
                verdict,
                what,
                executable,
                object,
                reason,
                rule,
            }
        });
        AgentReport {
            agent,
            owners: self.owners,
            mode: None,
            monitor_until: None,
            tally: self.tally,
            sessions_started: self.sessions_started,
            sessions_ended: self.sessions_ended,
            sessions,
            rules,
            reasons,
            executables,
            destinations,
            denials,
            beyond: Beyond {
                executables: beyond_executables,
                destinations: beyond_destinations,
                rules: beyond_rules,
                reasons: beyond_reasons,
                denials: beyond_denials,
                sessions: self.beyond,
            },
            unused,
            timeline: self.series.finish(period, LIMITS.bars),
        }
    }
}

/// Agents by name.
pub(super) type Agents = BTreeMap<String, Agent>;
