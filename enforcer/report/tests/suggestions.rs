//! Lines are suggested for random denials by random policies, added, and asked about: each allows what
//! was denied, and nothing that it does not name.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::Record;
use enforcer_common::{object::FileId, verdict::Reason};
use enforcer_policy::{
    Facts, Judgement, NoIncludes, Parsed, PathFact, Protocol, Request, Source, Subject,
    arbitrary::{Action, Ask, Case, Choices, PoolFacts},
    compile, judge, parse,
};
use enforcer_report::{Known, RemedyKind, Why, why};

const BASE: &str = "/pool";
/// Random policies, of which each is asked a hundred requests.
const SEEDS: u64 = 60;

/// The record of a denied request, as far as `why` reads it.
fn record(ask: &Ask, judgement: &Judgement, facts: &PoolFacts) -> Record {
    let kind = match ask.action {
        Action::Exec { .. } => "exec",
        Action::Connect(..) => "connect",
        Action::Listen(..) => "listen",
        Action::Socket(_) | Action::Abstract(_) => "unix",
    };
    let record =
        Record::new(kind, "deny", judgement.reason.name()).by(ask.by.first().map(String::as_str));
    let record = match &judgement.rule {
        Some(rule) => record.rule(rule),
        None => record,
    };
    let uid = |path: &str| {
        let FileId {
            inode,
            device,
            generation,
        } = match facts.path(path) {
            PathFact::File(file) => file.id,
            PathFact::Socket { id } => id,
            PathFact::Directory { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => {
                panic!("{path} is not in the pool")
            }
        };
        format!("0:{device}:{inode}:{generation}")
    };
    let record = match ask.by.first() {
        Some(by) => record.set("/actor/process/file/uid", uid(by)),
        None => record,
    };
    let to = |protocol: Protocol, address: &IpAddr, port| {
        // The kernel writes canonical addresses.
        record
            .clone()
            .to(protocol.name(), &address.to_canonical().to_string(), port)
    };
    match &ask.action {
        Action::Exec { path, .. } => record.exec(path).set("/process/file/uid", uid(path)),
        Action::Connect(protocol, address, port) | Action::Listen(protocol, address, port) => {
            to(*protocol, address, *port)
        }
        Action::Socket(path) => record.unix(path).set("/dst_endpoint/uid", uid(path)),
        Action::Abstract(name) => record.unix(&format!("@{name}")),
    }
}

/// A request in its one spelling, to tell whether two are the same.
fn canonical(request: Request) -> Request {
    match request {
        Request::Connect {
            protocol,
            address,
            port,
        } => {
            let address = address.to_canonical();
            let address = match address {
                IpAddr::V4(_) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                IpAddr::V4(_) | IpAddr::V6(_) => address,
            };
            Request::Connect {
                protocol,
                address,
                port,
            }
        }
        Request::Listen {
            protocol,
            address,
            port,
        } => Request::Listen {
            protocol,
            address: address.to_canonical(),
            port,
        },
        request @ (Request::Exec { .. } | Request::Unix { .. }) => request,
    }
}

fn with_lines(case: &Case, toml: &str) -> Parsed {
    let text = format!("{}\n{toml}", case.source.text);
    parse(
        Source {
            name: "with-lines.toml".into(),
            text,
        },
        &NoIncludes,
    )
    .unwrap_or_else(|errors| panic!("{errors}"))
}

/// Holds a suggestion to what it says; true when it was one of lines.
fn hold(case: &Case, before: &Parsed, ask: &Ask, told: &Why, facts: &PoolFacts) -> bool {
    let (subject, request) = ask.resolve(facts).expect("in the pool");
    let judged = judge(&before.policy, facts, &subject, &request);
    let Some(toml) = told
        .remedy
        .toml
        .as_deref()
        .filter(|_| told.remedy.kind == RemedyKind::AddLines)
    else {
        let by_anybody = judge(&before.policy, facts, &Subject::launcher(), &request);
        let listable = by_anybody.reason != Reason::AddressNotJudgeable;
        assert!(
            !listable,
            "nothing is suggested: {ask:?} {told:?}\n{}",
            case.source.text
        );
        return false;
    };
    assert!(told.remedy.tried, "{told:?}");
    let after = with_lines(case, toml);
    let tables = compile(&after.policy, facts).unwrap_or_else(|errors| panic!("{errors}"));
    let now = judge(&after.policy, facts, &subject, &request);
    assert!(
        now.allowed && tables.decide(&subject, &request).allowed,
        "{ask:?}\n{toml}\n{now:?}\n{}",
        case.source.text
    );
    let lists_actor = judged.reason == Reason::ExecutableNotListed;
    let mut listed = Subject::launcher();
    if lists_actor {
        listed.files.extend(&subject.files);
    }
    if let Request::Exec { file, .. } = request {
        listed.files.push(file);
    }
    // A port of the kernel's choice is named by every port.
    let any_port = toml.contains(":*\"");
    for other in &case.asks {
        let (other_subject, other_request) = other.resolve(facts).expect("in the pool");
        let was = judge(&before.policy, facts, &other_subject, &other_request).allowed;
        let is = judge(&after.policy, facts, &other_subject, &other_request).allowed;
        if was == is {
            continue;
        }
        assert!(is, "a line takes away: {other:?}\n{toml}");
        // What is listed may run, and then does what rules for everybody allow.
        let acts_as_listed = shares(&other_subject, &listed);
        let runs_listed =
            matches!(other_request, Request::Exec { file, .. } if listed.files.contains(&file));
        let same = canonical(other_request) == canonical(request);
        assert!(
            same || acts_as_listed || runs_listed || any_port,
            "{ask:?} opens {other:?}\n{toml}\n{}",
            case.source.text
        );
        let for_one = same && !lists_actor && toml.contains("by = [");
        assert!(
            !for_one || shares(&other_subject, &subject),
            "{ask:?} opens {other:?}\n{toml}"
        );
    }
    true
}

/// Takes the rules away that a denial is said to come of, adds the lines, and asks again.
fn hold_change(case: &Case, ask: &Ask, told: &Why, facts: &PoolFacts) {
    let (subject, request) = ask.resolve(facts).expect("in the pool");
    let mut policy = with_lines(case, told.remedy.toml.as_deref().unwrap_or_default()).policy;
    let before = judge(&policy, facts, &subject, &request);
    assert!(!before.allowed, "no denial is in the way: {ask:?} {told:?}");
    for rule in told.remedy.text.split('`').skip(1).step_by(2) {
        policy.exec.retain(|known| known.id.value != rule);
        policy.connect.retain(|known| known.id.value != rule);
        policy.listen.retain(|known| known.id.value != rule);
        policy.unix.retain(|known| known.id.value != rule);
    }
    let after = judge(&policy, facts, &subject, &request);
    assert!(
        after.allowed,
        "{after:?}: {ask:?} {told:?}\n{}",
        case.source.text
    );
}

fn shares(one: &Subject, other: &Subject) -> bool {
    one.files.iter().any(|file| other.files.contains(file))
}

#[test]
fn each_suggested_line_allows_what_was_denied_and_no_more_than_it_names() {
    let facts = PoolFacts::new(BASE);
    let (mut lines, mut changes, mut others) = (0, 0, 0);
    for seed in 0..SEEDS {
        let case = Case::generate(&mut Choices::from_seed(seed), BASE);
        let parsed = parse(case.source.clone(), &NoIncludes).expect("parses");
        let known = Known {
            policy: &parsed,
            facts: &facts,
            generation: Some(7),
        };
        // A record names one file of the acting process, and a file that changed since is judged anew.
        let told_whole = |ask: &&Ask| {
            ask.by.len() <= 1 && !matches!(ask.action, Action::Exec { changed: true, .. })
        };
        for ask in case.asks.iter().filter(told_whole) {
            let (subject, request) = ask.resolve(&facts).expect("in the pool");
            let judgement = judge(&parsed.policy, &facts, &subject, &request);
            if judgement.allowed {
                continue;
            }
            let told = why(&record(ask, &judgement, &facts).0, Some(&known)).expect("a decision");
            if told.remedy.kind == RemedyKind::ChangeRule {
                hold_change(&case, ask, &told, &facts);
                changes += 1;
            } else if hold(&case, &parsed, ask, &told, &facts) {
                lines += 1;
            } else {
                others += 1;
            }
        }
    }
    assert!(
        lines > 1_000 && changes > 100,
        "{lines} lines, {changes} changes, {others} others"
    );
}
