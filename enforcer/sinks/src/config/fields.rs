//! A table of the file, read key by key: what is not asked for at the end is an error.

use std::{ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Fault, quoted},
    value,
};

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A table that is being read.
pub(super) struct Fields<'a, 'f> {
    table: &'a DeTable<'a>,
    /// The table's own place.
    pub span: Range<usize>,
    /// How messages name the table.
    name: String,
    known: Vec<&'static str>,
    pub faults: &'f mut Vec<Fault>,
}

impl<'a, 'f> Fields<'a, 'f> {
    pub fn new(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        name: impl Into<String>,
        faults: &'f mut Vec<Fault>,
    ) -> Self {
        Self {
            table,
            span,
            name: name.into(),
            known: Vec::new(),
            faults,
        }
    }

    /// The value of a key.
    fn raw(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn wrong_type(&mut self, key: &str, found: &Spanned<DeValue<'_>>, expected: &str) {
        let message = format!("`{key}` is of type {}", found.get_ref().type_str());
        self.faults
            .push(Fault::new(found.span(), message).expected(expected));
    }

    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let raw = self.raw(key)?;
        let DeValue::String(text) = raw.get_ref() else {
            self.wrong_type(key, raw, "a text in quotes");
            return None;
        };
        if text.is_empty() {
            let fault = Fault::new(raw.span(), format!("`{key}` is empty"));
            let hint = "give it a value or remove the line";
            self.faults.push(fault.hint(hint));
            return None;
        }
        Some(At {
            value: text.to_string(),
            span: raw.span(),
        })
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            let message = format!("`{key}` is missing in {}", self.name);
            let hint = format!("add the line `{key} = \"{example}\"`");
            self.faults
                .push(Fault::new(self.span.clone(), message).hint(hint));
            return None;
        }
        self.text(key)
    }

    pub fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        let Some(raw) = self.raw(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = raw.get_ref() else {
            self.wrong_type(key, raw, "a list of texts, as in `[\"deny\"]`");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            if let DeValue::String(text) = item.get_ref() {
                texts.push(At {
                    value: text.to_string(),
                    span: item.span(),
                });
            } else {
                self.wrong_type(key, item, "a text in quotes");
            }
        }
        texts
    }

    pub fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        let raw = self.raw(key)?;
        if let DeValue::Boolean(value) = raw.get_ref() {
            return Some(At {
                value: *value,
                span: raw.span(),
            });
        }
        self.wrong_type(key, raw, "`true` or `false`");
        None
    }

    /// A whole number within `range`, or `default`.
    pub fn number(&mut self, key: &'static str, range: Range<u64>, default: u64) -> u64 {
        let Some(raw) = self.raw(key) else {
            return default;
        };
        let expected = format!("a whole number from {} to {}", range.start, range.end - 1);
        let DeValue::Integer(number) = raw.get_ref() else {
            self.wrong_type(key, raw, &expected);
            return default;
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => number,
            Ok(_) | Err(_) => {
                let message = format!("`{key}` is out of range");
                self.faults
                    .push(Fault::new(raw.span(), message).expected(expected));
                default
            }
        }
    }

    /// A duration of at most an hour, or `default`.
    pub fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        let Some(text) = self.text(key) else {
            return default;
        };
        match value::duration(&text.value) {
            Some(duration) if duration <= Duration::from_secs(3_600) => duration,
            Some(_) | None => {
                let message = format!("{} is no duration", quoted(&text.value));
                let expected = "a number with a unit, at most an hour: \"500ms\", \"30s\", \"5m\"";
                self.faults
                    .push(Fault::new(text.span, message).expected(expected));
                default
            }
        }
    }

    /// A table inside this one; the caller must finish it.
    pub fn table(&mut self, key: &'static str) -> Option<(Range<usize>, &'a DeTable<'a>)> {
        let raw = self.raw(key)?;
        if let DeValue::Table(table) = raw.get_ref() {
            return Some((raw.span(), table));
        }
        self.wrong_type(key, raw, &format!("a table, as in `{key} = {{ ... }}`"));
        None
    }

    /// Tells each key that nothing asked for.
    pub fn finish(self) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let message = format!("{} is no key of {}", quoted(name), self.name);
            let near = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known, name), known))
                .filter(|(distance, _)| *distance <= 2)
                .min();
            let hint = match near {
                Some((_, near)) => format!("`{near}` is meant?"),
                None => format!("its keys are {}", self.known.join(", ")),
            };
            self.faults.push(Fault::new(key.span(), message).hint(hint));
        }
    }
}
