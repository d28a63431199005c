//! What is told, in which order: is anything wrong, then the whole, then each agent, then the rest.

use super::{Block, Column, Document, Set, Table, agents};
use crate::report::{Latest, Moment, Report, Severity, count};

/// Rows of a table that are shown; JSON has all.
pub(super) const MOST_ROWS: usize = 15;

pub(super) const fn column(title: &'static str, set: Set) -> Column {
    Column {
        title,
        set,
        minor: false,
    }
}

pub(super) const fn minor(title: &'static str, set: Set) -> Column {
    Column {
        title,
        set,
        minor: true,
    }
}

pub(super) fn moment(at: Option<Moment>) -> String {
    at.map(Moment::minute).unwrap_or_default()
}

pub(super) fn of(report: &Report) -> Document {
    let mut blocks = Vec::new();
    // What is severe stands in the sentence already, the first of it.
    let told = usize::from(report.summary.severity > Severity::Note);
    let rest = report.summary.findings.iter().skip(told);
    let rest: Vec<_> = rest
        .map(|finding| (Some(finding.severity), finding.text.clone()))
        .collect();
    if !rest.is_empty() {
        blocks.push(Block::Items(rest));
    }
    blocks.push(Block::Facts(numbers(report)));
    blocks.push(Block::Plot(
        "Decisions of all agents".to_owned(),
        report.timeline.clone(),
    ));
    if !report.agents.is_empty() {
        blocks.push(Block::Table(agents::overview(report)));
    }
    for (number, agent) in report.agents.iter().enumerate() {
        agents::blocks(agent, number, &mut blocks);
    }
    blocks.push(Block::Heading(
        2,
        "Policies, enforcement and the log".to_owned(),
        None,
    ));
    changes(report, &mut blocks);
    Document {
        title: "What the agents did".to_owned(),
        subtitle: subtitle(report),
        severity: report.summary.severity,
        sentence: report.summary.sentence.clone(),
        blocks,
    }
}

fn subtitle(report: &Report) -> String {
    let period = &report.period;
    let (since, until) = (
        period.since.or(period.first_record),
        period.until.or(period.last_record),
    );
    let hosts: Vec<&str> = report.hosts.iter().map(|host| host.host.as_str()).collect();
    let hosts = match hosts.as_slice() {
        [] => "no host".to_owned(),
        few if few.len() <= 4 => few.join(", "),
        many => format!("{} hosts", many.len()),
    };
    format!(
        "{} to {} UTC, on {hosts}; made {}",
        moment(since),
        moment(until),
        report.generated.minute()
    )
}

fn numbers(report: &Report) -> Vec<(&'static str, String)> {
    let totals = &report.totals;
    vec![
        ("decisions", count(totals.decisions.total())),
        ("denied", count(totals.decisions.denied)),
        ("would be denied", count(totals.decisions.would_deny)),
        ("sessions begun", count(totals.sessions_started)),
        (
            "policy changes",
            count(totals.policies_applied + totals.policies_removed + totals.policies_rejected),
        ),
        ("events lost", count(totals.events_lost)),
        ("log chain", report.chain.state.name().to_owned()),
    ]
}

fn changes(report: &Report, blocks: &mut Vec<Block>) {
    blocks.push(Block::Table(policies(report)));
    blocks.push(Block::Table(daemon(report)));
    blocks.push(Block::Table(losses(report)));
    let chain = if report.chain.text.is_empty() {
        String::new()
    } else {
        format!(": {}", report.chain.text)
    };
    blocks.push(Block::Text(format!(
        "Chain of the log: {}{chain}.",
        report.chain.state.name()
    )));
    blocks.push(Block::Table(hosts(report)));
    for posture in &report.posture {
        let state = state(posture.enforcing);
        let facts = posture
            .facts
            .iter()
            .map(|(name, value)| (None, format!("{name}: {value}")));
        blocks.push(Block::Text(format!(
            "{}, as its daemon said at its latest start ({}): {state}, {} kernel programs attached.",
            posture.host,
            posture.time.minute(),
            posture.programs
        )));
        let facts: Vec<_> = facts.collect();
        if !facts.is_empty() {
            blocks.push(Block::Items(facts));
        }
    }
    let totals = &report.totals;
    blocks.push(Block::Text(format!(
        "Made of {} records ({} of them outside the period, {} of an unknown kind); {} lines were no records. At most {MOST_ROWS} rows of a table are shown here, the JSON form of this report has all. Counts are exact. Times are UTC. What programs say of themselves is as they claimed it.",
        count(totals.records),
        count(totals.outside_period),
        count(totals.unknown_records),
        count(totals.malformed_lines),
    )));
}

const fn state(enforcing: bool) -> &'static str {
    if enforcing {
        "enforcing"
    } else {
        "not enforcing"
    }
}

/// The latest rows of a list of events, latest first.
fn latest<T>(
    events: &Latest<T>,
    row: impl Fn(&T) -> Vec<String>,
) -> (Vec<Vec<String>>, Option<String>) {
    let rows: Vec<_> = events
        .latest
        .iter()
        .rev()
        .take(MOST_ROWS)
        .map(row)
        .collect();
    let more = events.earlier + (events.latest.len() - rows.len()) as u64;
    let note = if rows.is_empty() {
        Some("None.".to_owned())
    } else {
        (more > 0).then(|| format!("And {} earlier.", count(more)))
    };
    (rows, note)
}

fn policies(report: &Report) -> Table {
    let (rows, note) = latest(&report.policy_changes, |change| {
        let generation = change.generation.clone().unwrap_or_default();
        let why = change.why.clone().or_else(|| {
            change
                .sha256
                .as_deref()
                .map(|digest| format!("sha256 {}", digest.get(..12).unwrap_or(digest)))
        });
        vec![
            change.agent.clone(),
            change.time.minute(),
            change.change.to_owned(),
            generation,
            change.by.clone(),
            why.unwrap_or_default(),
        ]
    });
    let columns = vec![
        column("agent", Set::Text),
        column("time", Set::Time),
        column("policy was", Set::Text),
        column("generation", Set::Number),
        column("by", Set::Text),
        minor("text, or why not", Set::Text),
    ];
    Table {
        caption: "Policy changes, latest first".to_owned(),
        columns,
        rows,
        leads: false,
        note,
    }
}

fn daemon(report: &Report) -> Table {
    let (rows, note) = latest(&report.daemon_changes, |change| {
        let state = state(change.enforcing);
        let by = match (&change.by, &change.reason) {
            (Some(by), Some(reason)) => format!("{by}: {reason}"),
            (Some(by), None) => by.clone(),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        let what = match change.change {
            "start" => "started",
            "stop" => "stopped",
            _ => "enforcement removed",
        };
        vec![
            change.host.clone(),
            change.time.minute(),
            what.to_owned(),
            state.to_owned(),
            change.programs.to_string(),
            by,
        ]
    });
    let columns = vec![
        column("host", Set::Text),
        column("time", Set::Time),
        column("daemon", Set::Text),
        column("state", Set::Text),
        minor("programs", Set::Number),
        column("by, and why", Set::Text),
    ];
    Table {
        caption: "Starts, stops and removals, latest first".to_owned(),
        columns,
        rows,
        leads: false,
        note,
    }
}

fn losses(report: &Report) -> Table {
    let (rows, note) = latest(&report.losses, |loss| {
        let (what, unit) = if loss.loss == "log-torn" {
            ("torn line set aside", "bytes")
        } else {
            ("events lost", "events")
        };
        let span = match (loss.from, loss.until) {
            (Some(from), Some(until)) => format!("{} to {}", from.minute(), until.minute()),
            (Some(at), None) | (None, Some(at)) => at.minute(),
            (None, None) => String::new(),
        };
        vec![
            loss.host.clone(),
            loss.time.minute(),
            what.to_owned(),
            format!("{} {unit}", count(loss.count)),
            loss.place.clone(),
            span,
        ]
    });
    let columns = vec![
        column("host", Set::Text),
        column("found", Set::Time),
        column("what", Set::Text),
        column("how much", Set::Number),
        column("where", Set::Text),
        minor("when", Set::Text),
    ];
    Table {
        caption: "Gaps, latest first".to_owned(),
        columns,
        rows,
        leads: false,
        note,
    }
}

fn hosts(report: &Report) -> Table {
    let row = |host: &crate::report::HostSeen| {
        let versions: Vec<&str> = host.versions.iter().map(String::as_str).collect();
        vec![
            host.host.clone(),
            host.machine_id.clone().unwrap_or_default(),
            versions.join(", "),
            host.boots.to_string(),
            count(host.records),
        ]
    };
    Table {
        caption: "Hosts".to_owned(),
        columns: vec![
            column("host", Set::Text),
            minor("machine id", Set::Code),
            column("versions", Set::Text),
            column("boots", Set::Number),
            column("records", Set::Number),
        ],
        rows: report.hosts.iter().take(MOST_ROWS).map(row).collect(),
        leads: false,
        note: report.hosts.is_empty().then(|| "None.".to_owned()),
    }
}
