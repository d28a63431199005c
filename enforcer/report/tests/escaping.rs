//! Nothing that an agent chose becomes markup, or is read as anything but what it is.

mod common;

use common::{Record, START, month::month, policy};
use enforcer_report::{
    Chain, ChainState, Known, Options, Report, is_hidden, named_facts, report, visible, why,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the page is made of: elements, each with the attributes that it may have.
const ELEMENTS: &[(&str, &[&str])] = &[
    ("html", &["lang"]),
    ("head", &[]),
    ("meta", &["charset", "name", "content", "http-equiv"]),
    ("title", &[]),
    ("style", &[]),
    ("body", &[]),
    ("header", &[]),
    ("main", &[]),
    ("section", &[]),
    ("h1", &[]),
    ("h2", &["id"]),
    ("p", &["class"]),
    ("strong", &[]),
    ("b", &[]),
    ("ul", &[]),
    ("li", &["class"]),
    ("dl", &["class"]),
    ("div", &["class", "aria-hidden"]),
    ("dt", &[]),
    ("dd", &[]),
    ("figure", &["class"]),
    ("figcaption", &[]),
    ("span", &["class"]),
    ("i", &["class"]),
    (
        "svg",
        &["role", "preserveAspectRatio", "viewBox", "aria-label"],
    ),
    ("g", &[]),
    ("rect", &["class", "x", "y", "width", "height"]),
    ("table", &[]),
    ("caption", &[]),
    ("thead", &[]),
    ("tbody", &[]),
    ("tr", &[]),
    ("th", &["scope", "class"]),
    ("td", &["class"]),
    ("a", &["href"]),
    ("wbr", &[]),
];
const VOID: &[&str] = &["meta", "rect", "wbr"];

/// The elements of a page in order, each with its attributes' names; panics where the page is anything
/// but well-formed elements of [`ELEMENTS`] and escaped text.
fn elements(page: &str) -> Vec<String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let (mut open, mut found) = (Vec::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(
            open.last() == Some(&"style") || !text.contains('>'),
            "{text:?}"
        );
        references(text);
        let end = rest[at..].find('>').expect("an end") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let tag = tag.strip_suffix('/').unwrap_or(tag);
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let known = ELEMENTS.iter().find(|(known, _)| *known == name);
        let (name, allowed) = known.unwrap_or_else(|| panic!("element {name:?}"));
        let mut shape = (*name).to_owned();
        for (attribute, value) in attributes_of(attributes) {
            assert!(allowed.contains(&attribute), "{name} {attribute:?}");
            assert!(
                attribute != "href"
                    || value
                        .strip_prefix("#agent-")
                        .is_some_and(|n| n.parse::<u32>().is_ok())
            );
            references(value);
            shape = format!("{shape} {attribute}");
        }
        // Where a line may break depends on the text.
        if *name != "wbr" {
            found.push(shape);
        }
        if !VOID.contains(name) {
            open.push(name);
        }
    }
    assert!(
        open.is_empty() && rest.trim().is_empty(),
        "{open:?} {rest:?}"
    );
    assert!(!page.chars().any(|c| c != '\n' && is_hidden(c)));
    found
}

fn attributes_of(mut text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    while let Some((name, after)) = text.split_once("=\"") {
        let (value, after) = after.split_once('"').expect("a closing quote");
        found.push((name.trim(), value));
        text = after;
    }
    assert!(text.trim().is_empty(), "{text:?}");
    found
}

/// Every `&` is one of the references that the page's writer makes.
fn references(text: &str) {
    for part in text.split('&').skip(1) {
        assert!(
            ["amp;", "lt;", "gt;", "quot;", "#39;"]
                .iter()
                .any(|known| part.starts_with(known)),
            "&{part}"
        );
    }
}

/// A report in which every text that comes from outside is `text`.
fn with(text: &str) -> Report {
    let place = |value: &mut Value| fill(value, text);
    let mut records = vec![
        Record::new("session-start", "allow", "enrolled").0,
        Record::new("exec", "deny", "not-listed")
            .exec("X")
            .by(Some("X"))
            .rule("X")
            .0,
        Record::new("exec", "would-deny", "not-listed")
            .exec("X")
            .by(Some("X"))
            .0,
        Record::new("unix", "allow", "rule-allows")
            .unix("X")
            .rule("X")
            .0,
        Record::new("code", "deny", "not-listed")
            .file("mapped", "X")
            .0,
        json!({"time": START, "device": {"hostname": "X", "uid": "X"}, "metadata": {"event_code": "daemon-start", "product": {"version": "X"}},
            "status_detail": "X", "unmapped": {"posture": {"X": "X"}, "removed_by": {"name": "X", "uid": "X"}, "removal_reason": "X"}}),
        json!({"time": START, "device": {"hostname": "X", "uid": "X"}, "metadata": {"event_code": "daemon-remove"},
            "unmapped": {"removed_by": {"name": "X", "uid": "X"}, "removal_reason": "X"}}),
        json!({"time": START, "device": {"hostname": "X", "uid": "X"}, "metadata": {"event_code": "policy-rejected"},
            "entity": {"name": "X", "version": "X", "data": {"sha256": "X"}}, "actor": {"user": {"name": "X", "uid": "X"}}, "status_detail": "X"}),
        json!({"time": START, "device": {"hostname": "X", "uid": "X"}, "metadata": {"event_code": "events-lost"}, "count": 5, "unmapped": {"place": "X"}}),
    ];
    for record in &mut records[..5] {
        let pointers = [
            "/ai_agent/name",
            "/unmapped/owner",
            "/unmapped/task",
            "/unmapped/task_id",
            "/unmapped/reason",
            "/actor/user/name",
            "/actor/session/uid",
            "/device/hostname",
            "/device/uid",
            "/metadata/product/version",
            "/entity/user/name",
        ];
        for pointer in pointers {
            *record = Record(record.take()).set(pointer, "X").0;
        }
    }
    records.iter_mut().for_each(place);
    let parsed = policy("[[connect]]\nid = \"c\"\nallow = [\"tcp:192.0.2.1:443\"]\n");
    let facts = named_facts(&parsed);
    let policies = vec![Known {
        policy: &parsed,
        facts: &facts,
        generation: None,
    }];
    let chain = Chain {
        state: ChainState::Tampered,
        text: text.to_owned(),
    };
    report(
        &records,
        Options {
            policies,
            chain,
            ..Options::default()
        },
    )
}

/// Puts `text` where a value holds `X`, names of members too.
fn fill(value: &mut Value, text: &str) {
    match value {
        Value::String(found) if found == "X" => *found = text.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, text)),
        Value::Object(members) => {
            if let Some(member) = members.remove("X") {
                members.insert(text.to_owned(), member);
            }
            members.values_mut().for_each(|member| fill(member, text));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn escaped(text: &str) -> String {
    visible(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn holds(text: &str) {
    // So that the rows of a table stand in one order whatever the text is.
    let text = &format!("zz{text}");
    let report = with(text);
    let page = report.html();
    // The page has the elements that it has for a harmless text, whatever the text is.
    assert_eq!(
        elements(&page),
        elements(&with("zzharmless").html()),
        "{text:?}"
    );
    assert!(
        page.replace("<wbr>", "").contains(&escaped(text)),
        "{text:?}"
    );
    let lines = report.text();
    assert!(
        !lines.chars().any(|c| c != '\n' && is_hidden(c)),
        "{text:?}"
    );
    assert!(
        lines.lines().all(|line| enforcer_report::width(line) <= 96),
        "{text:?}"
    );
}

#[test]
fn known_ways_into_markup_lead_nowhere() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title><script>alert(1)</script>",
        "</style><svg onload=alert(1)>",
        "--><b>",
        "]]><b>",
        "<!--",
        "&lt;script&gt;",
        "&#x3c;script&#x3e;",
        "javascript:alert(1)",
        "\u{0}<b>\u{0}",
        "\u{202e}gnp.exe\u{2066}",
        "\u{feff}\u{200b}\u{1b}[2J\r\n",
        "\u{e0041}\u{fe0f}\u{2028}",
        "${7*7} {{7*7}} `x`",
        "\\\\x41\\u{202e}",
    ] {
        holds(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_becomes_markup(text in "[a-z]?[<>&\"'/=! \\u{0}-\\u{20}\\u{80}-\\u{9f}\\u{200b}-\\u{206f}\\u{feff}a-z\\p{L}-]{1,60}z") {
        holds(&text);
    }

    #[test]
    fn nor_does_any_at_all(text in "\\PC{0,20}.{1,40}z") {
        holds(&text);
    }

    #[test]
    fn an_explanation_is_lines_of_seen_text_and_its_policy_parses(text in "\\PC{0,10}.{1,40}") {
        let record = Record::new("exec", "deny", "not-listed").exec(&format!("/{text}")).set("/unmapped/task", text.as_str());
        let why = why(&record.0, None).expect("a decision");
        prop_assert!(!why.text().chars().any(|c| c != '\n' && is_hidden(c)));
        if let Some(toml) = why.remedy.toml {
            let parsed = policy(&toml);
            prop_assert_eq!(parsed.policy.exec.len(), 1);
            let path = &parsed.policy.exec[0].paths[0].value;
            prop_assert_eq!(Some(path.clone().into_bytes()), enforcer_report::unescaped(&format!("/{text}")));
        }
    }
}

#[test]
fn a_month_is_a_well_formed_page() {
    let page = report(month(2, 3, 30), Options::default()).html();
    assert!(elements(&page).len() > 500);
    for outside in ["http://", "https://", "url(", "@import", "<script", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}
