//! Common Event Format: read back by a parser that knows nothing of how it was written.

mod common;

use std::{collections::BTreeMap, net::IpAddr};

use common::{connect, exec, facts, records};
use enforcer_forms::{Form, render};
use proptest::prelude::*;
use serde_json::{Value, json};

fn line(record: &Value) -> String {
    render(Form::Cef, record).expect("a record")
}

/// A line as a SIEM reads it.
#[derive(Debug)]
struct Parsed {
    header: Vec<String>,
    extension: BTreeMap<String, String>,
    /// Values as they stood in the line.
    raw: BTreeMap<String, String>,
}

/// Reads a line by the standard's own words: seven bars that no backslash precedes end the header;
/// a key is the word before an equals sign that no backslash precedes, and a value goes on to the
/// space before the next key.
fn parse(line: &str) -> Result<Parsed, String> {
    let body = line.strip_prefix("CEF:0|").ok_or("no CEF:0")?;
    let (mut header, mut field, mut chars) = (Vec::new(), String::new(), body.char_indices());
    let mut rest = "";
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, c @ ('\\' | '|'))) => field.push(c),
                other => return Err(format!("an escape that the header has not: {other:?}")),
            },
            '|' => {
                header.push(std::mem::take(&mut field));
                if header.len() == 6 {
                    rest = &body[at + 1..];
                    break;
                }
            }
            c => field.push(c),
        }
    }
    if header.len() != 6 {
        return Err(format!("{} fields in the header", header.len()));
    }
    let (mut extension, mut raw) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in pairs(rest)? {
        let plain = unescaped(value)?;
        if extension.insert(key.to_owned(), plain).is_some() {
            return Err(format!("{key} twice"));
        }
        raw.insert(key.to_owned(), value.to_owned());
    }
    Ok(Parsed {
        header,
        extension,
        raw,
    })
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut signs = Vec::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '=' && !escaped {
            signs.push(at);
        }
        escaped = c == '\\' && !escaped;
    }
    let mut pairs = Vec::new();
    for (n, sign) in signs.iter().enumerate() {
        let start = text[..*sign].rfind(' ').map_or(0, |space| space + 1);
        let key = &text[start..*sign];
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("{key:?} is no key"));
        }
        let end = match signs.get(n + 1) {
            Some(next) => text[..*next].rfind(' ').ok_or("no space before a key")?,
            None => text.len(),
        };
        pairs.push((key, text.get(sign + 1..end).ok_or("a key inside a value")?));
    }
    Ok(pairs)
}

fn unescaped(value: &str) -> Result<String, String> {
    let (mut plain, mut chars) = (String::new(), value.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | '=')) => c,
                Some('n') => '\n',
                Some('r') => '\r',
                other => return Err(format!("an escape that a value has not: {other:?}")),
            },
            c => c,
        });
    }
    Ok(plain)
}

/// What is left of a text that nobody cuts: what acts on a terminal is spelt by its bytes.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' => c.to_string(),
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => {
                let mut bytes = [0; 4];
                let bytes = c.encode_utf8(&mut bytes).bytes();
                bytes.map(|byte| format!("\\x{byte:02x}")).collect()
            }
            c => c.to_string(),
        })
        .collect()
}

#[test]
fn the_golden_records_are_these_lines() {
    let denied = line(&connect());
    let expected = "CEF:0|enforcer|enforcer|0.1.0|connect|connect denied|6|rt=1795500061000 act=deny \
        outcome=Failure reason=not-listed cat=Network Activity \
        msg=release-bot: connect tcp:169.254.169.254:80 denied: not-listed cs1=release-bot \
        cs1Label=Agent cs2=feed000000000001 cs2Label=Session cs4=release-bot@7 cs4Label=Policy \
        cs5=open the release pull request cs5Label=Task \
        cs6=5f0c1d1e-0000-4000-8000-00000000b007:1002 cs6Label=Record cn1=1002 cn1Label=Sequence \
        dvchost=build-1 deviceExternalId=0123456789abcdef0123456789abcdef suser=ci suid=1000 \
        spid=4242 sproc=/usr/bin/git dst=169.254.169.254 dpt=80 proto=tcp deviceDirection=1 \
        flexString1=/usr/bin/git -x flexString1Label=Claimed command line \
        flexString2=platform-security@example.com flexString2Label=Owner enforcerTaskId=REL-17 \
        enforcerOcsfType=400101";
    assert_eq!(denied, expected);
    let allowed = parse(&line(&exec())).expect("CEF");
    assert_eq!(allowed.header[3..], ["exec", "exec allowed", "1"]);
    assert_eq!(allowed.extension["filePath"], "/usr/bin/git");
    assert_eq!(allowed.extension["fileHash"], "ab".repeat(32));
}

/// What the standard says of a line, whatever stands in the record.
fn keeps_to_the_standard(record: &Value, facts: &Value) -> Parsed {
    let line = line(record);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let parsed = parse(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
    let lengths = ["vendor", "product", "version", "class", "name"];
    for (value, name) in parsed.header.iter().zip(lengths) {
        let length = facts["header"][name].as_u64().expect("a length");
        assert!(value.len() as u64 <= length, "{name}: {value}");
    }
    assert!(
        parsed.header[5]
            .parse::<u8>()
            .is_ok_and(|severity| severity <= 10)
    );
    for (key, value) in &parsed.extension {
        let known = &facts["extension"][key];
        if key.starts_with("enforcer") {
            continue;
        }
        let kind = known["type"].as_str();
        let fits = match kind.unwrap_or_else(|| panic!("{key} is no key of the standard")) {
            "String" => true,
            // The standard's integers of 64 bits are the custom numbers.
            "Integer" if key == "cn1" => value.parse::<i64>().is_ok(),
            "Integer" => value.parse::<i32>().is_ok(),
            "Time Stamp" => value.parse::<u64>().is_ok(),
            "IPv4 Address" => value.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
            "IPv6 address" => value.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
            kind => panic!("{key} is {kind}, which no field of ours is"),
        };
        assert!(fits, "{key}={value}");
        let raw = parsed.raw[key].len() as u64;
        let length = known["length"].as_u64();
        assert!(
            length.is_none_or(|length| raw <= length),
            "{key} has {raw} bytes"
        );
    }
    parsed
}

#[test]
fn every_line_keeps_to_the_standards_keys_types_and_lengths() {
    let facts = facts("cef-25.json");
    for record in records() {
        let parsed = keeps_to_the_standard(&record, &facts);
        // A custom key says what it is, and a label stands beside a value.
        for key in parsed.extension.keys() {
            if let Some(labelled) = key.strip_suffix("Label") {
                assert!(parsed.extension.contains_key(labelled), "{key}");
            } else if ["cs", "cn", "c6a", "flexString"]
                .iter()
                .any(|kind| key.starts_with(kind))
                && key.ends_with(|c: char| c.is_ascii_digit())
            {
                assert!(
                    parsed.extension.contains_key(&format!("{key}Label")),
                    "{key}"
                );
            }
        }
        let uid = record["metadata"]["uid"].as_str().expect("a uid");
        assert_eq!(parsed.extension["cs6"], uid);
    }
}

#[test]
fn what_does_not_fit_is_cut_and_named() {
    let mut record = exec();
    record["device"]["hostname"] = json!("h".repeat(101));
    record["message"] = json!("=".repeat(600));
    record["process"]["file"]["size"] = json!(1_u64 << 31);
    let parsed = parse(&line(&record)).expect("CEF");
    assert_eq!(parsed.extension["dvchost"], "h".repeat(100));
    assert_eq!(parsed.extension["msg"], "=".repeat(511));
    assert_eq!(parsed.extension.get("fsize"), None);
    assert_eq!(parsed.extension["enforcerCut"], "msg,dvchost,fsize");
    let whole = parse(&line(&exec())).expect("CEF");
    assert_eq!(whole.extension.get("enforcerCut"), None);
}

#[test]
fn an_ipv6_destination_has_the_key_that_the_standard_has_for_it() {
    let mut record = connect();
    record["dst_endpoint"]["ip"] = json!("fd00:ec2::254");
    let parsed = parse(&line(&record)).expect("CEF");
    assert_eq!(parsed.extension.get("dst"), None);
    assert_eq!(parsed.extension["c6a3"], "fd00:ec2::254");
    assert_eq!(parsed.extension["c6a3Label"], "Destination IPv6 Address");
}

/// Texts as an attacker would choose them: mostly what CEF gives a meaning.
fn hostile() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "|",
        "\\",
        "=",
        "\n",
        "\r",
        " ",
        "\\n",
        "\\=",
        "a=b",
        " act=allow",
        "|10|",
        "\u{1b}[2J",
        "\0",
        "\u{2028}",
        "\u{85}",
        "\u{202e}",
        "\u{1f980}",
        "e\u{301}",
        "x",
    ]);
    prop_oneof![
        prop::collection::vec(special, 0..400).prop_map(|parts| parts.concat()),
        prop::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_leaves_its_value(texts in prop::collection::vec(hostile(), 8)) {
        let mut record = exec();
        let places = ["/message", "/status_detail", "/unmapped/task", "/unmapped/owner",
            "/process/file/path", "/process/cmd_line", "/actor/user/name", "/device/hostname"];
        for (place, text) in places.iter().zip(&texts) {
            *record.pointer_mut(place).expect("a place") = json!(text);
        }
        let parsed = keeps_to_the_standard(&record, &facts("cef-25.json"));
        let cut = parsed.extension.get("enforcerCut").map(String::as_str).unwrap_or_default();
        let keys = ["msg", "reason", "cs5", "flexString2", "filePath", "flexString1", "suser", "dvchost"];
        for (key, text) in keys.iter().zip(&texts) {
            let found = parsed.extension.get(*key).map(String::as_str).unwrap_or_default();
            let whole = shown(text);
            if cut.split(',').any(|name| name == *key) {
                prop_assert!(whole.starts_with(found) && found.len() < whole.len());
            } else {
                prop_assert_eq!(found, &whole);
            }
        }
        // What no text of these reaches is as it was.
        prop_assert_eq!(&parsed.extension["act"], "allow");
        prop_assert_eq!(&parsed.extension["cs1"], "release-bot");
    }

    #[test]
    fn no_text_leaves_the_header(text in hostile(), version in hostile()) {
        let mut record = connect();
        record["metadata"]["event_code"] = json!(text);
        record["metadata"]["product"]["version"] = json!(version);
        let parsed = keeps_to_the_standard(&record, &facts("cef-25.json"));
        let code = shown(&text).replace(['\n', '\r'], " ");
        prop_assert!(code.starts_with(&parsed.header[3]));
        prop_assert_eq!(&parsed.header[5], "6");
        prop_assert_eq!(&parsed.extension["act"], "deny");
    }
}
