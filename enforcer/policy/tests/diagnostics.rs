//! What the parser says against a policy, and where.

mod common;

use common::{Files, HEAD, messages, read, source};
use enforcer_policy::{
    Audit, Libraries, MAX_SOURCE_BYTES, Mode, NoIncludes, OnAuditFailure, Severity, Source, parse,
};

/// The first message about a policy that is wrong.
fn first(rules: &str) -> String {
    let errors = read(rules).map(|_| ()).expect_err(rules);
    messages(&errors).swap_remove(0)
}

/// As [`first`], about the destination of an allowing rule.
fn destination(text: &str) -> String {
    first(&format!("[[connect]]\nid = \"x\"\nallow = [\"{text}\"]\n"))
}

#[test]
fn a_diagnostic_shows_file_line_column_span_and_a_hint() {
    let text =
        format!("{HEAD}\n[[connect]]\nid = \"git\"\nallow = [\"tcp:10.0.0.1/8:443\"]\nbi = []\n");
    let errors = parse(source("bot.toml", &text), &NoIncludes)
        .map(|_| ())
        .expect_err("two errors");
    let rendered = "\
error: the prefix has host bits
  --> bot.toml:11:15
   |
11 | allow = [\"tcp:10.0.0.1/8:443\"]
   |               ^^^^^^^^^^ expected zeros after the prefix
   |
   = hint: write `10.0.0.0/8`, or leave the length out for the one address

error: unknown key `bi`
  --> bot.toml:12:1
   |
12 | bi = []
   | ^^
   |
   = hint: did you mean `by`?";
    assert_eq!(errors.render(false), rendered);
    assert!(
        errors.render(true).contains("\u{1b}["),
        "colour is terminal styles"
    );
    let report = errors.reports().swap_remove(0);
    assert_eq!(
        (report.file.as_str(), report.line, report.column),
        ("bot.toml", 11, 15)
    );
    assert_eq!(report.severity, Severity::Error);
    assert_eq!(report.expected.as_deref(), Some("zeros after the prefix"));
}

#[test]
fn all_errors_are_shown_at_once_in_their_order() {
    let text = "schema = 2\ninclude = \"x\"\n[agent]\nname = \"Bot\"\nowner = 3\npurpose = \" \"\n\
        mode = \"monitr\"\n[[exec]]\nid = \"a b\"\nallow = [\"bin/git\"]\n[[unix]]\nallow = []\n\
        [profile.x]\n";
    let errors = parse(source("p", text), &NoIncludes)
        .map(|_| ())
        .expect_err("many");
    assert_eq!(
        messages(&errors),
        [
            "schema 2 is not known (this enforcer reads schema 1; a newer one may read this policy)",
            "`include` is of the wrong type: string (write `[\"x\"]`)",
            "`Bot` cannot be the name of an agent",
            "`owner` is of the wrong type: integer",
            "`purpose` says nothing",
            "`monitr` is not a value of this key (did you mean \"monitor\"?)",
            "`a b` cannot be a rule id",
            "`bin/git` is not an absolute path",
            "the key `id` is missing (add `id = \"syslog\"`)",
            "`allow` is empty",
            "`profile` is not supported yet (remove it: what cannot be enforced is refused, not ignored)",
        ]
    );
}

#[test]
fn destinations_are_strict() {
    for (text, message) in [
        ("10.0.0.1:443", "`10.0.0.1:443` is not a destination"),
        ("icmp:10.0.0.1:0", "`icmp:10.0.0.1:0` is not a destination"),
        (
            "https://example.com",
            "`https://example.com` is not a destination (an URL is not",
        ),
        (
            "tcp:10.0.0.1",
            "`tcp:10.0.0.1` names no port (write `tcp:10.0.0.1:443`",
        ),
        ("tcp:[::1]", "`tcp:[::1]` names no port"),
        ("tcp:10.0.0.1:", "`` is not a port"),
        ("tcp:10.0.0.1:0", "`0` is not a port"),
        ("tcp:10.0.0.1:65536", "`65536` is not a port"),
        ("tcp:10.0.0.1:+80", "`+80` is not a port"),
        ("tcp:10.0.0.1:90-80", "the range is empty (write `80-90`)"),
        ("tcp:10.0.0.1:80-", "`` is not a port"),
        ("tcp:10.0.0.0/33:80", "`/33` is not a prefix length"),
        ("tcp:10.0.0.0/:80", "`/` is not a prefix length"),
        (
            "tcp:10.1.2.3/8:80",
            "the prefix has host bits (write `10.0.0.0/8`",
        ),
        (
            "tcp:[fd00::1]/64:80",
            "the prefix has host bits (write `[fd00::]/64`",
        ),
        ("tcp:10.0.0.256:80", "`10.0.0.256` is not an address"),
        ("tcp:010.0.0.1:80", "`010.0.0.1` is not an address"),
        (
            "tcp:fd00::1:80",
            "`fd00::1` is not an address (write `[fd00::1]`)",
        ),
        ("tcp:[fd00::1:80", "the bracket is not closed"),
        (
            "tcp:[fe80::1%eth0]:80",
            "`fe80::1%eth0` is not an IPv6 address",
        ),
        (
            "tcp:example.com:80",
            "host names are not supported yet: `example.com`",
        ),
        (
            "tcp:[::ffff:10.0.0.1]:80",
            "IPv4-mapped addresses are judged as the IPv4 address inside them (write `10.0.0.1/32`)",
        ),
        (
            "tcp:[64:ff9b::a00:0]/104:80",
            "a NAT64 address is never allowed: it goes through a translator (remove it; a rule \
            about the IPv4 addresses inside is one about `10.0.0.0/8`)",
        ),
        (
            "udp:[64:ff9b::]/96:53",
            "a NAT64 address is never allowed: it goes through a translator (remove it; a rule \
            about the IPv4 addresses inside is one about `0.0.0.0/0`)",
        ),
        (
            "tcp:[2002:a00::]/24:80",
            "a 6to4 address is never allowed: it goes through a translator (remove it; a rule \
            about the IPv4 addresses inside is one about `10.0.0.0/8`)",
        ),
        (
            "tcp:[2002:a00:1::1]:80",
            "a 6to4 address is never allowed: it goes through a translator (remove it; a rule \
            about the IPv4 addresses inside is one about `10.0.0.1/32`)",
        ),
        (
            "tcp:0.0.0.0:80",
            "the unspecified address leads to loopback (write `127.0.0.1`)",
        ),
        (
            "tcp:[::]:80",
            "the unspecified address leads to loopback (write `[::1]`)",
        ),
    ] {
        let found = destination(text);
        assert!(found.starts_with(message), "{text}: {found}");
    }
}

#[test]
fn addresses_to_listen_on_are_as_strict() {
    for (text, message) in [
        (
            "127.0.0.1:80",
            "`127.0.0.1:80` is not an address to listen on (as in `tcp:127.0.0.1:3000-3999`",
        ),
        (
            "http://[::1]:80",
            "`http://[::1]:80` is not an address to listen on (an URL is not an address to",
        ),
        ("tcp:0.0.0.0", "`tcp:0.0.0.0` names no port"),
        ("tcp:*:0", "`0` is not a port"),
        (
            "tcp:127.0.0.1/8:80",
            "the prefix has host bits (write `127.0.0.0/8`",
        ),
        (
            "tcp:[::ffff:0.0.0.0]:80",
            "IPv4-mapped addresses are judged as the IPv4 address inside them (write `0.0.0.0/32`)",
        ),
        (
            "tcp:[2002::1]:80",
            "a 6to4 address is never allowed: it goes through a translator",
        ),
        (
            "tcp:localhost:80",
            "host names are not supported yet: `localhost`",
        ),
    ] {
        let found = first(&format!("[[listen]]\nid = \"x\"\nallow = [\"{text}\"]\n"));
        assert!(found.starts_with(message), "{text}: {found}");
    }
    for text in [
        "tcp:0.0.0.0:8080",
        "tcp:[::]:8080",
        "tcp:127.0.0.1:3000-3999",
        "udp:*:5353",
        "udp:0.0.0.0/0:*",
    ] {
        let parsed = read(&format!("[[listen]]\nid = \"x\"\ndeny = [\"{text}\"]\n"))
            .unwrap_or_else(|errors| panic!("{errors}"));
        let listed = &parsed.policy.listen[0].destinations[0].value;
        assert_eq!(listed.to_string(), text);
    }
}

#[test]
fn destinations_are_read_and_written_back() {
    for text in [
        "tcp:140.82.112.0/20:443",
        "udp:10.0.0.1:53",
        "tcp:[2606:50c0::]/32:443",
        "tcp:[::1]:80",
        "tcp:*:8000-8999",
        "udp:0.0.0.0/0:*",
        "tcp:[::]/0:1-65535",
    ] {
        let parsed = read(&format!("[[connect]]\nid = \"x\"\nallow = [\"{text}\"]\n"))
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(
            parsed.policy.connect[0].destinations[0].value.to_string(),
            text
        );
    }
}

#[test]
fn rules_paths_and_examples_are_strict() {
    for (rules, message) in [
        ("[[exec]]\nid = \"x\"\n", "the rule does nothing"),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\ndeny = [\"/b\"]\n",
            "a rule has one effect (make two",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = \"/a\"\n",
            "`allow` is of the wrong type: string (write `[\"/a\"]`)",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [1]\n",
            "`allow` is of the wrong type: integer",
        ),
        (
            "[exec]\nid = \"x\"\n",
            "`exec` is of the wrong type: table (write `[[exec]]`)",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/\"]\n",
            "`/` is every file of the host",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/a/../b\"]\n",
            "`/a/../b` is not a plain path",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\nsha256 = [\"ab\"]\n",
            "`ab` is not a SHA-256 digest",
        ),
        (
            "[[exec]]\nid = \"x\"\ndeny = [\"/a\"]\nsha256 = [\"ab\"]\n",
            "`sha256` goes with `allow`",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\nby = [\"/b\"]\n",
            "`by` is not supported yet",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\nowner = \"me\"\n",
            "unknown key `owner` (`owner` is a key of [agent])",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\nby = []\n",
            "`by` is empty",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\nsensitivity = \"s\"\n",
            "`sensitivity` is not supported yet",
        ),
        (
            "[[unix]]\nid = \"x\"\nallow = [\"run/x\"]\n",
            "`run/x` is not an absolute path",
        ),
        (
            "[[unix]]\nid = \"x\"\nallow = [\"/run/\"]\n",
            "`/run/` is a directory",
        ),
        (
            "[[unix]]\nid = \"x\"\nallow = [\"@\"]\n",
            "`@` cannot be an abstract name",
        ),
        ("[[listen]]\nid = \"x\"\n", "the rule does nothing"),
        (
            "[[listen]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\nby = []\n",
            "`by` is empty",
        ),
        (
            "[[listen]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\nprofile = \"p\"\n",
            "`profile` is not supported yet",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\n[[listen]]\nid = \"x\"\nallow = [\"tcp:*:1\"]\n",
            "the rule id `x` is taken",
        ),
        (
            "[[example]]\nlisten = \"tcp:*:80\"\nexpect = \"deny\"\n",
            "`*` is not one address",
        ),
        (
            "[[example]]\nlisten = \"tcp:[::]:80\"\nconnect = \"tcp:[::]:80\"\nexpect = \"deny\"\n",
            "an example tries one thing",
        ),
        ("[risk]\n", "`risk` is not supported yet"),
        ("[[grants]]\n", "`grants` is not supported yet"),
        (
            "[[example]]\nexpect = \"deny\"\n",
            "an example tries one thing",
        ),
        (
            "[[example]]\nexec = \"/a\"\nunix = \"/b\"\nexpect = \"deny\"\n",
            "an example tries one thing",
        ),
        (
            "[[example]]\nconnect = \"tcp:10.0.0.0/8:1\"\nexpect = \"deny\"\n",
            "`10.0.0.0/8` is not one address",
        ),
        (
            "[[example]]\nconnect = \"tcp:10.0.0.1:1-2\"\nexpect = \"deny\"\n",
            "an example names one port",
        ),
        (
            "[[example]]\nexec = \"/a\"\nexpect = \"dny\"\n",
            "`dny` is not a value of this key (did you mean \"deny\"?)",
        ),
        (
            "[[example]]\nexec = \"/a\"\nexpect = \"deny\"\nreason = \"not-listd\"\n",
            "`not-listd` is not a value of this key (did you mean \"not-listed\"?)",
        ),
    ] {
        let found = first(rules);
        assert!(found.starts_with(message), "{rules}\n{found}");
    }
}

#[test]
fn an_id_is_one_rule_of_whatever_kind() {
    let rules = "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\n[[unix]]\nid = \"x\"\nallow = [\"/b\"]\n";
    let errors = read(rules).map(|_| ()).expect_err("one id twice");
    let rendered = "\
error: the rule id `x` is taken
  --> p.toml:12:6
   |
12 | id = \"x\"
   |      ^^^ expected an id of its own
   |
  ::: p.toml:9:6
   |
 9 | id = \"x\"
   |      --- first used here";
    assert_eq!(errors.render(false), rendered);
}

#[test]
fn slices_and_entries_are_strict() {
    let enrol = |lines: &str| {
        let text = format!(
            "schema = 1\n[agent]\nname = \"a\"\nowner = \"o\"\npurpose = \"p\"\n[agent.enrol]\n{lines}"
        );
        parse(source("p", &text), &NoIncludes)
            .map(|p| p.policy.agent)
            .map_err(|e| messages(&e).swap_remove(0))
    };
    let agent = enrol("slice = \"a-b.slice\"\nentry = { exec = \"/opt/a\", user = \"bot\" }");
    let agent = agent.expect("both ways");
    assert!(agent.is_enrolled() && agent.launch.is_none());
    assert_eq!(agent.slice.expect("a slice").value, "a-b.slice");
    let entry = agent.entry.expect("an entry");
    assert_eq!(entry.exec.value, "/opt/a");
    assert_eq!(entry.user.expect("a user").value, "bot");
    for (lines, message) in [
        ("slice = \"a\"", "`a` is no slice"),
        ("slice = \"-a.slice\"", "`-a.slice` is no slice"),
        ("slice = \"a/b.slice\"", "`a/b.slice` is no slice"),
        (
            "slice = \"system.slice\"",
            "`system.slice` holds the host's own services or users",
        ),
        (
            "entry = { exec = \"agent\" }",
            "`agent` is not an absolute path",
        ),
        (
            "entry = { exec = \"/opt/agents/\" }",
            "`/opt/agents/` cannot be an entry",
        ),
        ("entry = { user = \"bot\" }", "`exec` is missing"),
    ] {
        let found = enrol(lines).expect_err(lines);
        assert!(found.contains(message), "{lines}: {found}");
    }
}

#[test]
fn settings_have_defaults_and_monitor_mode_an_end() {
    let agent = |lines: &str| {
        let text =
            format!("schema = 1\n[agent]\nname = \"a\"\nowner = \"o\"\npurpose = \"p\"\n{lines}");
        parse(source("p", &text), &NoIncludes)
            .map(|p| p.policy.agent)
            .map_err(|e| messages(&e).swap_remove(0))
    };
    let default = agent("").expect("nothing more is required");
    assert_eq!((default.mode, default.audit), (Mode::Enforce, Audit::All));
    assert_eq!(
        (default.on_audit_failure, default.launch),
        (OnAuditFailure::Deny, None)
    );
    assert_eq!(default.libraries, Libraries::Host);
    assert!(!default.jit && !default.set_id.value && !default.secure_exec);
    let other = agent("libraries = \"listed\"\njit = true\nset_id = true\nsecure_exec = true");
    let other = other.expect("every switch is known");
    assert_eq!(other.libraries, Libraries::Listed);
    assert!(other.jit && other.set_id.value && other.secure_exec);
    assert!(!default.devices.value && !default.io_uring.value && !default.namespaces.value);
    assert!(default.sockets.is_empty());
    let open = agent(
        "devices = true\nio_uring = true\nnamespaces = true\nsockets = [\"netlink-route\", \"raw\"]",
    );
    let open = open.expect("every switch is known");
    assert!(open.devices.value && open.io_uring.value && open.namespaces.value);
    let kinds: Vec<_> = open.sockets.iter().map(|kind| kind.value.name()).collect();
    assert_eq!(kinds, ["netlink-route", "raw"]);
    let unknown = agent("sockets = [\"netlink-route\", \"tipc\"]").expect_err("no such kind");
    assert!(unknown.contains("tipc"), "{unknown}");
    for until in [
        "until = 2030-06-30",
        "until = \"2030-06-30\"",
        "until = 2030-06-30T23:59:60Z",
    ] {
        let Ok(Mode::Monitor { until: end }) =
            agent(&format!("mode = \"monitor\"\n{until}")).map(|a| a.mode)
        else {
            panic!("{until}");
        };
        assert_eq!(end.value.unix_seconds, 1_909_094_400, "{until}");
    }
    for (lines, message) in [
        ("mode = \"monitor\"", "monitor mode needs an end"),
        (
            "mode = \"monitor\"\nuntil = \"soon\"",
            "`soon` is not an end",
        ),
        (
            "mode = \"monitor\"\nuntil = 2030-06-30T10:00:00",
            "`2030-06-30T10:00:00` is not an end",
        ),
        (
            "until = 2030-06-30",
            "`until` goes with `mode = \"monitor\"`",
        ),
        (
            "[agent.enrol]\nlaunch = { grup = \"a\" }",
            "unknown key `grup` (did you mean `group`?)",
        ),
    ] {
        let found = agent(lines).expect_err(lines);
        assert!(found.starts_with(message), "{lines}: {found}");
    }
}

#[test]
fn includes_bring_rules_and_nothing_else() {
    let files = Files(&[
        (
            "git.toml",
            "[[exec]]\nid = \"git\"\nallow = [\"/usr/bin/git\"]\n",
        ),
        (
            "both.toml",
            "include = [\"git.toml\"]\n[[unix]]\nid = \"u\"\nallow = [\"@a\"]\n",
        ),
        ("agent.toml", "[agent]\nname = \"b\"\n"),
        ("a.toml", "include = [\"b.toml\"]\n"),
        ("b.toml", "include = [\"a.toml\"]\n"),
        ("broken.toml", "[[exec]\n"),
    ]);
    let including = |list: &str| {
        let text = format!("include = [{list}]\n{HEAD}");
        parse(source("root.toml", &text), &files)
    };
    let parsed = including("\"git.toml\", \"both.toml\"").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((parsed.policy.exec.len(), parsed.policy.unix.len()), (1, 1));
    assert_eq!(parsed.sources.list().len(), 3);
    for (list, file, message) in [
        (
            "\"agent.toml\"",
            "agent.toml",
            "an included file has no `[agent]` (the policy that",
        ),
        (
            "\"none.toml\"",
            "root.toml",
            "`none.toml` cannot be included: there is no such file",
        ),
        (
            "\"root.toml\"",
            "root.toml",
            "`root.toml` cannot be included: there is no such file",
        ),
        ("\"broken.toml\"", "broken.toml", "this is not TOML"),
        (
            "\"a.toml\"",
            "b.toml",
            "the includes form a loop: `a.toml` -> `b.toml` -> `a.toml`",
        ),
    ] {
        let errors = including(list).map(|_| ()).expect_err(list);
        let report = errors.reports().swap_remove(0);
        assert_eq!(report.file, file, "{list}");
        assert!(
            messages(&errors)[0].starts_with(message),
            "{list}: {errors}"
        );
    }
}

#[test]
fn what_is_no_policy_is_refused_soon_and_in_few_words() {
    let too_large = "a".repeat(MAX_SOURCE_BYTES + 1);
    let errors = parse(source("p", &too_large), &NoIncludes)
        .map(|_| ())
        .expect_err("too large");
    assert!(messages(&errors)[0].starts_with("the policy has 1048577 bytes; the limit is 1048576"));
    let errors = Source::from_bytes("p", too_large.into_bytes()).expect_err("too large");
    assert!(messages(&errors)[0].starts_with("the policy has 1048577 bytes"));

    let errors =
        Source::from_bytes("p", b"schema = 1\nx = \"\xff\"\n".to_vec()).expect_err("not UTF-8");
    let report = errors.reports().swap_remove(0);
    assert_eq!((report.line, report.column), (2, 6), "{errors}");

    let keys: String = (0..50_000).map(|key| format!("k{key} = 1\n")).collect();
    for noise in [
        "\"".repeat(999_999),
        "[".repeat(999_999),
        "a.".repeat(500_000),
        keys,
    ] {
        let errors = parse(source("p", &noise), &NoIncludes)
            .map(|_| ())
            .expect_err("noise");
        assert!(errors.list.len() <= 1_001);
        assert!(errors.render(false).len() < 50_000);
    }
}
