//! Which records a sink gets.

use crate::record::Record;

/// What a record must have. An empty list asks nothing; a record that lacks what is asked for does
/// not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Verdicts: one of these.
    pub verdict: Vec<String>,
    /// Agents: one of these.
    pub agent: Vec<String>,
}

impl Filter {
    /// Whether the sink gets this record.
    #[must_use]
    pub fn passes(&self, record: &Record) -> bool {
        is_one_of(&self.verdict, record.verdict()) && is_one_of(&self.agent, record.agent())
    }
}

fn is_one_of(wanted: &[String], found: Option<&str>) -> bool {
    wanted.is_empty() || wanted.iter().any(|name| Some(name.as_str()) == found)
}
