//! Examples: the tests that a policy carries.

use enforcer_common::{
    object::{FileId, FileStamp, UnixKey},
    verdict::Reason,
};
use serde::Serialize;

use crate::{
    facts::{Facts, PathFact},
    judge::{Judgement, judge},
    model::{Effect, Example, ExampleAction, Peer},
    render::position,
    request::{Request, Subject},
    source::Parsed,
};

/// What came of an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExampleResult {
    /// File that the example stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The example in words: who tries what.
    pub text: String,
    /// What it expects.
    pub expected: Effect,
    /// What the policy says.
    pub got: Effect,
    /// Why.
    pub reason: &'static str,
    /// The rule that decided, where one did.
    pub rule: Option<String>,
    /// In what it failed; `None` = it passed.
    pub failure: Option<String>,
}

impl ExampleResult {
    /// Whether the policy says what the example expects.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Runs the examples of a policy, in their order. With [`crate::NamedFacts`] they run on any host.
#[must_use]
pub fn run_examples(parsed: &Parsed, facts: &dyn Facts) -> Vec<ExampleResult> {
    let run = |example| run_example(parsed, facts, example);
    parsed.policy.examples.iter().map(run).collect()
}

fn run_example(parsed: &Parsed, facts: &dyn Facts, example: &Example) -> ExampleResult {
    let subject = example.by.as_ref().map_or_else(Subject::launcher, |path| {
        Subject::from(file_at(facts, &path.value).0)
    });
    let (request, action) = match &example.action {
        ExampleAction::Exec(path) => {
            let (file, stamp) = file_at(facts, path);
            (Request::Exec { file, stamp }, format!("exec {path}"))
        }
        ExampleAction::Connect(request) => (*request, format!("connect {request}")),
        ExampleAction::Listen(request) => (*request, format!("listen {request}")),
        ExampleAction::Unix(peer) => (
            Request::Unix {
                peer: peer_at(facts, peer),
            },
            format!("unix {peer}"),
        ),
    };
    let judgement = judge(&parsed.policy, facts, &subject, &request);
    let by = example
        .by
        .as_ref()
        .map_or("any binary", |path| path.value.as_str());
    ExampleResult {
        file: parsed
            .sources
            .of(example.span)
            .map(|s| s.name.clone())
            .unwrap_or_default(),
        line: position(&parsed.sources, example.span).0,
        text: format!("{by}: {action}"),
        expected: example.expect,
        got: if judgement.allowed {
            Effect::Allow
        } else {
            Effect::Deny
        },
        reason: judgement.reason.name(),
        failure: failure(example, &judgement),
        rule: judgement.rule,
    }
}

fn failure(example: &Example, judgement: &Judgement) -> Option<String> {
    let got = if judgement.allowed {
        Effect::Allow
    } else {
        Effect::Deny
    };
    let decided = judgement.rule.as_deref().unwrap_or("no rule");
    if got != example.expect {
        let (expected, got) = (example.expect.name(), got.name());
        let reason = judgement.reason.name();
        return Some(format!(
            "expected {expected}, got {got} ({reason}, by {decided})"
        ));
    }
    if let Some(rule) = example
        .rule
        .as_ref()
        .filter(|r| Some(&r.value) != judgement.rule.as_ref())
    {
        return Some(format!(
            "expected rule {} to decide, but {decided} did",
            rule.value
        ));
    }
    let reason: Option<Reason> = example.reason.filter(|reason| *reason != judgement.reason);
    reason.map(|r| {
        format!(
            "expected reason {}, got {}",
            r.name(),
            judgement.reason.name()
        )
    })
}

/// The file at a path; where there is none, an identity that no rule can cover.
fn file_at(facts: &dyn Facts, path: &str) -> (FileId, FileStamp) {
    match facts.path(path) {
        PathFact::File(file) => (file.id, file.stamp),
        PathFact::Directory { .. }
        | PathFact::Socket { .. }
        | PathFact::Other(_)
        | PathFact::Missing
        | PathFact::Unreadable(_) => (nobody(), FileStamp::default()),
    }
}

fn peer_at(facts: &dyn Facts, peer: &Peer) -> UnixKey {
    match peer {
        // A name that is too long cannot be a peer; the parser refuses it.
        Peer::Abstract(name) => {
            UnixKey::abstract_name(name.as_bytes()).unwrap_or(UnixKey::path(nobody()))
        }
        Peer::Path(path) => match facts.path(path) {
            PathFact::Socket { id } => UnixKey::path(id),
            PathFact::File(_)
            | PathFact::Directory { .. }
            | PathFact::Other(_)
            | PathFact::Missing
            | PathFact::Unreadable(_) => UnixKey::path(nobody()),
        },
    }
}

/// An identity that no file has: no file system gives out the inode number 0.
const fn nobody() -> FileId {
    FileId {
        inode: 0,
        device: 0,
        generation: 0,
    }
}
