//! What a report says of a month, held to a second way of counting it.

mod common;

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use common::{
    Record, START, golden,
    month::{END, month},
    naive::{Count, Lists, lists, of_code},
    policy, whole,
};
use enforcer_policy::{Includes, NamedFacts, Parsed, Source, parse};
use enforcer_report::{
    AgentReport, Chain, ChainState, Known, LIMITS, Moment, Options, Report, Severity, Tally,
    named_facts, report,
};
use serde_json::{Value, json};

struct Files;

impl Includes for Files {
    fn read(&self, _including: &str, path: &str) -> Result<Source, String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../policies")
            .join(path);
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        Ok(Source {
            name: path.to_owned(),
            text,
        })
    }
}

fn shipped(name: &str) -> Parsed {
    let source = Files.read("", name).expect("a policy");
    parse(source, &Files).unwrap_or_else(|errors| panic!("{errors}"))
}

static POLICIES: LazyLock<Vec<(Parsed, NamedFacts)>> = LazyLock::new(|| {
    let names = ["coding-agent.toml", "ci-runner.toml", "readonly-ops.toml"];
    let with_facts = |name| {
        let parsed = shipped(name);
        let facts = named_facts(&parsed);
        (parsed, facts)
    };
    names.into_iter().map(with_facts).collect()
});

fn options() -> Options<'static> {
    let known = |(policy, facts): &'static (Parsed, NamedFacts)| Known {
        policy,
        facts,
        generation: Some(7),
    };
    Options {
        generated: Some(Moment(END)),
        since: Some(Moment(START)),
        until: Some(Moment(END)),
        policies: POLICIES.iter().map(known).collect(),
        chain: Chain {
            state: ChainState::Ok,
            text: "12 checkpoints, the last of 2026-11-30".into(),
        },
        malformed_lines: 0,
    }
}

fn of(tally: &Tally) -> Count {
    let times = [tally.first, tally.last]
        .into_iter()
        .flatten()
        .map(|at| at.0)
        .collect();
    Count([tally.allowed, tally.denied, tally.would_deny], times)
}

/// The lists of a report's agent, in the form of the second way.
fn told(agent: &AgentReport) -> Lists {
    let mut lists = Lists::new();
    let mut put = |list, key: String, tally: &Tally| {
        lists.entry(list).or_default().insert(key, of(tally));
    };
    put("all", String::new(), &agent.tally);
    for rule in &agent.rules {
        put("rules", rule.key.rule.clone(), &rule.tally);
    }
    for reason in &agent.reasons {
        put("reasons", reason.key.reason.clone(), &reason.tally);
    }
    for executable in &agent.executables {
        put(
            "executables",
            executable.key.executable.clone(),
            &executable.tally,
        );
    }
    for destination in &agent.destinations {
        put(
            "destinations",
            destination.key.destination.clone(),
            &destination.tally,
        );
    }
    for session in agent
        .sessions
        .iter()
        .filter(|session| session.tally.total() > 0)
    {
        put("sessions", session.session.clone(), &session.tally);
    }
    for denial in &agent.denials {
        let key = &denial.key;
        let key = format!(
            "{}|{}|{}|{}|{}|{}",
            key.verdict, key.what, key.executable, key.object, key.reason, key.rule
        );
        put("denials", key, &denial.tally);
    }
    lists
}

/// First and last of the times instead of all.
fn ends(mut lists: Lists) -> Lists {
    for count in lists.values_mut().flat_map(BTreeMap::values_mut) {
        let ends = [count.1.iter().min(), count.1.iter().max()];
        count.1 = ends.into_iter().flatten().copied().collect();
    }
    lists
}

#[test]
fn every_count_is_that_of_a_second_way_of_counting() {
    for seed in [1, 7, 42] {
        let records = month(seed, 4, 60);
        let report = report(&records, options());
        assert_eq!(report.agents.len(), 3);
        for agent in &report.agents {
            assert_eq!(
                told(agent),
                ends(lists(&records, Some(&agent.agent))),
                "{}",
                agent.agent
            );
            assert!(agent.beyond.is_empty());
            let in_bars: u64 = agent
                .timeline
                .bars
                .iter()
                .map(|bar| bar.allowed + bar.denied + bar.would_deny)
                .sum();
            assert_eq!(in_bars, agent.tally.total());
        }
        let all = &ends(lists(&records, None))["all"][""];
        assert_eq!(&of(&report.totals.decisions), all);
        let totals = &report.totals;
        assert_eq!(totals.records, records.len() as u64);
        assert_eq!(totals.sessions_started, of_code(&records, "session-start"));
        assert_eq!(totals.sessions_ended, of_code(&records, "session-end"));
        assert_eq!(totals.policies_applied, of_code(&records, "policy-applied"));
        assert_eq!(totals.policies_rejected, 1);
        assert_eq!(
            (
                totals.daemon_starts,
                totals.daemon_stops,
                totals.daemon_removals
            ),
            (3, 1, 0)
        );
        assert_eq!(totals.events_lost, 1_312 + 25);
        let bars: Vec<_> = report.timeline.bars.iter().map(|bar| bar.start.0).collect();
        assert_eq!((bars.len(), bars[0]), (60, START));
    }
}

#[test]
fn records_outside_the_period_are_counted_and_not_told() {
    let records = month(3, 2, 20);
    let (since, until) = (START + 86_400_000 * 5, START + 86_400_000 * 8);
    let inside: Vec<Value> = records
        .iter()
        .filter(|record| (since..until).contains(&record["time"].as_i64().expect("a time")))
        .cloned()
        .collect();
    let options = Options {
        since: Some(Moment(since)),
        until: Some(Moment(until)),
        ..options()
    };
    let told_of = report(&records, options);
    assert_eq!(
        told_of.totals.outside_period,
        (records.len() - inside.len()) as u64
    );
    let all = ends(lists(&inside, None));
    assert_eq!(of(&told_of.totals.decisions), all["all"][""]);
}

#[test]
fn beyond_the_limits_the_sums_stay_exact() {
    let number = LIMITS.keys_of_a_list as u64 + 500;
    let records = (0..number).flat_map(|n| {
        let record = Record::new("connect", "deny", "not-listed").agent("a", &format!("{n:016x}"));
        let record = record
            .to("tcp", &format!("10.0.{}.{}", n / 256, n % 256), 443)
            .0;
        [record.clone(), record]
    });
    let report = report(records, Options::default());
    let agent = &report.agents[0];
    assert_eq!(agent.tally.denied, 2 * number);
    assert_eq!(agent.destinations.len(), LIMITS.keys_of_a_list);
    assert!(
        agent
            .destinations
            .iter()
            .all(|destination| destination.tally.denied == 2)
    );
    assert_eq!(agent.beyond.destinations.denied, 1_000);
    assert_eq!(agent.beyond.denials.denied, 1_000);
    assert_eq!(agent.beyond.sessions.denied, 1_000);
    assert_eq!(report.summary.severity, Severity::Attention);
    assert!(
        report
            .text()
            .contains("1,000 decisions about what is not listed one by one")
    );
}

#[test]
fn more_agents_than_have_a_part_of_their_own_are_told_of_together() {
    let number = LIMITS.agents as u64 + 9;
    let records = (0..number).map(|n| {
        Record::new("fork", "deny", "label-table-full")
            .agent(&format!("agent-{n}"), "1")
            .0
    });
    let report = report(records, Options::default());
    let others = report.agents.last().expect("others");
    assert_eq!(
        (others.agent.as_str(), others.tally.denied),
        ("(other agents)", 9)
    );
    assert_eq!(report.totals.decisions.denied, number);
}

const RULES: &str = r#"
[[exec]]
id = "tools"
allow = ["/usr/bin/git", "/usr/bin/make", "/usr/lib/x/libz.so.1"]
[[exec]]
id = "shell"
allow = ["/usr/bin/bash"]
[[connect]]
id = "source"
allow = ["tcp:192.0.2.0/24:443", "tcp:[2001:db8::]/32:443"]
by = ["/usr/bin/git", "/usr/bin/make"]
[[connect]]
id = "no-metadata"
deny = ["tcp:169.254.169.254:*"]
[[listen]]
id = "dev"
allow = ["tcp:127.0.0.1:3000"]
[[unix]]
id = "syslog"
allow = ["/run/log.sock", "@name"]
"#;

fn some_uses() -> Vec<Value> {
    let allow = |kind: &str, rule: &str| {
        Record::new(kind, "allow", "rule-allows")
            .rule(rule)
            .by(Some("/usr/bin/git"))
    };
    vec![
        Record::new("session-start", "allow", "enrolled").0,
        allow("exec", "tools").exec("/usr/bin/git").0,
        allow("connect", "source").to("tcp", "192.0.2.9", 443).0,
        allow("unix", "syslog").unix("/var/run/log.sock").0,
    ]
}

fn unused(parsed: &Parsed, records: &[Value]) -> Vec<(String, u64, Vec<String>, Vec<String>)> {
    let facts = named_facts(parsed);
    let policies = vec![Known {
        policy: parsed,
        facts: &facts,
        generation: None,
    }];
    let report = report(
        records,
        Options {
            policies,
            ..Options::default()
        },
    );
    let unused = report.agents[0].unused.clone().expect("a policy");
    unused
        .rules
        .into_iter()
        .map(|rule| (rule.rule, rule.uses, rule.entries, rule.by))
        .collect()
}

fn row(
    rule: &str,
    uses: u64,
    entries: &[&str],
    by: &[&str],
) -> (String, u64, Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (rule.to_owned(), uses, owned(entries), owned(by))
}

#[test]
fn what_is_allowed_and_was_never_used_is_told_entry_by_entry() {
    assert_eq!(
        unused(&policy(RULES), &some_uses()),
        [
            row("tools", 1, &["/usr/bin/make"], &[]),
            row("shell", 0, &["/usr/bin/bash"], &[]),
            row(
                "source",
                1,
                &["tcp:[2001:db8::]/32:443"],
                &["/usr/bin/make"]
            ),
            row("dev", 0, &["tcp:127.0.0.1:3000"], &[]),
            row("syslog", 1, &["@name"], &[]),
        ]
    );
}

#[test]
fn a_use_that_no_entry_accounts_for_may_be_of_any_of_them() {
    // The policy names git and make, the record the file that one of them is a link to.
    let mut records = some_uses();
    records.push(
        Record::new("connect", "allow", "rule-allows")
            .rule("source")
            .by(Some("/usr/lib/git-core/git"))
            .to("tcp", "192.0.2.9", 443)
            .0,
    );
    let rules = unused(&policy(RULES), &records);
    let source = rules.iter().find(|(rule, ..)| rule == "source");
    assert_eq!(
        source,
        Some(&row("source", 2, &["tcp:[2001:db8::]/32:443"], &[]))
    );
}

#[test]
fn what_acted_is_needed_though_it_was_started_before_the_period() {
    let mut records = some_uses();
    let denied = Record::new("connect", "deny", "not-listed").to("tcp", "192.0.3.9", 443);
    records.push(denied.by(Some("/usr/bin/bash")).0);
    let rules = unused(&policy(RULES), &records);
    assert!(rules.iter().all(|(rule, ..)| rule != "shell"), "{rules:?}");
}

#[test]
fn what_is_not_recorded_when_it_is_allowed_is_not_said_to_be_unused() {
    let text = format!(
        "{}{RULES}",
        common::HEAD.replace(
            "purpose = \"tests\"\n",
            "purpose = \"tests\"\naudit = \"denials\"\n"
        )
    );
    let rules = unused(&whole(&text), &some_uses());
    let rules: Vec<&str> = rules.iter().map(|(rule, ..)| rule.as_str()).collect();
    assert_eq!(rules, ["tools", "shell"]);
    // Nor is anything said of an agent that did nothing.
    assert_eq!(unused(&policy(RULES), &[]), []);
}

#[test]
fn the_summary_says_first_what_is_worst() {
    let sentence = |records: &[Value], chain: ChainState| {
        let chain = Chain {
            state: chain,
            text: "record 7 was changed".into(),
        };
        report(
            records,
            Options {
                chain,
                ..Options::default()
            },
        )
        .summary
    };
    let good = sentence(&some_uses(), ChainState::Ok);
    assert_eq!(
        (good.severity, good.sentence.as_str()),
        (
            Severity::Note,
            "Nothing is wrong: of 3 decisions none was denied, and no event was lost."
        )
    );
    let bad = sentence(&some_uses(), ChainState::Tampered);
    assert_eq!(
        bad.sentence,
        "Something is wrong: The log was tampered with: record 7 was changed."
    );
    let none = sentence(&[], ChainState::Ok);
    assert_eq!(none.sentence, "There are no records of this period.");
    let removed = json!({
        "time": START, "device": {"hostname": "h"}, "metadata": {"event_code": "daemon-remove"}, "status_detail": "enforcing",
        "unmapped": {"removed_by": {"uid": "0", "name": "root"}, "removal_reason": "moving away"},
    });
    let removed = sentence(&[removed], ChainState::Ok);
    assert_eq!(removed.severity, Severity::Alarm);
    assert!(
        removed
            .sentence
            .contains("root (0), saying \"moving away\""),
        "{}",
        removed.sentence
    );
    let guard = sentence(
        &[Record::new("guard", "deny", "enforcer-guard").0],
        ChainState::Ok,
    );
    assert_eq!(guard.severity, Severity::Alarm);
}

#[test]
fn records_that_make_no_sense_are_counted_and_break_nothing() {
    let odd = [
        json!({}),
        json!({"metadata": {"event_code": "from-tomorrow"}, "time": "soon"}),
        json!({"unmapped": {"verdict": "maybe"}, "metadata": {"event_code": "exec"}}),
        json!({"unmapped": {"verdict": "deny"}, "metadata": {"event_code": "from-tomorrow"}, "time": i64::MAX}),
        json!({"unmapped": {"verdict": "deny"}, "metadata": {"event_code": "connect"}, "time": i64::MIN}),
        json!({"metadata": {"event_code": "events-lost"}, "count": u64::MAX}),
        json!({"metadata": {"event_code": "events-lost"}, "count": u64::MAX}),
    ];
    let report = report(&odd, Options::default());
    assert_eq!(
        (report.totals.records, report.totals.unknown_records),
        (7, 3)
    );
    assert_eq!(report.totals.events_lost, u64::MAX);
    assert!(!report.text().is_empty() && !report.html().is_empty());
    assert!(serde_json::to_string(&report).is_ok());
}

/// A few records of everything, for the golden files.
fn few() -> Report {
    let mut records = some_uses();
    let deny = |verdict: &str, at: i64| {
        Record::new("connect", verdict, "not-listed")
            .by(Some("/usr/bin/curl"))
            .to("tcp", "203.0.113.7", 443)
            .at(START + at, 9)
    };
    records.extend([
        deny("deny", 3_600_000).0,
        deny("deny", 7_200_000).0,
        deny("would-deny", 90_000_000).0,
    ]);
    records.extend(month(5, 0, 0));
    let parsed = policy(RULES);
    let facts = named_facts(&parsed);
    let policies = vec![Known {
        policy: &parsed,
        facts: &facts,
        generation: None,
    }];
    report(
        &records,
        Options {
            policies,
            generated: Some(Moment(END)),
            ..Options::default()
        },
    )
}

#[test]
fn a_small_report_as_text() {
    let text = few().text();
    golden("report.txt", &text);
    assert!(text.lines().all(|line| enforcer_report::width(line) <= 96));
}

#[test]
fn a_small_report_as_json() {
    golden(
        "report.json",
        &(serde_json::to_string_pretty(&few()).expect("JSON") + "\n"),
    );
}

#[test]
fn a_month_as_text_keeps_to_its_columns() {
    let text = report(month(1, 4, 60), options()).text();
    let widest = text.lines().map(enforcer_report::width).max();
    assert!(widest <= Some(96), "{widest:?}");
}

/// Writes the month's three forms into the folder that `REPORT_TO` names, to look at.
#[test]
#[ignore = "writes files for a look at them: REPORT_TO=/some/folder"]
fn a_month_to_look_at() {
    let folder = std::env::var_os("REPORT_TO").expect("REPORT_TO");
    let report = report(month(1, 12, 150), options());
    let write = |name: &str, text: String| {
        std::fs::write(Path::new(&folder).join(name), text).expect("written")
    };
    write("report.html", report.html());
    write("report.txt", report.text());
    write(
        "report.json",
        serde_json::to_string_pretty(&report).expect("JSON"),
    );
}

#[test]
#[ignore = "measures: cargo test --release -p enforcer-report -- --ignored --nocapture a_million"]
fn a_million_records_take_seconds() {
    let records = month(1, 12, 150);
    let begin = std::time::Instant::now();
    let report = report(records.iter().cycle().take(1_000_000), options());
    let counted = begin.elapsed();
    let html = report.html();
    println!(
        "1,000,000 records ({} different): {counted:.2?}; page of {} bytes: {:.2?}",
        records.len(),
        html.len(),
        begin.elapsed() - counted
    );
    assert_eq!(report.totals.records, 1_000_000);
    assert!(
        cfg!(debug_assertions) || counted.as_secs() < 20,
        "{counted:?}"
    );
}

/// Names of members, at every depth.
fn members(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| members(item, names)),
        Value::Object(object) => {
            for (name, member) in object {
                names.insert(name.clone());
                // What a host calls its facts is its own.
                if name != "facts" {
                    members(member, names);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_page_about_reports_names_every_member_and_every_limit() {
    let read = |file: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file)
    };
    let page = read("../../docs/report.md");
    let mut names = std::collections::BTreeSet::new();
    for file in ["tests/golden/report.json", "tests/golden/why.json"] {
        let value = serde_json::from_str(&read(file)).expect("JSON");
        members(&value, &mut names);
    }
    assert!(names.len() > 80, "{names:?}");
    let known_elsewhere = ["agents", "keys", "keys_of_a_list", "events", "bars"];
    for name in names
        .iter()
        .filter(|name| !known_elsewhere.contains(&name.as_str()))
    {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/report.md does not name {name}"
        );
    }
    let number = |number: usize| enforcer_report::count(number as u64);
    for limit in [
        LIMITS.agents,
        LIMITS.keys_of_a_list,
        LIMITS.keys,
        LIMITS.events,
    ] {
        assert!(page.contains(&number(limit)), "{limit}");
    }
}
