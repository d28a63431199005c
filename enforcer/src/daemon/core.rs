//! What the daemon's parts share: the kernel's maps, the policies, the sessions, the log's state.
//!
//! Locks are taken in this order and no other: `applying`, `changing`, `policies`, `sessions`, `maps`, `spares`,
//! `names`, the rest.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use enforcer_common::{
    event::Kind,
    maps::{CANARY_AGENT, Counter},
    object::{FileId, FileStamp},
};
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    digests,
    names::{Names, user_name},
    policies::{Applied, Policies, Rejected},
    spares::Spares,
    store,
    watched::Watched,
};
use crate::{
    clock,
    config::DaemonConfig,
    control::api::{self, Canary, LogState, SessionId},
    kernel::{
        KernelError,
        learn::Learner,
        load::{Opened, Pins},
        sessions::SessionMaps,
    },
    record::{
        Context, Event, SessionFacts,
        ocsf::{By, Host, PolicyChange, PolicyOutcome, policy},
    },
    session::{Entry, Registry, State},
};

/// The daemon.
pub struct Core {
    /// Where what is.
    pub config: DaemonConfig,
    /// The host, as records name it.
    pub host: Host,
    /// What is attached.
    pub pins: Pins,
    /// Whether it was there before.
    pub opened: Opened,
    /// When this daemon started, RFC 3339.
    pub started: String,
    /// Tells what the kernel calls a file.
    pub learner: Arc<Learner>,
    policies: Mutex<Policies>,
    applying: Mutex<()>,
    changing: Mutex<()>,
    sessions: Mutex<Registry>,
    maps: Mutex<SessionMaps>,
    spares: Mutex<Spares>,
    /// Whether processes become sessions without asking, so that sessions are kept for them.
    enrols: AtomicBool,
    /// The watch for changed files.
    pub watched: Watched,
    /// Whether an agent has `on_audit_failure = "alert"`.
    alerts: AtomicBool,
    names: Mutex<Names>,
    standing: Mutex<Standing>,
    outbox: Mutex<Vec<Value>>,
    log: Mutex<LogState>,
    /// Session of the canary that flies now, and its denials that were read from the ring.
    canary: Mutex<(SessionId, u64)>,
    /// Times that everything in the rings was read.
    emptied: AtomicU64,
    stopping: AtomicBool,
    /// Enforcement is being removed: no session begins any more.
    door_is_shut: AtomicBool,
    /// Enforcement was removed.
    removed: AtomicBool,
    end: Notify,
}

/// Whether the daemon enforces, and how that is known.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whether it enforces.
    pub state: api::State,
    /// Why it does not.
    pub reason: Option<String>,
    /// The latest canary.
    pub canary: Canary,
}

/// The daemon itself, as who changed something.
pub fn by_daemon() -> By {
    By {
        uid: 0,
        name: user_name(0),
        pid: std::process::id(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked held no half-made change: every change is one assignment or insert.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When what an earlier daemon left cannot be read.
    pub fn new(
        config: DaemonConfig,
        host: Host,
        (pins, opened): (Pins, Opened),
        learner: Arc<Learner>,
        policies: Policies,
        names: Names,
    ) -> io::Result<Self> {
        let mut maps = SessionMaps::open(&pins).map_err(io::Error::other)?;
        let spares = Spares::open(&pins, &mut maps).map_err(io::Error::other)?;
        let core = Self {
            sessions: Mutex::new(store::read(&config.sessions_file())?.unwrap_or_default()),
            config,
            host,
            pins,
            opened,
            started: clock::now_text(),
            learner,
            policies: Mutex::new(policies),
            applying: Mutex::new(()),
            changing: Mutex::new(()),
            maps: Mutex::new(maps),
            spares: Mutex::new(spares),
            enrols: AtomicBool::new(false),
            watched: Watched::default(),
            alerts: AtomicBool::new(false),
            names: Mutex::new(names),
            standing: Mutex::new(Standing {
                state: api::State::Starting,
                reason: Some("the canary has not run yet".to_owned()),
                canary: Canary {
                    passed: false,
                    at: None,
                    detail: "not run yet".to_owned(),
                },
            }),
            outbox: Mutex::new(Vec::new()),
            log: Mutex::new(LogState::default()),
            canary: Mutex::new((SessionId(0), 0)),
            emptied: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            door_is_shut: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            end: Notify::new(),
        };
        core.agree_with_kernel()?;
        Ok(core)
    }

    /// The turn to apply, unless somebody has it. Whoever only looks at the policies is no conflict.
    #[must_use]
    pub fn try_apply(&self) -> Option<MutexGuard<'_, ()>> {
        match self.applying.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The right to change policies: whoever looks at files in order to put something in force holds it
    /// from the look on, without holding the policies themselves, which others read meanwhile.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    /// The policies.
    pub fn policies(&self) -> MutexGuard<'_, Policies> {
        lock(&self.policies)
    }

    /// The sessions.
    pub fn sessions(&self) -> MutexGuard<'_, Registry> {
        lock(&self.sessions)
    }

    /// The kernel's maps of sessions.
    pub fn maps(&self) -> MutexGuard<'_, SessionMaps> {
        lock(&self.maps)
    }

    /// A slot for another session.
    pub fn free_slot(&self, sessions: &Registry) -> Option<u32> {
        sessions.free_slot(lock(&self.spares).slots())
    }

    /// Notes what the policies in force want of the daemon; keeps sessions for processes that enrol
    /// without asking, if any do.
    pub fn note_policies(&self, policies: &Policies) {
        self.enrols.store(policies.enrols(), Ordering::Release);
        self.alerts.store(policies.alerts(), Ordering::Release);
        if policies.enrols() {
            self.watched.call();
        }
        self.fill_spares();
    }

    /// Whether changed files are to be watched for: sessions run, or can begin without asking, or ended
    /// not long ago. Watching costs every process of the host a little at each open and read, so it is
    /// not done for nobody.
    #[must_use]
    pub fn needs_watch(&self) -> bool {
        if self.enrols.load(Ordering::Acquire) || self.sessions().living().next().is_some() {
            self.watched.call();
        }
        self.watched.is_needed()
    }

    /// Whether an agent wants an alert for what could not be recorded.
    #[must_use]
    pub fn alerts(&self) -> bool {
        self.alerts.load(Ordering::Acquire)
    }

    fn fill_spares(&self) {
        if !self.enrols.load(Ordering::Acquire) || self.door_is_shut() {
            return;
        }
        let sessions = self.sessions();
        let mut maps = self.maps();
        if let Err(error) = lock(&self.spares).fill(&sessions, &mut maps) {
            tracing::error!(%error, "no sessions are kept: processes that were to be enrolled do not run");
        }
    }

    /// Keeps no sessions for enrolment any more: what would enrol is denied.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn drain_spares(&self) -> Result<(), KernelError> {
        let mut maps = self.maps();
        lock(&self.spares).drain(&mut maps)
    }

    /// What numbers mean.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }

    /// Whether it enforces.
    #[must_use]
    pub fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    /// Says whether it enforces, from what a canary showed.
    pub fn set_standing(&self, canary: Canary) {
        let mut standing = lock(&self.standing);
        let (state, reason) = if canary.passed {
            (api::State::Enforcing, None)
        } else {
            (api::State::Refusing, Some(canary.detail.clone()))
        };
        *standing = Standing {
            state,
            reason,
            canary,
        };
    }

    /// The log's condition.
    pub fn log(&self) -> MutexGuard<'_, LogState> {
        lock(&self.log)
    }

    /// Hands a record of the daemon's own to the writer.
    pub fn post(&self, record: Value) {
        lock(&self.outbox).push(record);
    }

    /// Takes what was posted.
    pub fn take_posted(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.outbox))
    }

    /// Stores the registry for the next daemon.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store_sessions(&self, registry: &Registry) -> io::Result<()> {
        store::write(&self.config.sessions_file(), registry)
    }

    /// Agent slots that living sessions are held to.
    #[must_use]
    pub fn busy_agents(&self) -> BTreeSet<u32> {
        let sessions = self.sessions();
        let maps = self.maps();
        let taken = lock(&self.spares).in_use(&maps).unwrap_or_default();
        let taken = taken.into_iter().map(|(.., agent)| agent);
        sessions
            .living()
            .map(|entry| entry.agent_slot)
            .chain(taken)
            .collect()
    }

    /// Looks at the files of every policy again, and puts those in force that mean something else now.
    pub fn refresh_policies(self: &Arc<Self>) {
        let _right = self.change();
        let (looker, agents) = {
            let mut policies = self.policies();
            (policies.looker(), policies.begin_look())
        };
        let refreshed = looker.look_again(&agents);
        let mut policies = self.policies();
        let refreshed = policies.take_in(refreshed, &self.busy_agents(), &|generation, agents| {
            self.names().add(generation, agents)
        });
        let generation = policies.generation();
        match refreshed {
            Ok(applied) if applied.is_empty() => {}
            Ok(applied) => {
                let in_force = applied.iter().filter_map(|one| policies.agent(&one.agent));
                digests::read(self, in_force.map(|agent| agent.policy().clone()).collect());
                for one in &applied {
                    tracing::info!(
                        agent = one.agent,
                        generation,
                        "its files changed; they were looked at again"
                    );
                }
                self.post_applied(applied, generation, &by_daemon());
            }
            Err(problem) => tracing::error!("changed files stay denied: {problem}"),
        }
        if let Some(problem) = policies.take_unenrolled() {
            tracing::error!("{problem}");
        }
    }

    /// Posts the records of what an apply did.
    pub fn post_applied(&self, applied: Vec<Applied>, generation: u32, by: &By) {
        for one in applied {
            let outcome = if one.in_force {
                PolicyOutcome::Applied { generation }
            } else {
                PolicyOutcome::Removed { generation }
            };
            self.post_policy(one.agent, one.sha256, outcome, by.clone());
        }
    }

    /// Posts the records of policies that did not come into force.
    pub fn post_rejected(&self, rejected: Vec<Rejected>, by: &By) {
        for Rejected { agent, why } in rejected {
            self.post_policy(agent, None, PolicyOutcome::Rejected { why }, by.clone());
        }
    }

    /// Posts the record of what became of a policy.
    fn post_policy(&self, agent: String, sha256: Option<[u8; 32]>, outcome: PolicyOutcome, by: By) {
        let change = PolicyChange {
            time_ns: clock::boot_ns(),
            agent,
            sha256,
            outcome,
            by,
        };
        self.post(policy(&self.host, &change));
    }

    /// Counts the denials of this session from now on: it is a canary's. Others may be launched as the
    /// same agent (`enforcer doctor --prove`), and theirs prove nothing of it.
    pub fn count_canary(&self, session: SessionId) {
        *lock(&self.canary) = (session, 0);
    }

    /// Denials of the latest canary read so far.
    #[must_use]
    pub fn canary_denials(&self) -> u64 {
        lock(&self.canary).1
    }

    /// How often everything in the rings was read so far: what was in them before the last but one
    /// time has been observed.
    #[must_use]
    pub fn emptied(&self) -> u64 {
        self.emptied.load(Ordering::Acquire)
    }

    /// Notes that everything in the rings was read and observed.
    pub fn note_emptied(&self) {
        self.emptied.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the daemon was told to stop: nothing waits for the log any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Notes that the daemon was told to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// From now on no session begins; false when it is so already. To be called with the sessions
    /// locked, as beginning one looks at it.
    pub fn close_the_door(&self) -> bool {
        !self.door_is_shut.swap(true, Ordering::AcqRel)
    }

    /// Sessions may begin again.
    pub fn open_the_door(&self) {
        self.door_is_shut.store(false, Ordering::Release);
    }

    /// Whether no session may begin, since enforcement is being removed.
    #[must_use]
    pub fn door_is_shut(&self) -> bool {
        self.door_is_shut.load(Ordering::Acquire)
    }

    /// Notes that enforcement was removed, and has the daemon end.
    pub fn end(&self) {
        self.removed.store(true, Ordering::Release);
        self.end.notify_one();
    }

    /// Waits until enforcement was removed.
    pub async fn ended(&self) {
        self.end.notified().await;
    }

    /// Whether enforcement was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Takes in what an event says of its session.
    pub fn observe(&self, event: &Event) {
        let head = &event.head;
        let id = SessionId(head.session);
        if head.agent == CANARY_AGENT && head.verdict == enforcer_common::verdict::Verdict::Deny {
            let mut canary = lock(&self.canary);
            if canary.0 == id {
                canary.1 += 1;
            }
        }
        if head.kind == Kind::SessionEnd {
            self.end_session(id);
        } else if head.kind == Kind::SessionStart {
            let mut sessions = self.sessions();
            let spare = lock(&self.spares).taken(id);
            if sessions.begin(id) {
                self.note(&sessions);
            } else if let Some(slot) = spare {
                sessions.add(self.enrolled(
                    id,
                    slot,
                    head.agent,
                    head.generation,
                    (head.tgid, head.uid),
                ));
                self.note(&sessions);
                drop(sessions);
                self.fill_spares();
            }
        }
    }

    /// The session of a process that enrolled without asking.
    fn enrolled(
        &self,
        id: SessionId,
        slot: u32,
        agent_slot: u32,
        generation: u32,
        (pid, uid): (u32, u32),
    ) -> Entry {
        let names = self.names();
        // A process that was there before is taken in by no policy's decision.
        let generation = match generation {
            0 => names.newest(),
            generation => generation,
        };
        let agent = names.agent(generation, agent_slot);
        Entry {
            id,
            slot,
            agent: agent.map_or_else(|| format!("(slot {agent_slot})"), |agent| agent.to_string()),
            agent_slot,
            owner: names
                .owner(generation, agent_slot)
                .map(|owner| owner.to_string())
                .unwrap_or_default(),
            task: None,
            pid,
            uid,
            user: user_name(uid),
            command: Vec::new(), // its exec record has it
            started: clock::now_text(),
            started_ns: clock::boot_ns(),
            state: State::Running,
        }
    }

    /// Ends a session: its slot is free for another.
    pub fn end_session(&self, id: SessionId) {
        let mut sessions = self.sessions();
        let Some(slot) = sessions.end(id) else { return };
        if let Err(error) = self.maps().vacate(slot) {
            tracing::error!(session = %id, %error, "its slot stays occupied");
        }
        self.note(&sessions);
    }

    /// A pending session whose process ended before its exec.
    pub fn drop_pending(&self, id: SessionId, tgid: u32) {
        let mut sessions = self.sessions();
        let mut maps = self.maps();
        if !maps.forget(tgid) {
            return; // it began, and ends like any other
        }
        if let Some(entry) = sessions.remove(id)
            && let Err(error) = maps.vacate(entry.slot)
        {
            tracing::error!(session = %id, %error, "its slot stays occupied");
        }
        self.note(&sessions);
    }

    fn note(&self, sessions: &Registry) {
        if let Err(error) = self.store_sessions(sessions) {
            tracing::error!(%error, "the sessions cannot be stored: a daemon that follows would not know them");
        }
    }

    /// Brings the sessions in line with the kernel: an event that would have told is perhaps lost.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn sweep_sessions(&self) -> Result<(), KernelError> {
        let (mut begun, mut over) = (Vec::new(), Vec::new());
        {
            let sessions = self.sessions();
            let maps = self.maps();
            for entry in sessions.living() {
                // Asked before the tasks are: at an exec the kernel counts the task first and takes
                // the pending entry away then, so that one of the two is always seen.
                let expected = maps.is_expected(entry.pid, entry.id.0);
                let kernel = maps.session(entry.slot)?;
                let has_tasks = kernel.id == entry.id.0 && kernel.tasks > 0;
                match entry.state {
                    State::Pending if has_tasks => begun.push(entry.id),
                    State::Pending if expected => {}
                    State::Running if has_tasks => {}
                    State::Pending | State::Running => over.push(entry.id),
                    State::Ended => {}
                }
            }
        }
        for id in begun {
            let mut sessions = self.sessions();
            sessions.begin(id);
            self.note(&sessions);
        }
        over.into_iter().for_each(|id| self.end_session(id));
        self.sweep_spares()
    }

    /// Takes in the sessions that the kernel took and of whose start no event came.
    fn sweep_spares(&self) -> Result<(), KernelError> {
        let mut sessions = self.sessions();
        let taken = {
            let maps = self.maps();
            lock(&self.spares).in_use(&maps)?
        };
        if taken.is_empty() {
            return Ok(());
        }
        let newest = self.names().newest();
        for (id, slot, agent) in taken {
            lock(&self.spares).taken(id);
            sessions.add(self.enrolled(id, slot, agent, newest, (0, u32::MAX)));
        }
        self.note(&sessions);
        drop(sessions);
        self.fill_spares();
        Ok(())
    }

    /// At start: what the kernel has and what an earlier daemon stored are brought together. The
    /// kernel's word counts.
    fn agree_with_kernel(&self) -> io::Result<()> {
        let mut sessions = self.sessions();
        let mut maps = self.maps();
        let kernel = maps.occupied().map_err(io::Error::other)?;
        let stored: Vec<Entry> = sessions.living().cloned().collect();
        for entry in stored {
            let there = kernel
                .iter()
                .find(|(slot, session)| *slot == entry.slot && session.id == entry.id.0);
            match there {
                Some((_, session)) if session.tasks > 0 => {
                    sessions.begin(entry.id);
                }
                // Pending: its launcher may be about to exec; the kernel still holds the pending
                // label, so the session stays, and ends when its process does.
                Some(_) if std::path::Path::new(&format!("/proc/{}", entry.pid)).exists() => {}
                Some(_) | None => {
                    maps.forget(entry.pid);
                    maps.vacate(entry.slot).map_err(io::Error::other)?;
                    sessions.end(entry.id);
                }
            }
        }
        for (slot, session) in kernel {
            if sessions.get(SessionId(session.id)).is_none() {
                if session.tasks == 0 {
                    maps.vacate(slot).map_err(io::Error::other)?;
                } else {
                    sessions.add(unknown(slot, session.id, session.agent));
                }
            }
        }
        self.store_sessions(&sessions)
    }
}

/// A session that the kernel holds and of which no daemon left an account.
fn unknown(slot: u32, id: u64, agent_slot: u32) -> Entry {
    Entry {
        id: SessionId(id),
        slot,
        agent: format!("(unknown, slot {agent_slot})"),
        agent_slot,
        owner: "(unknown)".to_owned(),
        task: None,
        pid: 0,
        uid: u32::MAX,
        user: None,
        command: Vec::new(),
        started: clock::now_text(),
        started_ns: clock::boot_ns(),
        state: State::Running,
    }
}

impl Context for Core {
    fn session(&self, id: u64) -> Option<Arc<SessionFacts>> {
        let sessions = self.sessions();
        let entry = sessions.get(SessionId(id))?;
        Some(Arc::new(SessionFacts {
            id,
            agent: entry.agent.clone(),
            owner: entry.owner.clone(),
            task: entry.task.as_ref().and_then(|task| task.text.clone()),
            task_id: entry.task.as_ref().and_then(|task| task.id.clone()),
            uid: entry.uid,
            user: entry.user.clone(),
            started_ns: entry.started_ns,
            root_pid: entry.pid,
        }))
    }

    fn agent(&self, slot: u32, generation: u32) -> Option<Arc<str>> {
        self.names().agent(generation, slot)
    }

    fn rule(&self, generation: u32, agent: u32, cell: u32, conditions: u64) -> Option<Arc<str>> {
        self.names().rule(generation, agent, cell, conditions)
    }

    fn user_name(&self, uid: u32) -> Option<Arc<str>> {
        let known = self.names().known_user(uid);
        known.unwrap_or_else(|| {
            // The name service may take its time: not under the lock.
            let name: Option<Arc<str>> = user_name(uid).map(Arc::from);
            self.names().add_user(uid, name.clone());
            name
        })
    }

    fn file_digest(&self, file: FileId, stamp: FileStamp) -> Option<[u8; 32]> {
        self.names().digest(file, stamp)
    }
}

/// A counter that must be readable: an array map refuses no read of an index it has.
#[must_use]
pub fn counter(core: &Core, counter: Counter) -> u64 {
    core.maps().counter(counter).unwrap_or_default()
}
