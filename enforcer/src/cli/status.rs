//! `enforcer status`.
#![forbid(unsafe_code)]

use enforcer_sinks::Phase;

use super::{
    exit::{Exit, Failure},
    output::{Screen, pairs},
    wait,
};
use crate::control::{
    api::{State, Status},
    client::Client,
};

pub(super) fn perform(client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
    let status = wait(client.status())??;
    screen.show(&status, text)?;
    Ok(match status.state {
        State::Enforcing => Exit::Ok,
        State::Starting | State::Refusing => Exit::NotEnforcing,
    })
}

fn text(status: &Status) -> String {
    let state = match &status.reason {
        Some(reason) => format!("{}: {reason}", status.state.name()),
        None => status.state.name().to_owned(),
    };
    let posture = status.posture;
    let log = &status.log;
    let mut rows = vec![
        ("state", state),
        (
            "version",
            format!(
                "{} (pid {}, since {})",
                status.version, status.pid, status.started
            ),
        ),
        ("boot", status.boot_id.clone()),
        ("generation", status.generation.to_string()),
        ("policies", status.policies.to_string()),
        (
            "sessions",
            format!("{} ({} tasks)", status.sessions, status.tasks),
        ),
        (
            "posture",
            format!(
                "{} ok, {} open, {} failed",
                posture.ok, posture.open, posture.failed
            ),
        ),
        (
            "log",
            format!(
                "{} ({} records, {} gaps)",
                log.path, log.records_written, log.gaps
            ),
        ),
    ];
    if let Some(error) = &log.last_error {
        rows.push(("log error", error.clone()));
    }
    let shipping = status.shipping.as_ref().map(sinks).unwrap_or_default();
    rows.extend(shipping.iter().map(|told| ("ships to", told.clone())));
    rows.extend(
        status
            .counters
            .iter()
            .map(|(name, count)| (name.as_str(), count.to_string())),
    );
    pairs(&rows)
}

/// Each sink in a line.
fn sinks(shipping: &enforcer_sinks::Status) -> Vec<String> {
    let told = |sink: &enforcer_sinks::SinkStatus| {
        let behind = sink
            .backlog
            .map(|backlog| format!(", {} bytes behind", backlog.bytes));
        let phase = format!("{:?}", sink.phase).to_lowercase();
        let error = match (&sink.last_error, sink.phase) {
            (Some(error), Phase::Waiting | Phase::Attention) => format!(": {}", error.text),
            _ => String::new(),
        };
        format!(
            "{} ({} {}): {phase}{}, {} acknowledged, {} refused{error}",
            sink.name,
            sink.kind,
            sink.endpoint,
            behind.unwrap_or_default(),
            sink.acked,
            sink.refused
        )
    };
    shipping.sinks.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{LogState, PostureSummary};

    #[test]
    fn what_is_wrong_stands_beside_what_it_is_about() {
        let status = Status {
            state: State::Refusing,
            reason: Some("the canary was not denied".into()),
            version: "0.1.0".into(),
            pid: 7,
            started: "2026-11-24T08:00:00Z".into(),
            boot_id: "b".into(),
            generation: 3,
            policies: 1,
            sessions: 2,
            tasks: 5,
            counters: [("denials-dropped".to_owned(), 4)].into(),
            log: LogState {
                last_error: Some("no space".into()),
                ..LogState::default()
            },
            posture: PostureSummary {
                ok: 1,
                open: 2,
                failed: 3,
            },
            shipping: None,
        };
        let text = text(&status);
        for line in [
            "state            refusing: the canary was not denied",
            "sessions         2 (5 tasks)",
            "posture          1 ok, 2 open, 3 failed",
            "log error        no space",
            "denials-dropped  4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
