//! Policies for one test each, put in force by `enforcer policy apply`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use crate::{
    cli::{enforcer, probe, told, unique},
    place,
    session::{Live, Run},
};

/// A policy being written. The agent's name is unique; the probe may run; nothing else is allowed.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The agent's name.
    pub name: String,
    agent: String,
    rules: String,
}

impl Policy {
    /// Of an agent called `label` and something that nobody else has.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self::bare(label).exec("probe", &[place::text(&probe())])
    }

    /// The same without leave to run the probe.
    #[must_use]
    pub fn bare(label: &str) -> Self {
        Self {
            name: unique(label),
            agent: String::new(),
            rules: String::new(),
        }
    }

    /// `other`, as a policy of this one's agent: what it replaces this one by.
    #[must_use]
    pub fn replaced_by(&self, other: Self) -> Self {
        Self {
            name: self.name.clone(),
            ..other
        }
    }

    /// Adds lines to `[agent]`.
    #[must_use]
    pub fn agent(mut self, lines: &str) -> Self {
        self.agent += lines;
        self.agent.push('\n');
        self
    }

    /// In monitor mode until this date.
    #[must_use]
    pub fn monitor_until(self, date: &str) -> Self {
        self.agent(&format!("mode = \"monitor\"\nuntil = {date}"))
    }

    /// In monitor mode for long.
    #[must_use]
    pub fn monitor(self) -> Self {
        self.monitor_until("2090-01-01")
    }

    /// Adds rules as they are.
    #[must_use]
    pub fn rules(mut self, text: &str) -> Self {
        self.rules += text;
        self.rules.push('\n');
        self
    }

    /// Adds a rule: `table` is `exec`, `connect` or `unix`, `effect` `allow` or `deny`.
    #[must_use]
    pub fn rule(self, table: &str, id: &str, effect: &str, objects: &[&str]) -> Self {
        self.rules(&format!(
            "[[{table}]]\nid = \"{id}\"\n{effect} = {objects:?}"
        ))
    }

    /// Allows files to run.
    #[must_use]
    pub fn exec(self, id: &str, paths: &[&str]) -> Self {
        self.rule("exec", id, "allow", paths)
            .rules("interpreter = true")
    }

    /// Denies files.
    #[must_use]
    pub fn deny_exec(self, id: &str, paths: &[&str]) -> Self {
        self.rule("exec", id, "deny", paths)
    }

    /// Allows destinations.
    #[must_use]
    pub fn connect(self, id: &str, destinations: &[&str]) -> Self {
        self.rule("connect", id, "allow", destinations)
    }

    /// Allows destinations to these executables.
    #[must_use]
    pub fn connect_by(self, id: &str, destinations: &[&str], by: &[&str]) -> Self {
        self.connect(id, destinations)
            .rules(&format!("by = {by:?}"))
    }

    /// Denies destinations.
    #[must_use]
    pub fn deny_connect(self, id: &str, destinations: &[&str]) -> Self {
        self.rule("connect", id, "deny", destinations)
    }

    /// Allows unix sockets.
    #[must_use]
    pub fn unix(self, id: &str, peers: &[&str]) -> Self {
        self.rule("unix", id, "allow", peers)
    }

    /// Denies unix sockets.
    #[must_use]
    pub fn deny_unix(self, id: &str, peers: &[&str]) -> Self {
        self.rule("unix", id, "deny", peers)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { name, agent, rules } = self;
        let enrol = if agent.contains("[agent.enrol]") {
            ""
        } else {
            "[agent.enrol]\nlaunch = {}\n"
        };
        format!(
            "schema = 1\n[agent]\nname = \"{name}\"\nowner = \"tests@example.com\"\npurpose = \"a test\"\n{agent}{enrol}{rules}"
        )
    }

    /// Tries to put it in force, beside all other agents.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn try_apply(&self) -> Output {
        enforcer(["policy", "apply", place::text(&self.file())])
    }

    /// Asks what applying it would change.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn plan(&self, options: &[&str]) -> Output {
        let file = self.file();
        enforcer([&["policy", "plan", place::text(&file)], options].concat())
    }

    /// Puts it in force. When this returns no older verdict is given.
    ///
    /// # Panics
    /// When it is refused.
    pub fn apply(&self) -> Agent {
        let output = self.try_apply();
        assert!(
            output.status.success(),
            "{}\n{}",
            told(&output),
            self.text()
        );
        Agent {
            name: self.name.clone(),
        }
    }

    fn file(&self) -> PathBuf {
        let directory = Path::new("/run/enforcer-test-policies");
        fs::create_dir_all(directory).expect("the directory is made");
        let file = directory.join(format!("{}.toml", self.name));
        fs::write(&file, self.text()).expect("the policy is written");
        file
    }
}

/// An agent in force.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its name.
    pub name: String,
}

impl Agent {
    /// Runs a command as a session of its own, to its end.
    pub fn run(&self, command: &[&str]) -> Run {
        Run::of(&self.name, command)
    }

    /// Runs a command as a session of its own for the user `agent` with this group, to its end.
    pub fn run_by_user(&self, group: &str, command: &[&str]) -> Run {
        Run::of_user(group, &self.name, command)
    }

    /// Has the probe make these attempts, one after the other, in a session of its own.
    ///
    /// # Panics
    /// When the probe does not answer all of them.
    pub fn probe<A: AsRef<str>>(&self, attempts: &[A]) -> Run {
        let probe = probe();
        let mut command = vec![place::text(&probe)];
        command.extend(attempts.iter().map(AsRef::as_ref));
        let run = self.run(&command);
        assert_eq!(
            run.answers.len(),
            attempts.len(),
            "the probe did not answer all of {command:?}: {}",
            told(&run.output)
        );
        run
    }

    /// A session in which the probe waits for what it is to attempt.
    pub fn live(&self) -> Live {
        Live::of(&self.name)
    }
}
