//! What a host's files have against a policy, and the lints.

mod common;

use common::{HEAD, Host, messages, policy, source};
use enforcer_policy::{CONTROL_SOCKET, Lint, NoIncludes, check, compile, parse};

fn errors(rules: &str, host: &Host) -> Vec<String> {
    let parsed = policy(rules);
    let checked = check(&parsed, host);
    let compiled = compile(&parsed.policy, host);
    assert_eq!(
        checked.errors.is_empty(),
        compiled.is_ok(),
        "check and compile agree: {rules}"
    );
    messages(&checked.errors)
}

fn lints(rules: &str, host: &Host) -> Vec<Lint> {
    let checked = check(&policy(rules), host);
    assert!(checked.errors.is_empty(), "{}", checked.errors);
    checked
        .warnings
        .list
        .iter()
        .filter_map(|warning| warning.lint)
        .collect()
}

fn exec(lines: &str) -> String {
    format!("[[exec]]\nid = \"x\"\n{lines}\n")
}

fn host() -> Host {
    Host::default()
        .file("/usr/bin/git")
        .file("/usr/bin/python3.11")
        .owned("/opt/bot/mine", 1000, 0o755)
        .owned("/opt/bot/open", 0, 0o775)
        .file("/opt/bot/roots")
        .directory("/opt/bot/")
        .socket("/run/log")
        .digest("/opt/bot/mine", 0xab)
        .digest("/opt/bot/open", 0xcd)
        .digest("/usr/bin/git", 0xef)
}

#[test]
fn paths_must_be_there_and_be_what_the_rule_says() {
    let host = host().put(
        "/dev/null",
        enforcer_policy::PathFact::Other("a character device"),
    );
    for (lines, expected) in [
        ("allow = [\"/usr/bin/git\"]", None),
        (
            "allow = [\"/usr/bin/gti\"]",
            Some("`/usr/bin/gti` is not there (correct the path, or add `optional = true`"),
        ),
        ("allow = [\"/usr/bin/gti\"]\noptional = true", None),
        ("deny = [\"/usr/bin/gti\"]", None),
        (
            "deny = [\"/opt/bot\"]",
            Some("`/opt/bot` is a directory (end it with `/`"),
        ),
        (
            "allow = [\"/usr/bin/git/\"]",
            Some("`/usr/bin/git/` is not there"),
        ),
        (
            "allow = [\"/run/log\"]",
            Some("`/run/log` is a unix socket (sockets belong in `[[unix]]`)"),
        ),
        (
            "allow = [\"/dev/null\"]",
            Some("`/dev/null` is a character device"),
        ),
    ] {
        let found = errors(&exec(lines), &host);
        match (found.first(), expected) {
            (None, None) => (),
            (Some(found), Some(expected)) if found.starts_with(expected) => (),
            other => panic!("{lines}: {other:?}"),
        }
    }
    let as_directory = host.put(
        "/usr/bin/git/",
        enforcer_policy::Facts::path(&self::host(), "/usr/bin/git"),
    );
    let found = errors(&exec("allow = [\"/usr/bin/git/\"]"), &as_directory);
    assert!(
        found[0].starts_with("`/usr/bin/git/` is a regular file (write \"/usr/bin/git\""),
        "{found:?}"
    );
}

#[test]
fn a_file_that_is_not_roots_needs_its_digest() {
    let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
    let found = errors(&exec("allow = [\"/opt/bot/mine\"]"), &host());
    assert_eq!(
        found,
        [format!(
            "`/opt/bot/mine` belongs to user 1000 and needs a digest (if it is the right file, add \
             \"{ab}\" to the rule's `sha256`)"
        )]
    );
    let found = errors(&exec("allow = [\"/opt/bot/open\"]"), &host());
    assert!(
        found[0].contains("can be written by group or others (mode 0775)"),
        "{found:?}"
    );
    for (lines, count) in [
        (
            format!("allow = [\"/opt/bot/mine\"]\nsha256 = [\"{ab}\"]"),
            0,
        ),
        (
            format!("allow = [\"/opt/bot/mine\"]\nsha256 = [\"{cd}\"]"),
            1,
        ),
        ("allow = [\"/opt/bot/\"]".to_owned(), 2),
        (
            format!("allow = [\"/opt/bot/\"]\nsha256 = [\"{ab}\", \"{cd}\"]"),
            0,
        ),
        // A file that is named is pinned, root's or not.
        (
            format!("allow = [\"/usr/bin/git\"]\nsha256 = [\"{ab}\"]"),
            1,
        ),
        // Denying needs no trust.
        ("deny = [\"/opt/bot/\"]".to_owned(), 0),
    ] {
        assert_eq!(errors(&exec(&lines), &host()).len(), count, "{lines}");
    }
}

#[test]
fn the_enforcers_own_socket_is_never_allowed() {
    let host = host()
        .socket(CONTROL_SOCKET)
        .link("/srv/other-name", CONTROL_SOCKET);
    for path in [
        CONTROL_SOCKET,
        "/var/run/enforcer/control.sock",
        "/srv/other-name",
    ] {
        let unix = format!("[[unix]]\nid = \"u\"\nallow = [\"{path}\"]\n");
        let found = errors(&unix, &host);
        assert!(
            found[0].starts_with("this is the enforcer's own control socket"),
            "{path}"
        );
    }
    let absent = "[[unix]]\nid = \"u\"\nallow = [\"/run/enforcer/control.sock\"]\n";
    assert_eq!(errors(absent, &Host::default()).len(), 1);
}

#[test]
fn a_socket_that_the_daemon_was_told_to_listen_on_is_its_own_too() {
    let unix = "[[unix]]\nid = \"u\"\nallow = [\"/srv/own.sock\"]\n";
    let host = Host::default().socket("/srv/own.sock");
    assert_eq!(errors(unix, &host).len(), 0);
    let found = errors(unix, &host.control_socket("/srv/own.sock"));
    assert!(found[0].starts_with("this is the enforcer's own control socket"));
}

#[test]
fn what_of_a_rule_is_not_there_is_one_warning() {
    let lines = "allow = [\"/usr/bin/git\", \"/usr/bin/hg\", \"/usr/bin/svn\"]\noptional = true";
    let checked = check(&policy(&exec(lines)), &host());
    assert_eq!(
        messages(&checked.warnings),
        [
            "`/usr/bin/hg` and 1 more of 3 are not there: left out of the rule (the others are `/usr/bin/svn`)"
        ]
    );
    let by = "[[connect]]\nid = \"c\"\nallow = [\"tcp:192.0.2.1:443\"]\nby = [\"/usr/bin/git\", \"/usr/bin/hg\"]\n";
    let both = format!("{}{by}", exec("allow = [\"/usr/bin/git\"]"));
    let checked = check(&policy(&both), &host());
    assert_eq!(
        messages(&checked.warnings),
        ["`/usr/bin/hg` is not there: the rule holds without it"]
    );
}

#[test]
fn a_group_that_the_host_does_not_have_launches_nobody_and_is_told() {
    let text = HEAD.replace("launch = {}", "launch = { group = \"bots\" }");
    let parsed = parse(source("p.toml", &text), &NoIncludes).expect("a policy");
    assert_eq!(messages(&check(&parsed, &host()).warnings).len(), 0);
    let found = messages(&check(&parsed, &host().without_groups()).warnings);
    assert_eq!(
        found,
        [
            "this host has no group `bots` (make it, or only root launches the agent: groupadd --system bots)"
        ]
    );
}

#[test]
fn a_socket_that_is_not_there_yet_is_a_warning() {
    let unix = |path: &str| format!("[[unix]]\nid = \"u\"\nallow = [\"{path}\"]\n");
    assert_eq!(lints(&unix("/run/later"), &host()), [Lint::MissingFile]);
    assert_eq!(lints(&unix("/run/log"), &host()), []);
    assert_eq!(
        errors(&unix("/usr/bin/git"), &host()),
        ["`/usr/bin/git` is a regular file"]
    );
}

#[test]
fn doubts_are_lints() {
    let connect = |lines: &str| format!("[[connect]]\nid = \"c\"\n{lines}\n");
    let listen = |lines: &str| format!("[[listen]]\nid = \"l\"\n{lines}\n");
    let denied = "[[connect]]\nid = \"d\"\ndeny = [\"tcp:10.0.0.0/8:*\"]\n";
    let listed = exec("allow = [\"/usr/bin/git\"]");
    for (rules, expected) in [
        (
            connect("allow = [\"tcp:10.0.0.0/8:443\", \"tcp:[fd00::]/16:443\"]"),
            &[][..],
        ),
        (
            connect("allow = [\"tcp:8.0.0.0/7:443\"]"),
            &[Lint::BroadPrefix],
        ),
        (
            connect("allow = [\"tcp:[fc00::]/15:443\"]"),
            &[Lint::BroadPrefix],
        ),
        (connect("allow = [\"tcp:*:443\"]"), &[Lint::BroadPrefix]),
        (connect("deny = [\"tcp:*:443\"]"), &[]),
        (
            listen("allow = [\"tcp:127.0.0.0/8:*\", \"tcp:[::1]:80\", \"udp:10.0.0.1:53\"]"),
            &[],
        ),
        (listen("allow = [\"tcp:0.0.0.0:80\"]"), &[Lint::BroadListen]),
        (listen("allow = [\"tcp:[::]:80\"]"), &[Lint::BroadListen]),
        (listen("allow = [\"udp:*:5353\"]"), &[Lint::BroadListen]),
        (
            listen("allow = [\"tcp:10.0.0.0/24:80\"]"),
            &[Lint::BroadListen],
        ),
        (listen("allow = [\"tcp:[::]/0:80\"]"), &[Lint::BroadListen]),
        (listen("deny = [\"tcp:*:1-1023\"]"), &[]),
        (
            format!("{}{denied}", listen("allow = [\"tcp:10.1.0.1:80\"]")),
            &[],
        ),
        (
            format!(
                "{}[[listen]]\nid = \"d\"\ndeny = [\"tcp:*:1-1023\"]\n",
                listen("allow = [\"tcp:127.0.0.1:80\"]")
            ),
            &[Lint::UnreachableRule],
        ),
        (
            listen("allow = [\"tcp:127.0.0.1:80\"]\nby = [\"/usr/bin/git\"]"),
            &[Lint::UnlistedBinary],
        ),
        (
            exec("allow = [\"/usr/bin/python3.11\"]"),
            &[Lint::UndeclaredInterpreter],
        ),
        (
            exec("allow = [\"/usr/bin/python3.11\"]\ninterpreter = true"),
            &[],
        ),
        (
            format!("{}{denied}", connect("allow = [\"tcp:10.1.0.0/16:443\"]")),
            &[Lint::UnreachableRule],
        ),
        (
            format!("{}{denied}", connect("allow = [\"udp:10.1.0.0/16:443\"]")),
            &[],
        ),
        (
            format!("{listed}[[exec]]\nid = \"n\"\ndeny = [\"/usr/bin/git\"]\n"),
            &[Lint::UnreachableRule],
        ),
        (
            connect("allow = [\"tcp:10.0.0.1:1\"]\nby = [\"/usr/bin/git\"]"),
            &[Lint::UnlistedBinary],
        ),
        (
            format!(
                "{listed}{}",
                connect("allow = [\"tcp:10.0.0.1:1\"]\nby = [\"/usr/bin/git\"]")
            ),
            &[],
        ),
        (
            "[[unix]]\nid = \"u\"\nallow = [\"/run/docker.sock\"]\n".into(),
            &[Lint::MissingFile, Lint::EscapeSocket],
        ),
        (
            exec("allow = [\"/usr/bin/none\"]\noptional = true"),
            &[Lint::MissingFile],
        ),
    ] {
        let mut found = lints(&rules, &host());
        found.sort_by_key(|lint| expected.iter().position(|e| e == lint));
        assert_eq!(found, expected, "{rules}");
    }
    let loose = host().loose("/usr/bin/git", "/usr/bin");
    assert_eq!(lints(&listed, &loose), [Lint::WritableDirectory]);
}
