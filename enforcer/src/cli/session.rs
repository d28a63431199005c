//! `enforcer session`.
#![forbid(unsafe_code)]

use super::{
    args,
    exit::{Exit, Failure},
    output::{Screen, pairs, table},
    wait,
};
use crate::control::{
    api::{Session, SessionDetail, SessionId, Task},
    client::Client,
};

pub(super) fn perform(
    verb: args::Session,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    match verb {
        args::Session::List => {
            let sessions = wait(client.sessions())??;
            screen.show(&sessions, |sessions| list(sessions))?;
        }
        args::Session::Show { id } => {
            let id: SessionId = id
                .parse()
                .map_err(|why: String| Failure::new(Exit::Usage, why))?;
            let detail = wait(client.session(id))??;
            screen.show(&detail, show)?;
        }
    }
    Ok(Exit::Ok)
}

fn list(sessions: &[Session]) -> String {
    let head = [
        "SESSION", "AGENT", "STATE", "PID", "UID", "TASKS", "STARTED", "TASK", "COMMAND",
    ];
    table(
        head,
        sessions.iter().map(|session| {
            [
                session.id.to_string(),
                session.agent.clone(),
                session.state.name().to_owned(),
                session.pid.to_string(),
                session.uid.to_string(),
                session.tasks.to_string(),
                session.started.clone(),
                task(session.task.as_ref()),
                session.command.join(" "),
            ]
        }),
    )
}

fn show(detail: &SessionDetail) -> String {
    let session = &detail.session;
    let mut text = pairs(&[
        ("session", session.id.to_string()),
        ("agent", session.agent.clone()),
        ("state", session.state.name().to_owned()),
        ("task", task(session.task.as_ref())),
        ("started", session.started.clone()),
        (
            "launched by",
            format!("uid {}, pid {}", session.uid, session.pid),
        ),
        ("command", session.command.join(" ")),
        ("tasks", session.tasks.to_string()),
    ]);
    text.push('\n');
    text.push_str(&table(
        ["PID", "TASKS", "EXECUTABLE"],
        detail.processes.iter().map(|process| {
            let executable = process.executable.clone().unwrap_or_else(|| "?".to_owned());
            [
                process.pid.to_string(),
                process.tasks.to_string(),
                executable,
            ]
        }),
    ));
    text
}

/// A task in one line; `-` when the session has none.
fn task(task: Option<&Task>) -> String {
    let parts = task.map(|task| [task.id.as_deref(), task.text.as_deref()]);
    let parts: Vec<&str> = parts.into_iter().flatten().flatten().collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Process, SessionState};

    fn session() -> Session {
        Session {
            id: SessionId(0xab),
            agent: "ci".into(),
            task: Some(Task {
                id: Some("OPS-7".into()),
                text: Some("build".into()),
            }),
            state: SessionState::Running,
            pid: 41,
            uid: 1000,
            command: vec!["make".into(), "a\u{7}b".into()],
            started: "2026-11-24T08:00:00Z".into(),
            tasks: 2,
        }
    }

    #[test]
    fn a_session_is_one_row() {
        let text = list(&[session()]);
        let row = text.lines().nth(1).expect("a row");
        let expected = "00000000000000ab  ci     running  41   1000  2      2026-11-24T08:00:00Z  OPS-7: build  make a\\u{7}b";
        assert_eq!(row, expected);
    }

    #[test]
    fn a_session_is_shown_with_its_processes() {
        let processes = vec![Process {
            pid: 41,
            tasks: 2,
            executable: Some("/usr/bin/make".into()),
        }];
        let text = show(&SessionDetail {
            session: session(),
            processes,
        });
        assert!(text.contains("launched by  uid 1000, pid 41\n"), "{text}");
        assert!(text.ends_with("41   2      /usr/bin/make\n"), "{text}");
    }

    #[test]
    fn a_session_without_a_task_says_so() {
        for (given, expected) in [
            (None, "-"),
            (Some(Task::default()), "-"),
            (
                Some(Task {
                    id: Some("a".into()),
                    text: None,
                }),
                "a",
            ),
        ] {
            assert_eq!(task(given.as_ref()), expected);
        }
    }
}
