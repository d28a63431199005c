//! Diagnostics as text for people.

use std::ops::Range;

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity},
    source::{Source, Sources, Span},
};

/// Diagnostics written out; more are only counted, so that a wrong file does not flood the terminal.
const MOST_SHOWN: usize = 100;
/// A line longer than this is named, not shown: it is no text that a person wrote.
const LONGEST_LINE: usize = 1_000;

pub(crate) fn render(diagnostics: &Diagnostics, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let shown = diagnostics.list.iter().take(MOST_SHOWN);
    let mut parts: Vec<String> = shown
        .map(|d| renderer.render(&[group(&diagnostics.sources, d)]))
        .collect();
    if let Some(more) = diagnostics
        .list
        .len()
        .checked_sub(MOST_SHOWN)
        .filter(|n| *n > 0)
    {
        parts.push(format!("... and {more} more"));
    }
    parts.join("\n\n")
}

/// Line and column in characters, both from 1.
pub(crate) fn position(sources: &Sources, span: Span) -> (usize, usize) {
    let Some(before) = sources
        .of(span)
        .and_then(|s| s.text.get(..span.start as usize))
    else {
        return (1, 1);
    };
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

fn group<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut title = level.primary_title(normalize_untrusted_str(&diagnostic.message));
    if let Some(lint) = diagnostic.lint {
        title = title.id(lint.name());
    }
    let mut group = Group::with_title(title);
    let expected = diagnostic
        .expected
        .as_ref()
        .map(|text| format!("expected {text}"));
    group = place(
        group,
        sources,
        diagnostic.span,
        AnnotationKind::Primary,
        expected,
    );
    for label in &diagnostic.also {
        let text = Some(label.text.clone());
        group = place(group, sources, label.span, AnnotationKind::Context, text);
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(
            Level::HELP
                .with_name("hint")
                .message(normalize_untrusted_str(hint)),
        );
    }
    group
}

/// Adds the lines that a span touches, and only those: the renderer reads all it is given.
fn place<'a>(
    group: Group<'a>,
    sources: &'a Sources,
    span: Span,
    kind: AnnotationKind,
    label: Option<String>,
) -> Group<'a> {
    let Some(source) = sources.of(span) else {
        return group;
    };
    let (line, column) = position(sources, span);
    let lines = lines_of(source, span);
    let Some(text) = source
        .text
        .get(lines.clone())
        .filter(|t| t.len() <= LONGEST_LINE)
    else {
        let name = normalize_untrusted_str(&source.name);
        let group = group.element(Origin::path(name).line(line).char_column(column));
        return match label {
            Some(label) => group.element(Level::NOTE.message(label)),
            None => group,
        };
    };
    let within = span.start as usize - lines.start..span.end as usize - lines.start;
    group.element(
        Snippet::source(text)
            .path(normalize_untrusted_str(&source.name))
            .line_start(line)
            .annotation(kind.span(within).label(label)),
    )
}

/// The whole first line that a span is in, and no more lines than that: a table that misses a key
/// need not be shown whole.
fn lines_of(source: &Source, span: Span) -> Range<usize> {
    let text = &source.text;
    let start = (span.start as usize).min(text.len());
    let first = text
        .get(..start)
        .and_then(|t| t.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let end = (span.end as usize).clamp(start, text.len());
    let last = text
        .get(end..)
        .and_then(|t| t.find('\n'))
        .map_or(text.len(), |n| end + n);
    first..last
}
