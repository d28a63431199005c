//! A report laid out for readers: one document, written as text for a terminal and as an HTML page.
//!
//! ```text
//! Report -> document.rs, agents.rs -> Document (headings, tables, plots)
//!                                        |-> text.rs   a terminal of 96 columns
//!                                        `-> html.rs   one page, by writer.rs, which escapes; plot.rs
//! ```

mod agents;
mod document;
mod html;
mod plot;
mod text;
mod writer;

use crate::report::{Report, Severity, Timeline};

/// A piece of the document.
pub(crate) enum Block {
    /// A heading of level 2 or 3; the number is the agent's, where it is one's.
    Heading(u8, String, Option<usize>),
    /// A paragraph.
    Text(String),
    /// A list; items of findings with how much they matter.
    Items(Vec<(Option<Severity>, String)>),
    /// Names and values in short.
    Facts(Vec<(&'static str, String)>),
    /// A table.
    Table(Table),
    /// Decisions over time, with what they are of.
    Plot(String, Timeline),
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Text; may be shortened in the middle on a terminal.
    Text,
    /// As text, in the letters of code.
    Code,
    /// As code, and long: on a terminal below its row.
    Long,
    /// To the right.
    Number,
    /// A moment.
    Time,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub title: &'static str,
    pub set: Set,
    /// Left out on narrow screens.
    pub minor: bool,
}

/// A table. The first column names the row.
pub(crate) struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
    /// Whether the first column leads to the agent with the row's number.
    pub leads: bool,
    /// What is said below it.
    pub note: Option<String>,
}

/// The whole.
pub(crate) struct Document {
    pub title: String,
    pub subtitle: String,
    pub severity: Severity,
    pub sentence: String,
    pub blocks: Vec<Block>,
}

impl Report {
    /// As text for a terminal, in at most 96 columns.
    #[must_use]
    pub fn text(&self) -> String {
        text::write(&document::of(self))
    }

    /// As one HTML page that needs nothing else: no script, no font, no image, no network.
    #[must_use]
    pub fn html(&self) -> String {
        html::write(&document::of(self))
    }
}
