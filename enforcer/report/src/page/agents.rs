//! What is told of each agent.

use super::{
    Block, Set, Table,
    document::{MOST_ROWS, column, minor, moment},
};
use crate::report::{AgentReport, Counted, DenialKey, Report, Tally, Unused, count};

/// Entries of a rule that are named; JSON has all.
const MOST_ENTRIES: usize = 12;

pub(super) fn overview(report: &Report) -> Table {
    let row = |agent: &AgentReport| {
        let mode = match (agent.mode, &agent.monitor_until) {
            (Some("monitor"), Some(until)) => format!("watched until {until}"),
            (Some("monitor"), None) => "watched".to_owned(),
            (Some(_), _) => "held".to_owned(),
            (None, _) => "not known".to_owned(),
        };
        vec![
            agent.agent.clone(),
            agent.owners.join(", "),
            mode,
            count(agent.sessions_started),
            count(agent.tally.allowed),
            count(agent.tally.denied),
            count(agent.tally.would_deny),
        ]
    };
    Table {
        caption: "Agents".to_owned(),
        columns: vec![
            column("agent", Set::Text),
            minor("owner", Set::Text),
            minor("is", Set::Text),
            column("sessions", Set::Number),
            column("allowed", Set::Number),
            column("denied", Set::Number),
            column("would be", Set::Number),
        ],
        rows: report.agents.iter().map(row).collect(),
        leads: true,
        note: None,
    }
}

pub(super) fn blocks(agent: &AgentReport, number: usize, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(2, agent.agent.clone(), Some(number)));
    blocks.push(Block::Text(in_short(agent)));
    if agent.tally.total() == 0 {
        if let Some(unused) = agent.unused.as_ref().filter(|unused| !unused.known) {
            blocks.push(Block::Text(unused.caveats.join(" ")));
        }
        return;
    }
    blocks.push(Block::Plot(
        format!("Decisions of {}", agent.agent),
        agent.timeline.clone(),
    ));
    denials(agent, blocks);
    if let Some(unused) = &agent.unused {
        never_used(unused, blocks);
    }
    used(agent, blocks);
    sessions(agent, blocks);
}

fn in_short(agent: &AgentReport) -> String {
    let tally = &agent.tally;
    let owners = if agent.owners.is_empty() {
        String::new()
    } else {
        format!("Owned by {}. ", agent.owners.join(", "))
    };
    if tally.total() == 0 {
        return format!("{owners}It did nothing in this period.");
    }
    let watched = if tally.would_deny > 0 {
        format!(", {} would have been denied", count(tally.would_deny))
    } else {
        String::new()
    };
    format!(
        "{owners}{} of its sessions began and {} ended. It was allowed {} actions and denied {}{watched}; the first on {}, the last on {}.",
        count(agent.sessions_started),
        count(agent.sessions_ended),
        count(tally.allowed),
        count(tally.denied),
        moment(tally.first),
        moment(tally.last),
    )
}

/// The note below a list of which `shown` of `all` are shown, and `beyond` counts what was not kept.
fn note(shown: usize, all: usize, beyond: &Tally) -> Option<String> {
    let more = all - shown;
    match (more, beyond.total()) {
        (0, 0) => None,
        (more, 0) => Some(format!("And {} more.", count(more as u64))),
        (more, beyond) => Some(format!(
            "And {} more, and {} decisions about what is not listed one by one.",
            count(more as u64),
            count(beyond)
        )),
    }
}

fn denials(agent: &AgentReport, blocks: &mut Vec<Block>) {
    let table = |caption: &str, number: fn(&Tally) -> u64| {
        let mut some: Vec<&Counted<DenialKey>> = agent
            .denials
            .iter()
            .filter(|denial| number(&denial.tally) > 0)
            .collect();
        some.sort_by_key(|denial| std::cmp::Reverse(number(&denial.tally)));
        let rows: Vec<_> = some
            .iter()
            .take(MOST_ROWS)
            .map(|denial| row_of(denial, number))
            .collect();
        let note = note(rows.len(), some.len(), &agent.beyond.denials);
        let columns = vec![
            column("what", Set::Text),
            column("of what", Set::Code),
            column("by", Set::Code),
            column("reason", Set::Text),
            column("times", Set::Number),
            minor("last", Set::Time),
        ];
        Table {
            caption: caption.to_owned(),
            columns,
            rows,
            leads: false,
            note,
        }
    };
    if agent.tally.denied > 0 {
        blocks.push(Block::Table(table("Denied, most often first", |tally| {
            tally.denied
        })));
    }
    if agent.tally.would_deny > 0 {
        blocks.push(Block::Table(table(
            "Would have been denied, most often first",
            |tally| tally.would_deny,
        )));
    }
}

fn row_of(denial: &Counted<DenialKey>, number: fn(&Tally) -> u64) -> Vec<String> {
    let key = &denial.key;
    let reason = if key.rule.is_empty() {
        key.reason.clone()
    } else {
        format!("{} ({})", key.reason, key.rule)
    };
    let by = if key.executable.is_empty() {
        "launcher, or unknown".to_owned()
    } else {
        key.executable.clone()
    };
    vec![
        key.what.clone(),
        key.object.clone(),
        by,
        reason,
        count(number(&denial.tally)),
        moment(denial.tally.last),
    ]
}

fn never_used(unused: &Unused, blocks: &mut Vec<Block>) {
    if unused.known {
        let entries = |entries: &[String]| {
            let shown = entries
                .get(..MOST_ENTRIES.min(entries.len()))
                .unwrap_or_default()
                .join(", ");
            match entries.len().saturating_sub(MOST_ENTRIES) {
                0 => shown,
                more => format!("{shown} and {more} more"),
            }
        };
        let row = |rule: &crate::report::UnusedRule| {
            let mut what = entries(&rule.entries);
            if !rule.by.is_empty() {
                let by = format!("by {}", entries(&rule.by));
                what = if what.is_empty() {
                    by
                } else {
                    format!("{what}; {by}")
                };
            }
            let uses = if rule.never_used {
                "never".to_owned()
            } else {
                count(rule.uses)
            };
            vec![
                rule.rule.clone(),
                rule.section.to_owned(),
                uses,
                what,
                rule.suggestion.clone(),
                rule.place.clone(),
            ]
        };
        blocks.push(Block::Table(Table {
            caption: "Allowed and never used".to_owned(),
            columns: vec![
                column("rule", Set::Text),
                minor("about", Set::Text),
                column("uses", Set::Number),
                column("never used", Set::Long),
                minor("suggestion", Set::Text),
                minor("place", Set::Code),
            ],
            rows: unused.rules.iter().map(row).collect(),
            leads: false,
            note: unused
                .rules
                .is_empty()
                .then(|| "All that the policy allows was used.".to_owned()),
        }));
    }
    if !unused.caveats.is_empty() && (!unused.known || !unused.rules.is_empty()) {
        blocks.push(Block::Items(
            unused
                .caveats
                .iter()
                .map(|caveat| (None, caveat.clone()))
                .collect(),
        ));
    }
}

fn used(agent: &AgentReport, blocks: &mut Vec<Block>) {
    let mut push = |caption: &str, first, rows: Vec<Vec<String>>, all: usize, beyond: &Tally| {
        if all == 0 && beyond.total() == 0 {
            return;
        }
        let columns = vec![
            first,
            column("allowed", Set::Number),
            column("denied", Set::Number),
            column("would be", Set::Number),
            minor("first", Set::Time),
            minor("last", Set::Time),
        ];
        let note = note(rows.len(), all, beyond);
        blocks.push(Block::Table(Table {
            caption: caption.to_owned(),
            columns,
            rows,
            leads: false,
            note,
        }));
    };
    let beyond = &agent.beyond;
    let rows = shown(&agent.rules, |key| key.rule.clone());
    push(
        "By rule",
        column("rule", Set::Text),
        rows,
        agent.rules.len(),
        &beyond.rules,
    );
    let rows = shown(&agent.reasons, |key| key.reason.clone());
    push(
        "By reason",
        column("reason", Set::Text),
        rows,
        agent.reasons.len(),
        &beyond.reasons,
    );
    let rows = shown(&agent.executables, |key| key.executable.clone());
    push(
        "Programs that it ran, or was to run",
        column("executable", Set::Code),
        rows,
        agent.executables.len(),
        &beyond.executables,
    );
    let rows = shown(&agent.destinations, |key| match key.way.as_str() {
        "listen" => format!("at {}", key.destination),
        _ => key.destination.clone(),
    });
    push(
        "Destinations, listeners and sockets",
        column("destination", Set::Code),
        rows,
        agent.destinations.len(),
        &beyond.destinations,
    );
}

fn shown<K>(list: &[Counted<K>], name: impl Fn(&K) -> String) -> Vec<Vec<String>> {
    let row = |counted: &Counted<K>| {
        let tally = &counted.tally;
        vec![
            name(&counted.key),
            count(tally.allowed),
            count(tally.denied),
            count(tally.would_deny),
            moment(tally.first),
            moment(tally.last),
        ]
    };
    list.iter().take(MOST_ROWS).map(row).collect()
}

fn sessions(agent: &AgentReport, blocks: &mut Vec<Block>) {
    let row = |session: &crate::report::Session| {
        let task = match (&session.task, &session.task_id) {
            (Some(task), Some(id)) => format!("{task} ({id})"),
            (task, id) => task.clone().or_else(|| id.clone()).unwrap_or_default(),
        };
        vec![
            session.session.clone(),
            task,
            session.user.clone().unwrap_or_default(),
            moment(session.started),
            moment(session.ended),
            count(session.tally.allowed),
            count(session.tally.denied + session.tally.would_deny),
        ]
    };
    let rows: Vec<_> = agent.sessions.iter().take(MOST_ROWS).map(row).collect();
    if rows.is_empty() {
        return;
    }
    blocks.push(Block::Table(Table {
        caption: "Sessions, latest first".to_owned(),
        columns: vec![
            column("session", Set::Code),
            column("task", Set::Text),
            minor("user", Set::Text),
            minor("began", Set::Time),
            minor("ended", Set::Time),
            column("allowed", Set::Number),
            column("not allowed", Set::Number),
        ],
        note: note(rows.len(), agent.sessions.len(), &agent.beyond.sessions),
        rows,
        leads: false,
    }));
}
