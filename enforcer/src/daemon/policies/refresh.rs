//! The files of the agents in force looked at again, as something on the host changed.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Applied, Looker, Policies, StoreNames,
    agent::Agent,
    prepare::{Prepared, prepare},
};
use crate::control::api::Problem;

/// What a look at the agents' files showed.
pub struct Refreshed {
    /// Agents whose tables differ now.
    changed: Vec<Prepared>,
    /// What is wrong with policies that are no longer good, by agent.
    wrong: BTreeMap<String, String>,
}

impl Policies {
    /// The agents in force, for a look at their files. Paths that lead nowhere are noted as lost from
    /// now on.
    pub fn begin_look(&mut self) -> BTreeMap<String, Arc<Agent>> {
        for agent in self.agents.values_mut() {
            if let Some(looks) = agent.looks.without_lost() {
                Arc::make_mut(agent).looks = looks;
            }
        }
        self.agents.clone()
    }

    /// Puts those agents in force whose tables differ now. An agent whose policy is not good at the
    /// moment stays as it is: what changed of it is denied. No policy may have been applied since
    /// [`Self::begin_look`].
    ///
    /// # Errors
    /// As [`Policies::apply`].
    pub fn take_in(
        &mut self,
        refreshed: Refreshed,
        busy: &BTreeSet<u32>,
        store_names: StoreNames<'_>,
    ) -> Result<Vec<Applied>, Problem> {
        let Refreshed { changed, wrong } = refreshed;
        for (agent, found) in &wrong {
            if self.wrong.get(agent) != Some(found) {
                tracing::warn!(
                    agent,
                    "its policy is no longer good on this host, and stays as it was:\n{found}"
                );
            }
        }
        self.wrong = wrong;
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        self.put_in_force(changed, &[], busy, store_names)
    }
}

impl Looker {
    /// Looks at the files of these agents again. Nothing need be locked meanwhile but the right to
    /// change policies.
    pub fn look_again(&self, agents: &BTreeMap<String, Arc<Agent>>) -> Refreshed {
        let facts = self.facts();
        let (mut changed, mut wrong) = (Vec::new(), BTreeMap::new());
        for (name, agent) in agents {
            let before = Some(&agent.looks);
            match prepare(
                &agent.source,
                &facts,
                &self.learner,
                before,
                &mut Vec::new(),
            ) {
                Ok(one) if one.fingerprint == agent.fingerprint => {}
                Ok(one) => changed.push(one),
                Err(found) => {
                    let found: Vec<_> = found.iter().map(|d| d.rendered.as_str()).collect();
                    wrong.insert(name.clone(), found.join("\n"));
                }
            }
        }
        Refreshed { changed, wrong }
    }
}
