//! Records in, a report out.

use std::{borrow::Borrow, collections::HashMap};

use enforcer_policy::Mode;
use serde_json::Value;

use super::{
    Chain, Period, Report, Totals,
    agent::{Agent, AgentReport, Agents},
    capped::{Budget, Key, LIMITS, Moment, Tally},
    events::{self, DaemonChange, Hosts, Latest, Loss, PolicyChange, Posture},
    series::Series,
    summary,
    watch::{Seen, Watch},
};
use crate::{
    record::{Decision, Other},
    why::Known,
};

/// Name of what is told of agents beyond the limit, together. No agent can have it.
const OTHERS: &str = "(other agents)";

/// What a report is made of beside the records.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// When the report is made.
    pub generated: Option<Moment>,
    /// Begin of the period; records before it are only counted.
    pub since: Option<Moment>,
    /// End of the period; records from it on are only counted.
    pub until: Option<Moment>,
    /// The policies in force, for what they allow and nobody used.
    pub policies: Vec<Known<'a>>,
    /// What is known of the log's chain.
    pub chain: Chain,
    /// Lines of the log that were no records.
    pub malformed_lines: u64,
}

/// Makes a report of records, in the order of the log.
pub fn report(
    records: impl IntoIterator<Item = impl Borrow<Value>>,
    options: Options<'_>,
) -> Report {
    let mut collector = Collector::new(options);
    for record in records {
        collector.add(record.borrow());
    }
    collector.finish()
}

/// Takes records in one by one. What it holds is bounded by [`LIMITS`], whatever their number.
pub struct Collector<'a> {
    options: Options<'a>,
    totals: Totals,
    first: Option<Moment>,
    last: Option<Moment>,
    hosts: Hosts,
    postures: Vec<Posture>,
    agents: Agents,
    others: Option<Box<Agent>>,
    watches: HashMap<String, Watch>,
    applied: HashMap<String, Moment>,
    policy_changes: Latest<PolicyChange>,
    daemon_changes: Latest<DaemonChange>,
    losses: Latest<Loss>,
    series: Series,
    key: Key,
    budget: Budget,
}

impl<'a> Collector<'a> {
    /// A collector that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options<'a>) -> Self {
        let name = |known: &Known<'_>| known.policy.policy.agent.name.value.clone();
        let watches = options
            .policies
            .iter()
            .map(|known| (name(known), Watch::new(known)));
        Self {
            watches: watches.collect(),
            totals: Totals {
                malformed_lines: options.malformed_lines,
                ..Totals::default()
            },
            options,
            first: None,
            last: None,
            hosts: Hosts::default(),
            postures: Vec::new(),
            agents: Agents::new(),
            others: None,
            applied: HashMap::new(),
            policy_changes: Latest::default(),
            daemon_changes: Latest::default(),
            losses: Latest::default(),
            series: Series::default(),
            key: Key::default(),
            budget: Budget(LIMITS.keys),
        }
    }

    /// Counts a line of the log that was no record.
    pub const fn add_malformed(&mut self) {
        self.totals.malformed_lines += 1;
    }

    /// Takes in a record.
    pub fn add(&mut self, record: &Value) {
        self.totals.records += 1;
        let at = Moment(record["time"].as_i64().unwrap_or_default());
        let early = self.options.since.is_some_and(|since| at < since);
        if early || self.options.until.is_some_and(|until| at >= until) {
            self.totals.outside_period += 1;
            return;
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.hosts.add(record);
        match Decision::of(record) {
            Some(decision) => self.decision(&decision, at),
            None => self.other(record, at),
        }
    }

    fn decision(&mut self, decision: &Decision<'_>, at: Moment) {
        if decision.is_counted() {
            self.totals.decisions.add(decision.verdict, at);
            self.series.add(decision.verdict, at);
        }
        let agent = if let Some(agent) = self.agents.get_mut(decision.agent) {
            agent
        } else if self.agents.len() < LIMITS.agents {
            let watch = self.watches.remove(decision.agent);
            self.agents
                .entry(decision.agent.to_owned())
                .or_insert_with(|| Agent::new(watch))
        } else {
            self.others
                .get_or_insert_with(|| Box::new(Agent::new(None)))
        };
        agent.add(decision, at, &mut self.key, &mut self.budget);
    }

    fn other(&mut self, record: &Value, at: Moment) {
        let other = Other::of(record);
        let totals = &mut self.totals;
        match other {
            Other::PolicyApplied | Other::PolicyRemoved | Other::PolicyRejected => {
                let change = events::policy_change(record, other, at);
                totals.policies_applied += u64::from(other == Other::PolicyApplied);
                totals.policies_removed += u64::from(other == Other::PolicyRemoved);
                totals.policies_rejected += u64::from(other == Other::PolicyRejected);
                if other == Other::PolicyApplied && self.applied.len() < LIMITS.keys_of_a_list {
                    self.applied.insert(change.agent.clone(), at);
                }
                self.policy_changes.push(change, LIMITS.events);
            }
            Other::DaemonStart | Other::DaemonStop | Other::DaemonRemove => {
                totals.daemon_starts += u64::from(other == Other::DaemonStart);
                totals.daemon_stops += u64::from(other == Other::DaemonStop);
                totals.daemon_removals += u64::from(other == Other::DaemonRemove);
                self.daemon_changes
                    .push(events::daemon_change(record, other, at), LIMITS.events);
                if other == Other::DaemonStart {
                    self.posture(events::posture(record, at));
                }
            }
            Other::EventsLost | Other::LogTorn => {
                let loss = events::loss(record, other, at);
                if other == Other::EventsLost {
                    totals.events_lost = totals.events_lost.saturating_add(loss.count);
                } else {
                    totals.torn_lines += 1;
                }
                self.losses.push(loss, LIMITS.events);
            }
            Other::Unknown => totals.unknown_records += 1,
        }
    }

    fn posture(&mut self, posture: Posture) {
        if let Some(known) = self
            .postures
            .iter_mut()
            .find(|known| known.host == posture.host)
        {
            *known = posture;
        } else if self.postures.len() < LIMITS.agents {
            self.postures.push(posture);
        }
    }

    /// The report of what was taken in.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let period = Period {
            since: self.options.since,
            until: self.options.until,
            first_record: self.first,
            last_record: self.last,
        };
        let last = self.last.map(|last| Moment(last.0.saturating_add(1)));
        let from = period.since.or(self.first).unwrap_or(Moment(0)).0;
        let until = period.until.or(last).unwrap_or(Moment(0)).0;
        // Agents that did nothing are told of too: all that their policy allows was not used.
        for (name, watch) in std::mem::take(&mut self.watches) {
            self.agents
                .entry(name)
                .or_insert_with(|| Agent::new(Some(watch)));
        }
        let agents = std::mem::take(&mut self.agents);
        let mut agents: Vec<AgentReport> = agents
            .into_iter()
            .map(|(name, agent)| self.agent(name, agent, (from, until)))
            .collect();
        if let Some(others) = self.others.take() {
            agents.push(self.agent(OTHERS.to_owned(), *others, (from, until)));
        }
        self.totals.sessions_started = agents.iter().map(|agent| agent.sessions_started).sum();
        self.totals.sessions_ended = agents.iter().map(|agent| agent.sessions_ended).sum();
        let mut report = Report {
            format: 1,
            generated: self.options.generated.or(self.last).unwrap_or(Moment(0)),
            summary: summary::nothing(),
            period,
            totals: self.totals,
            hosts: self.hosts.finish(),
            posture: self.postures,
            chain: self.options.chain,
            timeline: self.series.finish((from, until), LIMITS.bars),
            agents,
            policy_changes: self.policy_changes,
            daemon_changes: self.daemon_changes,
            losses: self.losses,
            limits: LIMITS,
        };
        report.summary = summary::of(&report);
        report
    }

    fn agent(&self, name: String, mut agent: Agent, period: (i64, i64)) -> AgentReport {
        let known = self
            .options
            .policies
            .iter()
            .find(|known| known.policy.policy.agent.name.value == name);
        let Tally {
            allowed,
            denied,
            would_deny,
            ..
        } = agent.tally;
        let seen = Seen {
            sessions: agent.sessions(),
            decisions: allowed + denied + would_deny,
            lost: self.totals.events_lost,
            applied: self.applied.get(&name).copied(),
        };
        let unused = agent.watch.take().map(|watch| watch.finish(&seen));
        let mut report = agent.finish(name, period, unused);
        if let Some(known) = known {
            let about = &known.policy.policy.agent;
            if report.owners.is_empty() {
                report.owners.push(about.owner.clone());
            }
            match &about.mode {
                Mode::Enforce => report.mode = Some("enforce"),
                Mode::Monitor { until } => {
                    report.mode = Some("monitor");
                    report.monitor_until = Some(until.value.text.clone());
                }
            }
        }
        report
    }
}
