//! Large policies: they compile whole, folded, or are refused with a clear word.

mod common;

use std::fmt::Write as _;

use common::{HEAD, Host, messages, source};
use enforcer_policy::{
    Diagnostics, Facts, NoIncludes, Protocol, Request, Subject, Tables, compile, parse,
};

fn compiled(rules: &str, facts: &dyn Facts) -> Result<Tables, Diagnostics> {
    let parsed = parse(source("large.toml", &format!("{HEAD}{rules}")), &NoIncludes);
    compile(
        &parsed.unwrap_or_else(|errors| panic!("{errors}")).policy,
        facts,
    )
}

fn connect(id: &str, line: &str) -> String {
    format!("[[connect]]\nid = \"{id}\"\n{line}\n")
}

/// `count` addresses as destinations, each text made by `make` of two octets.
fn list(count: u32, make: impl Fn(u32, u32) -> String) -> String {
    (0..count).fold(String::new(), |mut text, index| {
        let _ = write!(text, "\"{}\",", make(index / 256, index % 256));
        text
    })
}

#[test]
fn ten_thousand_destinations_and_two_thousand_binaries_compile() {
    let mut host = Host::default();
    let mut rules = String::new();
    for chunk in 0..20 {
        let paths: Vec<String> = (0..100)
            .map(|file| format!("/bin/{chunk}-{file}"))
            .collect();
        host = paths.iter().fold(host, |host, path| host.file(path));
        let _ = write!(rules, "[[exec]]\nid = \"e{chunk}\"\nallow = {paths:?}\n");
    }
    let destinations = list(10_000, |a, b| format!("tcp:10.{a}.{b}.0/24:443"));
    rules += &connect(
        "all",
        &format!("allow = [{destinations}]\nby = [\"/bin/0-0\"]"),
    );
    let tables = compiled(&rules, &host).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(tables.addresses.len(), 10_000);
    assert_eq!(tables.executables.len(), 2_000);
    // One truth about all of them is one class, and one port.
    assert_eq!(tables.ports.len(), 1);
    let address = "10.39.15.200".parse().expect("an address");
    let request = Request::Connect {
        protocol: Protocol::Tcp,
        address,
        port: 443,
    };
    let decide = |path: &str| tables.decide(&Subject::from(host.id(path)), &request);
    assert_eq!(tables.rule(&decide("/bin/0-0")), Some("all"));
    assert!(!decide("/bin/0-1").allowed);
}

#[test]
fn a_prefix_that_says_nothing_new_takes_no_entry() {
    let inside = list(1_000, |a, b| format!("tcp:10.{a}.{b}.1:443"));
    let wide = format!("allow = [\"tcp:10.0.0.0/8:443\", {inside}]");
    let tables = compiled(&connect("a", &wide), &Host::default()).expect("small");
    assert_eq!((tables.addresses.len(), tables.ports.len()), (1, 1));
    // The same rule on ports that it lists anyway, too.
    let ports = "allow = [\"tcp:10.0.0.0/8:1-1000\", \"tcp:10.0.0.1:80\"]";
    let tables = compiled(&connect("a", ports), &Host::default()).expect("small");
    assert_eq!(tables.addresses.len(), 1);
}

#[test]
fn hard_links_are_one_executable_with_the_rules_of_both() {
    let host = Host::default().file("/a").link("/b", "/a");
    let rules = "[[exec]]\nid = \"x\"\nallow = [\"/a\"]\n[[exec]]\nid = \"y\"\ndeny = [\"/b\"]\n";
    let tables = compiled(rules, &host).expect("small");
    let [(_, entry)] = tables.executables.as_slice() else {
        panic!("{:?}", tables.executables);
    };
    assert_eq!(
        (entry.permit.allow, entry.permit.deny, entry.conditions),
        (1, 1, 0)
    );
    assert_eq!(tables.cells.rule(entry.permit.cell, 1), Some("y"));
    assert_eq!(tables.cells.rule(entry.permit.cell, 0), None);
}

#[test]
fn beyond_a_limit_the_policy_is_refused_with_the_number() {
    let host = (0..70).fold(Host::default(), |host, file| {
        host.file(&format!("/bin/{file}"))
    });
    let by: String = (0..64)
        .map(|file| {
            connect(
                &format!("c{file}"),
                &format!("allow = [\"tcp:10.0.0.1:1\"]\nby = [\"/bin/{file}\"]"),
            )
        })
        .collect();
    let one_less = by.replace("/bin/63", "/bin/62");
    assert!(compiled(&one_less, &host).is_ok());
    let many_ports = (0..2_200).fold(String::new(), |mut text, port| {
        let _ = write!(text, "\"tcp:*:{}\",", 2 * port + 1);
        text
    });
    let many_hosts: String = (0..40)
        .map(|n| {
            connect(
                &format!("h{n}"),
                &format!("allow = [\"tcp:10.0.0.{n}:{}\"]", 40_000 + n),
            )
        })
        .collect();
    let ports = connect("p", &format!("allow = [{many_ports}]")) + &many_hosts;
    let listening = ports.replacen("connect", "listen", 1);
    for (rules, message) in [
        (by, "the policy has more than 63 distinct `by` lists"),
        (
            ports,
            "the policy has 66029 port prefixes; the limit is 65536",
        ),
        (
            listening,
            "the policy has 66029 port prefixes; the limit is 65536",
        ),
    ] {
        let errors = compiled(&rules, &host).map(|_| ()).expect_err(message);
        assert!(messages(&errors)[0].starts_with(message), "{errors}");
    }
}

#[test]
fn a_table_of_each_kind_has_its_limit() {
    let sockets = (0..4_097).fold(String::new(), |mut text, name| {
        let _ = write!(text, "\"@{name}\",");
        text
    });
    let rules = format!("[[unix]]\nid = \"u\"\nallow = [{sockets}]\n");
    let errors = compiled(&rules, &Host::default())
        .map(|_| ())
        .expect_err("one too many");
    assert!(
        messages(&errors)[0].starts_with("the policy has 4097 unix sockets; the limit is 4096")
    );

    let rules: String = (0..1_000)
        .map(|n| connect(&format!("c{n}"), "allow = [\"tcp:10.0.0.0/8:1-9\"]"))
        .collect();
    let nested: String = (0..1_100)
        .map(|n| {
            connect(
                &format!("n{n}"),
                &format!("allow = [\"tcp:10.1.{}.{}:5\"]", n / 256, n % 256),
            )
        })
        .collect();
    let errors = compiled(&(rules + &nested), &Host::default())
        .map(|_| ())
        .expect_err("overlaps");
    assert!(
        messages(&errors)[0].starts_with("the policy's rules overlap in too many ways"),
        "{errors}"
    );
}
