//! `[[example]]`.

use enforcer_common::verdict::Reason;

use super::{
    destination::{parse_connect, parse_listen},
    fields::{Fields, Log, Raw, value, word},
    path::{parse_path, parse_peer},
};
use crate::{
    diagnostic::Diagnostic,
    key::Table,
    model::{Effect, Example, ExampleAction},
    source::Spanned,
};

const EFFECTS: &[(&str, Effect)] = &[("allow", Effect::Allow), ("deny", Effect::Deny)];
const ACTIONS: [&str; 4] = ["exec", "connect", "listen", "unix"];

pub(super) fn parse(log: &mut Log, text: &str, raw: Raw<'_>) -> Option<Example> {
    let fields = Fields::open(log, text, Table::Example, raw.table, raw.span);
    let by = fields
        .text("by")
        .map(|by| value(log, text, &by, parse_path).map(|path| Spanned::new(path, by.span)));
    let action = action(log, text, &fields);
    let expect = fields
        .text("expect")
        .and_then(|expect| word(log, &expect, EFFECTS));
    let reasons: Vec<(&str, Reason)> = Reason::ALL.iter().map(|r| (r.name(), *r)).collect();
    let reason = fields
        .text("reason")
        .map(|reason| word(log, &reason, &reasons));
    Some(Example {
        span: raw.span,
        by: by.map_or(Some(None), |by| by.map(Some))?,
        action: action?,
        expect: expect?,
        rule: fields.text("rule"),
        reason: reason.map_or(Some(None), |reason| reason.map(Some))?,
    })
}

fn action(log: &mut Log, text: &str, fields: &Fields<'_>) -> Option<ExampleAction> {
    let named: Vec<&str> = ACTIONS
        .into_iter()
        .filter(|a| fields.key_span(a).is_some())
        .collect();
    let [name] = named.as_slice() else {
        let place = named.get(1).and_then(|second| fields.key_span(second));
        log.push(
            Diagnostic::error(place.unwrap_or(fields.span), "an example tries one thing")
                .expected("one of `exec`, `connect`, `listen`, `unix`"),
        );
        return None;
    };
    let tried = fields.text(name)?;
    match *name {
        "exec" => value(log, text, &tried, parse_path).map(ExampleAction::Exec),
        "connect" => value(log, text, &tried, parse_connect).map(ExampleAction::Connect),
        "listen" => value(log, text, &tried, parse_listen).map(ExampleAction::Listen),
        _ => value(log, text, &tried, parse_peer).map(ExampleAction::Unix),
    }
}
