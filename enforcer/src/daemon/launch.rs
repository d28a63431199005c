//! A session begun: a slot, an id, and the pending label that the process's next exec takes.

#![forbid(unsafe_code)]

use std::{fs, io, sync::Arc, time::Duration};

use enforcer_common::{
    label::Pending,
    maps::{CANARY_AGENT, MAX_SESSIONS},
};

use super::{
    core::Core,
    names::user_name,
    policies::{CANARY, Policies},
};
use crate::{
    clock,
    control::{
        api::{ErrorCode, LaunchRequest, Launched, Problem, SessionId},
        peer::{Peer, group_id},
    },
    session::{Entry, State},
};

/// Pause between two looks at a process that has not begun its session.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Sessions at once that a user other than root may have asked for and not begun, so that none can
/// take all places.
pub const MAX_PENDING_OF_USER: usize = 64;

/// What a session is held to and for whom.
pub struct Terms {
    /// Agent's name.
    pub agent: String,
    /// Agent's slot.
    pub agent_slot: u32,
    /// Agent's owner.
    pub owner: String,
    /// Generation in force.
    pub generation: u32,
}

impl Terms {
    /// Of the daemon's own agent, which allows nothing but the daemon's binary.
    pub fn of_canary(generation: u32) -> Self {
        Self {
            agent: CANARY.to_owned(),
            agent_slot: CANARY_AGENT,
            owner: "enforcer".to_owned(),
            generation,
        }
    }
}

/// Launches an agent for the peer. No policy changes meanwhile: the slot that the agent has when
/// its terms are read is still its own when the session is there to keep it.
///
/// # Errors
/// `not-found`, `denied`, or as [`begin`].
pub fn launch(core: &Core, peer: &Peer, request: LaunchRequest) -> Result<Launched, Problem> {
    let policies = core.policies();
    let terms = terms(&policies, peer, &request.agent)?;
    let launched = begin(core, terms, request, peer.pid, peer.uid)?;
    // The process was looked at by its pid: had it ended before, the pid could be another's.
    if !peer.is_alive() {
        core.drop_pending(launched.session, peer.pid);
        return Err(Problem::new(
            ErrorCode::Internal,
            "the process that asked has ended",
        ));
    }
    Ok(launched)
}

/// Finds the agent and whether the peer may launch it.
fn terms(policies: &Policies, peer: &Peer, agent: &str) -> Result<Terms, Problem> {
    let known = policies.agent(agent);
    // By it `enforcer doctor --prove` has a session that allows nothing, and needs no policy for it.
    if agent == CANARY && peer.roles.admin && known.is_none() {
        return Ok(Terms::of_canary(policies.generation()));
    }
    let may = peer.roles.admin
        || known.is_some_and(|agent| {
            let launch = agent.policy().agent.launch.as_ref();
            let group = launch.and_then(|launch| launch.group.as_ref());
            group
                .and_then(|group| group_id(&group.value))
                .is_some_and(|gid| peer.in_group(gid))
        });
    let told_what_exists = peer.roles.viewer && known.is_none();
    if !may && !told_what_exists {
        // Who may not see policies does not learn which agents there are.
        return Err(Problem::new(
            ErrorCode::Denied,
            format!("you may not launch agent `{agent}`"),
        )
        .hint("its policy's [agent.enrol] launch names the group that may"));
    }
    let Some(known) = known else {
        return Err(Problem::new(
            ErrorCode::NotFound,
            format!("no agent `{agent}` is in force"),
        )
        .hint("`enforcer policy list` shows those that are"));
    };
    if known.policy().agent.launch.is_none() {
        return Err(Problem::new(
            ErrorCode::Denied,
            format!("agent `{agent}` is not for launching"),
        )
        .hint("add `launch` to [agent.enrol] in its policy"));
    }
    Ok(Terms {
        agent: agent.to_owned(),
        agent_slot: known.slot(),
        owner: known.policy().agent.owner.clone(),
        generation: policies.generation(),
    })
}

/// Makes the session, so that the process `pid` enters it at its next exec.
///
/// # Errors
/// `limit-reached` when there is no slot, or what stood against storing it.
pub fn begin(
    core: &Core,
    terms: Terms,
    request: LaunchRequest,
    pid: u32,
    uid: u32,
) -> Result<Launched, Problem> {
    let internal = |what: &str, error: &dyn std::fmt::Display| {
        Problem::new(ErrorCode::Internal, format!("{what}: {error}"))
    };
    let start_ticks = start_of(pid).map_err(|e| internal("the process cannot be looked at", &e))?;
    let id = new_id().map_err(|e| internal("no random number for a session id", &e))?;
    let mut sessions = core.sessions();
    if core.door_is_shut() {
        return Err(Problem::new(
            ErrorCode::NotEnforcing,
            "enforcement is being removed",
        ));
    }
    let waiting = |entry: &&Entry| entry.uid == uid && entry.state == State::Pending;
    if uid != 0 && sessions.living().filter(waiting).count() >= MAX_PENDING_OF_USER {
        return Err(Problem::new(
            ErrorCode::LimitReached,
            format!("{MAX_PENDING_OF_USER} sessions of this user wait for their first program"),
        )
        .hint(
            "a process that asks for a session and executes nothing keeps its place until it ends",
        ));
    }
    let Some(slot) = core.free_slot(&sessions) else {
        return Err(Problem::new(
            ErrorCode::LimitReached,
            format!("{MAX_SESSIONS} sessions run already"),
        )
        .hint("end sessions that are no longer needed: `enforcer session list`"));
    };
    let entry = Entry {
        id,
        slot,
        agent: terms.agent.clone(),
        agent_slot: terms.agent_slot,
        owner: terms.owner,
        task: request.task,
        pid,
        uid,
        user: user_name(uid),
        command: request.command,
        started: clock::now_text(),
        started_ns: clock::boot_ns(),
        state: State::Pending,
    };
    sessions.add(entry);
    let stored = core
        .store_sessions(&sessions)
        .map_err(|e| internal("the session cannot be stored", &e));
    let expected = stored.and_then(|()| {
        let mut maps = core.maps();
        maps.occupy(slot, id.0, terms.agent_slot)
            .and_then(|()| {
                maps.expect(
                    pid,
                    Pending {
                        session: id.0,
                        start_ticks,
                        slot,
                        pad: 0,
                    },
                )
            })
            .map_err(|e| internal("the kernel does not take the session", &e))
    });
    if let Err(problem) = expected {
        sessions.remove(id);
        let _ = core.maps().vacate(slot); // nobody was given it
        let _ = core.store_sessions(&sessions); // the next change stores it again
        return Err(problem);
    }
    Ok(Launched {
        session: id,
        agent: terms.agent,
        generation: terms.generation,
    })
}

/// Drops the session when its process ends without having begun it. The pid means one process for as
/// long as `peer` holds it, so nobody else can take the pending label meanwhile.
pub async fn watch_pending(core: Arc<Core>, id: SessionId, peer: Peer) {
    let pending = || {
        core.sessions()
            .get(id)
            .is_some_and(|entry| entry.state == State::Pending)
    };
    while pending() {
        if !peer.is_alive() {
            return core.drop_pending(id, peer.pid);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// An id that no session has.
///
/// # Errors
/// When the kernel gives no random numbers.
pub fn new_id() -> io::Result<SessionId> {
    loop {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let id = u64::from_ne_bytes(bytes);
        if id != 0 {
            return Ok(SessionId(id));
        }
    }
}

/// Start of a process in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
fn start_of(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks_in_stat(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The command's name may hold spaces and parentheses, so fields count from its last one.
fn ticks_in_stat(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_start_is_read_whatever_its_name_holds() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        for name in ["sh", "a) b (c", ") 1 2 3", ""] {
            assert_eq!(
                ticks_in_stat(&format!("7 ({name}) {rest}")),
                Some(4242),
                "{name}"
            );
        }
        assert_eq!(ticks_in_stat("7 sh S 1"), None);
        assert!(start_of(std::process::id()).is_ok());
    }

    #[test]
    fn ids_differ_and_are_never_0() {
        let ids: std::collections::BTreeSet<u64> = (0..64).map(|_| new_id().unwrap().0).collect();
        assert_eq!(ids.len(), 64);
        assert!(!ids.contains(&0));
    }
}
