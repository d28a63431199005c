use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::{Config, Confirm, Diagnostics, SecretFile, Surroundings, Target};
use crate::render::Form;

fn parse(text: &str) -> Result<Config, Diagnostics> {
    let surroundings = Surroundings {
        formats: &[("ocsf", Form::Object), ("cef", Form::Text)],
        credentials: Some(Path::new("/run/credentials/ship")),
    };
    Config::parse("ship.toml", text, surroundings)
}

/// A sink with these lines is wrong at this line and column, with these words.
#[track_caller]
fn wrong(lines: &str, line: usize, column: usize, words: &str) {
    let text = format!("[[sink]]\nname = \"a\"\n{lines}\n");
    let diagnostics = parse(&text).expect_err("wrong");
    let shown = diagnostics.to_string();
    let first = &diagnostics.list[0];
    assert_eq!((first.line, first.column), (line, column), "{shown}");
    assert!(shown.contains(words), "{shown}");
    assert!(
        shown.contains(&format!("ship.toml:{line}:{column}")),
        "{shown}"
    );
    let is_helpful = diagnostics
        .list
        .iter()
        .all(|one| one.hint.is_some() || one.expected.is_some());
    assert!(is_helpful, "{shown}");
}

#[test]
fn a_sink_of_every_type_can_be_written_down() {
    let text = r#"
[[sink]]
name = "agent"
type = "file"
path = "/var/log/ship/records.jsonl"
format = "cef"
rotate_bytes = 1_000_000
keep = 2

[[sink]]
name = "journal"
type = "journald"
filter = { verdict = ["deny", "would-deny"] }

[[sink]]
name = "rsyslog"
type = "syslog"
endpoint = "tls://[fd00::1]"
tls = { ca = "/etc/a.pem", cert = "/etc/c.pem", key = "$CREDENTIALS_DIRECTORY/key", server_name = "logs.example.org" }
confirm = "write"
app_name = "x"

[[sink]]
name = "relp"
type = "relp"
endpoint = "tcp://127.0.0.1:2514"

[[sink]]
name = "otel"
type = "otlp"
endpoint = "https://collector.example.org"
batch = 100
linger = "2s"
timeout = "5s"
retry = { first = "1s", most = "1h", held = "5m" }

[[sink]]
name = "splunk"
type = "hec"
endpoint = "https://splunk.example.org"
token_file = "$CREDENTIALS_DIRECTORY/hec"
ack = true
index = "audit"

[[sink]]
name = "elastic"
type = "elastic"
endpoint = "https://elastic.example.org/prefix"
index = "logs-enforcer-default"
auth = "Basic"
token_file = "/etc/secret"

[[sink]]
name = "nats"
type = "nats"
endpoint = "tls://nats.example.org"
subject = "enforcer.records"
user = "ship"
password_file = "/etc/secret"
"#;
    let config = parse(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    let kinds: Vec<&str> = config.sinks.iter().map(|s| s.target.kind()).collect();
    assert_eq!(kinds, Target::TYPES);
    let Target::Syslog(syslog) = &config.sinks[2].target else {
        panic!("no syslog");
    };
    assert_eq!(
        (syslog.endpoint.host.as_str(), syslog.endpoint.port),
        ("fd00::1", 6_514)
    );
    assert_eq!(syslog.confirm, Confirm::Write);
    let tls = syslog.tls.as_ref().expect("TLS");
    assert_eq!(tls.server_name, "logs.example.org");
    let (_, key) = tls.client.as_ref().expect("a client certificate");
    assert_eq!(key.path, Path::new("/run/credentials/ship/key"));
    assert!(key.is_credential);
    let otel = &config.sinks[4];
    assert_eq!(
        (otel.batch.records, otel.linger),
        (100, Duration::from_secs(2))
    );
    assert_eq!(otel.target.endpoint(), "https://collector.example.org");
    assert_eq!(otel.format, "ocsf");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_do() {
    let relp = "type = \"relp\"\nendpoint = \"tcp://h\"\n";
    wrong("type = \"syslogg\"", 3, 8, "no type of sink");
    wrong("", 1, 1, "`type` is missing");
    wrong("type = \"relp\"", 1, 1, "`endpoint` is missing");
    wrong(
        "type = \"relp\"\nendpoint = \"h:1\"",
        4,
        12,
        "tls://HOST:20514",
    );
    wrong(
        "type = \"relp\"\nendpoint = \"tcp://h:0\"",
        4,
        12,
        "no endpoint",
    );
    wrong(
        "type = \"relp\"\nendpoint = \"tcp://u@h\"",
        4,
        12,
        "without user",
    );
    wrong(
        "type = \"relp\"\nendpoint = \"tcp://h/x\"",
        4,
        12,
        "remove `/x`",
    );
    wrong(&format!("{relp}bach = 1"), 5, 1, "`batch` is meant?");
    wrong(&format!("{relp}index = \"x\""), 5, 1, "no key of a sink");
    wrong(&format!("{relp}batch = 0"), 5, 9, "from 1 to 10000");
    wrong(&format!("{relp}batch = \"1\""), 5, 9, "of type string");
    wrong(&format!("{relp}timeout = \"5\""), 5, 11, "\"500ms\"");
    wrong(&format!("{relp}timeout = \"2h\""), 5, 11, "at most an hour");
    wrong(&format!("{relp}format = \"xml\""), 5, 10, "`cef`");
    wrong(
        &format!("{relp}filter = {{ verdict = [\"no\"] }}"),
        5,
        23,
        "`would-deny`",
    );
    wrong(
        &format!("{relp}filter = {{ verdicts = [] }}"),
        5,
        12,
        "`verdict` is meant?",
    );
    wrong(
        &format!("{relp}tls = {{ ca = \"/x\" }}"),
        5,
        7,
        "does not use TLS",
    );
    wrong(
        &format!("{relp}retry = {{ first = \"1m\", most = \"1s\" }}"),
        5,
        9,
        "less than",
    );
    wrong(&format!("{relp}app_name = \"a b\""), 5, 12, "syslog header");
    wrong(
        &format!("{relp}token = \"secret\""),
        5,
        1,
        "no key of a sink",
    );
    wrong(
        "type = \"relp\"\nendpoint = \"tls://h\"\ntls = { cert = \"/x\" }",
        5,
        7,
        "both `cert` and `key`",
    );
    wrong(
        "type = \"file\"\npath = \"x.log\"",
        4,
        8,
        "an absolute path",
    );
    wrong(
        "type = \"file\"\npath = \"$CREDENTIALS_DIRECTORY/../x\"",
        4,
        8,
        "no path",
    );
    wrong(
        "type = \"hec\"\nendpoint = \"http://splunk:8088\"\ntoken_file = \"/x\"",
        4,
        12,
        "in clear",
    );
    wrong(
        "type = \"hec\"\nendpoint = \"https://splunk\"",
        1,
        1,
        "`token_file` is missing",
    );
    wrong(
        "type = \"elastic\"\nendpoint = \"https://e\"\nindex = \"i\"\nformat = \"cef\"",
        6,
        10,
        "takes JSON objects",
    );
    wrong(
        "type = \"elastic\"\nendpoint = \"https://e\"\nindex = \"A/b\"",
        5,
        9,
        "no name of an index",
    );
    wrong(
        "type = \"nats\"\nendpoint = \"nats://h\"\nsubject = \"a.>\"",
        5,
        11,
        "nothing to publish to",
    );
    wrong(
        "type = \"nats\"\nendpoint = \"tls://h\"\nsubject = \"a\"\nuser = \"u\"",
        1,
        1,
        "`password_file`",
    );
}

#[test]
fn what_is_wrong_outside_a_sink_is_told_too() {
    for (text, line, words) in [
        ("", 1, "no sink is configured"),
        ("[[sink]\n", 1, "not TOML"),
        ("sink = 1\n", 1, "[[sink]]"),
        ("[[sinks]]\nname = \"a\"\n", 1, "no key of the file"),
        (
            "[[sink]]\nname = \"A b\"\ntype = \"journald\"\n",
            2,
            "lower-case",
        ),
        (
            "[[sink]]\nname = \"a\"\ntype = \"journald\"\n[[sink]]\nname = \"a\"\ntype = \"journald\"\n",
            5,
            "two sinks named",
        ),
    ] {
        let wrong = parse(text).expect_err("wrong");
        assert_eq!(wrong.list[0].line, line, "{wrong}");
        assert!(wrong.to_string().contains(words), "{wrong}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "[[sink]]\nname = \"a\"\ntype = \"relp\"\nendpoint = \"x\"\nbatch = 0\nnope = 1\n";
    let wrong = parse(text).expect_err("wrong");
    let lines: Vec<usize> = wrong.list.iter().map(|one| one.line).collect();
    assert_eq!(lines, [4, 5, 6], "{wrong}");
}

#[test]
fn credentials_need_the_folder_that_systemd_names() {
    let text = "[[sink]]\nname = \"a\"\ntype = \"hec\"\nendpoint = \"https://h\"\ntoken_file = \"$CREDENTIALS_DIRECTORY/t\"\n";
    let surroundings = Surroundings {
        formats: &[("ocsf", Form::Object)],
        credentials: None,
    };
    let wrong = Config::parse("f", text, surroundings).expect_err("wrong");
    assert!(wrong.to_string().contains("LoadCredential="), "{wrong}");
}

#[test]
fn a_secret_is_read_only_from_a_file_that_nobody_else_can_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    let read = |text: &str, mode: u32, is_credential: bool| {
        std::fs::write(&path, text).expect("written");
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).expect("mode");
        let path = path.clone();
        SecretFile {
            path,
            is_credential,
        }
        .line()
    };
    assert_eq!(read("s3cret\n", 0o600, false).as_deref(), Ok("s3cret"));
    assert_eq!(read("s3cret", 0o640, false).as_deref(), Ok("s3cret"));
    assert_eq!(read("s3cret", 0o460, true).as_deref(), Ok("s3cret"));
    for (text, mode, words) in [
        ("s3cret", 0o604, "chmod o="),
        ("s3cret", 0o660, "chmod g-w"),
        ("", 0o600, "empty"),
        ("s3cret\nmore\n", 0o600, "more than one line"),
    ] {
        let error = read(text, mode, false).expect_err("refused");
        assert!(
            error.contains(words) && !error.contains("s3cret"),
            "{error}"
        );
    }
    let gone = SecretFile {
        path: folder.path().join("gone"),
        is_credential: false,
    };
    assert!(gone.line().expect_err("gone").contains("is not there"));
    let pipe = SecretFile {
        path: folder.path().join("pipe"),
        is_credential: false,
    };
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe.path, kind, mode, 0).expect("a pipe");
    assert!(pipe.line().expect_err("a pipe").contains("regular"));
}

#[test]
fn files_that_are_not_as_they_must_be_are_told_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let text = format!(
        "[[sink]]\nname = \"a\"\ntype = \"relp\"\nendpoint = \"tls://h\"\ntls = {{ ca = {empty:?} }}\n\
         [[sink]]\nname = \"b\"\ntype = \"hec\"\nendpoint = \"http://localhost\"\ntoken_file = \"/nowhere\"\n\
         [[sink]]\nname = \"c\"\ntype = \"journald\"\n"
    );
    let wrong = parse(&text).expect("good").check_files();
    let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(wrong[0].1.contains("no certificate"), "{wrong:?}");
    assert!(wrong[1].1.contains("not there"), "{wrong:?}");
}

#[test]
fn the_documentation_names_every_key_and_its_example_is_good() {
    let page = include_str!("../../../../docs/shipping.md");
    let example = page
        .split_once("```toml\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .expect("an example")
        .0;
    parse(example).unwrap_or_else(|wrong| panic!("{wrong}"));
    for kind in Target::TYPES {
        // What a message lists for a key that is none of a sink's.
        let text = format!("[[sink]]\nname = \"a\"\ntype = {kind:?}\nxxxxxxxx = 1\n");
        let wrong = parse(&text).expect_err("wrong");
        let unknown = wrong.list.iter().find(|one| one.line == 4).expect("told");
        let keys = unknown
            .hint
            .as_deref()
            .and_then(|hint| hint.strip_prefix("its keys are "));
        for key in keys.expect("the keys").split(", ") {
            assert!(page.contains(&format!("`{key}`")), "`{key}` of `{kind}`");
        }
    }
}
