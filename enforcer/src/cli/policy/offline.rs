//! `enforcer policy check|test`: by the same pure core as the daemon, without one.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, path::PathBuf};

use enforcer_policy::{
    Checked, ExampleResult, Facts, NamedFacts, Parsed, check as check_policy, run_examples,
};
use serde::Serialize;

use super::{
    super::{
        exit::{Exit, Failure},
        output::{Screen, colour, table},
    },
    number,
};
use crate::{
    control::{
        api::{Diagnostic, Severity},
        sources::{policy_files, read_policy},
    },
    facts::HostFacts,
};

/// What `check` found in one policy.
#[derive(Debug, Serialize)]
struct Verdict {
    /// The file.
    file: String,
    /// Its agent; absent when the text is not read so far.
    agent: Option<String>,
    /// Whether it would be accepted.
    valid: bool,
    /// Every finding.
    findings: Vec<Diagnostic>,
}

pub(super) fn check(
    paths: &[PathBuf],
    assume_files: bool,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    let mut verdicts = Vec::new();
    for file in policy_files(paths)? {
        let name = file.display().to_string();
        let found = match read_policy(&file)? {
            Ok((parsed, _)) => checked(&parsed, assume_files),
            Err(errors) => (
                None,
                Checked {
                    errors,
                    ..Checked::default()
                },
            ),
        };
        verdicts.push(verdict(name, found.0, &found.1));
    }
    let twice = agents_twice(&verdicts);
    screen.show(&verdicts, |verdicts| rows(verdicts))?;
    for message in &twice {
        eprintln!("error: {message}");
    }
    Ok(
        if twice.is_empty() && verdicts.iter().all(|verdict| verdict.valid) {
            Exit::Ok
        } else {
            Exit::PolicyInvalid
        },
    )
}

fn checked(parsed: &Parsed, assume_files: bool) -> (Option<String>, Checked) {
    let checked = check_policy(parsed, &*facts(parsed, assume_files));
    (Some(parsed.policy.agent.name.value.clone()), checked)
}

fn facts(parsed: &Parsed, assume_files: bool) -> Box<dyn Facts> {
    if assume_files {
        Box::new(NamedFacts::new(&parsed.policy))
    } else {
        Box::new(HostFacts::by_stat())
    }
}

/// Tells the findings on stderr and sums them up.
fn verdict(file: String, agent: Option<String>, found: &Checked) -> Verdict {
    for part in [&found.errors, &found.warnings] {
        if !part.is_empty() {
            eprintln!("{}\n", part.render(colour()));
        }
    }
    let mut findings: Vec<Diagnostic> = Diagnostic::list(&found.errors);
    findings.extend(Diagnostic::list(&found.warnings));
    Verdict {
        file,
        agent,
        valid: found.errors.is_empty(),
        findings,
    }
}

/// An agent has one policy; which of two would be in force is nobody's guess.
fn agents_twice(verdicts: &[Verdict]) -> Vec<String> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(agent) = &verdict.agent {
            files.entry(agent).or_default().push(&verdict.file);
        }
    }
    let twice = files.into_iter().filter(|(_, files)| files.len() > 1);
    twice
        .map(|(agent, files)| {
            format!(
                "agent {agent} has more than one policy: {}",
                files.join(", ")
            )
        })
        .collect()
}

fn rows(verdicts: &[Verdict]) -> String {
    table(
        ["POLICY", "AGENT", "RESULT", "ERRORS", "WARNINGS"],
        verdicts.iter().map(|verdict| {
            let errors = verdict
                .findings
                .iter()
                .filter(|one| one.severity == Severity::Error)
                .count();
            [
                verdict.file.clone(),
                verdict.agent.clone().unwrap_or_else(|| "?".to_owned()),
                if verdict.valid { "ok" } else { "invalid" }.to_owned(),
                errors.to_string(),
                (verdict.findings.len() - errors).to_string(),
            ]
        }),
    )
}

pub(super) fn test(paths: &[PathBuf], on_host: bool, screen: &mut Screen) -> Result<Exit, Failure> {
    let mut results = Vec::new();
    let mut sound = true;
    for file in policy_files(paths)? {
        match read_policy(&file)? {
            Ok((parsed, _)) => results.extend(run_examples(&parsed, &*facts(&parsed, !on_host))),
            Err(errors) => {
                eprintln!("{}\n", errors.render(colour()));
                sound = false;
            }
        }
    }
    screen.show(&results, |results| examples(results))?;
    let failed = results.iter().filter(|result| !result.passed()).count();
    eprintln!(
        "{}: {} passed, {failed} failed",
        number(results.len(), "example"),
        results.len() - failed
    );
    Ok(if sound && failed == 0 {
        Exit::Ok
    } else {
        Exit::PolicyInvalid
    })
}

fn examples(results: &[ExampleResult]) -> String {
    table(
        ["RESULT", "EXAMPLE", "VERDICT", "REASON", "RULE", "PLACE"],
        results.iter().map(|result| {
            let outcome = result
                .failure
                .as_ref()
                .map_or_else(|| "ok".to_owned(), |failure| format!("FAILED: {failure}"));
            [
                outcome,
                result.text.clone(),
                result.got.name().to_owned(),
                result.reason.to_owned(),
                result.rule.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{}:{}", result.file, result.line),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, agent: Option<&str>, valid: bool) -> Verdict {
        Verdict {
            file: file.into(),
            agent: agent.map(str::to_owned),
            valid,
            findings: Vec::new(),
        }
    }

    #[test]
    fn each_policy_is_one_row() {
        let text = rows(&[of("a.toml", Some("ci"), true), of("b.toml", None, false)]);
        let expected = "POLICY  AGENT  RESULT   ERRORS  WARNINGS\n\
                        a.toml  ci     ok       0       0\n\
                        b.toml  ?      invalid  0       0\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_agent_with_two_policies_is_told() {
        let verdicts = [
            of("a.toml", Some("ci"), true),
            of("b.toml", Some("ci"), true),
            of("c.toml", None, false),
            of("d.toml", None, false),
        ];
        assert_eq!(
            agents_twice(&verdicts),
            ["agent ci has more than one policy: a.toml, b.toml"]
        );
    }
}
