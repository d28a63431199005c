//! What applying would change; what examples say.

mod common;

use common::{HEAD, policy, source};
use enforcer_policy::{NamedFacts, NoIncludes, parse, plan, run_examples};

const RULES: &str = "[[exec]]\nid = \"tools\"\nallow = [\"/usr/bin/git\", \"/usr/bin/make\"]\n\
    [[connect]]\nid = \"src\"\nallow = [\"tcp:10.0.0.0/8:443\"]\nby = [\"/usr/bin/git\"]\n";

#[test]
fn a_plan_names_settings_rules_and_what_they_list() {
    let old = policy(RULES).policy;
    assert_eq!(plan(Some(&old), &old), []);
    let text = format!("{HEAD}{RULES}[[unix]]\nid = \"log\"\nallow = [\"/run/log\", \"@x\"]\n")
        .replace("\"/usr/bin/make\"", "\"/usr/bin/cmake\"")
        .replace("by = ", "#")
        .replace("purpose = \"p\"", "purpose = \"q\"");
    let new = parse(source("p", &text), &NoIncludes)
        .unwrap_or_else(|e| panic!("{e}"))
        .policy;
    let lines = |changes: Vec<enforcer_policy::Change>| -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        lines(plan(Some(&old), &new)),
        [
            "~ agent purpose: p -> q",
            "- exec tools: allow /usr/bin/make",
            "+ exec tools: allow /usr/bin/cmake",
            "- connect src: by /usr/bin/git",
            "+ unix log",
            "+ unix log: allow /run/log",
            "+ unix log: allow @x",
        ]
    );
    let first = lines(plan(None, &old));
    assert_eq!(first[0], "+ agent name: a");
    assert!(
        first.contains(&"+ connect src: allow tcp:10.0.0.0/8:443".to_owned()),
        "{first:?}"
    );
    let back = lines(plan(Some(&new), &old));
    assert!(
        back.starts_with(&["~ agent purpose: q -> p".into(), "- unix log".into()]),
        "{back:?}"
    );
}

#[test]
fn what_an_agent_listens_on_is_planned_and_tried() {
    let rules = "[[exec]]\nid = \"x\"\nallow = [\"/usr/bin/node\"]\n\
        [[listen]]\nid = \"dev\"\nallow = [\"tcp:127.0.0.1:3000-3999\"]\nby = [\"/usr/bin/node\"]\n";
    let (old, new) = (policy(""), policy(rules));
    let changes = plan(Some(&old.policy), &new.policy);
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[2..],
        [
            "+ listen dev",
            "+ listen dev: allow tcp:127.0.0.1:3000-3999",
            "+ listen dev: by /usr/bin/node",
        ]
    );
    let parsed = policy(&format!(
        "{rules}[[example]]\nby = \"/usr/bin/node\"\nlisten = \"tcp:[::ffff:127.0.0.1]:3000\"\nexpect = \"allow\"\nrule = \"dev\"\n\
         [[example]]\nlisten = \"tcp:127.0.0.1:3000\"\nexpect = \"deny\"\nreason = \"not-for-this-binary\"\n\
         [[example]]\nby = \"/usr/bin/node\"\nlisten = \"tcp:0.0.0.0:3000\"\nexpect = \"deny\"\nreason = \"not-listed\"\n\
         [[example]]\nby = \"/usr/bin/node\"\nconnect = \"tcp:127.0.0.1:3000\"\nexpect = \"deny\"\nreason = \"not-listed\"\n"
    ));
    let results = run_examples(&parsed, &NamedFacts::new(&parsed.policy));
    assert_eq!(results.len(), 4);
    for result in &results {
        assert!(result.passed(), "{result:?}");
    }
    assert_eq!(results[2].text, "/usr/bin/node: listen tcp:0.0.0.0:3000");
}

#[test]
fn examples_fail_with_what_came_instead() {
    let parsed = policy(&format!(
        "{RULES}\
         [[example]]\nby = \"/usr/bin/git\"\nconnect = \"tcp:10.1.2.3:443\"\nexpect = \"allow\"\nrule = \"src\"\n\
         [[example]]\nby = \"/usr/bin/make\"\nconnect = \"tcp:10.1.2.3:443\"\nexpect = \"allow\"\n\
         [[example]]\nby = \"/usr/bin/git\"\nexec = \"/usr/bin/make\"\nexpect = \"allow\"\nrule = \"src\"\n\
         [[example]]\nby = \"/usr/bin/nc\"\nunix = \"/run/x\"\nexpect = \"deny\"\nreason = \"not-listed\"\n\
         [[example]]\nunix = \"@x\"\nexpect = \"deny\"\nreason = \"not-listed\"\n"
    ));
    let results = run_examples(&parsed, &NamedFacts::new(&parsed.policy));
    let failures: Vec<Option<&str>> = results.iter().map(|r| r.failure.as_deref()).collect();
    assert_eq!(
        failures,
        [
            None,
            Some("expected allow, got deny (not-for-this-binary, by no rule)"),
            Some("expected rule src to decide, but tools did"),
            Some("expected reason not-listed, got executable-not-listed"),
            None,
        ]
    );
    assert_eq!(results[0].text, "/usr/bin/git: connect tcp:10.1.2.3:443");
    assert_eq!((results[0].file.as_str(), results[0].line), ("p.toml", 15));
}
