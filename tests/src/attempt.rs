//! What came of an attempt of the probe (`src/bin/probe`): one line of JSON each.

use nix::libc::EPERM;
use serde_json::{Value, json};

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The attempt, in the words that it was asked for.
    pub attempt: String,
    /// The error number that the caller got; 0 = it succeeded.
    pub errno: i32,
    /// Exit status of what was run, where something was.
    pub status: Option<i32>,
    /// What it said: the standard output of what was run.
    pub output: String,
}

impl Answer {
    /// Whether the caller got the answer of a denial.
    #[must_use]
    pub const fn denied(&self) -> bool {
        self.errno == EPERM
    }

    /// As one line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            attempt,
            errno,
            status,
            output,
        } = self;
        json!({"attempt": attempt, "errno": errno, "status": status, "output": output}).to_string()
    }

    /// From one line; `None` when it is none of the probe's.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            attempt: value["attempt"].as_str()?.to_owned(),
            errno: value["errno"].as_i64()?.try_into().ok()?,
            status: value["status"]
                .as_i64()
                .and_then(|status| status.try_into().ok()),
            output: value["output"].as_str()?.to_owned(),
        })
    }
}
