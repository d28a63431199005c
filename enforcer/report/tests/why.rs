//! What `why` says of each kind of denial, and whether the lines that it suggests do what it says.

mod common;

use std::net::IpAddr;

use common::{HEAD, Record, policy, whole};
use enforcer_common::{
    object::{FileId, FileStamp, UnixKey},
    verdict::Reason,
};
use enforcer_policy::{
    Facts, FileFact, NamedFacts, Parsed, PathFact, Protocol, Request, Subject, compile, judge,
};
use enforcer_report::{Known, RemedyKind, Why, explain, why};

/// The host of the tests: every path that is asked for is there, a file, or a socket below `/run/`.
struct Host;

fn id(path: &str) -> FileId {
    let hash = path.bytes().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    FileId {
        inode: hash,
        device: 1,
        generation: 5,
    }
}

fn file(path: &str) -> FileFact {
    FileFact {
        path: path.into(),
        id: id(path),
        stamp: FileStamp::default(),
        owner_uid: if path.starts_with("/home/") { 1000 } else { 0 },
        mode: 0o755,
        sha256: None,
    }
}

impl Facts for Host {
    fn path(&self, path: &str) -> PathFact {
        if path.ends_with('/') {
            let files =
                ["git-remote-http", "git-upload-pack"].map(|name| file(&format!("{path}{name}")));
            return PathFact::Directory {
                owner_uid: 0,
                mode: 0o755,
                files: files.to_vec(),
            };
        }
        if path.starts_with("/run/") || path.starts_with("/var/run/") {
            return PathFact::Socket { id: id(path) };
        }
        PathFact::File(file(path))
    }
    fn sha256(&self, _file: &enforcer_policy::FileFact) -> Result<[u8; 32], String> {
        Ok([0xab; 32])
    }
}

const RULES: &str = r#"
[[exec]]
id = "tools"
allow = ["/usr/bin/git", "/usr/lib/git-core/", "/usr/bin/curl"]
[[exec]]
id = "python"
allow = ["/usr/bin/python3"]
interpreter = true
[[connect]]
id = "git-server"
allow = ["tcp:10.77.0.2:8080"]
by = ["/usr/bin/git", "/usr/lib/git-core/"]
[[connect]]
id = "mirror"
allow = ["tcp:192.0.2.0/28:443"]
[[connect]]
id = "no-metadata"
deny = ["tcp:169.254.169.254:*"]
[[listen]]
id = "dev"
allow = ["tcp:127.0.0.1:3000-3999"]
[[unix]]
id = "syslog"
allow = ["/run/systemd/journal/dev-log"]
"#;

fn told(record: &Record, parsed: &Parsed) -> Why {
    let known = Known {
        policy: parsed,
        facts: &Host,
        generation: Some(7),
    };
    why(&record.0, Some(&known)).expect("a decision")
}

fn told_by_rules(record: &Record) -> Why {
    told(record, &policy(RULES))
}

/// What the policy with the suggested lines says, by its reference meaning and by its tables.
fn with_lines(why: &Why, actor: Option<&str>, request: Request) -> (bool, Reason) {
    let toml = why.remedy.toml.as_deref().expect("lines");
    let parsed = policy(&format!("{RULES}\n{toml}"));
    let errors = enforcer_policy::check(&parsed, &Host).errors;
    assert!(errors.is_empty(), "{errors}");
    let subject = actor.map_or_else(Subject::launcher, |path| Subject::from(id(path)));
    let judged = judge(&parsed.policy, &Host, &subject, &request);
    let decided = compile(&parsed.policy, &Host)
        .expect("compiles")
        .decide(&subject, &request);
    assert_eq!(
        (judged.allowed, judged.reason),
        (decided.allowed, decided.reason)
    );
    (judged.allowed, judged.reason)
}

fn to(protocol: Protocol, address: &str, port: u16) -> Request {
    Request::Connect {
        protocol,
        address: address.parse().expect("an address"),
        port,
    }
}

fn run(path: &str) -> Request {
    Request::Exec {
        file: id(path),
        stamp: FileStamp::default(),
    }
}

fn deny(kind: &str, reason: &str) -> Record {
    Record::new(kind, "deny", reason)
}

#[test]
fn one_file_is_allowed_and_no_other() {
    let why = told_by_rules(&deny("exec", "not-listed").exec("/usr/bin/jq"));
    assert_eq!(why.remedy.kind, RemedyKind::AddLines);
    assert_eq!(
        why.remedy.toml.as_deref(),
        Some("[[exec]]\nid = \"jq\"\nallow = [\"/usr/bin/jq\"]\n")
    );
    assert!(why.remedy.tried);
    let git = Some("/usr/bin/git");
    assert!(with_lines(&why, git, run("/usr/bin/jq")).0);
    assert_eq!(
        with_lines(&why, git, run("/usr/bin/nc")),
        (false, Reason::NotListed)
    );
}

#[test]
fn one_address_and_port_is_allowed_to_one_binary() {
    let record =
        deny("connect", "not-listed")
            .by(Some("/usr/bin/curl"))
            .to("tcp", "203.0.113.7", 443);
    let why = told_by_rules(&record);
    assert_eq!(
        why.remedy.toml.as_deref(),
        Some(
            "[[connect]]\nid = \"curl-to-203.0.113.7-443\"\nallow = [\"tcp:203.0.113.7:443\"]\nby = [\"/usr/bin/curl\"]\n"
        )
    );
    let curl = Some("/usr/bin/curl");
    assert!(with_lines(&why, curl, to(Protocol::Tcp, "203.0.113.7", 443)).0);
    for neighbour in [
        to(Protocol::Tcp, "203.0.113.7", 444),
        to(Protocol::Tcp, "203.0.113.8", 443),
        to(Protocol::Udp, "203.0.113.7", 443),
    ] {
        assert_eq!(
            with_lines(&why, curl, neighbour),
            (false, Reason::NotListed)
        );
    }
    let other = with_lines(
        &why,
        Some("/usr/bin/git"),
        to(Protocol::Tcp, "203.0.113.7", 443),
    );
    assert_eq!(other, (false, Reason::NotForThisBinary));
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("can be shared")),
        "{why:?}"
    );
}

#[test]
fn ipv6_and_datagrams_are_written_as_policies_write_them() {
    let record =
        deny("send", "not-listed")
            .by(Some("/usr/bin/python3"))
            .to("udp", "2001:db8::35", 53);
    let why = told_by_rules(&record);
    assert!(
        why.remedy
            .toml
            .as_deref()
            .is_some_and(|toml| toml.contains("\"udp:[2001:db8::35]:53\"")),
        "{why:?}"
    );
    let python = Some("/usr/bin/python3");
    assert!(with_lines(&why, python, to(Protocol::Udp, "2001:db8::35", 53)).0);
    assert!(!with_lines(&why, python, to(Protocol::Udp, "2001:db8::36", 53)).0);
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("runs code or programs that are given"))
    );
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("carry data out"))
    );
}

#[test]
fn another_binary_gets_a_rule_of_its_own_and_not_the_whole_rule_of_the_first() {
    let record = deny("connect", "not-for-this-binary")
        .by(Some("/usr/bin/curl"))
        .to("tcp", "10.77.0.2", 8080);
    let why = told_by_rules(&record);
    assert_eq!(why.nearest[0].rule, "git-server");
    assert_eq!(
        why.nearest[0].differs,
        ["it holds only for /usr/bin/git, /usr/lib/git-core/; this was another executable"]
    );
    assert_eq!(why.nearest[0].place, "release-bot.toml:18");
    assert!(
        with_lines(
            &why,
            Some("/usr/bin/curl"),
            to(Protocol::Tcp, "10.77.0.2", 8080)
        )
        .0
    );
    let other = with_lines(
        &why,
        Some("/usr/bin/python3"),
        to(Protocol::Tcp, "10.77.0.2", 8080),
    );
    assert_eq!(other, (false, Reason::NotForThisBinary));
}

#[test]
fn the_nearest_rule_and_what_keeps_it_are_named() {
    let near = |ip: &str, port, protocol: &str| {
        let record = deny("connect", "not-listed")
            .by(Some("/usr/bin/git"))
            .to(protocol, ip, port);
        let near = told_by_rules(&record).nearest;
        near.into_iter()
            .map(|near| format!("{}: {}", near.rule, near.differs.join("; ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(near("192.0.2.5", 80, "tcp"), ["mirror: port 443, not 80"]);
    assert_eq!(
        near("192.0.2.5", 443, "udp"),
        ["mirror: protocol tcp, not udp"]
    );
    assert_eq!(
        near("192.0.2.77", 443, "tcp"),
        ["mirror: 192.0.2.77 does not lie in 192.0.2.0/28"]
    );
    assert_eq!(
        near("10.77.0.3", 8080, "tcp"),
        ["git-server: address 10.77.0.2, not 10.77.0.3"]
    );
    let copy = told_by_rules(&deny("exec", "not-listed").exec("/home/x/curl"));
    assert_eq!(
        copy.nearest[0].differs,
        ["another file of the same name: a copy is not the file that is listed"]
    );
}

#[test]
fn a_denial_is_not_outdone_by_a_line() {
    let record = deny("connect", "rule-denies")
        .rule("no-metadata")
        .by(Some("/usr/bin/curl"))
        .to("tcp", "169.254.169.254", 80);
    let why = told_by_rules(&record);
    assert_eq!(why.remedy.kind, RemedyKind::ChangeRule);
    let rule = why.rule.as_ref().expect("a rule");
    assert_eq!(
        (rule.rule.as_str(), rule.entry.as_str()),
        ("no-metadata", "tcp:169.254.169.254:*")
    );
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("metadata")),
        "{why:?}"
    );
    // With the lines alone it is denied still.
    let decided = with_lines(
        &why,
        Some("/usr/bin/curl"),
        to(Protocol::Tcp, "169.254.169.254", 80),
    );
    assert_eq!(decided, (false, Reason::RuleDenies));
}

#[test]
fn a_metadata_address_without_a_denial_is_warned_of() {
    let record =
        deny("connect", "not-listed")
            .by(Some("/usr/bin/curl"))
            .to("tcp", "169.254.170.2", 80);
    let why = told_by_rules(&record);
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("credentials")),
        "{why:?}"
    );
}

#[test]
fn a_listener_is_allowed_at_one_address_and_port() {
    let record = deny("listen", "not-listed")
        .by(Some("/usr/bin/python3"))
        .to("tcp", "127.0.0.1", 8000);
    let why = told_by_rules(&record);
    let at = |address: &str, port| Request::Listen {
        protocol: Protocol::Tcp,
        address: address.parse().expect("one"),
        port,
    };
    let python = Some("/usr/bin/python3");
    assert!(with_lines(&why, python, at("127.0.0.1", 8000)).0);
    assert!(!with_lines(&why, python, at("127.0.0.1", 8001)).0);
    assert!(!with_lines(&why, python, at("0.0.0.0", 8000)).0);
    assert_eq!(why.nearest[0].differs, ["ports 3000 to 3999, not 8000"]);
    let record = deny("listen", "not-listed")
        .by(Some("/usr/bin/python3"))
        .to("tcp", "0.0.0.0", 0);
    let why = told_by_rules(&record);
    assert!(with_lines(&why, python, at("0.0.0.0", 0)).0);
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("every port")),
        "{why:?}"
    );
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("ther hosts can reach")),
        "{why:?}"
    );
}

#[test]
fn one_unix_socket_is_allowed_and_shared_ones_are_warned_of() {
    let why = told_by_rules(&deny("unix", "not-listed").unix("/run/docker.sock"));
    let socket = |path: &str| Request::Unix {
        peer: UnixKey::path(id(path)),
    };
    let git = Some("/usr/bin/git");
    assert!(with_lines(&why, git, socket("/run/docker.sock")).0);
    assert!(!with_lines(&why, git, socket("/run/podman/podman.sock")).0);
    assert!(
        why.cautions
            .iter()
            .any(|caution| caution.contains("starts processes")),
        "{why:?}"
    );
    let why = told_by_rules(&deny("unix", "not-listed").unix("@/tmp/.X11-unix/X0"));
    let named = |name: &[u8]| Request::Unix {
        peer: UnixKey::abstract_name(name).expect("a name"),
    };
    assert!(with_lines(&why, git, named(b"/tmp/.X11-unix/X0")).0);
    assert!(!with_lines(&why, git, named(b"/tmp/.X11-unix/X1")).0);
}

#[test]
fn the_enforcers_own_socket_cannot_be_allowed() {
    let why = told_by_rules(&deny("unix", "not-listed").unix("/run/enforcer/control.sock"));
    assert_eq!(why.remedy.kind, RemedyKind::NotByPolicy);
    assert_eq!(why.remedy.toml, None);
    assert_eq!(why.ask, None);
}

#[test]
fn an_unlisted_executable_is_listed_before_what_it_does() {
    let record = deny("connect", "executable-not-listed")
        .by(Some("/usr/bin/wget"))
        .to("tcp", "203.0.113.7", 443);
    let why = told_by_rules(&record);
    let toml = why.remedy.toml.clone().expect("lines");
    assert!(
        toml.contains("[[exec]]") && toml.contains("[[connect]]"),
        "{toml}"
    );
    assert!(
        with_lines(
            &why,
            Some("/usr/bin/wget"),
            to(Protocol::Tcp, "203.0.113.7", 443)
        )
        .0
    );
    // What every executable may reach needs the first line alone.
    let record = deny("connect", "executable-not-listed")
        .by(Some("/usr/bin/wget"))
        .to("tcp", "192.0.2.3", 443);
    let toml = told_by_rules(&record).remedy.toml.expect("lines");
    assert_eq!(
        toml,
        "[[exec]]\nid = \"wget\"\nallow = [\"/usr/bin/wget\"]\n"
    );
}

#[test]
fn interpreters_are_declared_and_files_of_others_are_pinned() {
    let why = told_by_rules(&deny("exec", "not-listed").exec("/usr/bin/bash"));
    assert!(
        why.remedy
            .toml
            .as_deref()
            .is_some_and(|toml| toml.contains("interpreter = true"))
    );
    assert!(with_lines(&why, Some("/usr/bin/git"), run("/usr/bin/bash")).0);
    let why = told_by_rules(&deny("exec", "not-listed").exec("/home/agent/project/a.out"));
    let digest = format!("sha256 = [\"{}\"]", "ab".repeat(32));
    assert!(
        why.remedy
            .toml
            .as_deref()
            .is_some_and(|toml| toml.contains(&digest)),
        "{why:?}"
    );
    assert!(with_lines(&why, Some("/usr/bin/git"), run("/home/agent/project/a.out")).0);
    let why = told_by_rules(&deny("exec", "not-listed").exec("/usr/bin/node"));
    assert!(
        why.cautions.iter().any(|caution| caution.contains("jit")),
        "{why:?}"
    );
}

#[test]
fn what_has_no_name_that_a_policy_could_write_is_said_to_have_none() {
    for path in ["/memfd:payload (deleted)", r"/tmp/\xff", "relative"] {
        let why = told_by_rules(&deny("exec", "not-listed").exec(path));
        assert_eq!(why.remedy.kind, RemedyKind::NotByPolicy, "{path}");
        assert_eq!(why.remedy.toml, None);
    }
    let translated = deny("connect", "address-not-judgeable").to("tcp", "64:ff9b::c000:201", 443);
    assert_eq!(
        told_by_rules(&translated).remedy.kind,
        RemedyKind::NotByPolicy
    );
    let other = deny("connect", "not-listed")
        .to("tcp", "192.0.2.77", 443)
        .set("/connection_info/protocol_num", 132);
    assert_eq!(told_by_rules(&other).remedy.kind, RemedyKind::NotByPolicy);
}

#[test]
fn a_key_of_the_agent_is_named_where_one_opens_it_and_the_policy_then_has_it() {
    let cases = [
        (
            deny("code", "executable-memory").set("/unmapped/how", "anonymous"),
            "jit = true",
        ),
        (
            deny("set-id", "set-id-not-allowed").set("/unmapped/detail", 0),
            "set_id = true",
        ),
        (
            deny("write", "device-not-allowed").file("opened", "/dev/kvm"),
            "devices = true",
        ),
        (
            deny("io-uring", "io-uring-not-allowed").set("/unmapped/detail", 1),
            "io_uring = true",
        ),
        (
            deny("user-namespace", "namespace-not-allowed"),
            "namespaces = true",
        ),
        (socket(16, 3, 0), r#"sockets = ["netlink-route"]"#),
        (socket(16, 3, 9), r#"sockets = ["netlink"]"#),
        (socket(2, 3, 1), r#"sockets = ["raw"]"#),
        (socket(2, 2, 1), r#"sockets = ["ping"]"#),
        (socket(10, 2, 58), r#"sockets = ["ping"]"#),
        (socket(17, 3, 768), r#"sockets = ["packet"]"#),
        (socket(40, 1, 0), r#"sockets = ["vsock"]"#),
        (socket(38, 5, 0), r#"sockets = ["alg"]"#),
        (socket(31, 1, 3), r#"sockets = ["bluetooth"]"#),
        (socket(29, 3, 1), r#"sockets = ["can"]"#),
        (
            deny("capability", "never-allowed").set("/unmapped/detail", 13),
            r#"sockets = ["raw"]"#,
        ),
    ];
    for (record, key) in cases {
        let why = told_by_rules(&record);
        assert_eq!(why.remedy.kind, RemedyKind::SetKey, "{key}");
        assert_eq!(
            why.remedy.toml.as_deref(),
            Some(format!("{key}\n").as_str())
        );
        assert_eq!(why.cautions.len(), 1, "{key}");
        // The policy that has it needs nothing more.
        let text = HEAD.replace(
            "purpose = \"tests\"\n",
            &format!("purpose = \"tests\"\n{key}\n"),
        );
        let parsed = whole(&text);
        assert!(compile(&parsed.policy, &Host).is_ok());
        assert_eq!(
            told(&record, &parsed).remedy.kind,
            RemedyKind::NothingToDo,
            "{key}"
        );
    }
    assert_eq!(
        told_by_rules(&socket(30, 1, 0)).remedy.kind,
        RemedyKind::NotByPolicy
    );
}

fn socket(family: u32, kind: u32, protocol: u32) -> Record {
    deny("socket", "socket-kind-not-allowed")
        .set("/unmapped/socket_family", family)
        .set("/unmapped/socket_type", kind)
        .set("/unmapped/socket_protocol", protocol)
}

#[test]
fn kinds_of_sockets_are_added_to_those_that_are_there() {
    let text = HEAD.replace(
        "purpose = \"tests\"\n",
        "purpose = \"tests\"\nsockets = [\"netlink-route\"]\n",
    );
    let why = told(&socket(2, 2, 1), &whole(&text));
    assert_eq!(
        why.remedy.toml.as_deref(),
        Some("sockets = [\"netlink-route\", \"ping\"]\n")
    );
}

#[test]
fn every_reason_is_explained_and_what_no_policy_can_allow_asks_for_nothing() {
    for reason in Reason::ALL {
        let record = Record::new("mount", "deny", reason.name()).set("/unmapped/detail", 1);
        let why = told_by_rules(&record);
        assert_eq!(
            (why.meaning, why.advice),
            (explain(*reason).meaning, explain(*reason).advice)
        );
        let text = why.text();
        assert!(
            text.contains(reason.name()) && text.contains("mount a file system"),
            "{text}"
        );
        if why.remedy.kind == RemedyKind::NotByPolicy {
            assert_eq!(
                (why.ask, why.remedy.toml),
                (None, None),
                "{}",
                reason.name()
            );
        }
    }
    for (kind, reason) in [
        ("guard", "enforcer-guard"),
        ("signal", "target-outside-session"),
        ("bpf", "never-allowed"),
        ("write", "listed-code"),
        ("exec", "interpreters-too-deep"),
        ("fork", "label-table-full"),
    ] {
        assert_eq!(
            told_by_rules(&deny(kind, reason)).remedy.kind,
            RemedyKind::NotByPolicy,
            "{kind}"
        );
    }
}

#[test]
fn what_the_policy_allows_by_now_needs_no_line() {
    let parsed = policy(RULES);
    let told = |generation, reason: &str, by: &str| {
        let record = deny("connect", reason)
            .by(Some(by))
            .to("tcp", "192.0.2.3", 443);
        let known = Known {
            policy: &parsed,
            facts: &Host,
            generation: Some(generation),
        };
        why(&record.0, Some(&known)).expect("a decision")
    };
    let later = told(8, "not-listed", "/usr/bin/git");
    assert_eq!(later.remedy.kind, RemedyKind::NothingToDo);
    let now = later.now.expect("a policy");
    assert_eq!((now.allowed, now.rule.as_deref()), (true, Some("mirror")));
    // The generation that denied it is in force: trying again would not help.
    let same = told(7, "not-listed", "/usr/bin/git");
    assert_eq!(same.remedy.kind, RemedyKind::Apply);
    let script = told(7, "executable-not-listed", "/usr/bin/python3");
    assert_eq!(script.remedy.kind, RemedyKind::NotKnown);
    assert!(script.text().contains("script"), "{}", script.text());
}

#[test]
fn without_a_policy_the_lines_are_given_and_said_to_be_untried() {
    let record =
        deny("connect", "not-listed")
            .by(Some("/usr/bin/curl"))
            .to("tcp", "203.0.113.7", 443);
    let why = why(&record.0, None).expect("a decision");
    assert!(why.remedy.toml.is_some() && !why.remedy.tried);
    assert_eq!(why.owner.as_deref(), Some("platform-security@example.com"));
    let record = deny("connect", "rule-denies")
        .rule("no-metadata")
        .by(Some("/usr/bin/curl"))
        .to("tcp", "169.254.169.254", 80);
    let why = enforcer_report::why(&record.0, None).expect("a decision");
    assert_eq!(
        (why.remedy.kind, why.remedy.toml),
        (RemedyKind::ChangeRule, None)
    );
}

#[test]
fn facts_that_cannot_follow_links_do_not_lead_to_a_second_listing() {
    // The policy names python3, the record the file behind that link.
    let parsed = policy(RULES);
    let facts = NamedFacts::new(&parsed.policy);
    let known = Known {
        policy: &parsed,
        facts: &facts,
        generation: None,
    };
    let record = deny("connect", "not-listed")
        .by(Some("/usr/bin/python3.11"))
        .to("tcp", "203.0.113.7", 443);
    let why = why(&record.0, Some(&known)).expect("a decision");
    let toml = why.remedy.toml.expect("lines");
    assert!(!toml.contains("[[exec]]"), "{toml}");
}

#[test]
fn a_record_of_no_decision_is_refused_with_what_to_do() {
    let record =
        serde_json::json!({"metadata": {"event_code": "daemon-start", "uid": "b:daemon-start:5"}});
    let error = why(&record, None).expect_err("no decision");
    assert!(
        error.to_string().contains("daemon-start") && error.to_string().contains("log show"),
        "{error}"
    );
    assert!(why(&serde_json::json!(null), None).is_err());
}

#[test]
fn the_text_cannot_drive_a_terminal_and_keeps_to_its_columns() {
    let evil = "x\u{1b}[2J\u{202e}\n<script>alert(1)</script> ".repeat(20);
    let record = deny("exec", "not-listed")
        .exec("/usr/bin/jq")
        .set("/unmapped/task", evil.as_str())
        .set("/actor/process/cmd_line", evil);
    let text = told_by_rules(&record).text();
    assert!(
        !text
            .chars()
            .any(|c| c != '\n' && enforcer_report::is_hidden(c)),
        "{text:?}"
    );
    let widest = text.lines().map(enforcer_report::width).max();
    assert!(widest <= Some(96), "{widest:?}");
}

#[test]
fn a_denied_connect_as_text() {
    let record = deny("connect", "not-for-this-binary")
        .by(Some("/usr/bin/curl"))
        .to("tcp", "10.77.0.2", 8080);
    let why = told_by_rules(&record);
    common::golden("why.txt", &why.text());
    common::golden(
        "why.json",
        &(serde_json::to_string_pretty(&why).expect("JSON") + "\n"),
    );
}

#[test]
fn an_address_in_any_form_is_that_of_the_rule() {
    let mapped: IpAddr = "::ffff:203.0.113.7".parse().expect("an address");
    let record =
        deny("connect", "not-listed")
            .by(Some("/usr/bin/curl"))
            .to("tcp", &mapped.to_string(), 443);
    let why = told_by_rules(&record);
    assert!(
        with_lines(
            &why,
            Some("/usr/bin/curl"),
            to(Protocol::Tcp, "203.0.113.7", 443)
        )
        .0
    );
    let record = deny("connect", "not-listed")
        .by(Some("/usr/bin/curl"))
        .to("tcp", "0.0.0.0", 443);
    let why = told_by_rules(&record);
    assert!(
        with_lines(
            &why,
            Some("/usr/bin/curl"),
            to(Protocol::Tcp, "0.0.0.0", 443)
        )
        .0
    );
    assert!(
        !with_lines(
            &why,
            Some("/usr/bin/curl"),
            to(Protocol::Tcp, "127.0.0.2", 443)
        )
        .0
    );
}
