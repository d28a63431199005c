//! Large policies in the kernel: at their promised size they load, swap and decide; beyond a limit they are refused
//! with the number, and change nothing.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use enforcer_tests::{
    Agent, Live, Policy, TcpServer,
    cli::{enforcer, json, told},
    fault::stderr,
    place,
};
use nix::libc::{ENOEXEC, EPERM};

const DESTINATIONS: usize = 10_000;
const BINARIES: usize = 2_000;
const AGENTS: usize = 200;
/// Sessions that begin at the same time: `enforcer run` waits 30 seconds, and an emulated processor begins a few a second.
const AT_A_TIME: usize = 25;

/// The policy of an agent for a folder of policies.
fn text(name: &str, rules: &str) -> String {
    format!(
        "schema = 1\n[agent]\nname = \"{name}\"\nowner = \"tests@example.com\"\npurpose = \"a test\"\n\
         [agent.enrol]\nlaunch = {{}}\n[[exec]]\nid = \"probe\"\nallow = [\"{}\"]\n{rules}",
        enforcer_tests::cli::probe().display()
    )
}

/// Files to list: they are no programs, so that running one that is allowed gives ENOEXEC and no process.
fn binaries(folder: &Path, count: usize) -> Vec<String> {
    let files = (0..count).map(|number| {
        let path = place::script(folder.join(format!("{number:05}")), "no program\n");
        place::text(&path).to_owned()
    });
    files.collect()
}

/// Addresses of loopback on one port, so that a server on it sees who comes through.
fn addresses(port: u16, offset: usize, count: usize) -> Vec<String> {
    let address = |n: usize| {
        format!(
            "tcp:127.{}.{}.{}:{port}",
            1 + n / 62_500,
            n / 250 % 250,
            1 + n % 250
        )
    };
    (offset..offset + count).map(address).collect()
}

fn try_connect(live: &mut Live, destination: &str) -> i32 {
    let address = destination.strip_prefix("tcp:").expect("it begins so");
    live.ask(&format!("connect tcp {address}")).errno
}

fn is_allowed(live: &mut Live, path: &str) -> bool {
    let answer = live.ask(&format!("exec {path}"));
    assert!(answer.denied() || answer.errno == ENOEXEC, "{answer:?}");
    !answer.denied()
}

/// A server on every loopback address.
fn server() -> TcpServer {
    TcpServer::at("0.0.0.0:0".parse().expect("an address")).expect("a server on all addresses")
}

fn apply(path: &Path) -> std::process::Output {
    enforcer(["policy", "apply", place::text(path)])
}

fn generation() -> u64 {
    json(["status"])["generation"].as_u64().expect("a number")
}

/// A session of every other agent, all of them at once; each reaches what is its own, and not what is its neighbour's.
fn each_of_many_is_held_to_its_own(server: &TcpServer, all: &[String]) {
    let name = |number| format!("one-of-many-{number}");
    let mut many: Vec<Live> = Vec::new();
    for some in (1..AGENTS).collect::<Vec<_>>().chunks(AT_A_TIME) {
        let begin = |&number| Agent { name: name(number) }.live();
        let mut some: Vec<Live> = some.iter().map(begin).collect();
        for live in &mut some {
            live.ask("pid"); // it has begun
        }
        many.extend(some);
    }
    let sessions = json(["session", "list"]);
    let running: BTreeSet<&str> = sessions
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["agent"].as_str())
        .collect();
    assert!((1..AGENTS).all(|number| running.contains(name(number).as_str())));
    for (live, number) in many.iter_mut().zip(1..) {
        assert_eq!(try_connect(live, &all[number]), 0, "{number}");
        assert_eq!(try_connect(live, &all[number + 1]), EPERM, "{number}");
        assert_eq!(try_connect(live, &all[number - 1]), EPERM, "{number}");
        assert!(!is_allowed(live, "/usr/bin/true"), "{number}");
        assert_eq!(server.arrived(), 1, "{number}");
    }
    for live in many {
        live.end();
    }
}

#[test]
fn two_hundred_agents_and_one_policy_of_full_size_load_and_swap_as_one_generation() {
    let server = server();
    let folder = place::directory("capacity");
    let binaries = binaries(&folder, BINARIES + 1);
    let (listed, unlisted) = (&binaries[..BINARIES], &binaries[BINARIES]);
    let all = addresses(server.address.port(), 0, DESTINATIONS + 2_000);
    let policies = folder.join("policies");
    fs::create_dir(&policies).expect("the folder is made");
    let write = |destinations: &[String], files: &[String]| {
        let rules = format!(
            "[[exec]]\nid = \"files\"\nallow = {files:?}\n[[connect]]\nid = \"far\"\nallow = {destinations:?}\n"
        );
        fs::write(policies.join("full-size.toml"), text("full-size", &rules))
            .expect("it is written");
    };
    write(&all[..DESTINATIONS], listed);
    for (number, destination) in all.iter().enumerate().take(AGENTS).skip(1) {
        let own = format!("[[connect]]\nid = \"own\"\nallow = [\"{destination}\"]\n");
        let name = format!("one-of-many-{number}");
        fs::write(policies.join(format!("{name}.toml")), text(&name, &own)).expect("it is written");
    }
    let before = generation();
    let output = apply(&policies);
    assert!(output.status.success(), "{}", told(&output));
    let first = generation();
    assert!(first > before);
    let policies_in_force = json(["policy", "list"]);
    let mut ours = policies_in_force.as_array().expect("a list").clone();
    ours.retain(|one| {
        one["agent"]
            .as_str()
            .is_some_and(|agent| agent.starts_with("full-size") || agent.starts_with("one-of-many"))
    });
    assert_eq!(ours.len(), AGENTS);
    assert!(
        ours.iter().all(|one| one["generation"] == first),
        "all of them are one generation: {ours:?}"
    );
    let facts = json(["policy", "show", "full-size"]);
    assert_eq!(facts["executables"], BINARIES + 1, "and the probe");

    let full_size = Agent {
        name: "full-size".to_owned(),
    };
    let mut live = full_size.live();
    for (destination, allowed) in [
        (0, true),
        (DESTINATIONS / 2, true),
        (DESTINATIONS - 1, true),
        (DESTINATIONS, false),
    ] {
        assert_eq!(
            try_connect(&mut live, &all[destination]) == 0,
            allowed,
            "{}",
            all[destination]
        );
        assert_eq!(
            server.arrived(),
            usize::from(allowed),
            "{}",
            all[destination]
        );
    }
    for (file, allowed) in [
        (&listed[0], true),
        (&listed[BINARIES - 1], true),
        (unlisted, false),
    ] {
        assert_eq!(is_allowed(&mut live, file), allowed, "{file}");
    }
    each_of_many_is_held_to_its_own(&server, &all);

    // Swapped: both ends move, under the running session.
    write(&all[2_000..DESTINATIONS + 2_000], &binaries[1..]);
    let output = apply(&policies);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(generation(), first + 1);
    for (destination, allowed) in [
        (0, false),
        (1_999, false),
        (2_000, true),
        (DESTINATIONS + 1_999, true),
    ] {
        assert_eq!(
            try_connect(&mut live, &all[destination]) == 0,
            allowed,
            "{}",
            all[destination]
        );
        assert_eq!(
            server.arrived(),
            usize::from(allowed),
            "{}",
            all[destination]
        );
    }
    for (file, allowed) in [(&listed[0], false), (&listed[1], true), (unlisted, true)] {
        assert_eq!(is_allowed(&mut live, file), allowed, "{file}");
    }
    // Gone again, so that the other tests have room.
    let output = enforcer([
        "policy",
        "apply",
        "--prune",
        place::text(&policies.join("one-of-many-1.toml")),
    ]);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(json(["status"])["policies"], 1);
    assert_ne!(
        try_connect(&mut live, &all[2_000]),
        0,
        "its agent is in no policy"
    );
}

/// One rule a port range and address: thirty prefixes each.
fn many_ports() -> String {
    let rule = |mut text: String, n: usize| {
        let (high, low) = (n / 250, n % 250);
        let _ = write!(
            text,
            "[[connect]]\nid = \"r{n}\"\nallow = [\"tcp:10.9.{high}.{low}:2-65534\"]\n"
        );
        text
    };
    (0..2_400).fold(String::new(), rule)
}

fn many_by(folder: &Path) -> String {
    let files = binaries(folder, 65);
    let listed = format!("[[exec]]\nid = \"files\"\nallow = {files:?}\n");
    files
        .iter()
        .enumerate()
        .fold(listed, |mut text, (n, file)| {
            let _ = write!(
                text,
                "[[connect]]\nid = \"b{n}\"\nallow = [\"tcp:10.9.0.1:1\"]\nby = [\"{file}\"]\n"
            );
            text
        })
}

/// A rule of two included files, since one may not be so large.
fn many_addresses(folder: &Path) -> String {
    for part in 0..2 {
        let destinations = (0..33_000_usize).fold(String::new(), |mut text, n| {
            let _ = write!(text, "\"tcp:{}.{}.{}.1:1\",", 10 + part, n / 256, n % 256);
            text
        });
        let rule = format!("[[connect]]\nid = \"a{part}\"\nallow = [{destinations}]\n");
        fs::write(folder.join(format!("addresses-{part}")), rule).expect("it is written");
    }
    "include = [\"addresses-0\", \"addresses-1\"]\n".to_owned()
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).expect("it is written");
    file
}

#[test]
fn beyond_a_limit_a_policy_is_refused_with_the_number_and_nothing_is_applied() {
    let server = server();
    let near = format!("tcp:127.0.0.1:{}", server.address.port());
    let mut live = Policy::new("before")
        .connect("near", &[&near])
        .apply()
        .live();
    let folder = place::directory("limits");
    let files = folder.join("files");
    fs::create_dir(&files).expect("the folder is made");
    binaries(&files, 16_385);
    let executables = format!(
        "[[exec]]\nid = \"all\"\nallow = [\"{}/\"]\n",
        files.display()
    );
    let include = many_addresses(&folder);
    let generation_before = generation();
    for (name, text, message) in [
        (
            "ports",
            text("beyond", &many_ports()),
            "port prefixes; the limit is 65536",
        ),
        (
            "by",
            text("beyond", &many_by(&folder)),
            "the policy has more than 63 distinct `by` lists",
        ),
        (
            "executables",
            text("beyond", &executables),
            "executables; the limit is 16384",
        ),
        (
            "addresses",
            include + &text("beyond", ""),
            "address prefixes; the limit is 65536",
        ),
    ] {
        let output = apply(&written(&folder, &format!("{name}.toml"), &text));
        assert_eq!(output.status.code(), Some(3), "{name}: {}", told(&output));
        assert!(
            stderr(&output).contains(message),
            "{name}: {}",
            told(&output)
        );
        assert_eq!(generation(), generation_before, "{name}");
        assert_eq!(try_connect(&mut live, &near), 0, "{name}");
        assert_eq!(server.arrived(), 1, "{name}");
    }
}

#[test]
fn there_is_a_most_of_agents_and_beyond_it_none_of_them_is_applied() {
    let folder = place::directory("agents");
    for number in 0..512 {
        let name = format!("too-many-{number}");
        written(&folder, &format!("{name}.toml"), &text(&name, ""));
    }
    let before = json(["status"]);
    let output = apply(&folder);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        stderr(&output).contains("more than 511 agents; nothing was changed"),
        "{}",
        told(&output)
    );
    let after = json(["status"]);
    for fact in ["generation", "policies"] {
        assert_eq!(after[fact], before[fact], "{fact}");
    }
}
