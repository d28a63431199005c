//! The daemon behind the control socket.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use enforcer_common::maps::Counter;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    canary,
    core::{Core, counter},
    digests, launch,
    names::user_name,
    policies::{Preparation, Rejected},
    posture::posture,
    uninstall::uninstall,
};
use crate::{
    config::SHIP_STATE_DIR,
    control::{
        api::{
            ErrorCode, LaunchRequest, Launched, LogQuery, PolicyDetail, PolicyFacts, PolicyOutcome,
            PolicyRequest, Posture, PostureSummary, Problem, Process, Removal, Removed, Session,
            SessionDetail, SessionId, State, Status,
        },
        peer::Peer,
        service::{Answer, Service},
    },
    record::{Cursor, Follower, ReadError, ocsf::By, read},
    session::Entry,
};

/// The service: the core, shared.
#[derive(Clone)]
pub struct Control(pub Arc<Core>);

/// Lines that wait for a slow reader of the log.
const LOG_BUFFER: usize = 1024;
/// Records that a reader can have from the end of the log at once.
const MOST_TAIL: usize = 100_000;
/// Pause between two looks at the log for a reader that follows it.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

impl Control {
    /// Runs what may block away from the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Core>) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let core = self.0.clone();
        spawn_blocking(move || work(&core))
            .await
            .unwrap_or_else(|error| Err(Problem::new(ErrorCode::Internal, error.to_string())))
    }
}

impl Service for Control {
    async fn inside_session(&self, pid: u32) -> bool {
        // A task's label has its pid from its first decision on, and connecting to the socket is one.
        let inside = self.blocking(move |core| {
            let labels = core.maps().labels();
            // What cannot be found out is taken for inside.
            Ok(labels.is_err() || labels.iter().flatten().any(|label| label.tgid == pid))
        });
        inside.await.unwrap_or(true)
    }

    async fn status(&self) -> Answer<Status> {
        self.blocking(|core| Ok(status(core))).await
    }

    async fn posture(&self) -> Answer<Posture> {
        self.blocking(|core| Ok(posture(core))).await
    }

    async fn canary(&self) -> Answer<Posture> {
        self.blocking(|core| {
            core.set_standing(canary::run(core));
            Ok(posture(core))
        })
        .await
    }

    async fn sessions(&self) -> Answer<Vec<Session>> {
        self.blocking(|core| {
            let entries: Vec<Entry> = core.sessions().living().cloned().collect();
            Ok(entries.iter().map(|entry| told(core, entry)).collect())
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Answer<SessionDetail> {
        self.blocking(move |core| {
            let entry = core.sessions().get(id).cloned();
            let Some(entry) = entry else {
                return Err(Problem::new(
                    ErrorCode::NotFound,
                    format!("no session {id}"),
                ));
            };
            Ok(SessionDetail {
                session: told(core, &entry),
                processes: processes(core, id),
            })
        })
        .await
    }

    async fn launch(&self, peer: &Peer, request: LaunchRequest) -> Answer<Launched> {
        let asking = peer.clone();
        let launched = self
            .blocking(move |core| {
                let standing = core.standing();
                if standing.state != State::Enforcing {
                    let why = standing.reason.unwrap_or_default();
                    return Err(Problem::new(
                        ErrorCode::NotEnforcing,
                        format!("the daemon does not enforce: {why}"),
                    )
                    .hint("`enforcer doctor` says what to do"));
                }
                if core.pins.attached().len() != core.pins.hooks().len() {
                    return Err(Problem::new(
                        ErrorCode::NotEnforcing,
                        "kernel programs are no longer attached",
                    )
                    .hint(
                        "`enforcer doctor` says which; `systemctl restart enforcer` attaches them",
                    ));
                }
                core.watched.await_kept();
                launch::launch(core, &asking, request)
            })
            .await?;
        tokio::spawn(launch::watch_pending(
            self.0.clone(),
            launched.session,
            peer.clone(),
        ));
        Ok(launched)
    }

    async fn plan(&self, request: PolicyRequest) -> Answer<PolicyOutcome> {
        self.blocking(move |core| plan(core, &request)).await
    }

    async fn apply(&self, peer: &Peer, request: PolicyRequest) -> Answer<PolicyOutcome> {
        let by = by(peer);
        self.blocking(move |core| apply(core, &request, &by)).await
    }

    async fn uninstall(&self, peer: &Peer, removal: Removal) -> Answer<Removed> {
        let by = by(peer);
        self.blocking(move |core| uninstall(core, &removal, by))
            .await
    }

    async fn policies(&self) -> Answer<Vec<PolicyFacts>> {
        self.blocking(|core| {
            let policies = core.policies();
            Ok(policies
                .agents()
                .map(|(name, agent)| agent.facts(name, sessions_of(core, name)))
                .collect())
        })
        .await
    }

    async fn policy(&self, agent: &str) -> Answer<PolicyDetail> {
        let name = agent.to_owned();
        self.blocking(move |core| {
            let policies = core.policies();
            let Some(agent) = policies.agent(&name) else {
                return Err(Problem::new(
                    ErrorCode::NotFound,
                    format!("no agent `{name}` is in force"),
                )
                .hint("`enforcer policy list` shows those that are"));
            };
            let facts = agent.facts(&name, sessions_of(core, &name));
            Ok(PolicyDetail {
                facts,
                source: agent.source().clone(),
            })
        })
        .await
    }

    async fn log(&self, query: LogQuery) -> Answer<mpsc::Receiver<String>> {
        query.check()?;
        let (sender, receiver) = mpsc::channel(LOG_BUFFER);
        let core = self.0.clone();
        // A thread of its own: a reader that follows stays for as long as it likes.
        std::thread::spawn(move || stream_log(&core, &query, &sender));
        Ok(receiver)
    }
}

fn status(core: &Core) -> Status {
    let standing = core.standing();
    let log = core.log().clone();
    let posture = posture(core);
    // A program that was detached since is a canary that was not asked again.
    let detached = standing.state == State::Enforcing && !posture.enforcing;
    let (state, reason) = if detached {
        let why = "kernel programs are no longer attached".to_owned();
        (State::Refusing, Some(why))
    } else {
        (standing.state, standing.reason)
    };
    let posture = PostureSummary::of(&posture.checks);
    let (generation, policies) = {
        let policies = core.policies();
        (policies.generation(), policies.agents().count())
    };
    let sessions = core.sessions().living().count();
    let tasks = core.maps().labels().map_or(0, |labels| labels.len());
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let counters: BTreeMap<String, u64> = Counter::ALL
        .into_iter()
        .map(|which| (which.name().to_owned(), counter(core, which)))
        .collect();
    Status {
        state,
        reason,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: core.started.clone(),
        boot_id: core.host.boot_id.clone(),
        generation,
        policies: number(policies),
        sessions: number(sessions),
        tasks: number(tasks),
        counters,
        log,
        posture,
        shipping: enforcer_sinks::read_status(Path::new(SHIP_STATE_DIR)).unwrap_or_default(),
    }
}

fn plan(core: &Core, request: &PolicyRequest) -> Answer<PolicyOutcome> {
    let preparation = prepare(core, request)?;
    core.policies().plan(request, preparation)
}

/// Parses, checks and compiles what is asked for, which may take its time: the policies are not locked.
fn prepare(core: &Core, request: &PolicyRequest) -> Answer<Preparation> {
    let looker = {
        let policies = core.policies();
        policies.is_expected(request)?;
        policies.looker()
    };
    looker.prepare(&request.policies)
}

fn apply(core: &Arc<Core>, request: &PolicyRequest, by: &By) -> Answer<PolicyOutcome> {
    let Some(_turn) = core.try_apply() else {
        return Err(
            Problem::new(ErrorCode::Conflict, "another policy change is under way")
                .hint("wait for it to end, then plan again"),
        );
    };
    let _right = core.change();
    let prepared = prepare(core, request);
    let mut policies = core.policies();
    let result = prepared.and_then(|preparation| {
        policies.apply(
            request,
            preparation,
            &core.busy_agents(),
            &|generation, agents| core.names().add(generation, agents),
        )
    });
    let generation = policies.generation();
    match result {
        Ok((outcome, applied)) => {
            let in_force = applied.iter().filter_map(|one| policies.agent(&one.agent));
            digests::read(core, in_force.map(|agent| agent.policy().clone()).collect());
            core.post_applied(applied, generation, by);
            core.note_policies(&policies);
            policies.take_unenrolled().map_or(Ok(outcome), Err)
        }
        Err(problem) => {
            let rejected = request.policies.iter().map(|source| Rejected {
                agent: source.agent(),
                why: problem.message.clone(),
            });
            core.post_rejected(rejected.collect(), by);
            Err(problem)
        }
    }
}

fn by(peer: &Peer) -> By {
    By {
        uid: peer.uid,
        name: user_name(peer.uid),
        pid: peer.pid,
    }
}

fn told(core: &Core, entry: &Entry) -> Session {
    let tasks = match entry.state {
        crate::session::State::Ended => 0,
        crate::session::State::Pending | crate::session::State::Running => core
            .maps()
            .session(entry.slot)
            .map_or(0, |session| session.tasks),
    };
    Session {
        id: entry.id,
        agent: entry.agent.clone(),
        task: entry.task.clone(),
        state: entry.state.into(),
        pid: entry.pid,
        uid: entry.uid,
        command: entry.command.clone(),
        started: entry.started.clone(),
        tasks,
    }
}

fn processes(core: &Core, id: SessionId) -> Vec<Process> {
    let mut tasks = BTreeMap::<u32, u64>::new();
    let labels = core.maps().labels().unwrap_or_default();
    for label in labels.iter().filter(|label| label.session == id.0) {
        *tasks.entry(label.tgid).or_default() += 1;
    }
    tasks
        .into_iter()
        .map(|(pid, tasks)| {
            let path = fs::read_link(format!("/proc/{pid}/exe")).ok();
            Process {
                pid,
                tasks,
                executable: path.map(|path| path.display().to_string()),
            }
        })
        .collect()
}

fn sessions_of(core: &Core, agent: &str) -> u64 {
    let count = core
        .sessions()
        .living()
        .filter(|entry| entry.agent == agent)
        .count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Sends what matches until it is all sent, or, for a reader that follows, until the reader leaves.
fn stream_log(core: &Core, query: &LogQuery, sender: &mpsc::Sender<String>) {
    if let Err(error) = try_stream_log(core, query, sender) {
        tracing::error!(%error, "the log cannot be read");
    }
}

fn try_stream_log(
    core: &Core,
    query: &LogQuery,
    sender: &mpsc::Sender<String>,
) -> Result<(), ReadError> {
    let (filter, folder) = (&query.filter, &core.config.log_dir);
    // The past is read bit by bit; only a bounded end of it is held at once.
    let from = match query.tail {
        None => Cursor::default(),
        Some(tail) => {
            let count = usize::try_from(tail).unwrap_or(MOST_TAIL).min(MOST_TAIL);
            let (past, end) = read::tail(folder, count, filter)?;
            if !past
                .into_iter()
                .all(|entry| sender.blocking_send(entry.line).is_ok())
            {
                return Ok(());
            }
            end
        }
    };
    let mut follower = Follower::new(folder, from);
    loop {
        let found = follower.poll()?;
        if found.is_empty() {
            if !query.follow || sender.is_closed() {
                return Ok(());
            }
            std::thread::sleep(FOLLOW_PAUSE);
        }
        let wanted = found
            .into_iter()
            .flatten()
            .filter(|entry| filter.matches(&entry.record));
        for entry in wanted {
            if sender.blocking_send(entry.line).is_err() {
                return Ok(());
            }
        }
    }
}
