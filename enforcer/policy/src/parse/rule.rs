//! `[[exec]]`, `[[connect]]`, `[[listen]]`, `[[unix]]`.

use super::{
    destination::{parse_destination, parse_local},
    fault::Fault,
    fields::{Fields, Log, Raw, part},
    path::{parse_path, parse_peer},
};
use crate::{
    diagnostic::{Diagnostic, quoted},
    key::Table,
    model::{Effect, End, ExecRule, InternetRule, UnixRule},
    source::Spanned,
};

/// Longest rule id: it stands in every record.
const LONGEST_ID: usize = 64;

pub(super) fn exec(log: &mut Log, text: &str, raw: Raw<'_>) -> Option<ExecRule> {
    let fields = Fields::open(log, text, Table::Exec, raw.table, raw.span);
    let id = id(log, &fields);
    let objects = objects(log, &fields);
    let digests = fields.texts("sha256");
    if let (Some((Effect::Deny, _)), Some(span)) = (&objects, fields.key_span("sha256")) {
        log.push(
            Diagnostic::error(span, "`sha256` goes with `allow`")
                .hint("a denied file is denied whatever it holds: remove the digests"),
        );
    }
    if digests.as_ref().is_some_and(Vec::is_empty) {
        log.push(empty(&fields, "sha256"));
    }
    let sha256 = items(log, text, digests.unwrap_or_default(), parse_digest);
    let (effect, paths) = objects?;
    let paths = items(log, text, paths, parse_path);
    Some(ExecRule {
        id: id?,
        effect,
        paths,
        sha256,
        interpreter: fields.boolean("interpreter").unwrap_or(false),
        optional: fields.boolean("optional").unwrap_or(false),
    })
}

pub(super) fn internet(log: &mut Log, text: &str, raw: Raw<'_>, end: End) -> Option<InternetRule> {
    let (table, parse): (_, fn(&str) -> _) = match end {
        End::Remote => (Table::Connect, parse_destination),
        End::Local => (Table::Listen, parse_local),
    };
    let fields = Fields::open(log, text, table, raw.table, raw.span);
    let id = id(log, &fields);
    let by = fields.texts("by");
    if by.as_ref().is_some_and(Vec::is_empty) {
        log.push(empty(&fields, "by"));
    }
    let by = by.map(|paths| items(log, text, paths, parse_path));
    let (effect, destinations) = objects(log, &fields)?;
    let destinations = items(log, text, destinations, parse);
    Some(InternetRule {
        id: id?,
        effect,
        destinations,
        by,
    })
}

pub(super) fn unix(log: &mut Log, text: &str, raw: Raw<'_>) -> Option<UnixRule> {
    let fields = Fields::open(log, text, Table::Unix, raw.table, raw.span);
    let id = id(log, &fields);
    let (effect, peers) = objects(log, &fields)?;
    let peers = items(log, text, peers, parse_peer);
    Some(UnixRule {
        id: id?,
        effect,
        peers,
    })
}

/// A rule's effect and what it lists.
fn objects(log: &mut Log, fields: &Fields<'_>) -> Option<(Effect, Vec<Spanned<String>>)> {
    let (allow, deny) = (fields.key_span("allow"), fields.key_span("deny"));
    let effect = match (allow, deny) {
        (Some(_), None) => Effect::Allow,
        (None, Some(_)) => Effect::Deny,
        (Some(allow), Some(deny)) => {
            log.push(
                Diagnostic::error(deny, "a rule has one effect")
                    .expected("`allow` or `deny`, not both")
                    .also(allow, "the other one")
                    .hint("make two rules of it"),
            );
            return None;
        }
        // One of the wrong type was reported already; two messages about it would only confuse.
        (None, None) if fields.wrote("allow") || fields.wrote("deny") => return None,
        (None, None) => {
            log.push(
                Diagnostic::error(fields.span, "the rule does nothing")
                    .expected("a rule with `allow = [...]` or `deny = [...]`"),
            );
            return None;
        }
    };
    let objects = fields.texts(effect.name())?;
    if objects.is_empty() {
        log.push(empty(fields, effect.name()));
    }
    Some((effect, objects))
}

fn empty(fields: &Fields<'_>, name: &str) -> Diagnostic {
    let span = fields.key_span(name).unwrap_or(fields.span);
    Diagnostic::error(span, format!("`{name}` is empty")).expected("at least one entry")
}

fn items<T>(
    log: &mut Log,
    source: &str,
    texts: Vec<Spanned<String>>,
    parse: fn(&str) -> Result<T, Fault>,
) -> Vec<Spanned<T>> {
    let mut items = Vec::with_capacity(texts.len());
    for text in texts {
        match parse(&text.value) {
            Ok(value) => items.push(Spanned::new(value, text.span)),
            Err(fault) => log.push(fault.at(part(source, &text, fault.bytes.clone()))),
        }
    }
    items
}

fn id(log: &mut Log, fields: &Fields<'_>) -> Option<Spanned<String>> {
    let id = fields.text("id")?;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if id.value.is_empty() || id.value.len() > LONGEST_ID || !id.value.chars().all(good) {
        let message = format!("{} cannot be a rule id", quoted(&id.value));
        log.push(Diagnostic::error(id.span, message).expected(format!(
            "at most {LONGEST_ID} lower-case letters, digits, `-`, `_` and `.`"
        )));
        return None;
    }
    Some(id)
}

fn parse_digest(text: &str) -> Result<[u8; 32], Fault> {
    let mut digest = [0; 32];
    let bytes = text.as_bytes();
    let whole = bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit);
    if !whole {
        return Err(
            Fault::new(text, format!("{} is not a SHA-256 digest", quoted(text)))
                .expected("64 hexadecimal digits")
                .hint("`sha256sum FILE` prints it"),
        );
    }
    for (byte, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    Ok(digest)
}
