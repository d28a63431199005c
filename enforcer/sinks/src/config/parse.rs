//! From text to a configuration.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{
    Config, Diagnostics, Retry, SecretFile, SinkConfig, Target,
    diagnostic::{Fault, quoted},
    fields::{At, Fields},
    target,
};
use crate::{filter::Filter, render::Form, spool::Limit};

/// The verdicts that a filter can ask for.
const VERDICTS: [&str; 3] = ["allow", "deny", "would-deny"];
/// What stands for systemd's credentials folder at the beginning of a path.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// What a configuration can name.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The renderers there are, by their names for `format`, and what each makes. The first is the
    /// default.
    pub formats: &'a [(&'a str, Form)],
    /// The environment's `CREDENTIALS_DIRECTORY`.
    pub credentials: Option<&'a Path>,
}

impl Config {
    /// Reads a configuration; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(
        file: &str,
        text: &str,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut faults = Vec::new();
        let config = match DeTable::parse(text) {
            Ok(document) => read(&document, surroundings, &mut faults),
            Err(error) => {
                let span = error.span().unwrap_or(text.len()..text.len());
                let message = error.message().replace('\n', "; ");
                faults.push(Fault::new(span, format!("this is not TOML: {message}")));
                Self::default()
            }
        };
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Diagnostics::new(file, text, faults))
        }
    }
}

fn read(
    document: &toml::Spanned<DeTable<'_>>,
    surroundings: Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> Config {
    let table = document.get_ref();
    let mut config = Config::default();
    let mut names: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for (key, value) in table.iter() {
        let sinks = match (key.get_ref().as_ref(), value.get_ref()) {
            ("sink", DeValue::Array(sinks)) => sinks,
            ("sink", _) => {
                let fault = Fault::new(key.span(), "`sink` is no list of tables");
                faults.push(fault.hint("begin each sink with a line `[[sink]]`"));
                continue;
            }
            (other, _) => {
                let message = format!("{} is no key of the file", quoted(other));
                faults.push(Fault::new(key.span(), message).hint("its one key is `[[sink]]`"));
                continue;
            }
        };
        for sink in sinks.iter() {
            if let DeValue::Table(table) = sink.get_ref()
                && let Some((sink, name)) = one(table, sink.span(), surroundings, faults)
            {
                if names.contains_key(&sink.name) {
                    let message = format!("there are two sinks named `{}`", sink.name);
                    let hint = "each needs a name of its own: its cursor is kept by it";
                    faults.push(Fault::new(name, message).hint(hint));
                } else {
                    names.insert(sink.name.clone(), name);
                    config.sinks.push(sink);
                }
            }
        }
    }
    if config.sinks.is_empty() && faults.is_empty() {
        let hint = "add one: a line `[[sink]]`, then `name`, `type` and what the type asks for";
        faults.push(Fault::new(0..0, "no sink is configured").hint(hint));
    }
    config
}

/// One sink and the place of its name; `None` when something in it is wrong.
fn one<'a>(
    table: &'a DeTable<'a>,
    span: Range<usize>,
    surroundings: Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> Option<(SinkConfig, Range<usize>)> {
    let before = faults.len();
    let mut fields = Fields::new(table, span, "a sink", faults);
    let name = fields.required("name", "siem").and_then(|name| {
        let is_good = name.value.len() <= 64
            && name
                .value
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_good {
            let message = format!("{} is no name for a sink", quoted(&name.value));
            let fault = Fault::new(name.span.clone(), message);
            fields
                .faults
                .push(fault.expected("up to 64 lower-case letters, digits and `-`"));
        }
        is_good.then_some(name)
    });
    let format = format(&mut fields, surroundings.formats);
    let filter = filter(&mut fields);
    let batch = Limit {
        records: size(fields.number("batch", 1..10_001, 512)),
        bytes: size(fields.number("batch_bytes", 1_024..(16 << 20) + 1, 1 << 20)),
    };
    let linger = fields.duration("linger", Duration::from_millis(200));
    let timeout = fields.duration("timeout", Duration::from_secs(30));
    if timeout < Duration::from_millis(100) {
        let hint = "write at least \"100ms\"";
        let place = fields.span.clone();
        let fault = Fault::new(place, "`timeout` is too short for any receiver");
        fields.faults.push(fault.hint(hint));
    }
    let retry = retry(&mut fields);
    let target = target::parse(&mut fields, surroundings);
    // Without a type it is not known which other keys there may be.
    if target.is_some() || table.contains_key("type") {
        fields.finish();
    }
    let (name, target) = (name?, target?);
    let (format, form) = format?;
    if let (Target::Elastic(_), Form::Text) = (&target, form) {
        let message = format!(
            "`elastic` takes JSON objects, and `{}` is text",
            format.value
        );
        let fault = Fault::new(format.span, message);
        faults.push(fault.hint("choose a format that makes JSON, or leave `format` out"));
        return None;
    }
    let sink = SinkConfig {
        name: name.value,
        format: format.value,
        filter,
        batch,
        linger,
        timeout,
        retry,
        target,
    };
    (faults.len() == before).then_some((sink, name.span))
}

pub(super) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn format(fields: &mut Fields<'_, '_>, formats: &[(&str, Form)]) -> Option<(At<String>, Form)> {
    let Some(format) = fields.text("format") else {
        let (name, form) = formats.first()?;
        let at = At {
            value: (*name).to_owned(),
            span: fields.span.clone(),
        };
        return Some((at, *form));
    };
    let found = formats.iter().find(|(name, _)| *name == format.value);
    if found.is_none() {
        let names: Vec<String> = formats
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let message = format!("{} is no format", quoted(&format.value));
        let fault = Fault::new(format.span.clone(), message);
        fields.faults.push(fault.expected(names.join(", ")));
    }
    found.map(|(_, form)| (format, *form))
}

fn filter(fields: &mut Fields<'_, '_>) -> Filter {
    let Some((span, table)) = fields.table("filter") else {
        return Filter::default();
    };
    let mut inner = Fields::new(table, span, "`filter`", fields.faults);
    let verdicts = inner.texts("verdict");
    let agents = inner.texts("agent");
    for verdict in &verdicts {
        if !VERDICTS.contains(&verdict.value.as_str()) {
            let message = format!("{} is no verdict", quoted(&verdict.value));
            let fault = Fault::new(verdict.span.clone(), message);
            let names = VERDICTS.map(|name| format!("`{name}`")).join(", ");
            inner.faults.push(fault.expected(names));
        }
    }
    inner.finish();
    let values = |list: Vec<At<String>>| list.into_iter().map(|at| at.value).collect();
    Filter {
        verdict: values(verdicts),
        agent: values(agents),
    }
}

fn retry(fields: &mut Fields<'_, '_>) -> Retry {
    let defaults = Retry {
        first: Duration::from_millis(500),
        most: Duration::from_secs(60),
        held: Duration::from_secs(60),
    };
    let Some((span, table)) = fields.table("retry") else {
        return defaults;
    };
    let mut inner = Fields::new(table, span, "`retry`", fields.faults);
    let retry = Retry {
        first: inner.duration("first", defaults.first),
        most: inner.duration("most", defaults.most),
        held: inner.duration("held", defaults.held),
    };
    let least = Duration::from_millis(1);
    if retry.first < least || retry.held < least || retry.most < retry.first {
        let message = "these waits are zero, or `most` is less than `first`";
        let fault = Fault::new(inner.span.clone(), message);
        let hint = "as in `retry = { first = \"500ms\", most = \"1m\", held = \"1m\" }`";
        inner.faults.push(fault.hint(hint));
    }
    inner.finish();
    retry
}

/// An absolute path, or one below the credentials folder.
pub(super) fn path(
    fields: &mut Fields<'_, '_>,
    text: At<String>,
    surroundings: Surroundings<'_>,
) -> Option<SecretFile> {
    if let Some(name) = text.value.strip_prefix(CREDENTIALS) {
        let Some(folder) = surroundings.credentials else {
            let message = "the environment has no CREDENTIALS_DIRECTORY";
            let hint = "systemd sets it for a service whose unit has `LoadCredential=`";
            fields
                .faults
                .push(Fault::new(text.span, message).hint(hint));
            return None;
        };
        if !name.is_empty() && !name.contains('/') && name != ".." {
            return Some(SecretFile {
                path: folder.join(name),
                is_credential: true,
            });
        }
    } else if text.value.starts_with('/') {
        return Some(SecretFile {
            path: PathBuf::from(text.value),
            is_credential: false,
        });
    }
    let message = format!("{} is no path of a file", quoted(&text.value));
    let expected = format!("an absolute path, or `{CREDENTIALS}NAME`");
    fields
        .faults
        .push(Fault::new(text.span, message).expected(expected));
    None
}
