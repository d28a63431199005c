//! Session slots, pending enrolments and labels.

#![forbid(unsafe_code)]

use aya::maps::{Array, HashMap, MapData};
use enforcer_common::{
    label::{Label, Pending, Session},
    maps::{Counter, MAX_SESSIONS},
};

use super::{KernelError, load::Pins};

/// The maps that say who is inside.
pub struct SessionMaps {
    sessions: Array<MapData, Session>,
    pending: HashMap<MapData, u32, Pending>,
    labels: HashMap<MapData, u64, Label>,
    counters: Array<MapData, u64>,
}

impl SessionMaps {
    /// Over the pinned maps.
    ///
    /// # Errors
    /// When one is missing or of another form.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        Ok(Self {
            sessions: Array::try_from(pins.map("SESSIONS")?)
                .map_err(KernelError::map("SESSIONS"))?,
            pending: HashMap::try_from(pins.map("PENDING")?)
                .map_err(KernelError::map("PENDING"))?,
            labels: HashMap::try_from(pins.map("LABELS")?).map_err(KernelError::map("LABELS"))?,
            counters: Array::try_from(pins.map("COUNTERS")?)
                .map_err(KernelError::map("COUNTERS"))?,
        })
    }

    /// Gives `slot` to a session that has no task yet.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn occupy(&mut self, slot: u32, id: u64, agent: u32) -> Result<(), KernelError> {
        let session = Session {
            id,
            tasks: 0,
            agent,
            flags: 0,
        };
        self.sessions
            .set(slot, session, 0)
            .map_err(KernelError::map("SESSIONS"))
    }

    /// Frees `slot`. A label that still names its session is judged `session-unknown` from now on.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn vacate(&mut self, slot: u32) -> Result<(), KernelError> {
        self.sessions
            .set(slot, Session::default(), 0)
            .map_err(KernelError::map("SESSIONS"))
    }

    /// What the kernel has in `slot`.
    ///
    /// # Errors
    /// When the kernel refuses the read.
    pub fn session(&self, slot: u32) -> Result<Session, KernelError> {
        self.sessions
            .get(&slot, 0)
            .map_err(KernelError::map("SESSIONS"))
    }

    /// Every slot in use.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn occupied(&self) -> Result<Vec<(u32, Session)>, KernelError> {
        let mut found = Vec::new();
        for slot in 0..MAX_SESSIONS {
            let session = self.session(slot)?;
            if session.id != 0 {
                found.push((slot, session));
            }
        }
        Ok(found)
    }

    /// Lets the process with this thread group id begin a session at its next exec.
    ///
    /// # Errors
    /// When there is no room.
    pub fn expect(&mut self, tgid: u32, pending: Pending) -> Result<(), KernelError> {
        self.pending
            .insert(tgid, pending, 0)
            .map_err(KernelError::map("PENDING"))
    }

    /// Whether the process with this thread group id is still to begin this session.
    #[must_use]
    pub fn is_expected(&self, tgid: u32, session: u64) -> bool {
        self.pending
            .get(&tgid, 0)
            .is_ok_and(|pending| pending.session == session)
    }

    /// Takes back [`Self::expect`]; true when the process had not begun its session.
    pub fn forget(&mut self, tgid: u32) -> bool {
        self.pending.remove(&tgid).is_ok()
    }

    /// The labels that there are now. Tasks come and go meanwhile: one that went may be among them.
    ///
    /// # Errors
    /// When the kernel does not give out one that is there.
    pub fn labels(&self) -> Result<Vec<Label>, KernelError> {
        let labels = self
            .labels
            .iter()
            .map(|entry| entry.map(|(_, label)| label));
        labels
            .collect::<Result<_, _>>()
            .map_err(KernelError::map("LABELS"))
    }

    /// Lets sequence numbers go on after `last`: maps that were made anew begin at 0, while the log
    /// of this boot holds numbers already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn continue_after(&mut self, last: u64) -> Result<(), KernelError> {
        let index = Counter::Sequence as u32;
        let now = self.counter(Counter::Sequence)?;
        self.counters
            .set(index, now.max(last), 0)
            .map_err(KernelError::map("COUNTERS"))
    }

    /// A counter's value.
    ///
    /// # Errors
    /// When the kernel refuses the read.
    pub fn counter(&self, counter: Counter) -> Result<u64, KernelError> {
        self.counters
            .get(&(counter as u32), 0)
            .map_err(KernelError::map("COUNTERS"))
    }
}
