//! What each type of sink asks for.

use std::{path::PathBuf, time::Duration};

use super::{
    Confirm, ElasticTarget, FileTarget, HecTarget, HttpTarget, JournaldTarget, NatsAuth,
    NatsTarget, OtlpTarget, RelpTarget, SyslogHeader, SyslogTarget, Target,
    address::{endpoint, no_path, secret_over, tls},
    diagnostic::{Fault, quoted},
    fields::Fields,
    parse::{Surroundings, path, size},
};

type Sink<'a, 'b, 'c> = &'a mut Fields<'b, 'c>;

/// What belongs to the sink's type.
pub(super) fn parse(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let kind = fields.required("type", "syslog")?;
    match kind.value.as_str() {
        "file" => file(fields, around),
        "journald" => journald(fields, around),
        "syslog" => syslog(fields, around),
        "relp" => relp(fields, around),
        "otlp" => otlp(fields, around),
        "hec" => hec(fields, around),
        "elastic" => elastic(fields, around),
        "nats" => nats(fields, around),
        other => {
            let message = format!("{} is no type of sink", quoted(other));
            let names = Target::TYPES.map(|name| format!("`{name}`")).join(", ");
            fields
                .faults
                .push(Fault::new(kind.span, message).expected(names));
            None
        }
    }
}

fn file(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let text = fields.required("path", "/var/log/enforcer-ship/records.jsonl");
    let rotate_bytes = fields.number("rotate_bytes", 4_096..(1 << 40), 256 << 20);
    let keep = fields.number("keep", 1..1_001, 4);
    let path = path(fields, text?, around)?.path;
    Some(Target::File(FileTarget {
        path,
        rotate_bytes,
        keep: u32::try_from(keep).unwrap_or(u32::MAX),
    }))
}

fn journald(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let socket = match fields.text("path") {
        Some(text) => path(fields, text, around)?.path,
        None => PathBuf::from("/run/systemd/journal/socket"),
    };
    Some(Target::Journald(JournaldTarget { socket }))
}

fn syslog(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let schemes = [("tls", 6_514), ("tcp", 601)];
    let endpoint = endpoint(fields, "tls://syslog.example.org:6514", &schemes);
    let header = syslog_header(fields);
    let confirm = match fields.text("confirm") {
        None => Some(Confirm::Close),
        Some(text) if text.value == "close" => Some(Confirm::Close),
        Some(text) if text.value == "eof" => Some(Confirm::Eof),
        Some(text) if text.value == "write" => Some(Confirm::Write),
        Some(text) => {
            let message = format!("{} is no way to confirm", quoted(&text.value));
            fields
                .faults
                .push(Fault::new(text.span, message).expected("`close`, `eof` or `write`"));
            None
        }
    };
    let confirm_records = size(fields.number("confirm_records", 1..1_000_001, 8_192));
    let confirm_after = fields.duration("confirm_after", Duration::from_secs(5));
    let (endpoint, tls) = tls(fields, endpoint, around)?;
    no_path(fields, &endpoint)?;
    Some(Target::Syslog(SyslogTarget {
        endpoint: endpoint.value,
        tls,
        header: header?,
        confirm: confirm?,
        confirm_records,
        confirm_after,
    }))
}

fn relp(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let schemes = [("tls", 20_514), ("tcp", 2_514)];
    let endpoint = endpoint(fields, "tls://rsyslog.example.org:20514", &schemes);
    let header = syslog_header(fields);
    let window = size(fields.number("window", 1..1_025, 128));
    let (endpoint, tls) = tls(fields, endpoint, around)?;
    no_path(fields, &endpoint)?;
    Some(Target::Relp(RelpTarget {
        endpoint: endpoint.value,
        tls,
        header: header?,
        window,
    }))
}

fn syslog_header(fields: Sink<'_, '_, '_>) -> Option<SyslogHeader> {
    let facility = fields.number("facility", 0..24, 13);
    let app_name = printable(fields, "app_name", "enforcer", 48, "");
    // 32473 is the enterprise number that RFC 5612 sets aside for examples: whoever has one of
    // their own can name it.
    let sd_id = printable(fields, "sd_id", "enforcer@32473", 32, "=]\"");
    Some(SyslogHeader {
        facility: u8::try_from(facility).ok()?,
        app_name: app_name?,
        sd_id: sd_id?,
    })
}

/// A text of printable ASCII without spaces, as RFC 5424's header takes.
fn printable(
    fields: Sink<'_, '_, '_>,
    key: &'static str,
    default: &str,
    longest: usize,
    without: &str,
) -> Option<String> {
    let Some(text) = fields.text(key) else {
        return Some(default.to_owned());
    };
    let is_good = text.value.len() <= longest
        && text
            .value
            .chars()
            .all(|c| c.is_ascii_graphic() && !without.contains(c));
    if is_good {
        return Some(text.value);
    }
    let message = format!("{} cannot stand in a syslog header", quoted(&text.value));
    let expected = format!("up to {longest} printable ASCII characters without spaces {without}");
    fields
        .faults
        .push(Fault::new(text.span, message).expected(expected.trim_end()));
    None
}

fn http(
    fields: Sink<'_, '_, '_>,
    around: Surroundings<'_>,
    example: &str,
    port: u16,
    auth: (&[&str], bool),
) -> Option<HttpTarget> {
    let (schemes, needed) = auth;
    let endpoint = endpoint(fields, example, &[("https", port), ("http", port)]);
    let scheme = match fields.text("auth") {
        None => schemes.first().copied().map(str::to_owned),
        Some(text) if schemes.contains(&text.value.as_str()) => Some(text.value),
        Some(text) => {
            let message = format!("{} is no way to authorise here", quoted(&text.value));
            let names: Vec<String> = schemes.iter().map(|name| format!("`{name}`")).collect();
            fields
                .faults
                .push(Fault::new(text.span, message).expected(names.join(", ")));
            None
        }
    };
    let secret = if needed {
        let text = fields.required("token_file", "$CREDENTIALS_DIRECTORY/token")?;
        Some(text)
    } else {
        fields.text("token_file")
    };
    let (endpoint, tls) = tls(fields, endpoint, around)?;
    let auth = match secret {
        Some(text) => Some((scheme?, secret_over(fields, text, &endpoint, around)?)),
        None => None,
    };
    Some(HttpTarget {
        endpoint: endpoint.value,
        tls,
        auth,
    })
}

fn otlp(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let example = "https://collector.example.org:4318";
    let http = http(
        fields,
        around,
        example,
        4_318,
        (&["Bearer", "Basic"], false),
    )?;
    Some(Target::Otlp(OtlpTarget { http }))
}

fn hec(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let index = fields.text("index").map(|text| text.value);
    let mut named = |key, default: &str| {
        let text = fields.text(key).map(|text| text.value);
        text.unwrap_or_else(|| default.to_owned())
    };
    let source = named("source", "enforcer");
    let sourcetype = named("sourcetype", "_json");
    let is_acked = fields.flag("ack").is_some_and(|flag| flag.value);
    let ack_timeout = fields.duration("ack_timeout", Duration::from_secs(300));
    let example = "https://splunk.example.org:8088";
    let http = http(fields, around, example, 8_088, (&["Splunk"], true))?;
    Some(Target::Hec(HecTarget {
        http,
        index,
        source,
        sourcetype,
        ack: is_acked.then_some(ack_timeout),
    }))
}

fn elastic(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let index = fields.required("index", "logs-enforcer-default");
    let example = "https://elastic.example.org:9200";
    let schemes = ["ApiKey", "Bearer", "Basic"];
    let http = http(fields, around, example, 9_200, (&schemes, false))?;
    let index = index?;
    let is_good = index.value.bytes().all(|b| {
        b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"/\\*?\"<>|,#:%".contains(&b)
    });
    if !is_good {
        let message = format!("{} is no name of an index", quoted(&index.value));
        let expected = "lower-case letters, digits, `-`, `_` and `.`";
        fields
            .faults
            .push(Fault::new(index.span, message).expected(expected));
        return None;
    }
    Some(Target::Elastic(ElasticTarget {
        http,
        index: index.value,
    }))
}

fn nats(fields: Sink<'_, '_, '_>, around: Surroundings<'_>) -> Option<Target> {
    let schemes = [("tls", 4_222), ("nats", 4_222)];
    let endpoint = endpoint(fields, "tls://nats.example.org:4222", &schemes);
    let subject = fields.required("subject", "enforcer.records");
    let stream = fields.text("stream").map(|text| text.value);
    let tls_first = fields.flag("tls_first").is_some_and(|flag| flag.value);
    let token = fields.text("token_file");
    let user = fields.text("user");
    let password = fields.text("password_file");
    let (endpoint, tls) = tls(fields, endpoint, around)?;
    no_path(fields, &endpoint)?;
    let subject = subject?;
    if subject.value.split('.').any(str::is_empty)
        || subject
            .value
            .contains(|c: char| !c.is_ascii_graphic() || "*>".contains(c))
    {
        let message = format!("{} is nothing to publish to", quoted(&subject.value));
        let expected = "words joined by `.`, without `*` and `>`";
        fields
            .faults
            .push(Fault::new(subject.span, message).expected(expected));
        return None;
    }
    let auth = match (token, user, password) {
        (None, None, None) => None,
        (Some(token), None, None) => {
            let token = secret_over(fields, token, &endpoint, around)?;
            Some(NatsAuth::Token(token))
        }
        (None, Some(user), Some(password)) => {
            let password = secret_over(fields, password, &endpoint, around)?;
            Some(NatsAuth::User(user.value, password))
        }
        _ => {
            let message = "it is not clear who the shipper is to the server";
            let hint = "give `token_file` alone, or `user` and `password_file`";
            let place = fields.span.clone();
            fields.faults.push(Fault::new(place, message).hint(hint));
            return None;
        }
    };
    Some(Target::Nats(NatsTarget {
        endpoint: endpoint.value,
        tls,
        tls_first,
        subject: subject.value,
        stream,
        auth,
    }))
}
