//! Who acted, in which session, under which policy: what the records of all decisions share.
#![forbid(unsafe_code)]

use std::sync::Arc;

use enforcer_common::{
    event::Kind,
    maps::CANARY_AGENT,
    verdict::{Reason, Verdict},
};
use serde_json::{Value, json};

use super::{
    Context, Host, SessionFacts,
    draft::{Class, Draft, Member, Moment, Outcome, Severity, integer},
    past_tense,
};
use crate::record::{
    event::Head,
    lineage::{Ancestry, Executable, Lineage},
    names::{process_uid, session_uid},
};

/// Ancestors in one record: the nearest ones, and the root of the session. A chain can be made as
/// long as an agent likes; the exec records hold all of it.
const MAX_ANCESTRY: usize = 16;
/// Longest command line of an ancestor. A longer one is left out, its own exec record has it.
const MAX_ANCESTOR_CMD_LINE: usize = 256;

/// Name of what could not be told, where the schema wants one.
pub(super) const UNKNOWN: &str = "unknown";

/// The facts about one decision, looked up once.
pub(super) struct Scene<'a> {
    pub host: &'a Host,
    pub head: &'a Head,
    pub session: Option<Arc<SessionFacts>>,
    pub agent: Arc<str>,
    rule: Option<Arc<str>>,
    user_name: Option<Arc<str>>,
    image: Option<&'a Executable>,
    ancestry: Ancestry<'a>,
}

impl<'a> Scene<'a> {
    pub fn new(
        host: &'a Host,
        head: &'a Head,
        lineage: &'a Lineage,
        context: &impl Context,
    ) -> Self {
        let session = context.session(head.session);
        Self {
            host,
            head,
            agent: agent_name(head, session.as_deref(), context),
            session,
            rule: rule(head, context),
            user_name: context.user_name(head.uid),
            image: lineage.get(head.exec),
            ancestry: lineage.ancestry(head.exec),
        }
    }

    /// The record of the decision but for its object. `object` is how the message names that.
    pub fn draft(&self, class: Class, activity: Member, object: &str) -> Draft {
        let head = self.head;
        let moment = Moment {
            time_ns: head.time_ns,
            event_code: head.kind.name(),
            sequence: Some(head.sequence),
            subject: "",
        };
        let denied = head.verdict == Verdict::Deny;
        let session = self.session.as_deref();
        // `EPERM` is what the caller saw.
        Draft::new(self.host, class, activity, severity(head), moment)
            .outcome(outcome(head.verdict))
            .profile("ai_operation")
            .with("status_code", denied.then_some("EPERM"))
            .with("status_detail", head.reason.name())
            .with("is_alert", denied.then_some(true))
            .with("message", self.message(object))
            .with("actor", self.actor())
            .with("ai_agent", self.ai_agent())
            .with("policy", self.policy())
            .with(
                "firewall_rule",
                self.rule
                    .as_deref()
                    .map_or(Value::Null, |rule| json!({"uid": rule})),
            )
            .metadata(
                "correlation_uid",
                session.and_then(|s| s.task_id.as_deref()),
            )
            .unmapped("verdict", head.verdict.name())
            .unmapped("reason", head.reason.name())
            .unmapped("exec", integer(head.exec))
            .unmapped("owner", session.map(|s| s.owner.as_str()))
            .unmapped("task", session.and_then(|s| s.task.as_deref()))
            .unmapped("task_id", session.and_then(|s| s.task_id.as_deref()))
            .unmapped("cell", head.cell)
            .unmapped(
                "conditions",
                head.cell.map(|_| format!("{:x}", head.conditions)),
            )
            .unmapped(
                "ancestry_incomplete",
                (!self.ancestry.to_root).then_some(true),
            )
            .unmapped("ancestry_omitted", self.ancestry_omitted())
    }

    /// The acting process by its identity alone.
    pub fn process_uid(&self) -> String {
        process_uid(&self.host.boot_id, self.head.tgid, self.head.start_ns)
    }

    /// The acting user.
    pub fn user(&self) -> Value {
        json!({"name": self.user_name.as_deref(), "uid": self.head.uid.to_string()})
    }

    /// The executable that acted, as a file.
    pub fn image_file(&self) -> Value {
        self.image.map_or(Value::Null, |image| {
            file(
                image.path.as_deref(),
                image.file_uid.as_deref(),
                image.sha256.as_deref(),
            )
        })
    }

    /// Claimed command line of the executable that acted.
    pub fn image_cmd_line(&self) -> Option<&str> {
        self.image.and_then(|image| image.cmd_line.as_deref())
    }

    fn message(&self, object: &str) -> String {
        let (kind, reason) = (self.head.kind.name(), self.head.reason.name());
        let verdict = past_tense(self.head.verdict);
        let agent = &self.agent;
        match self.rule.as_deref() {
            Some(rule) => format!("{agent}: {kind} {object} {verdict}: {reason} ({rule})"),
            None => format!("{agent}: {kind} {object} {verdict}: {reason}"),
        }
    }

    /// Who acted. A session's end is told when its last task is freed: nobody acts then, and the
    /// event holds no process and no user.
    fn actor(&self) -> Value {
        if self.head.kind == Kind::SessionEnd {
            return json!({"session": self.session_object()});
        }
        let head = self.head;
        let path = self.image.and_then(|image| image.path.as_deref());
        json!({
            "process": {
                "ancestry": self.ancestry_entities(),
                "cmd_line": self.image_cmd_line(),
                "created_time": self.host.wall_ms(head.start_ns),
                "file": self.image_file(),
                "name": path.map(file_name),
                // The kernel gives the number alone; whether it is one of the ancestors is not told.
                "parent_process": {"pid": head.parent_tgid},
                "pid": head.tgid,
                "tid": head.tid,
                "uid": self.process_uid(),
            },
            "session": self.session_object(),
            "user": self.user(),
        })
    }

    fn session_object(&self) -> Value {
        let started_ns = self.session.as_deref().map(|session| session.started_ns);
        json!({
            "created_time": started_ns.map(|started| self.host.wall_ms(started)),
            "issuer": "enforcer",
            "uid": session_uid(self.head.session),
        })
    }

    fn ai_agent(&self) -> Value {
        json!({
            "instance_uid": session_uid(self.head.session),
            "name": &*self.agent,
            "uid": &*self.agent,
        })
    }

    /// The policy that decided. Generations count from 1: 0 is an event that none decided.
    fn policy(&self) -> Value {
        match self.head.generation {
            0 => Value::Null,
            generation => policy(&self.agent, generation),
        }
    }

    /// The executables above the acting process, nearest first. When the process is a fork of the
    /// one that its executable was started in, that one is the first.
    fn ancestors(&self) -> impl Iterator<Item = &'a Executable> + Clone {
        let uid = self.process_uid();
        let forked_from = self.image.filter(|image| image.process_uid != uid);
        forked_from.into_iter().chain(self.ancestry.known.clone())
    }

    fn ancestry_entities(&self) -> Vec<Value> {
        let mut ancestors: Vec<&Executable> = self.ancestors().collect();
        if ancestors.len() > MAX_ANCESTRY {
            ancestors.drain(MAX_ANCESTRY - 1..ancestors.len() - 1);
        }
        ancestors.into_iter().map(entity).collect()
    }

    fn ancestry_omitted(&self) -> Option<usize> {
        let omitted = self.ancestors().count().saturating_sub(MAX_ANCESTRY);
        (omitted > 0).then_some(omitted)
    }
}

/// A policy as records name it: an agent's, in one generation.
pub(super) fn policy(agent: &str, generation: u32) -> Value {
    json!({
        "is_applied": true,
        "name": agent,
        "uid": format!("{agent}@{generation}"),
        "version": generation.to_string(),
    })
}

/// A file as the kernel identified it. One without a known path is named by its identity: the
/// schema wants a name.
pub(super) fn file(path: Option<&str>, uid: Option<&str>, sha256: Option<&str>) -> Value {
    let hashes =
        sha256.map(|value| json!([{"algorithm": "SHA-256", "algorithm_id": 3, "value": value}]));
    json!({
        "hashes": hashes,
        "name": path.map(file_name).or(uid).unwrap_or(UNKNOWN),
        "path": path,
        // Regular file: the kernel runs nothing else.
        "type_id": 1,
        "uid": uid,
    })
}

/// Last part of a path. A path without one (the root directory) is its own name.
pub(super) fn file_name(path: &str) -> &str {
    match path.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        Some(_) | None => path,
    }
}

fn entity(executable: &Executable) -> Value {
    let cmd_line = executable.cmd_line.as_deref();
    let path = executable.path.as_deref();
    json!({
        "cmd_line": cmd_line.filter(|line| line.len() <= MAX_ANCESTOR_CMD_LINE),
        "created_time": executable.started_ms,
        "name": path.map(file_name),
        "path": path,
        "pid": executable.pid,
        "uid": executable.process_uid,
    })
}

fn agent_name(head: &Head, session: Option<&SessionFacts>, context: &impl Context) -> Arc<str> {
    if let Some(session) = session {
        return session.agent.as_str().into();
    }
    context
        .agent(head.agent, head.generation)
        .unwrap_or_else(|| match head.agent {
            CANARY_AGENT => "enforcer-canary".into(),
            slot => format!("agent-slot-{slot}").into(),
        })
}

/// The rule that decided. Other reasons than a rule's leave the cell without a say.
fn rule(head: &Head, context: &impl Context) -> Option<Arc<str>> {
    let cell = head.cell?;
    matches!(head.reason, Reason::RuleAllows | Reason::RuleDenies)
        .then(|| context.rule(head.generation, head.agent, cell, head.conditions))
        .flatten()
}

const fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Allow => Outcome {
            action: (1, "Allowed"),
            disposition: (1, "Allowed"),
            success: true,
        },
        Verdict::Deny => Outcome {
            action: (2, "Denied"),
            disposition: (2, "Blocked"),
            success: false,
        },
        Verdict::WouldDeny => Outcome {
            action: (3, "Observed"),
            disposition: (17, "Logged"),
            success: true,
        },
    }
}

fn severity(head: &Head) -> Severity {
    match head.verdict {
        Verdict::Allow => Severity::Informational,
        Verdict::WouldDeny => Severity::Low,
        Verdict::Deny if head.reason == Reason::EnforcerGuard => Severity::High,
        Verdict::Deny => Severity::Medium,
    }
}
