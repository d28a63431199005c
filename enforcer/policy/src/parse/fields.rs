//! A table of the file held to the rows of [`crate::key`]: what comes out has known keys and the
//! right types.

use std::ops::Range;

use toml::{
    Spanned as TomlSpanned,
    de::{DeTable, DeValue},
};

use super::fault::Fault;
use crate::{
    diagnostic::{Diagnostic, quoted},
    key::{KEYS, Key, Kind, Need, Table, find, keys},
    source::{Span, Spanned},
};

/// The errors found so far.
#[derive(Default)]
pub(super) struct Log(Vec<Diagnostic>);

impl Log {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(super) fn into_list(self) -> Vec<Diagnostic> {
        self.0
    }
}

/// A table inside a file, before its keys are looked at.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) table: &'a DeTable<'a>,
    pub(super) span: Span,
}

/// A table whose keys are known and whose values have their types.
pub(super) struct Fields<'a> {
    source: u32,
    /// The table's own place.
    pub(super) span: Span,
    table: &'a DeTable<'a>,
    values: Vec<(&'static str, Span, &'a TomlSpanned<DeValue<'a>>)>,
}

impl<'a> Fields<'a> {
    /// Holds `table` to the rows of its kind.
    pub(super) fn open(
        log: &mut Log,
        text: &str,
        kind: Table,
        table: &'a DeTable<'a>,
        span: Span,
    ) -> Self {
        let fields = Self::known(log, text, kind, table, span);
        for key in keys(kind).filter(|key| key.need == Need::Required) {
            if !table.contains_key(key.name) {
                log.push(missing(key, span));
            }
        }
        fields
    }

    /// As [`Fields::open`], for the top of the policy's own file.
    pub(super) fn open_root(log: &mut Log, text: &str, table: &'a DeTable<'a>, span: Span) -> Self {
        Self::open(log, text, Table::Root, table, span)
    }

    /// As [`Fields::open`], for the top of an included file: rules, and no agent.
    pub(super) fn open_included(
        log: &mut Log,
        text: &str,
        table: &'a DeTable<'a>,
        span: Span,
    ) -> Self {
        let mut fields = Self::known(log, text, Table::Root, table, span);
        if let Some(agent) = fields.values.iter().position(|(name, ..)| *name == "agent") {
            let (_, key, _) = fields.values.remove(agent);
            log.push(
                Diagnostic::error(key, "an included file has no `[agent]`")
                    .expected("rules")
                    .hint("the policy that includes it names the agent"),
            );
        }
        fields
    }

    fn known(log: &mut Log, text: &str, kind: Table, table: &'a DeTable<'a>, span: Span) -> Self {
        let source = span.source;
        let mut values = Vec::new();
        for (name, value) in table {
            let place = Span::new(source, name.span());
            let Some(key) = find(kind, name.get_ref()) else {
                log.push(unknown(kind, name.get_ref(), place));
                continue;
            };
            if key.need == Need::NotYet {
                log.push(not_yet(key, place));
            } else if let Some(fault) = wrong_type(key, text, source, value) {
                log.push(fault);
            } else {
                values.push((key.name, place, value));
            }
        }
        Self {
            source,
            span,
            table,
            values,
        }
    }

    fn get(&self, name: &str) -> Option<&'a TomlSpanned<DeValue<'a>>> {
        self.values
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, _, value)| *value)
    }

    fn span_of(&self, value: &TomlSpanned<DeValue<'_>>) -> Span {
        Span::new(self.source, value.span())
    }

    /// Whether the file has the key, be its value of the right type or not.
    pub(super) fn wrote(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Where the key itself stands.
    pub(super) fn key_span(&self, name: &str) -> Option<Span> {
        self.values
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, span, _)| *span)
    }

    pub(super) fn text(&self, name: &str) -> Option<Spanned<String>> {
        let value = self.get(name)?;
        let text = value.get_ref().as_str()?;
        Some(Spanned::new(text.to_owned(), self.span_of(value)))
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.get(name)?.get_ref().as_bool()
    }

    pub(super) fn integer(&self, name: &str) -> Option<Spanned<i64>> {
        let value = self.get(name)?;
        let number = value.get_ref().as_integer()?;
        // Out of range is no version, no count: any number that is not meant will do.
        let number = i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX);
        Some(Spanned::new(number, self.span_of(value)))
    }

    /// A date, as it was written.
    pub(super) fn date(&self, name: &str) -> Option<Spanned<String>> {
        let value = self.get(name)?;
        let text = match value.get_ref().as_datetime() {
            Some(date) => date.to_string(),
            None => value.get_ref().as_str()?.to_owned(),
        };
        Some(Spanned::new(text, self.span_of(value)))
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<Spanned<String>>> {
        let items = self.get(name)?.get_ref().as_array()?.iter();
        let texts = items.filter_map(|item| {
            let text = item.get_ref().as_str()?;
            Some(Spanned::new(text.to_owned(), self.span_of(item)))
        });
        Some(texts.collect())
    }

    pub(super) fn table(&self, name: &str) -> Option<Raw<'a>> {
        let value = self.get(name)?;
        let table = value.get_ref().as_table()?;
        Some(Raw {
            table,
            span: self.span_of(value),
        })
    }

    pub(super) fn tables(&self, name: &str) -> Vec<Raw<'a>> {
        let items = self.get(name).and_then(|value| value.get_ref().as_array());
        let tables = items
            .into_iter()
            .flat_map(|items| items.iter())
            .filter_map(|item| {
                let table = item.get_ref().as_table()?;
                Some(Raw {
                    table,
                    span: self.span_of(item),
                })
            });
        tables.collect()
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    log: &mut Log,
    text: &Spanned<String>,
    words: &[(&'static str, T)],
) -> Option<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
        return Some(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{} is not a value of this key", quoted(&text.value));
    let fault = Diagnostic::error(text.span, message).expected(one_of(&names));
    log.push(match nearest(&text.value, names.into_iter()) {
        Some(name) => fault.hint(format!("did you mean \"{name}\"?")),
        None => fault,
    });
    None
}

/// A part of a string, where the string stands in the file as it is (without escapes); else the
/// whole string.
pub(super) fn part(source: &str, text: &Spanned<String>, bytes: Range<usize>) -> Span {
    let written = source.get(text.span.range()).unwrap_or_default();
    let inner = written
        .get(1..written.len().saturating_sub(1))
        .unwrap_or_default();
    if inner != text.value || bytes.is_empty() {
        return text.span;
    }
    let start = text.span.start as usize + 1;
    Span::new(text.span.source, start + bytes.start..start + bytes.end)
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Nobody mistypes a word into one of twice its length; and the distance costs time.
    let names = names.filter(|name| text.len() <= 2 * name.len());
    let near = names.map(|name| (strsim::damerau_levenshtein(text, name), name));
    near.filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

fn unknown(kind: Table, name: &str, span: Span) -> Diagnostic {
    let fault = Diagnostic::error(span, format!("unknown key {}", quoted(name)));
    let supported = || {
        keys(kind)
            .filter(|key| key.need != Need::NotYet)
            .map(|key| key.name)
    };
    if let Some(near) = nearest(name, supported()) {
        return fault.hint(format!("did you mean `{near}`?"));
    }
    let names: Vec<String> = supported().map(|name| format!("`{name}`")).collect();
    let fault = fault.expected(format!("one of {}", names.join(", ")));
    match KEYS
        .iter()
        .find(|key| key.name == name && key.need != Need::NotYet)
    {
        Some(key) => fault.hint(format!("`{name}` is a key of {}", key.table.name())),
        None => fault,
    }
}

fn not_yet(key: &Key, span: Span) -> Diagnostic {
    let message = format!("`{}` is not supported yet", key.name);
    Diagnostic::error(span, message)
        .hint("remove it: what cannot be enforced is refused, not ignored")
}

fn missing(key: &Key, span: Span) -> Diagnostic {
    let what = match key.kind {
        Kind::Table => "table",
        Kind::Integer
        | Kind::Boolean
        | Kind::Text
        | Kind::Date
        | Kind::Texts
        | Kind::Tables
        | Kind::Any => "key",
    };
    let fault = Diagnostic::error(span, format!("the {what} `{}` is missing", key.name));
    fault.hint(format!("add `{}`", key.example))
}

fn wrong_type(
    key: &Key,
    text: &str,
    source: u32,
    value: &TomlSpanned<DeValue<'_>>,
) -> Option<Diagnostic> {
    let place = |value: &TomlSpanned<DeValue<'_>>| Span::new(source, value.span());
    let fault = |at: &TomlSpanned<DeValue<'_>>, expected: &str| {
        let found = at.get_ref().type_str();
        let message = format!("`{}` is of the wrong type: {found}", key.name);
        Some(Diagnostic::error(place(at), message).expected(expected))
    };
    let inner = value.get_ref();
    let items = || inner.as_array().into_iter().flat_map(|items| items.iter());
    match key.kind {
        Kind::Integer if inner.is_integer() => None,
        Kind::Boolean if inner.is_bool() => None,
        Kind::Text if inner.is_str() => None,
        Kind::Date if inner.is_str() || inner.is_datetime() => None,
        Kind::Table if inner.is_table() => None,
        Kind::Any => None,
        Kind::Texts if inner.is_array() => {
            let wrong = items().find(|item| !item.get_ref().is_str())?;
            fault(wrong, "a string")
        }
        Kind::Tables if inner.is_array() => {
            let wrong = items().find(|item| !item.get_ref().is_table())?;
            fault(wrong, "a table")
        }
        Kind::Texts if inner.is_str() => {
            let written = text.get(value.span()).unwrap_or_default();
            fault(value, key.kind.name()).map(|f| f.hint(format!("write `[{written}]`")))
        }
        Kind::Tables if inner.is_table() => {
            fault(value, key.kind.name()).map(|f| f.hint(format!("write `[[{}]]`", key.name)))
        }
        Kind::Integer
        | Kind::Boolean
        | Kind::Text
        | Kind::Date
        | Kind::Table
        | Kind::Texts
        | Kind::Tables => fault(value, key.kind.name()),
    }
}

/// Reads a text; what is wrong is shown at its place in it.
pub(super) fn value<T>(
    log: &mut Log,
    source: &str,
    text: &Spanned<String>,
    parse: fn(&str) -> Result<T, Fault>,
) -> Option<T> {
    match parse(&text.value) {
        Ok(value) => Some(value),
        Err(fault) => {
            log.push(fault.at(part(source, text, fault.bytes.clone())));
            None
        }
    }
}
