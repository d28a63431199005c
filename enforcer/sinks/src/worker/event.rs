//! What people should hear of.

use std::fmt;

/// Something that people should hear of. Given to the callback of
/// [`Shipper::start`](crate::Shipper::start), from the sink's own thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Records will never be with this receiver; they stay in the log.
    Refused {
        /// The sink.
        sink: String,
        /// `metadata.uid` of the first record in question.
        first: String,
        /// The same of the last one.
        last: String,
        /// How many of them were refused.
        count: u64,
        /// Why.
        why: String,
    },
    /// Something of the log was passed over.
    Fault {
        /// The sink.
        sink: String,
        /// What.
        what: String,
    },
    /// Sending stopped working, or its trouble is another one now.
    Failing {
        /// The sink.
        sink: String,
        /// What is wrong.
        why: String,
        /// Whether somebody must act.
        needs_attention: bool,
    },
    /// Sending works again.
    Recovered {
        /// The sink.
        sink: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                sink,
                first,
                last,
                count,
                why,
            } if first == last && *count == 1 => {
                write!(f, "{sink}: record {first} is refused: {why}")
            }
            Self::Refused {
                sink,
                first,
                last,
                count,
                why,
            } => write!(
                f,
                "{sink}: {count} records from {first} to {last} are refused: {why}"
            ),
            Self::Fault { sink, what } => write!(f, "{sink}: passed over in the log: {what}"),
            Self::Failing { sink, why, .. } => write!(f, "{sink}: {why}"),
            Self::Recovered { sink } => write!(f, "{sink}: sending again"),
        }
    }
}
