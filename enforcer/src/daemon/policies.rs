//! Policies taken in, compiled, and put in force as one generation.
//!
//! ```text
//! sources -> parse, check, compile (all, or nothing) -> tables beside those in force
//!         -> meaning and text stored -> one pointer swapped -> records
//! ```

#![forbid(unsafe_code)]

mod agent;
mod looks;
mod prepare;
mod refresh;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_common::{
    label::{AGENT_AUDIT_ALL, AGENT_ENFORCE, AGENT_HOST_LIBRARIES, AGENT_PRESENT, AgentParams},
    maps::{CANARY_AGENT, MAX_AGENTS},
    object::FileId,
    permit::ExecPermit,
};
use enforcer_policy::{Audit, Cells, OnAuditFailure, Tables, plan};
use serde::{Deserialize, Serialize};

use self::prepare::{Prepared, sources_in};
pub use self::{
    agent::Agent,
    prepare::{Looker, Preparation},
};
use super::{
    enrol,
    guarded::{self, Guarded, Guards},
    names::AgentNames,
    store,
};
use crate::{
    config::DaemonConfig,
    control::api::{
        AgentChange, ChangeKind, ErrorCode, PolicyOutcome, PolicyRequest, PolicySource, Problem,
    },
    kernel::{
        KernelError,
        enrolment::{Enrolling, EnrolmentMaps},
        learn::Learner,
        tables::PolicyMaps,
    },
};

/// Name of the daemon's own agent, which allows nothing but the daemon's binary.
pub const CANARY: &str = "enforcer-canary";

/// What is stored for the daemon that comes after a reboot.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Accepted {
    generation: u32,
    policies: Vec<PolicySource>,
}

/// A change that an apply made, for the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The agent.
    pub agent: String,
    /// Whether it is in force now.
    pub in_force: bool,
    /// SHA-256 of its policy's text with its includes, while it is in force.
    pub sha256: Option<[u8; 32]>,
}

/// A policy that did not come into force, for the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The agent, or the policy's file when it does not tell.
    pub agent: String,
    /// What was wrong.
    pub why: String,
}

/// Stores what a generation's numbers will mean; held no longer than that, since whoever reads
/// events needs the names too.
pub type StoreNames<'a> = &'a dyn Fn(u32, Vec<AgentNames>) -> io::Result<()>;

/// The policies in force, and the way to change them. One at a time: whoever holds it applies.
pub struct Policies {
    maps: PolicyMaps,
    guards: Guards,
    enrolment: EnrolmentMaps,
    looker: Looker,
    generation: u32,
    /// The last generation number given out. None is used twice, not even by an attempt that
    /// failed: labels keep what they looked up by it.
    last_number: u32,
    agents: BTreeMap<String, Arc<Agent>>,
    /// Policies, by agent, that were accepted once and were not good when this daemon started: the next
    /// one tries again.
    left_out: BTreeMap<String, PolicySource>,
    /// Slots by agent name, kept for as long as an event or a session may name them.
    slots: BTreeMap<String, u32>,
    canary: AgentParams,
    /// What the canary's tables list: the daemon's binary as it was when they were built.
    canary_runs: Vec<(FileId, ExecPermit)>,
    /// What was last found wrong, by agent, with policies whose files had changed.
    wrong: BTreeMap<String, String>,
    /// Why the latest generation enrols not all that it should, if that is so.
    unenrolled: Option<String>,
    accepted: PathBuf,
    slots_file: PathBuf,
}

impl Policies {
    /// Takes over what earlier daemons left. Nothing is in force by this daemon yet.
    ///
    /// # Errors
    /// When what was stored cannot be read.
    pub fn open(
        maps: PolicyMaps,
        guards: Guards,
        enrolment: EnrolmentMaps,
        learner: Arc<Learner>,
        config: &DaemonConfig,
        newest_known: u32,
    ) -> io::Result<Self> {
        let slots_file = config.run_dir().join("slots.json");
        let in_kernel = maps
            .params()
            .iter()
            .map(|params| params.generation)
            .max()
            .unwrap_or(0);
        Ok(Self {
            looker: Looker {
                learner,
                control_socket: config.socket.clone(),
            },
            generation: in_kernel.max(newest_known),
            last_number: in_kernel.max(newest_known),
            agents: BTreeMap::new(),
            left_out: BTreeMap::new(),
            slots: store::read(&slots_file)?.unwrap_or_default(),
            canary: AgentParams::default(),
            canary_runs: Vec::new(),
            wrong: BTreeMap::new(),
            unenrolled: None,
            accepted: config.state_dir.join("policy.json"),
            slots_file,
            maps,
            guards,
            enrolment,
        })
    }

    /// Generation in force.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Guards the enforcer's own files.
    ///
    /// # Errors
    /// When the kernel does not tell an identity or refuses an entry.
    pub fn guard_own(&mut self, config: &DaemonConfig) -> io::Result<()> {
        self.guards.guard_own(config)
    }

    /// Builds the canary's tables. They come into force with the next generation.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_canary(&mut self, tables: &Tables) -> Result<(), KernelError> {
        let index = self.maps.build(tables)?;
        self.canary = AgentParams {
            generation: 0,
            tables: index,
            flags: AGENT_PRESENT | AGENT_ENFORCE | AGENT_AUDIT_ALL | AGENT_HOST_LIBRARIES,
            sockets: 0,
            monitor_until_ns: 0,
        };
        self.canary_runs.clone_from(&tables.executables);
        Ok(())
    }

    /// Puts the canary's tables in force as they are now, if they differ: the binary that runs gets
    /// another time of change when a package manager replaces it or links it.
    ///
    /// # Errors
    /// When the kernel refuses; what was in force stays.
    pub fn renew_canary(
        &mut self,
        tables: &Tables,
        busy: &BTreeSet<u32>,
        store_names: StoreNames<'_>,
    ) -> Result<(), Problem> {
        if self.canary_runs == tables.executables {
            return Ok(());
        }
        let before = (self.canary, self.canary_runs.clone());
        self.set_canary(tables)
            .map_err(|error| self.give_up(&error))?;
        let renewed = self.put_in_force(Vec::new(), &[], busy, store_names);
        if renewed.is_err() {
            (self.canary, self.canary_runs) = before;
        }
        renewed.map(drop)
    }

    /// The policies to begin with: those accepted before, or else the files in `folder`. An agent
    /// whose policy is no longer good on this host is left out, which denies its sessions everything, and
    /// told of as one of `rejected`.
    ///
    /// # Errors
    /// When what is good cannot be put in force.
    pub fn begin(
        &mut self,
        folder: &Path,
        busy: &BTreeSet<u32>,
        store_names: StoreNames<'_>,
        rejected: &mut Vec<Rejected>,
    ) -> Result<Vec<Applied>, Problem> {
        let stored = store::read::<Accepted>(&self.accepted)
            .map_err(|error| internal(format!("{}: {error}", self.accepted.display())))?;
        let policies = match stored {
            Some(accepted) => {
                self.generation = self.generation.max(accepted.generation);
                self.last_number = self.last_number.max(self.generation);
                accepted.policies
            }
            None => sources_in(folder),
        };
        let mut good = Vec::new();
        for source in policies {
            match self.looker.prepare(std::slice::from_ref(&source)) {
                Ok(mut preparation) => good.append(&mut preparation.prepared),
                Err(problem) => {
                    let found: Vec<_> = problem
                        .diagnostics
                        .iter()
                        .map(|d| d.rendered.as_str())
                        .collect();
                    tracing::error!(
                        policy = source.name,
                        "left out: {problem}\n{}",
                        found.join("\n")
                    );
                    let agent = source.agent();
                    rejected.push(Rejected {
                        agent: agent.clone(),
                        why: problem.message,
                    });
                    self.left_out.insert(agent, source);
                }
            }
        }
        self.put_in_force(good, &[], busy, store_names)
    }

    /// How policies are looked at here.
    #[must_use]
    pub fn looker(&self) -> Looker {
        self.looker.clone()
    }

    /// What applying `request`, found good as `preparation`, would change.
    ///
    /// # Errors
    /// `conflict` as [`Self::apply`].
    pub fn plan(
        &self,
        request: &PolicyRequest,
        preparation: Preparation,
    ) -> Result<PolicyOutcome, Problem> {
        self.is_expected(request)?;
        let Preparation { prepared, warnings } = preparation;
        let changes = self.changes(&prepared, &self.pruned(request, &prepared));
        Ok(PolicyOutcome {
            generation: self.generation,
            changes,
            warnings,
        })
    }

    /// Fails when another generation is in force than the one that whoever asks has looked at.
    ///
    /// # Errors
    /// `conflict`.
    pub fn is_expected(&self, request: &PolicyRequest) -> Result<(), Problem> {
        let expected = request.expected_generation;
        if expected.is_none_or(|expected| expected == self.generation) {
            return Ok(());
        }
        let message = format!("generation {} is in force", self.generation);
        Err(Problem::new(ErrorCode::Conflict, message)
            .hint("look at what is in force with `enforcer policy list`, then plan again"))
    }

    /// Puts `request`, found good as `preparation`, in force, or changes nothing.
    ///
    /// # Errors
    /// `conflict` when another generation is in force than the one expected, `limit-reached`, or the
    /// kernel's refusal.
    pub fn apply(
        &mut self,
        request: &PolicyRequest,
        preparation: Preparation,
        busy: &BTreeSet<u32>,
        store_names: StoreNames<'_>,
    ) -> Result<(PolicyOutcome, Vec<Applied>), Problem> {
        self.is_expected(request)?;
        let Preparation { prepared, warnings } = preparation;
        let removed = self.pruned(request, &prepared);
        let changes = self.changes(&prepared, &removed);
        if changes.is_empty() {
            return Ok((
                PolicyOutcome {
                    generation: self.generation,
                    changes,
                    warnings,
                },
                Vec::new(),
            ));
        }
        let mut applied = self.put_in_force(prepared, &removed, busy, store_names)?;
        applied.extend(removed.into_iter().map(|agent| Applied {
            agent,
            in_force: false,
            sha256: None,
        }));
        Ok((
            PolicyOutcome {
                generation: self.generation,
                changes,
                warnings,
            },
            applied,
        ))
    }

    fn pruned(&self, request: &PolicyRequest, prepared: &[Prepared]) -> Vec<String> {
        let named: BTreeSet<&str> = prepared.iter().map(Prepared::name).collect();
        let leaves = |name: &&String| request.prune && !named.contains(name.as_str());
        let known = self.agents.keys().chain(self.left_out.keys());
        known.filter(leaves).cloned().collect()
    }

    fn changes(&self, prepared: &[Prepared], removed: &[String]) -> Vec<AgentChange> {
        let mut changes: Vec<AgentChange> =
            prepared.iter().filter_map(|new| self.change(new)).collect();
        changes.extend(removed.iter().map(|name| AgentChange {
            agent: name.clone(),
            kind: ChangeKind::Removed,
            details: vec!["its sessions are denied everything".to_owned()],
        }));
        changes
    }

    fn change(&self, new: &Prepared) -> Option<AgentChange> {
        let old = self.agents.get(new.name());
        let details: Vec<String> = plan(old.map(|old| &old.policy), &new.policy)
            .iter()
            .map(ToString::to_string)
            .collect();
        let kind = match old {
            None => ChangeKind::Added,
            Some(old) if old.source == new.source && old.fingerprint == new.fingerprint => {
                return None;
            }
            Some(_) => ChangeKind::Changed,
        };
        let details = if details.is_empty() && kind == ChangeKind::Changed {
            vec!["its text or the files that it names differ; its rules do not".to_owned()]
        } else {
            details
        };
        Some(AgentChange {
            agent: new.name().to_owned(),
            kind,
            details,
        })
    }

    /// Puts `prepared` and every other agent but `removed` in force as the next generation.
    fn put_in_force(
        &mut self,
        prepared: Vec<Prepared>,
        removed: &[String],
        busy: &BTreeSet<u32>,
        store_names: StoreNames<'_>,
    ) -> Result<Vec<Applied>, Problem> {
        self.last_number += 1;
        let generation = self.last_number;
        let slots = self.slots_with(&prepared, removed, busy)?;
        let mut agents = self.agents.clone();
        agents.retain(|name, _| !removed.contains(name));
        let mut applied = Vec::new();
        for one in prepared {
            let tables = self
                .maps
                .build(&one.tables)
                .map_err(|error| self.give_up(&error))?;
            let name = one.name().to_owned();
            let agent = Agent::new(one, slots[&name], tables, generation);
            applied.push(Applied {
                agent: name.clone(),
                in_force: true,
                sha256: Some(agent.digest()),
            });
            agents.insert(name, Arc::new(agent));
        }
        let before = self.enrolling(&self.agents)?;
        let enrolling = match self.enrolling(&agents) {
            Ok(enrolling) => enrolling,
            Err(problem) => {
                let _ = self.maps.sweep(); // what stays behind is swept with the next generation
                return Err(problem);
            }
        };
        let guarded = guarded_by(&agents);
        self.guards
            .extend(&guarded)
            .map_err(|error| self.give_up(&error))?;
        // Who enrols no longer does before the agent's slot can be another's, and who is to enrol does
        // when the agent is there.
        self.enrolment
            .hold(&common(&before, &enrolling))
            .map_err(|error| self.give_up(&error))?;
        let mut left_out = self.left_out.clone();
        left_out.retain(|name, _| !removed.contains(name) && !agents.contains_key(name));
        let agents_before = std::mem::replace(&mut self.agents, agents);
        let left_out_before = std::mem::replace(&mut self.left_out, left_out);
        if let Err(problem) = self.commit(generation, &slots, store_names) {
            self.agents = agents_before;
            self.left_out = left_out_before;
            self.guards.settle(guarded_by(&self.agents));
            let _ = self.enrolment.hold(&before); // all of it was there
            let _ = store::write(&self.slots_file, &self.slots); // as they were
            let _ = self.maps.sweep(); // what stays behind is swept with the next generation
            return Err(problem);
        }
        self.guards.settle(guarded);
        if let Err(error) = self.enrolment.hold(&enrolling) {
            self.unenrolled = Some(format!(
                "{error}; the policy is in force, and not every process is enrolled"
            ));
        }
        Ok(applied)
    }

    /// Who enrols, with these agents in force.
    fn enrolling(&self, agents: &BTreeMap<String, Arc<Agent>>) -> Result<Enrolling, Problem> {
        let mut all = enrol::managers(&self.looker.learner);
        for (name, agent) in agents {
            agent.ways.add(agent.slot, &mut all).map_err(|what| {
                let message = format!("the {what} of agent `{name}` is another agent's");
                Problem::new(ErrorCode::PolicyInvalid, message)
                    .hint("each slice and each entry enrols for one agent: give this one its own")
            })?;
        }
        Ok(all)
    }

    /// Whether any agent's processes become sessions without asking.
    #[must_use]
    pub fn enrols(&self) -> bool {
        self.agents.values().any(|agent| {
            let agent = &agent.policy().agent;
            agent.slice.is_some() || agent.entry.is_some()
        })
    }

    /// Why what is in force does not enrol all that it should; told once.
    pub fn take_unenrolled(&mut self) -> Option<Problem> {
        self.unenrolled.take().map(internal)
    }

    /// Whether any agent wants an alert for what could not be recorded.
    #[must_use]
    pub fn alerts(&self) -> bool {
        self.agents
            .values()
            .any(|agent| agent.policy().agent.on_audit_failure == OnAuditFailure::Alert)
    }

    fn commit(
        &mut self,
        generation: u32,
        slots: &BTreeMap<String, u32>,
        store_names: StoreNames<'_>,
    ) -> Result<(), Problem> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| {
                internal(format!(
                    "{what} cannot be stored: {error}; nothing was changed"
                ))
            }
        };
        store::write(&self.slots_file, slots).map_err(failed("the agents' slots"))?;
        store_names(generation, self.names()).map_err(failed("the generation's names"))?;
        let before = store::read::<Accepted>(&self.accepted).ok().flatten();
        let in_force = self.agents.values().map(|agent| &agent.source);
        let accepted = Accepted {
            generation,
            policies: in_force.chain(self.left_out.values()).cloned().collect(),
        };
        store::write(&self.accepted, &accepted).map_err(failed("the policy"))?;
        let params = self.params(generation);
        if let Err(error) = self.maps.put_in_force(&params) {
            if let Some(before) = before {
                let _ = store::write(&self.accepted, &before);
            }
            return Err(internal(format!("{error}; nothing was changed")));
        }
        self.slots.clone_from(slots);
        self.generation = generation;
        Ok(())
    }

    fn give_up(&mut self, error: &KernelError) -> Problem {
        let _ = self.maps.sweep(); // what stays behind is swept with the next generation
        let code = match error {
            KernelError::Full { .. } => ErrorCode::LimitReached,
            KernelError::Btf(_)
            | KernelError::Io { .. }
            | KernelError::Program { .. }
            | KernelError::Object(_)
            | KernelError::Map { .. } => ErrorCode::Internal,
        };
        Problem::new(code, format!("{error}; nothing was changed"))
    }

    /// Slots for the agents in force and those to come. A slot is free for another agent only when
    /// its own is not in force and no session is held to it.
    fn slots_with(
        &self,
        prepared: &[Prepared],
        removed: &[String],
        busy: &BTreeSet<u32>,
    ) -> Result<BTreeMap<String, u32>, Problem> {
        let mut slots: BTreeMap<String, u32> = self
            .slots
            .iter()
            .filter(|(name, slot)| {
                (self.agents.contains_key(*name) && !removed.contains(name))
                    || busy.contains(slot)
                    || prepared.iter().any(|one| one.name() == name.as_str())
            })
            .map(|(name, slot)| (name.clone(), *slot))
            .collect();
        let mut taken: BTreeSet<u32> = slots
            .values()
            .chain(busy)
            .chain(self.slots.values()) // those that go now can still be enrolled for
            .copied()
            .chain([CANARY_AGENT])
            .collect();
        for one in prepared {
            if slots.contains_key(one.name()) {
                continue;
            }
            let Some(free) = (0..MAX_AGENTS).find(|slot| !taken.contains(slot)) else {
                let message = format!("more than {} agents; nothing was changed", MAX_AGENTS - 1);
                return Err(Problem::new(ErrorCode::LimitReached, message));
            };
            taken.insert(free);
            slots.insert(one.name().to_owned(), free);
        }
        Ok(slots)
    }

    fn params(&self, generation: u32) -> Vec<AgentParams> {
        let mut params = vec![AgentParams::default(); MAX_AGENTS as usize];
        let canary = AgentParams {
            generation,
            ..self.canary
        };
        let agents = self.agents.values().map(|agent| (agent.slot, agent.params));
        for (slot, entry) in agents.chain([(CANARY_AGENT, canary)]) {
            // Every agent carries the generation in force: its events say what they were judged by.
            params[slot as usize] = AgentParams {
                generation,
                ..entry
            };
        }
        params
    }

    fn names(&self) -> Vec<AgentNames> {
        let canary = AgentNames {
            slot: CANARY_AGENT,
            name: CANARY.to_owned(),
            owner: "enforcer".to_owned(),
            audit: Audit::All,
            cells: Cells::default(),
        };
        let agents = self.agents.iter().map(|(name, agent)| AgentNames {
            slot: agent.slot,
            name: name.clone(),
            owner: agent.policy.agent.owner.clone(),
            audit: agent.policy.agent.audit,
            cells: agent.cells.clone(),
        });
        agents.chain([canary]).collect()
    }

    /// The agents in force.
    pub fn agents(&self) -> impl Iterator<Item = (&String, &Arc<Agent>)> {
        self.agents.iter()
    }

    /// An agent in force.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(name)
    }
}

/// What enrols for the same agent in both.
fn common(before: &Enrolling, after: &Enrolling) -> Enrolling {
    let mut both = before.clone();
    both.slices
        .retain(|slice, agent| after.slices.get(slice) == Some(agent));
    both.entries
        .retain(|entry, agent| after.entries.get(entry) == Some(agent));
    both
}

/// What the policies of these agents name and nobody may change.
fn guarded_by(agents: &BTreeMap<String, Arc<Agent>>) -> Guarded {
    let mut all = Guarded::new();
    for (file, value) in agents.values().flat_map(|agent| &agent.guarded) {
        guarded::put(&mut all, *file, *value);
    }
    all
}

fn internal(message: String) -> Problem {
    Problem::new(ErrorCode::Internal, message)
}
