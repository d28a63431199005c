//! The search for the lines that allow a request.

use enforcer_common::{event::Kind, verdict::Reason};
use enforcer_policy::{Facts, Policy, Request, Subject, compile, judge};

use super::{
    caution::{self, Found},
    facts::Seen,
    line::{self, Line},
    remedy::{Advice, NO_ADDRESS, Remedy, RemedyKind, none, why_narrow},
    request::Asked,
};
use crate::{object::Object, record::Decision};

const AT_THE_END: &str = "at the end of the policy's file, or of one that it includes";
/// Rounds in which lines are added: the executable, then what it does; one more to see it allowed.
const MOST_ROUNDS: usize = 4;

/// Adds lines until the request is allowed, or cannot be.
pub(super) fn search(
    decision: &Decision<'_>,
    asked: &Asked,
    seen: &Seen<'_>,
    policy: &Policy,
    is_given: bool,
) -> Advice {
    let mut base = policy.clone();
    let mut denials = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut last = None;
    for _ in 0..MOST_ROUNDS + policy.connect.len() + policy.exec.len() {
        let Some(merged) = line::merged(&base, &lines) else {
            break;
        };
        let judged = judge(&merged, seen, &asked.subject, &asked.request);
        last = Some(judged.reason);
        if judged.allowed {
            let proven = is_given && is_compiled(&merged, seen, &asked.subject, &asked.request);
            return allowed_by(decision, asked, seen, policy, &lines, &denials, proven);
        }
        let next = match (judged.reason, judged.rule) {
            (Reason::RuleDenies, Some(rule)) => {
                line::without(&mut base, &rule);
                denials.push(rule);
                continue;
            }
            (Reason::ExecutableNotListed, _) => asked.actor.clone().map(Line::exec),
            (Reason::NotListed | Reason::NotForThisBinary, _) => asked.line(),
            _ => None,
        };
        match next {
            Some(line) if !lines.contains(&line) => lines.push(line),
            // The line is there and does not hold: what acts is denied itself.
            Some(_) | None => match denied_actor(&merged, seen, asked) {
                Some(rule) => {
                    line::without(&mut base, &rule);
                    denials.push(rule);
                }
                None => break,
            },
        }
    }
    none(match last {
        Some(Reason::AddressNotJudgeable) => NO_ADDRESS,
        Some(Reason::FileChanged) => {
            "The file changed since the policy was applied: that comes first."
        }
        Some(Reason::ExecutableNotListed) => {
            "What the process runs has no path that a policy could list."
        }
        _ => "It has no name that a line of a policy could list.",
    })
}

/// The rule that denies running what acts: who runs such a file all the same is allowed nothing.
fn denied_actor(policy: &Policy, seen: &Seen<'_>, asked: &Asked) -> Option<String> {
    let acting = asked.acting.as_ref()?;
    let judged = judge(policy, seen, &Subject::launcher(), acting);
    judged.rule.filter(|_| judged.reason == Reason::RuleDenies)
}

fn is_compiled(policy: &Policy, facts: &dyn Facts, subject: &Subject, request: &Request) -> bool {
    compile(policy, facts).is_ok_and(|tables| tables.decide(subject, request).allowed)
}

fn allowed_by(
    decision: &Decision<'_>,
    asked: &Asked,
    seen: &Seen<'_>,
    policy: &Policy,
    lines: &[Line],
    denials: &[String],
    proven: bool,
) -> Advice {
    let Found {
        lines,
        mut cautions,
        refused,
    } = caution::look(lines, asked, seen, policy);
    if let Some(why) = refused {
        return none(&format!("No policy may allow it: {why}."));
    }
    let toml = line::toml(&lines, policy);
    let (kind, text) = if denials.is_empty() {
        (RemedyKind::AddLines, words_of(decision, &lines))
    } else {
        let more = if lines.is_empty() {
            ""
        } else {
            " The lines below would be needed besides."
        };
        let rules: Vec<String> = denials.iter().map(|rule| format!("`{rule}`")).collect();
        (
            RemedyKind::ChangeRule,
            why_narrow(&rules.join(" and ")) + more,
        )
    };
    if decision.kind == Some(Kind::Code) {
        cautions.push("Listed in `[[exec]]` it may also be run as a program.".to_owned());
    }
    Advice {
        remedy: Remedy {
            kind,
            text,
            place: toml.is_some().then(|| AT_THE_END.to_owned()),
            toml,
            tried: proven,
        },
        cautions,
        now: None,
    }
}

fn words_of(decision: &Decision<'_>, lines: &[Line]) -> String {
    let executable = lines.len() > 1 || decision.reason == Some(Reason::ExecutableNotListed);
    match decision.object {
        _ if executable => "The executable is to be listed first, and then what it does.",
        Object::Run(_) => "A rule that lists this one file.",
        Object::Code(..) => "A rule that lists this one file as code.",
        Object::Listen(_) => "A rule about this one address and port, for this executable alone.",
        Object::Unix(_) => "A rule about this one socket. Rules about sockets hold for every executable of the agent.",
        Object::Reach(_)
        | Object::Socket(..)
        | Object::Write(..)
        | Object::Number(..)
        | Object::Nothing => "A rule about this one address and port, for this executable alone.",
    }
    .to_owned()
}
