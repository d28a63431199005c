//! `enforcer policy`: the daemon's verbs. Those that need no daemon are in `offline`.
#![forbid(unsafe_code)]

mod offline;

use enforcer_policy::Diagnostics;

use super::{
    args,
    exit::{Exit, Failure},
    output::{Screen, colour, pairs, plain, table},
    wait,
};
use crate::control::{
    api::{ChangeKind, PolicyDetail, PolicyFacts, PolicyOutcome, PolicyRequest},
    client::Client,
    sources::{policy_files, read_policy},
};

pub(super) fn perform(
    verb: args::Policy,
    client: &Client,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    match verb {
        args::Policy::Check {
            paths,
            assume_files,
        } => return offline::check(&paths, assume_files, screen),
        args::Policy::Test { paths, on_host } => return offline::test(&paths, on_host, screen),
        args::Policy::Plan(change) => {
            let outcome = wait(client.plan(&request(change)?))??;
            tell(&outcome, screen, "nothing would change", "would change")?;
        }
        args::Policy::Apply(change) => {
            let outcome = wait(client.apply(&request(change)?))??;
            tell(&outcome, screen, "nothing to do", "is in force")?;
        }
        args::Policy::List => {
            let policies = wait(client.policies())??;
            screen.show(&policies, |policies| list(policies))?;
        }
        args::Policy::Show { agent } => {
            let detail = wait(client.policy(&agent))??;
            screen.show(&detail, show)?;
        }
    }
    Ok(Exit::Ok)
}

/// The policies as they are sent: parsed here first, so that a slip needs no daemon to be told.
fn request(change: args::Change) -> Result<PolicyRequest, Failure> {
    let mut policies = Vec::new();
    let mut findings = Vec::new();
    for file in policy_files(&change.paths)? {
        match read_policy(&file)? {
            Ok((_, source)) => policies.push(source),
            Err(found) => findings.push(found),
        }
    }
    if !findings.is_empty() {
        return Err(invalid(&findings));
    }
    Ok(PolicyRequest {
        policies,
        prune: change.prune,
        expected_generation: change.expected_generation,
    })
}

fn invalid(findings: &[Diagnostics]) -> Failure {
    let count: usize = findings.iter().map(|found| found.list.len()).sum();
    let files = findings.len();
    let rendered = findings.iter().map(|found| found.render(colour()));
    Failure {
        findings: rendered.collect(),
        ..Failure::new(
            Exit::PolicyInvalid,
            format!(
                "{} in {}; nothing was sent",
                number(count, "error"),
                number(files, "policy file")
            ),
        )
    }
}

fn tell(
    outcome: &PolicyOutcome,
    screen: &mut Screen,
    nothing: &str,
    done: &str,
) -> Result<(), Failure> {
    for warning in &outcome.warnings {
        eprintln!("{}\n", warning.rendered);
    }
    screen.show(outcome, changes)?;
    let generation = outcome.generation;
    if outcome.changes.is_empty() {
        eprintln!("{nothing}: generation {generation} stays");
    } else {
        eprintln!(
            "{} {done}: generation {generation}",
            number(outcome.changes.len(), "agent")
        );
    }
    Ok(())
}

fn changes(outcome: &PolicyOutcome) -> String {
    let mut text = String::new();
    for change in &outcome.changes {
        let mark = match change.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
        };
        text.push_str(&format!("{mark} {}\n", plain(&change.agent)));
        for detail in &change.details {
            text.push_str(&format!("    {}\n", plain(detail)));
        }
    }
    text
}

fn list(policies: &[PolicyFacts]) -> String {
    let head = [
        "AGENT",
        "MODE",
        "GENERATION",
        "RULES",
        "EXECUTABLES",
        "DESTINATIONS",
        "UNIX",
        "SESSIONS",
        "OWNER",
    ];
    table(
        head,
        policies.iter().map(|facts| {
            [
                facts.agent.clone(),
                facts.mode.clone(),
                facts.generation.to_string(),
                facts.rules.to_string(),
                facts.executables.to_string(),
                facts.destinations.to_string(),
                facts.unix_peers.to_string(),
                facts.sessions.to_string(),
                facts.owner.clone(),
            ]
        }),
    )
}

/// Facts as comments, then the text: what is shown can be saved and applied again.
fn show(detail: &PolicyDetail) -> String {
    let facts = &detail.facts;
    let head = pairs(&[
        ("agent", facts.agent.clone()),
        ("mode", facts.mode.clone()),
        ("generation", facts.generation.to_string()),
        ("rules", facts.rules.to_string()),
        ("executables", facts.executables.to_string()),
        ("destinations", facts.destinations.to_string()),
        ("unix peers", facts.unix_peers.to_string()),
        ("sessions", facts.sessions.to_string()),
    ]);
    let mut text: String = head.lines().map(|line| format!("# {line}\n")).collect();
    let includes = detail
        .source
        .includes
        .iter()
        .map(|include| (&include.name, &include.text));
    for (name, source) in
        std::iter::once((&detail.source.name, &detail.source.text)).chain(includes)
    {
        text.push_str(&format!(
            "\n# --- {} ---\n{}\n",
            plain(name),
            printable(source).trim_end()
        ));
    }
    text
}

/// A text of several lines, each of them plain. Tabs stay.
fn printable(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t");
    text.lines().map(|one| line(one) + "\n").collect()
}

/// `1 agent`, `2 agents`.
fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{AgentChange, IncludeSource, PolicySource};

    #[test]
    fn changes_are_marked() {
        let change = |agent: &str, kind| AgentChange {
            agent: agent.into(),
            kind,
            details: vec!["+ exec tools".into()],
        };
        let outcome = PolicyOutcome {
            generation: 4,
            changes: vec![
                change("a", ChangeKind::Added),
                change("b", ChangeKind::Changed),
                change("c", ChangeKind::Removed),
            ],
            warnings: Vec::new(),
        };
        assert_eq!(
            changes(&outcome),
            "+ a\n    + exec tools\n~ b\n    + exec tools\n- c\n    + exec tools\n"
        );
    }

    #[test]
    fn a_policy_is_shown_with_its_facts_and_its_includes() {
        let facts = PolicyFacts {
            agent: "ci".into(),
            owner: "o".into(),
            mode: "enforce".into(),
            generation: 4,
            rules: 3,
            executables: 2,
            destinations: 1,
            unix_peers: 0,
            sessions: 0,
        };
        let include = IncludeSource {
            name: "sets/git.toml".into(),
            text: "y = 2\n".into(),
        };
        let source = PolicySource {
            name: "ci.toml".into(),
            text: "\tx = 1\r\n".into(),
            includes: vec![include],
        };
        let text = show(&PolicyDetail { facts, source });
        assert!(
            text.starts_with("# agent         ci\n# mode          enforce\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n# --- ci.toml ---\n\tx = 1\n\n# --- sets/git.toml ---\ny = 2\n"),
            "{text}"
        );
        assert!(list(&[]).starts_with("AGENT"));
    }
}
