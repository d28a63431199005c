//! `[agent]` and `[agent.enrol]`.

use enforcer_common::{
    label::{ENTRY_LEN, SLICE_LEN},
    maps::SLICE_DEPTH,
};

use super::{
    fields::{Fields, Log, Raw, one_of, value, word},
    path::parse_path,
    until,
};
use crate::{
    diagnostic::{Diagnostic, quoted},
    key::Table,
    model::{Agent, Audit, Entry, Launch, Libraries, Mode, OnAuditFailure, SocketKind},
    source::Spanned,
};

/// Longest name: it becomes part of unit and file names.
const LONGEST_NAME: usize = 63;

#[derive(Clone, Copy)]
enum ModeName {
    Enforce,
    Monitor,
}

const MODES: &[(&str, ModeName)] = &[
    ("enforce", ModeName::Enforce),
    ("monitor", ModeName::Monitor),
];

pub(super) fn parse(log: &mut Log, text: &str, raw: Raw<'_>) -> Option<Agent> {
    let fields = Fields::open(log, text, Table::Agent, raw.table, raw.span);
    let name = fields.text("name").and_then(|name| check_name(log, name));
    let mode = mode(log, &fields);
    let audit = option(log, &fields, "audit", Audit::NAMES, Audit::All);
    let on_audit_failure = option(
        log,
        &fields,
        "on_audit_failure",
        OnAuditFailure::NAMES,
        OnAuditFailure::Deny,
    );
    let libraries = option(log, &fields, "libraries", Libraries::NAMES, Libraries::Host);
    let switch = |name| Spanned {
        value: fields.boolean(name).unwrap_or(false),
        span: fields.key_span(name).unwrap_or(fields.span),
    };
    let (jit, set_id, secure_exec) = (switch("jit"), switch("set_id"), switch("secure_exec"));
    let (devices, io_uring) = (switch("devices"), switch("io_uring"));
    let namespaces = switch("namespaces");
    let sockets = sockets(log, &fields);
    let enrol = fields.table("enrol").map(|raw| enrol(log, text, raw));
    let enrol = enrol.unwrap_or_default();
    let owner = filled(log, &fields, "owner").map(|text| text.value);
    let purpose = filled(log, &fields, "purpose").map(|text| text.value);
    // Only now may anything be missing: every error above was to be found first.
    Some(Agent {
        name: name?,
        owner: owner?,
        purpose: purpose?,
        mode: mode?,
        audit: audit?,
        on_audit_failure: on_audit_failure?,
        libraries: libraries?,
        jit: jit.value,
        set_id,
        secure_exec: secure_exec.value,
        devices,
        io_uring,
        namespaces,
        sockets: sockets?,
        launch: enrol.launch,
        slice: enrol.slice,
        entry: enrol.entry,
    })
}

fn option<T: Copy>(
    log: &mut Log,
    fields: &Fields<'_>,
    name: &str,
    words: &[(&'static str, T)],
    default: T,
) -> Option<T> {
    match fields.text(name) {
        Some(text) => word(log, &text, words),
        None => Some(default),
    }
}

fn sockets(log: &mut Log, fields: &Fields<'_>) -> Option<Vec<Spanned<SocketKind>>> {
    let mut kinds = Some(Vec::new());
    for text in fields.texts("sockets").unwrap_or_default() {
        match (word(log, &text, SocketKind::NAMES), &mut kinds) {
            (Some(value), Some(kinds)) => kinds.push(Spanned {
                value,
                span: text.span,
            }),
            _ => kinds = None,
        }
    }
    kinds
}

fn filled(log: &mut Log, fields: &Fields<'_>, name: &str) -> Option<Spanned<String>> {
    let text = fields.text(name)?;
    if text.value.trim().is_empty() {
        let message = format!("`{name}` says nothing");
        log.push(Diagnostic::error(text.span, message).expected("some text"));
        return None;
    }
    Some(text)
}

fn check_name(log: &mut Log, name: Spanned<String>) -> Option<Spanned<String>> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let text = &name.value;
    if text.is_empty()
        || text.len() > LONGEST_NAME
        || text.starts_with('-')
        || !text.chars().all(good)
    {
        let message = format!("{} cannot be the name of an agent", quoted(text));
        log.push(Diagnostic::error(name.span, message).expected(format!(
            "at most {LONGEST_NAME} lower-case letters, digits and `-`, not `-` first"
        )));
        return None;
    }
    Some(name)
}

fn mode(log: &mut Log, fields: &Fields<'_>) -> Option<Mode> {
    let text = fields.text("mode");
    let mode = match &text {
        Some(text) => word(log, text, MODES)?,
        None => ModeName::Enforce,
    };
    let until = fields.date("until").map(|date| until::parse(log, date));
    match (mode, until, text) {
        (ModeName::Enforce, None, _) => Some(Mode::Enforce),
        (ModeName::Enforce, Some(_), _) => {
            let span = fields.key_span("until").unwrap_or(fields.span);
            let message = "`until` goes with `mode = \"monitor\"`";
            log.push(Diagnostic::error(span, message).hint("enforcement has no end: remove it"));
            None
        }
        (ModeName::Monitor, Some(until), _) => Some(Mode::Monitor { until: until? }),
        (ModeName::Monitor, None, text) => {
            let span = text.map_or(fields.span, |text| text.span);
            log.push(
                Diagnostic::error(span, "monitor mode needs an end")
                    .expected(format!("{} with `until`", one_of(&["monitor"])))
                    .hint("add `until = 2030-06-30`: a rollout that is only watched must not be forgotten"),
            );
            None
        }
    }
}

/// `[agent.enrol]`: what of it could be read.
#[derive(Default)]
struct Enrol {
    launch: Option<Launch>,
    slice: Option<Spanned<String>>,
    entry: Option<Entry>,
}

fn enrol(log: &mut Log, text: &str, raw: Raw<'_>) -> Enrol {
    let fields = Fields::open(log, text, Table::Enrol, raw.table, raw.span);
    let launch = fields.table("launch").map(|raw| {
        let launch = Fields::open(log, text, Table::Launch, raw.table, raw.span);
        let group = filled(log, &launch, "group");
        Launch { group }
    });
    let entry = fields.table("entry").and_then(|raw| {
        let entry = Fields::open(log, text, Table::Entry, raw.table, raw.span);
        let exec = entry
            .text("exec")
            .and_then(|path| entry_path(log, text, path));
        let user = entry.text("user");
        Some(Entry { exec: exec?, user })
    });
    let slice = fields
        .text("slice")
        .and_then(|slice| check_slice(log, slice));
    Enrol {
        launch,
        slice,
        entry,
    }
}

fn entry_path(log: &mut Log, text: &str, path: Spanned<String>) -> Option<Spanned<String>> {
    value(log, text, &path, parse_path)?;
    let name = path.value.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || name.len() >= ENTRY_LEN {
        let message = format!("{} cannot be an entry", quoted(&path.value));
        log.push(Diagnostic::error(path.span, message).expected(format!(
            "the path of a file whose name has at most {} bytes",
            ENTRY_LEN - 1
        )));
        return None;
    }
    Some(path)
}

/// Slices that hold much more than an agent: systemd.special(7).
const NOBODYS: &[&str] = &[
    "-.slice",
    "system.slice",
    "user.slice",
    "machine.slice",
    "init.scope",
];

fn check_slice(log: &mut Log, slice: Spanned<String>) -> Option<Spanned<String>> {
    let name = slice.value.as_str();
    let good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
    let is_slice = name.strip_suffix(".slice").is_some_and(|stem| {
        !stem.is_empty() && !stem.starts_with('-') && !stem.ends_with('-') && !stem.contains("--")
    });
    let depth = name.matches('-').count() + 1;
    if NOBODYS.contains(&name) {
        let message = format!("{} holds the host's own services or users", quoted(name));
        log.push(
            Diagnostic::error(slice.span, message)
                .hint("give the agent a slice of its own: `Slice=` of its unit"),
        );
        return None;
    }
    if !is_slice
        || name.len() >= SLICE_LEN
        || !name.chars().all(good)
        || depth > SLICE_DEPTH as usize
    {
        let message = format!("{} is no slice", quoted(name));
        log.push(Diagnostic::error(slice.span, message).expected(format!(
            "the name of a systemd slice, such as `release-bot.slice`, of at most {} bytes and {SLICE_DEPTH} parts",
            SLICE_LEN - 1
        )));
        return None;
    }
    Some(slice)
}
