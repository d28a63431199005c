//! Sessions that are kept for processes that enrol without asking: by slice, or by the file that they
//! execute. The kernel takes one at the moment, and the daemon learns of it by the session's first
//! event.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use enforcer_common::{
    label::{NO_AGENT, Spare},
    maps::MAX_SPARES,
};

use super::launch::new_id;
use crate::{
    control::api::SessionId,
    kernel::{KernelError, enrolment::SpareQueue, load::Pins, sessions::SessionMaps},
    session::Registry,
};

/// The sessions that are kept.
pub struct Spares {
    queue: SpareQueue,
    /// Slot by session id, of those that were not seen to be taken.
    kept: BTreeMap<u64, u32>,
}

impl Spares {
    /// Over the kernel's queue. What an earlier daemon kept is given back.
    ///
    /// # Errors
    /// When the queue is missing or of another form, or a slot cannot be freed.
    pub fn open(pins: &Pins, maps: &mut SessionMaps) -> Result<Self, KernelError> {
        let mut queue = SpareQueue::open(pins)?;
        while let Some(spare) = queue.pop()? {
            if maps.session(spare.slot)?.id == spare.session {
                maps.vacate(spare.slot)?;
            }
        }
        Ok(Self {
            queue,
            kept: BTreeMap::new(),
        })
    }

    /// Slots of those that are kept.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.kept.values().copied()
    }

    /// Keeps as many as the queue holds, as far as there are slots.
    ///
    /// # Errors
    /// When the kernel refuses one.
    pub fn fill(&mut self, sessions: &Registry, maps: &mut SessionMaps) -> Result<(), KernelError> {
        while self.kept.len() < MAX_SPARES as usize {
            let (Some(slot), Ok(id)) = (sessions.free_slot(self.slots()), new_id()) else {
                return Ok(()); // what there is must do
            };
            maps.occupy(slot, id.0, NO_AGENT)?;
            self.queue.push(Spare {
                session: id.0,
                slot,
                pad: 0,
            })?;
            self.kept.insert(id.0, slot);
        }
        Ok(())
    }

    /// Keeps none any more: what would enrol is denied from now on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn drain(&mut self, maps: &mut SessionMaps) -> Result<(), KernelError> {
        while let Some(spare) = self.queue.pop()? {
            self.kept.remove(&spare.session);
            maps.vacate(spare.slot)?;
        }
        Ok(())
    }

    /// Notes that a session was taken; gives its slot if it was one of these.
    pub fn taken(&mut self, id: SessionId) -> Option<u32> {
        self.kept.remove(&id.0)
    }

    /// Those that the kernel has taken: id, slot, and the agent they were taken for.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn in_use(&self, maps: &SessionMaps) -> Result<Vec<(SessionId, u32, u32)>, KernelError> {
        let mut found = Vec::new();
        for (id, slot) in &self.kept {
            let session = maps.session(*slot)?;
            if session.id == *id && session.agent != NO_AGENT {
                found.push((SessionId(*id), *slot, session.agent));
            }
        }
        Ok(found)
    }
}
