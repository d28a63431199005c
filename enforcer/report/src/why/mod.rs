//! Why one action was decided as it was, and what would allow it.
//!
//! ```text
//! record -> Decision -> tried      what was tried, in words
//!                    -> reason     what the reason means, and what to do
//!                    -> nearest    which rule came near, and what kept it from covering this
//!                    -> remedy     the smallest lines that allow this; tried on the policy, with
//!                                  cautions where they open more than they seem to
//! ```

mod alike;
mod caution;
mod facts;
mod key;
mod line;
mod nearest;
mod reason;
mod remedy;
mod request;
mod search;
mod text;
mod tried;

use enforcer_common::verdict::Verdict;
use enforcer_policy::{Facts, NamedFacts, Parsed, Span};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub use nearest::RuleNote;

pub use reason::{Explanation, explain};
pub use remedy::{Remedy, RemedyKind};

use crate::record::Decision;

/// The policy that is in force for the agent of a record.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The policy.
    pub policy: &'a Parsed,
    /// The host's files. Where they are not at hand, [`NamedFacts`] of the policy: files that the policy
    /// names by a symbolic link are then not recognized.
    pub facts: &'a dyn Facts,
    /// The generation that is in force, where it is known.
    pub generation: Option<u32>,
}

impl Known<'_> {
    /// File and line of a place in the policy.
    pub(crate) fn place(&self, span: Span) -> String {
        let Some(source) = self.policy.sources.of(span) else {
            return String::new();
        };
        let before = source.text.get(..span.start as usize).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}", source.name)
    }

    /// Name of the policy's own file.
    pub(crate) fn file(&self) -> &str {
        self.policy
            .sources
            .list()
            .first()
            .map_or("the policy", |source| source.name.as_str())
    }
}

/// Facts of a policy for [`Known::facts`], for a caller that has no others.
#[must_use]
pub fn named_facts(policy: &Parsed) -> NamedFacts {
    NamedFacts::new(&policy.policy)
}

/// A process that the acting one descends from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ancestor {
    /// Its executable's path, where it is known.
    pub path: Option<String>,
    /// Its process id.
    pub pid: Option<u64>,
    /// Its command line as it claimed it.
    pub claimed_command_line: Option<String>,
}

/// The process that acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: Option<u64>,
    /// The executable that it ran; `None` = the launcher's image, or not known.
    pub executable: Option<String>,
    /// SHA-256 of the executable, where it is known.
    pub sha256: Option<String>,
    /// Its command line as it claimed it: it can say anything.
    pub claimed_command_line: Option<String>,
    /// Of a denied exec: the arguments as claimed.
    pub claimed_arguments: Vec<String>,
    /// The user, by name where there is one, else by number.
    pub user: Option<String>,
    /// The executables above it, nearest first.
    pub ancestry: Vec<Ancestor>,
    /// Whether the ancestry reaches the session's first process.
    pub ancestry_is_whole: bool,
}

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// The agent's owner, as its policy says.
    pub whom: Option<String>,
    /// What to do, in words.
    pub how: String,
}

/// Whether the policy in force now would allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Now {
    /// Whether it would.
    pub allowed: bool,
    /// The reason.
    pub reason: &'static str,
    /// The rule that would decide.
    pub rule: Option<String>,
}

/// All that is to be said about one decision. The names of the fields are those of the JSON form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Version of this form: 1. It changes only when a field is taken away or means something else.
    pub format: u32,
    /// `metadata.uid` of the record.
    pub event: String,
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: Option<String>,
    /// On which host.
    pub host: Option<String>,
    /// What was tried, in words.
    pub tried: String,
    /// `allow`, `deny` or `would-deny`.
    pub verdict: &'static str,
    /// The reason's name.
    pub reason: String,
    /// What the reason means.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// Name of the agent.
    pub agent: String,
    /// Its owner, as its policy said.
    pub owner: Option<String>,
    /// Session id.
    pub session: Option<String>,
    /// What the session was started for.
    pub task: Option<String>,
    /// The task's id in the system that it came from.
    pub task_id: Option<String>,
    /// Who acted.
    pub process: Process,
    /// Generation of the policies that decided.
    pub generation: Option<u32>,
    /// Generation in force now, where it was given.
    pub generation_now: Option<u32>,
    /// The rule that decided, with its place where the policy was given.
    pub rule: Option<RuleNote>,
    /// Rules that came near.
    pub nearest: Vec<RuleNote>,
    /// What the policy in force now says, where it was given and rules are about this.
    pub now: Option<Now>,
    /// What would allow it.
    pub remedy: Remedy,
    /// Where that would open more than it seems to.
    pub cautions: Vec<String>,
    /// Whom to ask; absent where nothing is to be asked for.
    pub ask: Option<Ask>,
}

/// Why a record cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyError {
    /// It tells no decision about an agent.
    #[error(
        "record {event} ({code}) is no decision about an agent: expected one with a verdict, such as a denied exec or connect; `enforcer log show --verdict deny` lists them with --output json, metadata.uid being EVENT"
    )]
    NotADecision {
        /// `metadata.uid`, or `without an id`.
        event: String,
        /// `metadata.event_code`.
        code: String,
    },
}

/// Explains the decision that a record tells, by the policy of its agent where that is known.
///
/// # Errors
/// When the record tells no decision.
pub fn why(record: &Value, known: Option<&Known<'_>>) -> Result<Why, WhyError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let event = text(&record["metadata"]["uid"]).unwrap_or_else(|| "without an id".to_owned());
    let Some(decision) = Decision::of(record) else {
        let code =
            text(&record["metadata"]["event_code"]).unwrap_or_else(|| "without a code".to_owned());
        return Err(WhyError::NotADecision { event, code });
    };
    let explanation = decision.reason.map_or(reason::UNKNOWN, explain);
    let unmapped = &record["unmapped"];
    let owner = text(&unmapped["owner"])
        .or_else(|| known.map(|known| known.policy.policy.agent.owner.clone()));
    let advice = remedy::advise(&decision, known);
    let (rule, nearest) = rules(&decision, known);
    Ok(Why {
        format: 1,
        time: time(record),
        host: text(&record["device"]["hostname"]),
        tried: tried::tried(&decision),
        verdict: decision.verdict.name(),
        reason: decision.reason_name.to_owned(),
        meaning: reason::meaning_of(&decision).unwrap_or(explanation.meaning),
        advice: explanation.advice,
        agent: decision.agent.to_owned(),
        session: decision.session.map(str::to_owned),
        task: text(&unmapped["task"]),
        task_id: text(&unmapped["task_id"]),
        process: process(&decision),
        generation: decision.generation(),
        generation_now: known.and_then(|known| known.generation),
        rule,
        nearest,
        now: advice.now.map(|now| Now {
            allowed: now.allowed,
            reason: now.reason.name(),
            rule: now.rule,
        }),
        ask: ask(&decision, &advice.remedy, owner.as_deref(), &event),
        remedy: advice.remedy,
        cautions: advice.cautions,
        owner,
        event,
    })
}

fn time(record: &Value) -> Option<String> {
    let time = Timestamp::from_millisecond(record["time"].as_i64()?).ok()?;
    Some(format!("{time:.3}"))
}

/// The rule that decided, and those that came near.
fn rules(decision: &Decision<'_>, known: Option<&Known<'_>>) -> (Option<RuleNote>, Vec<RuleNote>) {
    let plain = decision.rule.map(|rule| RuleNote {
        rule: rule.to_owned(),
        effect: if decision.verdict == Verdict::Allow {
            "allow"
        } else {
            "deny"
        },
        place: String::new(),
        entry: String::new(),
        differs: Vec::new(),
    });
    let Some(known) = known else {
        return (plain, Vec::new());
    };
    let mut seen = facts::Seen::new(known.facts);
    let Ok(asked) = request::of(decision, &mut seen) else {
        return (plain, Vec::new());
    };
    let decided = decision
        .rule
        .and_then(|rule| nearest::deciding(known, &seen, &asked.request, rule));
    let near = if decision.verdict == Verdict::Allow || decision.rule.is_some() {
        Vec::new()
    } else {
        nearest::nearest(
            known,
            &seen,
            &asked.subject,
            &asked.request,
            &decision.object,
        )
    };
    (decided.or(plain), near)
}

fn process(decision: &Decision<'_>) -> Process {
    let record = decision.record;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let actor = &record["actor"]["process"];
    let ancestor = |one: &Value| Ancestor {
        path: text(&one["path"]),
        pid: one["pid"].as_u64(),
        claimed_command_line: text(&one["cmd_line"]),
    };
    let user = &record["actor"]["user"];
    let arguments = record["unmapped"]["claimed_argv"].as_array();
    Process {
        pid: actor["pid"].as_u64(),
        executable: decision.actor.name().map(str::to_owned),
        sha256: decision.actor.sha256.map(str::to_owned),
        claimed_command_line: text(&actor["cmd_line"]),
        claimed_arguments: arguments.into_iter().flatten().filter_map(text).collect(),
        user: text(&user["name"]).or_else(|| text(&user["uid"])),
        ancestry: actor["ancestry"]
            .as_array()
            .into_iter()
            .flatten()
            .map(ancestor)
            .collect(),
        ancestry_is_whole: record["unmapped"]["ancestry_incomplete"].as_bool() != Some(true),
    }
}

fn ask(decision: &Decision<'_>, remedy: &Remedy, owner: Option<&str>, event: &str) -> Option<Ask> {
    let agent = decision.agent;
    let whom = owner.map(str::to_owned);
    let who = owner.unwrap_or("the agent's owner");
    let how = match remedy.kind {
        RemedyKind::NothingToDo | RemedyKind::NotByPolicy | RemedyKind::NotKnown => return None,
        RemedyKind::AddLines | RemedyKind::SetKey | RemedyKind::ChangeRule => format!(
            "Ask {who}, who answers for {agent}, and name the event {event}. An administrator then changes the policy (`enforcer policy plan`, `enforcer policy apply`); the agent itself cannot."
        ),
        RemedyKind::Apply => format!(
            "Ask an administrator of the host to look and to apply the policy of {agent} again, and name the event {event}."
        ),
    };
    Some(Ask { whom, how })
}
