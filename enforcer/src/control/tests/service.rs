//! A service that answers with what it was asked.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;

use crate::control::{
    api::{
        Canary, Diagnostic, ErrorCode, LaunchRequest, Launched, LogQuery, LogState, PolicyDetail,
        PolicyFacts, PolicyOutcome, PolicyRequest, PolicySource, Posture, PostureSummary, Problem,
        Removal, Removed, Session, SessionDetail, SessionId, SessionState, Severity, State, Status,
    },
    peer::Peer,
    service::{Answer, Service},
};

#[derive(Default)]
pub(super) struct Fake {
    /// What [`Service::inside_session`] says.
    pub inside: AtomicBool,
    /// Sender of the latest log stream.
    pub lines: Mutex<Option<mpsc::Sender<String>>>,
    /// The latest log query.
    pub query: Mutex<LogQuery>,
}

pub(super) fn session(id: SessionId) -> Session {
    Session {
        id,
        agent: "ci".into(),
        task: None,
        state: SessionState::Running,
        pid: 41,
        uid: 1000,
        command: vec!["make".into()],
        started: "2026-11-24T08:00:00Z".into(),
        tasks: 2,
    }
}

pub(super) fn facts(agent: &str) -> PolicyFacts {
    PolicyFacts {
        agent: agent.into(),
        owner: "o".into(),
        mode: "enforce".into(),
        generation: 4,
        rules: 3,
        executables: 2,
        destinations: 1,
        unix_peers: 0,
        sessions: 0,
    }
}

fn posture(detail: &str) -> Posture {
    Posture {
        enforcing: true,
        canary: Canary {
            passed: true,
            at: None,
            detail: detail.into(),
        },
        checks: Vec::new(),
    }
}

fn missing(what: &str) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("no {what}"))
}

impl Service for Fake {
    async fn inside_session(&self, pid: u32) -> bool {
        assert_eq!(pid, std::process::id());
        self.inside.load(Ordering::Relaxed)
    }

    async fn status(&self) -> Answer<Status> {
        Ok(Status {
            state: State::Enforcing,
            reason: None,
            version: "0".into(),
            pid: std::process::id(),
            started: "2026-11-24T08:00:00Z".into(),
            boot_id: "b".into(),
            generation: 4,
            policies: 1,
            sessions: 0,
            tasks: 0,
            counters: [("events-issued".to_owned(), 7)].into(),
            log: LogState::default(),
            posture: PostureSummary::default(),
            shipping: None,
        })
    }

    async fn posture(&self) -> Answer<Posture> {
        Ok(posture("latest"))
    }

    async fn canary(&self) -> Answer<Posture> {
        Ok(posture("anew"))
    }

    async fn sessions(&self) -> Answer<Vec<Session>> {
        Ok(vec![session(SessionId(1))])
    }

    async fn session(&self, id: SessionId) -> Answer<SessionDetail> {
        if id == SessionId(0) {
            return Err(missing("session"));
        }
        Ok(SessionDetail {
            session: session(id),
            processes: Vec::new(),
        })
    }

    async fn uninstall(&self, peer: &Peer, removal: Removal) -> Answer<Removed> {
        assert!(peer.roles.admin);
        Ok(Removed {
            programs: removal.reason.len(),
            at: String::new(),
        })
    }

    async fn launch(&self, peer: &Peer, request: LaunchRequest) -> Answer<Launched> {
        if !peer.roles.admin && request.agent != "open" {
            return Err(Problem::new(ErrorCode::Denied, "not in the launch group"));
        }
        Ok(Launched {
            session: SessionId(u64::from(peer.pid)),
            agent: request.agent,
            generation: 4,
        })
    }

    async fn plan(&self, request: PolicyRequest) -> Answer<PolicyOutcome> {
        Ok(PolicyOutcome {
            generation: request.policies.len() as u32,
            changes: Vec::new(),
            warnings: Vec::new(),
        })
    }

    async fn apply(&self, _peer: &Peer, request: PolicyRequest) -> Answer<PolicyOutcome> {
        match (request.expected_generation, request.policies.first()) {
            (Some(3), _) => Err(Problem::new(
                ErrorCode::Conflict,
                "generation 4 is in force",
            )),
            (Some(_) | None, Some(policy)) if policy.text == "bad" => {
                Err(Problem::new(ErrorCode::PolicyInvalid, "1 error")
                    .diagnostics(vec![finding(policy)]))
            }
            (Some(_) | None, Some(_) | None) => self.plan(request).await,
        }
    }

    async fn policies(&self) -> Answer<Vec<PolicyFacts>> {
        Ok(vec![facts("ci")])
    }

    async fn policy(&self, agent: &str) -> Answer<PolicyDetail> {
        if agent == "absent" {
            return Err(missing("policy").hint("enforcer policy list"));
        }
        Ok(PolicyDetail {
            facts: facts(agent),
            source: PolicySource::default(),
        })
    }

    async fn log(&self, query: LogQuery) -> Answer<mpsc::Receiver<String>> {
        let (sender, receiver) = mpsc::channel(4);
        for record in ["{\"a\":1}", "{\"a\":2}"] {
            sender.try_send(record.to_owned()).expect("room");
        }
        if query.follow {
            *self.lines.lock().expect("no panic") = Some(sender);
        }
        *self.query.lock().expect("no panic") = query;
        Ok(receiver)
    }
}

fn finding(policy: &PolicySource) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        lint: None,
        file: policy.name.clone(),
        line: 1,
        column: 1,
        message: "bad".into(),
        expected: None,
        hint: None,
        rendered: "error: bad".into(),
    }
}
