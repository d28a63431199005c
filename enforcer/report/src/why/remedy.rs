//! The smallest change to the policy that allows exactly what was denied, if there is one.
//!
//! A change is not read off the reason: lines are added to the policy until [`judge`], the policy's
//! reference meaning, says that the request is allowed, and the compiled tables are asked as well.

use enforcer_common::verdict::Reason;
use enforcer_policy::{Facts, Judgement, Policy, judge};
use serde::Serialize;

use super::{
    Known,
    facts::Seen,
    key,
    line::{self, Line},
    request::{self, Asked},
    search::search,
};
use crate::record::Decision;

/// Which kind of change allows what was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// It was allowed, or the policy in force allows it by now.
    NothingToDo,
    /// Lines are to be added to the policy.
    AddLines,
    /// A key of `[agent]` is to be set.
    SetKey,
    /// A rule that is there denies it, and would have to be narrowed.
    ChangeRule,
    /// The policy is to be applied again, or for the first time: it need not be changed.
    Apply,
    /// No policy can allow it.
    NotByPolicy,
    /// It cannot be told from the record.
    NotKnown,
}

/// What would allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Which kind of change.
    pub kind: RemedyKind,
    /// What it is, in words.
    pub text: String,
    /// TOML to add to the policy, where that is (part of) the change.
    pub toml: Option<String>,
    /// Where it goes.
    pub place: Option<String>,
    /// Whether the change was tried: added to the policy that was given, compiled, and asked for this
    /// request. False when the policy was not given, or the change is none that can be asked about.
    pub tried: bool,
}

impl Remedy {
    fn without_lines(kind: RemedyKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            toml: None,
            place: None,
            tried: false,
        }
    }
}

/// A remedy, and what is to be known before it is taken.
pub(super) struct Advice {
    pub remedy: Remedy,
    pub cautions: Vec<String>,
    pub now: Option<Judgement>,
}

pub(super) const NO_ADDRESS: &str =
    "No policy can allow it: such an address is denied before any rule is looked at.";

pub(super) fn advise(decision: &Decision<'_>, known: Option<&Known<'_>>) -> Advice {
    let plain = |kind, text: &str| Advice {
        remedy: Remedy::without_lines(kind, text),
        cautions: Vec::new(),
        now: None,
    };
    if let Some(key) = key::agent_key(decision, known.map(|known| &known.policy.policy)) {
        return set_key(&key, known);
    }
    match decision.reason {
        Some(
            Reason::RuleAllows | Reason::SameSession | Reason::Enrolled | Reason::SessionEnded,
        ) => plain(RemedyKind::NothingToDo, "It was not denied."),
        Some(Reason::FileChanged) => plain(
            RemedyKind::Apply,
            "The policy lists the file already. Once the change is known to be right, `enforcer policy apply` has it judged again; a rule with `sha256` needs the new digest first.",
        ),
        Some(Reason::AgentNotInPolicy) => plain(
            RemedyKind::Apply,
            "The agent's policy is to be applied (`enforcer policy apply`); until then its sessions are denied everything.",
        ),
        Some(
            Reason::NotListed
            | Reason::NotForThisBinary
            | Reason::ExecutableNotListed
            | Reason::RuleDenies,
        ) => by_rules(decision, known),
        Some(Reason::AddressNotJudgeable) => plain(RemedyKind::NotByPolicy, NO_ADDRESS),
        Some(
            Reason::SocketKindNotAllowed
            | Reason::ReadFailed
            | Reason::SessionUnknown
            | Reason::TableMissing
            | Reason::LabelTableFull
            | Reason::EnforcerGuard
            | Reason::TargetOutsideSession
            | Reason::NeverAllowed
            | Reason::InterpretersTooDeep
            | Reason::ExecutableMemory
            | Reason::ListedCode
            | Reason::SetIdNotAllowed
            | Reason::IdentityUnknown
            | Reason::DeviceNotAllowed
            | Reason::IoUringNotAllowed
            | Reason::NamespaceNotAllowed,
        ) => plain(RemedyKind::NotByPolicy, "No policy can allow it."),
        None => plain(
            RemedyKind::NotKnown,
            "This version cannot tell what would allow it.",
        ),
    }
}

fn set_key(key: &key::AgentKey, known: Option<&Known<'_>>) -> Advice {
    if key.is_set {
        let text = format!("The policy in force has `{}` by now: try again.", key.toml);
        return Advice {
            remedy: Remedy::without_lines(RemedyKind::NothingToDo, text),
            cautions: Vec::new(),
            now: None,
        };
    }
    let file = known.map_or("the policy's own file", |known| known.file());
    Advice {
        remedy: Remedy {
            kind: RemedyKind::SetKey,
            text: "No rule is about this: it is opened for the agent as a whole, or not at all."
                .to_owned(),
            toml: Some(format!("{}\n", key.toml)),
            place: Some(format!(
                "in `[agent]` of {file}; if a line there sets it already, in its place"
            )),
            tried: false,
        },
        cautions: vec![key.caution.to_owned()],
        now: None,
    }
}

fn by_rules(decision: &Decision<'_>, known: Option<&Known<'_>>) -> Advice {
    let named;
    let facts: &dyn Facts = match known {
        Some(known) => known.facts,
        None => {
            named = enforcer_policy::NamedFacts::default();
            &named
        }
    };
    let mut seen = Seen::new(facts);
    let asked = match request::of(decision, &mut seen) {
        Ok(asked) => asked,
        Err(why) => return none(why),
    };
    let given = known.map(|known| known.policy.policy.clone());
    let (Some(mut policy), is_given) = (given.or_else(line::nobodys_policy), known.is_some())
    else {
        return none("It has no name that a line of a policy could list.");
    };
    if !is_given && decision.reason == Some(Reason::RuleDenies) {
        let rule = decision.rule.unwrap_or("the one that decided");
        let text = format!("{} The rule is `{rule}`.", why_narrow("it"));
        return Advice {
            remedy: Remedy::without_lines(RemedyKind::ChangeRule, text),
            ..none("")
        };
    }
    let listed = assume_listed(decision, &asked, &seen, &mut policy);
    let now = judge(&policy, &seen, &asked.subject, &asked.request);
    if is_given && now.allowed {
        let remedy = allowed_now(decision, known, now.rule.as_deref().unwrap_or("a rule"));
        return Advice {
            remedy,
            cautions: Vec::new(),
            now: Some(now),
        };
    }
    let mut advice = search(decision, &asked, &seen, &policy, is_given);
    if listed == Listed::ByAnotherName {
        advice.cautions.push(
            "The policy names the acting executable by another path than the record does, which cannot be followed here: what is said of `by` may be one rule too many.".to_owned(),
        );
    }
    advice.now = known.map(|_| now);
    advice
}

/// What is said where the policy in force allows what was denied.
fn allowed_now(decision: &Decision<'_>, known: Option<&Known<'_>>, rule: &str) -> Remedy {
    let is_later = decision.generation() != known.and_then(|known| known.generation);
    let (kind, text) = if is_later {
        (
            RemedyKind::NothingToDo,
            format!("The policy in force allows it by now (rule `{rule}`): try again."),
        )
    } else if decision.reason == Some(Reason::ExecutableNotListed) {
        (
            RemedyKind::NotKnown,
            "The executable that the record names is listed. A process is also what its script and the script's interpreters are, and a file that was replaced is no longer the one that is listed: start it again, and see which of them is not.".to_owned(),
        )
    } else {
        (
            RemedyKind::Apply,
            format!(
                "By the files that are there now this same policy allows it (rule `{rule}`): they changed since it was applied. Applied again, it holds for them."
            ),
        )
    };
    Remedy {
        tried: true,
        ..Remedy::without_lines(kind, text)
    }
}

/// No way.
pub(super) fn none(why: &str) -> Advice {
    Advice {
        remedy: Remedy::without_lines(RemedyKind::NotByPolicy, why),
        cautions: Vec::new(),
        now: None,
    }
}

/// Why denials, by their ids, have to give way.
pub(super) fn why_narrow(rules: &str) -> String {
    format!(
        "A denial wins, so nothing that is added can allow it: {rules} would have to be narrowed so that it no longer covers this."
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Known,
    ByAnotherName,
}

/// The kernel said that the acting executable is listed. Where the facts cannot follow by which name,
/// a rule is put in that says so.
fn assume_listed(
    decision: &Decision<'_>,
    asked: &Asked,
    seen: &Seen<'_>,
    policy: &mut Policy,
) -> Listed {
    let judged = judge(policy, seen, &asked.subject, &asked.request);
    let is_listed = decision.reason != Some(Reason::ExecutableNotListed);
    if judged.reason != Reason::ExecutableNotListed || !is_listed {
        return Listed::Known;
    }
    let assumed = asked.actor.clone().map(Line::exec);
    if let Some(merged) = assumed.and_then(|line| line::merged(policy, &[line])) {
        *policy = merged;
    }
    Listed::ByAnotherName
}
