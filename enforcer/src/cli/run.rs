//! `enforcer run`: becomes the command, inside a session.
//!
//! Nothing is forked: this process asks for a session for itself, and the kernel enrols it at the
//! exec that follows. Environment, folder, descriptors, user and terminal stay as they are.
#![forbid(unsafe_code)]

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

use super::{
    args,
    exit::{Exit, Failure},
    wait,
};
use crate::control::{
    api::{LaunchRequest, Launched, Task},
    client::Client,
};

/// Asks for a session and executes the command in it. Returns only when that failed.
pub(super) fn run(client: &Client, run: args::Run) -> Failure {
    let launched = match wait(client.launch(&request(&run))) {
        Ok(Ok(launched)) => launched,
        Ok(Err(error)) => return Failure::from(error).hint("the command was not started"),
        Err(failure) => return failure,
    };
    // The event loop and with it the connection are gone by here, and no other thread lives.
    match run.command.split_first() {
        Some((program, arguments)) => {
            let error = Command::new(program).args(arguments).exec();
            not_executed(program, &launched, &error)
        }
        None => Failure::new(Exit::Usage, "no command was given"),
    }
}

fn request(run: &args::Run) -> LaunchRequest {
    let has_task = run.task.is_some() || run.task_id.is_some();
    LaunchRequest {
        agent: run.agent.clone(),
        task: has_task.then(|| Task {
            id: run.task_id.clone(),
            text: run.task.clone(),
        }),
        command: run
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
    }
}

fn not_executed(program: &OsString, launched: &Launched, error: &io::Error) -> Failure {
    let program = program.display();
    let Launched {
        session,
        agent,
        generation,
    } = launched;
    match error.raw_os_error() {
        Some(nix::libc::EPERM) => Failure::new(
            Exit::CannotExecute,
            format!("the kernel denied {program}: the policy of agent {agent} (generation {generation}) does not let it run"),
        )
        .hint(format!("`enforcer log show --session {session}` tells why")),
        Some(nix::libc::ENOENT) => Failure::new(Exit::NoCommand, format!("{program}: {error}")),
        Some(_) | None => Failure::new(Exit::CannotExecute, format!("{program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::SessionId;

    #[test]
    fn a_failed_exec_ends_as_with_env() {
        let launched = Launched {
            session: SessionId(0xab),
            agent: "ci".into(),
            generation: 4,
        };
        for (errno, exit, word) in [
            (nix::libc::EPERM, Exit::CannotExecute, "agent ci"),
            (nix::libc::EACCES, Exit::CannotExecute, "denied"),
            (nix::libc::ENOENT, Exit::NoCommand, "No such file"),
            (nix::libc::ENOEXEC, Exit::CannotExecute, "format"),
        ] {
            let failure = not_executed(
                &"tool".into(),
                &launched,
                &io::Error::from_raw_os_error(errno),
            );
            assert_eq!(failure.exit, exit, "{errno}");
            assert!(failure.message.contains(word), "{}", failure.message);
            assert_eq!(failure.hints.is_empty(), errno != nix::libc::EPERM);
        }
    }

    #[test]
    fn the_request_carries_the_task_only_when_there_is_one() {
        let mut run = args::Run {
            agent: "ci".into(),
            task: None,
            task_id: None,
            command: vec!["git".into()],
        };
        assert_eq!(request(&run).task, None);
        run.task_id = Some("OPS-7".into());
        assert_eq!(
            request(&run).task,
            Some(Task {
                id: Some("OPS-7".into()),
                text: None
            })
        );
        assert_eq!(request(&run).command, ["git"]);
    }
}
