//! A session that does the same thing many times.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio},
};

use crate::{
    cli::{helper, unique},
    session::start,
};

/// How often an action was tried, by the error number that it came back with; 0 = it succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<i32, u64>);

impl Tally {
    /// Counts one.
    pub fn add(&mut self, errno: i32) {
        *self.0.entry(errno).or_default() += 1;
    }

    /// How often it came back with this error number.
    #[must_use]
    pub fn of(&self, errno: i32) -> u64 {
        self.0.get(&errno).copied().unwrap_or_default()
    }

    /// How often it was tried.
    #[must_use]
    pub fn tries(&self) -> u64 {
        self.0.values().sum()
    }

    /// As `ERRNO=COUNT` words.
    #[must_use]
    pub fn text(&self) -> String {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(errno, count)| format!("{errno}={count}"))
            .collect();
        words.join(" ")
    }

    /// From such words; `None` when there are others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let pairs = text.split_whitespace().map(|word| {
            let (errno, count) = word.split_once('=')?;
            Some((errno.parse().ok()?, count.parse().ok()?))
        });
        pairs.collect::<Option<_>>().map(Self)
    }
}

/// A session whose process does the same thing many times (`src/bin/flood`).
#[derive(Debug)]
pub struct Flood {
    /// Id of its session's task, which nobody else has.
    pub task: String,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Flood {
    /// Starts the session.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn of(agent: &str) -> Self {
        let task = unique("flood");
        let mut child = start(agent, &task)
            .arg(program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("enforcer starts");
        let orders = child.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut flood = Self {
            task,
            child,
            orders,
            answers,
        };
        assert_eq!(flood.order("ready"), [Tally::default()]);
        flood
    }

    /// Tells it what to do, and gives what came of it.
    ///
    /// # Panics
    /// When it is gone.
    pub fn order(&mut self, order: &str) -> Vec<Tally> {
        self.tell(order);
        self.hear()
    }

    /// Tells it what to do.
    ///
    /// # Panics
    /// When it is gone.
    pub fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("it reads");
    }

    /// Waits until it has done what it was told.
    ///
    /// # Panics
    /// When it is gone.
    pub fn hear(&mut self) -> Vec<Tally> {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let tallies = line.trim_end().split(';').map(Tally::parse);
        tallies
            .collect::<Option<_>>()
            .unwrap_or_else(|| panic!("no answer: {line:?}"))
    }

    /// Lets it end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn end(self) -> ExitStatus {
        let Self {
            mut child, orders, ..
        } = self;
        drop(orders);
        child.wait().expect("it can be waited for")
    }
}

/// The program of [`Flood`]; a policy must let it run.
#[must_use]
pub fn program() -> PathBuf {
    helper("flood")
}
