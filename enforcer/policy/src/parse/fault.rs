//! What is wrong with a text inside a rule.

use std::ops::Range;

use crate::{diagnostic::Diagnostic, source::Span};

/// What is wrong with a text, and in which of its bytes.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) bytes: Range<usize>,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(text: &str, message: impl Into<String>) -> Self {
        Self {
            bytes: 0..text.len(),
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    pub(super) fn within(mut self, bytes: Range<usize>) -> Self {
        self.bytes = bytes;
        self
    }

    pub(super) fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub(super) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// The diagnostic of this fault at a place in the file.
    pub(super) fn at(&self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(span, &self.message);
        diagnostic.expected.clone_from(&self.expected);
        diagnostic.hint.clone_from(&self.hint);
        diagnostic
    }
}
