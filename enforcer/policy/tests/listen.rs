//! Where an agent may listen, and what holds of both ends: rows that `judge` and the tables must both
//! say.

mod common;

use common::{Host, policy};
use enforcer_common::{
    object::{LISTEN, TCP, UDP},
    verdict::Reason::{
        self, AddressNotJudgeable, NotForThisBinary, NotListed, RuleAllows, RuleDenies,
    },
};
use enforcer_policy::{Protocol, Request, Subject, Tables, compile, judge};

/// The request that a row writes as `listen tcp 127.0.0.1 3000`.
fn request(text: &str) -> Request {
    let words: Vec<&str> = text.split(' ').collect();
    let [verb, protocol, address, port] = words[..] else {
        panic!("{text}");
    };
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => panic!("{other}"),
    };
    let address = address.parse().expect("an address");
    let port = port.parse().expect("a port");
    match verb {
        "listen" => Request::Listen {
            protocol,
            address,
            port,
        },
        "connect" => Request::Connect {
            protocol,
            address,
            port,
        },
        other => panic!("{other}"),
    }
}

/// Holds both deciders to the rows: request, reason, deciding rule.
fn check(rules: &str, rows: &[(&str, Reason, Option<&str>)]) -> Tables {
    let host = Host::default().file("/bin/a").file("/bin/b");
    let exec = "[[exec]]\nid = \"x\"\nallow = [\"/bin/a\", \"/bin/b\"]\n";
    let parsed = policy(&format!("{exec}{rules}"));
    let tables = compile(&parsed.policy, &host).unwrap_or_else(|errors| panic!("{errors}"));
    let subject = Subject::from(host.id("/bin/a"));
    for (text, reason, rule) in rows {
        let request = request(text);
        let meant = judge(&parsed.policy, &host, &subject, &request);
        assert_eq!(
            (meant.reason, meant.rule.as_deref()),
            (*reason, *rule),
            "judge: {text}"
        );
        let decision = tables.decide(&subject, &request);
        assert_eq!(
            (decision.reason, tables.rule(&decision)),
            (*reason, *rule),
            "tables: {text}"
        );
        assert_eq!(meant.allowed, decision.allowed, "{text}");
    }
    tables
}

fn listen(id: &str, lines: &str) -> String {
    format!("[[listen]]\nid = \"{id}\"\n{lines}\n")
}

#[test]
fn nothing_listens_without_a_rule_whatever_may_be_reached() {
    let connect = "[[connect]]\nid = \"c\"\nallow = [\"tcp:*:*\", \"udp:*:*\"]\n";
    check(
        connect,
        &[
            ("connect tcp 127.0.0.1 80", RuleAllows, Some("c")),
            ("listen tcp 127.0.0.1 80", NotListed, None),
            ("listen udp 0.0.0.0 80", NotListed, None),
            ("listen tcp :: 0", NotListed, None),
        ],
    );
}

#[test]
fn what_may_be_listened_on_may_not_be_reached() {
    let rules = listen("l", "allow = [\"tcp:*:*\"]");
    check(
        &rules,
        &[
            ("listen tcp 127.0.0.1 80", RuleAllows, Some("l")),
            ("connect tcp 127.0.0.1 80", NotListed, None),
            ("connect tcp 0.0.0.0 80", NotListed, None),
            ("listen udp 127.0.0.1 80", NotListed, None),
        ],
    );
}

#[test]
fn a_wildcard_bind_is_its_own_address_and_no_other() {
    let rules = listen("four", "allow = [\"tcp:0.0.0.0:80\"]")
        + &listen("six", "allow = [\"udp:[::]:80\"]")
        + &listen("local", "allow = [\"tcp:127.0.0.1:81\", \"tcp:[::1]:81\"]");
    check(
        &rules,
        &[
            ("listen tcp 0.0.0.0 80", RuleAllows, Some("four")),
            ("listen tcp ::ffff:0.0.0.0 80", RuleAllows, Some("four")),
            ("listen tcp 127.0.0.1 80", NotListed, None),
            ("listen tcp 0.0.0.1 80", NotListed, None),
            ("listen tcp :: 80", NotListed, None),
            ("listen udp :: 80", RuleAllows, Some("six")),
            ("listen udp ::1 80", NotListed, None),
            ("listen tcp ::ffff:127.0.0.1 81", RuleAllows, Some("local")),
            ("listen tcp 0.0.0.0 81", NotListed, None),
            ("listen tcp :: 81", NotListed, None),
        ],
    );
}

#[test]
fn a_wildcard_bind_is_in_the_prefixes_around_it() {
    let rules = listen("four", "allow = [\"tcp:0.0.0.0/0:80\"]")
        + &listen("six", "allow = [\"tcp:[::]/0:81\"]")
        + &listen("any", "allow = [\"tcp:*:82\"]")
        + &listen("no", "deny = [\"tcp:0.0.0.0:82\"]");
    check(
        &rules,
        &[
            ("listen tcp 0.0.0.0 80", RuleAllows, Some("four")),
            ("listen tcp :: 80", NotListed, None),
            ("listen tcp :: 81", RuleAllows, Some("six")),
            ("listen tcp ::ffff:0.0.0.0 81", NotListed, None),
            ("listen tcp 0.0.0.0 82", RuleDenies, Some("no")),
            ("listen tcp 127.0.0.1 82", RuleAllows, Some("any")),
            ("listen tcp :: 82", RuleAllows, Some("any")),
        ],
    );
}

#[test]
fn the_port_of_the_kernels_choice_is_covered_by_every_port_alone() {
    let rules = listen("range", "allow = [\"tcp:127.0.0.1:1-65535\"]")
        + &listen("every", "allow = [\"tcp:[::1]:*\"]");
    check(
        &rules,
        &[
            ("listen tcp 127.0.0.1 65535", RuleAllows, Some("range")),
            ("listen tcp 127.0.0.1 0", NotListed, None),
            ("listen tcp ::1 0", RuleAllows, Some("every")),
        ],
    );
}

#[test]
fn a_listen_rule_can_be_for_some_binaries() {
    let rules = listen("a", "allow = [\"tcp:127.0.0.1:80\"]\nby = [\"/bin/a\"]")
        + &listen("b", "allow = [\"tcp:127.0.0.1:81\"]\nby = [\"/bin/b\"]");
    check(
        &rules,
        &[
            ("listen tcp 127.0.0.1 80", RuleAllows, Some("a")),
            ("listen tcp 127.0.0.1 81", NotForThisBinary, None),
        ],
    );
}

#[test]
fn connect_and_listen_rules_of_an_address_are_one_class_with_entries_of_their_own() {
    let rules = "[[connect]]\nid = \"c\"\nallow = [\"tcp:127.0.0.1:80\", \"udp:127.0.0.1:80\"]\n"
        .to_owned()
        + &listen("l", "deny = [\"tcp:127.0.0.1:80\", \"udp:127.0.0.1:80\"]");
    let tables = check(
        &rules,
        &[
            ("connect tcp 0.0.0.0 80", RuleAllows, Some("c")),
            ("listen tcp 127.0.0.1 80", RuleDenies, Some("l")),
            ("listen tcp 0.0.0.0 80", NotListed, None),
        ],
    );
    assert_eq!(tables.addresses.len(), 1);
    let mut protocols: Vec<u8> = tables.ports.iter().map(|(key, ..)| key.protocol).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, [TCP, UDP, TCP | LISTEN, UDP | LISTEN]);
}

#[test]
fn an_address_that_goes_through_a_translator_is_denied_whatever_rules_cover_it() {
    let lines =
        "allow = [\"tcp:*:*\", \"tcp:[::]/0:*\", \"tcp:[2000::]/3:*\", \"tcp:[64::]/16:*\"]";
    let rules = format!("[[connect]]\nid = \"c\"\n{lines}\n") + &listen("l", lines);
    for address in ["64:ff9b::a00:1", "64:ff9b::", "2002::", "2002:a00:1::1"] {
        for verb in ["connect", "listen"] {
            let text = format!("{verb} tcp {address} 80");
            check(&rules, &[(&text, AddressNotJudgeable, None)]);
        }
    }
    check(
        &rules,
        &[
            ("connect tcp 64:ff9b:1::1 80", RuleAllows, Some("c")),
            ("connect tcp 64:ff9b::1:0:1 80", RuleAllows, Some("c")),
            ("connect tcp 2001:ffff::1 80", RuleAllows, Some("c")),
            ("connect tcp 2003::1 80", RuleAllows, Some("c")),
            ("listen tcp 2003::1 80", RuleAllows, Some("l")),
            ("connect tcp ::ffff:10.0.0.1 80", RuleAllows, Some("c")),
        ],
    );
}

#[test]
fn a_translated_address_is_not_judged_as_the_ipv4_host_inside_it() {
    let rules = "[[connect]]\nid = \"c\"\nallow = [\"tcp:10.0.0.1:80\"]\n";
    check(
        rules,
        &[
            ("connect tcp ::ffff:10.0.0.1 80", RuleAllows, Some("c")),
            ("connect tcp 64:ff9b::a00:1 80", AddressNotJudgeable, None),
            ("connect tcp 2002:a00:1::1 80", AddressNotJudgeable, None),
            ("connect tcp 2002:a00:1::1 81", AddressNotJudgeable, None),
        ],
    );
}

#[test]
fn what_runs_is_all_its_files_and_each_must_be_listed() {
    let host = Host::default()
        .file("/bin/a")
        .file("/bin/b")
        .file("/bin/c")
        .file("/bin/d");
    let parsed = policy(
        "[[exec]]\nid = \"x\"\nallow = [\"/bin/a\", \"/bin/b\"]\n\
        [[exec]]\nid = \"no\"\ndeny = [\"/bin/d\"]\n\
        [[connect]]\nid = \"c\"\nallow = [\"tcp:10.0.0.1:80\"]\nby = [\"/bin/a\"]\n\
        [[connect]]\nid = \"e\"\nallow = [\"tcp:10.0.0.1:81\"]\n",
    );
    let tables = compile(&parsed.policy, &host).unwrap_or_else(|errors| panic!("{errors}"));
    for (files, port, reason, rule) in [
        (&["/bin/b", "/bin/a"][..], 80, RuleAllows, Some("c")),
        (&["/bin/a", "/bin/b"], 80, RuleAllows, Some("c")),
        (&["/bin/b"], 80, NotForThisBinary, None),
        (&["/bin/a", "/bin/c"], 80, Reason::ExecutableNotListed, None),
        (&["/bin/c", "/bin/a"], 81, Reason::ExecutableNotListed, None),
        // Listed, but denied: no condition is true of it, not even that of rules without `by`.
        (&["/bin/d"], 81, NotForThisBinary, None),
        (&["/bin/d"], 82, NotListed, None),
        (&["/bin/d", "/bin/b"], 81, RuleAllows, Some("e")),
    ] {
        let subject = Subject {
            files: files.iter().map(|file| host.id(file)).collect(),
        };
        let request = request(&format!("connect tcp 10.0.0.1 {port}"));
        let meant = judge(&parsed.policy, &host, &subject, &request);
        assert_eq!(
            (meant.reason, meant.rule.as_deref()),
            (reason, rule),
            "judge: {files:?}"
        );
        let decision = tables.decide(&subject, &request);
        assert_eq!(
            (decision.reason, tables.rule(&decision)),
            (reason, rule),
            "tables: {files:?}"
        );
    }
}
