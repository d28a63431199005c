//! Sessions, started by `enforcer run` as a user starts them.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::fd::AsFd,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::{
    attempt::Answer,
    cli::{ENFORCER, probe, unique},
    record::{self, Record},
};

/// A session whose first process has ended.
#[derive(Debug)]
pub struct Run {
    /// Id of its task, which nobody else has.
    pub task: String,
    /// What the first process said, and how it ended.
    pub output: Output,
    /// What the probe answered, when it was the probe.
    pub answers: Vec<Answer>,
}

impl Run {
    pub(crate) fn of(agent: &str, command: &[&str]) -> Self {
        let task = unique("task");
        let mut run = start(agent, &task);
        Self::ended(task, run.args(command).stdin(Stdio::null()))
    }

    pub(crate) fn of_user(group: &str, agent: &str, command: &[&str]) -> Self {
        let task = unique("task");
        let run = start(agent, &task);
        let mut by_user = as_user(group);
        by_user
            .arg(run.get_program())
            .args(run.get_args())
            .args(command);
        Self::ended(task, by_user.stdin(Stdio::null()))
    }

    /// The probe making these attempts outside any session: the twin that must not be touched.
    pub fn outside<A: AsRef<str>>(attempts: &[A]) -> Self {
        let mut command = Command::new(probe());
        command.args(attempts.iter().map(AsRef::as_ref));
        Self::ended(String::new(), &mut command)
    }

    fn ended(task: String, command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        let answers = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(Answer::from_line)
            .collect();
        Self {
            task,
            output,
            answers,
        }
    }

    /// The records of the session, whole: up to its end, in the order of the decisions.
    ///
    /// # Panics
    /// When the session's end is not recorded in time.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        record::of_ended_task(&self.task)
    }

    /// The answer to an attempt.
    ///
    /// # Panics
    /// When there was no such attempt.
    #[must_use]
    pub fn answer(&self, attempt: &str) -> &Answer {
        let mut answers = self.answers.iter();
        answers
            .find(|answer| answer.attempt == attempt)
            .unwrap_or_else(|| panic!("no answer to `{attempt}`: {:?}", self.answers))
    }
}

/// `enforcer run` for an agent and a task; the command is still to be added.
#[must_use]
pub fn start(agent: &str, task: &str) -> Command {
    let mut command = Command::new(ENFORCER);
    command.args(["run", "--agent", agent, "--task-id", task, "--"]);
    command
}

/// Runs what is still to be added as the user `agent` with this group.
#[must_use]
pub fn as_user(group: &str) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid", "agent", "--regid", "agent", "--groups", group]);
    command
}

/// A probe that makes attempts as they are asked for.
#[derive(Debug)]
pub struct Live {
    /// Id of its session's task, which nobody else has.
    pub task: String,
    child: Child,
    attempts: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Live {
    pub(crate) fn of(agent: &str) -> Self {
        Self::of_program(agent, probe())
    }

    /// In a session whose first program is this one: a copy of the probe, or a script that the probe
    /// interprets.
    pub fn of_program(agent: &str, program: impl AsRef<OsStr>) -> Self {
        let task = unique("task");
        let mut command = start(agent, &task);
        command.arg(program);
        Self::spawn(task, command)
    }

    /// In a session, with a descriptor of this process's under its own number.
    ///
    /// # Panics
    /// When the descriptor is not open.
    #[must_use]
    pub fn inheriting(agent: &str, descriptor: impl AsFd) -> Self {
        let keep = |flags| fcntl(&descriptor, FcntlArg::F_SETFD(flags)).expect("it is open");
        keep(FdFlag::empty());
        let live = Self::of(agent);
        keep(FdFlag::FD_CLOEXEC);
        live
    }

    /// Outside any session: the twin that must not be touched.
    #[must_use]
    pub fn outside() -> Self {
        Self::spawn(String::new(), Command::new(probe()))
    }

    fn spawn(task: String, mut command: Command) -> Self {
        command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the probe starts");
        let attempts = child.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self {
            task,
            child,
            attempts,
            answers,
        }
    }

    /// Process id: `enforcer run` becomes the probe.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the probe make an attempt; waits for what came of it.
    ///
    /// # Panics
    /// When the probe is gone.
    pub fn ask(&mut self, attempt: &str) -> Answer {
        self.tell(attempt);
        self.hear()
    }

    /// Has the probe make an attempt, without waiting.
    ///
    /// # Panics
    /// When the probe is gone.
    pub fn tell(&mut self, attempt: &str) {
        writeln!(self.attempts, "{attempt}").expect("the probe reads");
    }

    /// Waits for the next answer.
    ///
    /// # Panics
    /// When the probe is gone.
    pub fn hear(&mut self) -> Answer {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the probe answers");
        Answer::from_line(&line).unwrap_or_else(|| panic!("no answer of the probe: {line:?}"))
    }

    /// Id of the session, once its start is recorded.
    ///
    /// # Panics
    /// When it is not recorded in time.
    #[must_use]
    pub fn session(&self) -> String {
        let records = record::until(&self.task, |records| !records.is_empty());
        records[0].session().to_owned()
    }

    /// Lets the probe end; waits for it.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn end(self) -> ExitStatus {
        let Self {
            mut child,
            attempts,
            ..
        } = self;
        drop(attempts);
        child.wait().expect("the probe ends")
    }

    /// Ends the probe and reads the session's records, as [`Run::records`].
    #[must_use]
    pub fn records(self) -> Vec<Record> {
        let task = self.task.clone();
        self.end();
        record::of_ended_task(&task)
    }
}
