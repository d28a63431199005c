//! What is wrong in a configuration: where, what was expected, and what to do.

use std::{fmt, ops::Range};

use annotate_snippets::{
    AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use serde::Serialize;

/// A line longer than this is named, not shown: it is no text that a person wrote.
const LONGEST_LINE: usize = 1_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there, without the word "expected".
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    #[serde(skip)]
    span: Range<usize>,
}

/// What is wrong in a file, in the order of the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file.
    pub file: String,
    /// What is wrong in it; never empty.
    pub list: Vec<Diagnostic>,
    text: String,
}

/// Something wrong, before its line is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub span: Range<usize>,
    pub message: String,
    pub expected: Option<String>,
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    pub fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

impl Diagnostics {
    pub(super) fn new(file: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
        let list = faults
            .into_iter()
            .map(|fault| {
                let (line, column) = position(text, fault.span.start);
                Diagnostic {
                    line,
                    column,
                    message: fault.message,
                    expected: fault.expected,
                    hint: fault.hint,
                    span: fault.span,
                }
            })
            .collect();
        Self {
            file: file.to_owned(),
            list,
            text: text.to_owned(),
        }
    }

    /// As text for people; `colour` adds terminal styles.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let parts: Vec<String> = self
            .list
            .iter()
            .map(|one| self.render_one(&renderer, one))
            .collect();
        parts.join("\n\n")
    }

    fn render_one(&self, renderer: &Renderer, one: &Diagnostic) -> String {
        let file = normalize_untrusted_str(&self.file);
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&one.message));
        let expected = one.expected.as_ref().map(|text| format!("expected {text}"));
        let line = line_of(&self.text, one.span.start);
        let mut group = match self.text.get(line.clone()) {
            Some(text) if text.len() <= LONGEST_LINE => {
                let end = one.span.end.clamp(one.span.start, line.end);
                let within = one.span.start - line.start..end - line.start;
                let annotation = AnnotationKind::Primary.span(within).label(expected);
                title.element(
                    Snippet::source(text)
                        .path(file)
                        .line_start(one.line)
                        .annotation(annotation),
                )
            }
            _ => title.element(Origin::path(file).line(one.line).char_column(one.column)),
        };
        if let Some(hint) = &one.hint {
            let hint = normalize_untrusted_str(hint);
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let end = text
        .get(at..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |newline| at + newline);
    start..end
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let line = line_of(text, at);
    let before = text.get(..line.start).unwrap_or_default();
    let column = text.get(line.start..at).unwrap_or_default();
    (
        before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column.chars().count() + 1,
    )
}

/// A piece of the author's text as a message quotes it.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let escaped: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    let more = if text.chars().nth(LONGEST).is_some() {
        "..."
    } else {
        ""
    };
    format!("`{escaped}{more}`")
}
