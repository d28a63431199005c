//! The kernel's tables of who becomes a session without asking: slices, entry files, and the sessions
//! that are kept for them.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, MapData, MapError, Queue};
use enforcer_common::{
    label::{EntryKey, NO_AGENT, SLICE_LEN, Spare},
    maps::ENTRIES_IN_USE,
};

use super::{KernelError, load::Pins};

/// Name of a slice, filled up with NUL.
pub type SliceName = [u8; SLICE_LEN];

/// Who enrols, by agent slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolling {
    /// Slices.
    pub slices: BTreeMap<SliceName, u32>,
    /// Files, by folder and name.
    pub entries: BTreeMap<EntryKey, u32>,
}

/// The maps of enrolment.
pub struct EnrolmentMaps {
    slices: HashMap<MapData, SliceName, u32>,
    levels: Array<MapData, u64>,
    entries: HashMap<MapData, EntryKey, u32>,
}

impl EnrolmentMaps {
    /// Over the pinned maps.
    ///
    /// # Errors
    /// When one is missing or of another form.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        Ok(Self {
            slices: HashMap::try_from(pins.map("SLICES")?).map_err(KernelError::map("SLICES"))?,
            levels: Array::try_from(pins.map("SLICE_LEVELS")?)
                .map_err(KernelError::map("SLICE_LEVELS"))?,
            entries: HashMap::try_from(pins.map("ENTRIES")?)
                .map_err(KernelError::map("ENTRIES"))?,
        })
    }

    /// Makes these enrol, and nobody else. What is new comes in before what is old goes.
    ///
    /// # Errors
    /// When the kernel refuses an entry.
    pub fn hold(&mut self, wanted: &Enrolling) -> Result<(), KernelError> {
        hold(&mut self.slices, &with_roots(&wanted.slices)).map_err(KernelError::map("SLICES"))?;
        hold(&mut self.entries, &wanted.entries).map_err(KernelError::map("ENTRIES"))?;
        let slices = wanted.slices.keys().map(|name| 1 << level(name));
        let has_entries = wanted.entries.values().any(|agent| *agent != NO_AGENT);
        let entries = has_entries.then_some(ENTRIES_IN_USE);
        let levels: u64 = slices.chain(entries).fold(0, |all, bit| all | bit);
        self.levels
            .set(0, levels, 0)
            .map_err(KernelError::map("SLICE_LEVELS"))
    }
}

/// The slices, and the first level of each, which by itself enrols nobody.
fn with_roots(slices: &BTreeMap<SliceName, u32>) -> BTreeMap<SliceName, u32> {
    let roots = slices.keys().map(|name| (root(name), NO_AGENT));
    let mut all: BTreeMap<SliceName, u32> = roots.collect();
    all.extend(slices);
    all
}

/// The slice of the first level that systemd has a slice below: `a.slice` of `a-b.slice`.
fn root(name: &SliceName) -> SliceName {
    const SUFFIX: &[u8] = b".slice";
    let mut root = *name;
    if let Some(dash) = name.iter().position(|byte| *byte == b'-') {
        root[dash..].fill(0);
        root[dash..dash + SUFFIX.len()].copy_from_slice(SUFFIX); // what it takes the place of is longer
    }
    root
}

/// The level at which systemd has a slice: one more for each `-` in its name (systemd.slice(5)).
fn level(name: &SliceName) -> u32 {
    let dashes = name.iter().filter(|byte| **byte == b'-').count();
    u32::try_from(dashes).unwrap_or(u32::MAX).saturating_add(1)
}

fn hold<K: aya::Pod + Ord>(
    map: &mut HashMap<MapData, K, u32>,
    wanted: &BTreeMap<K, u32>,
) -> Result<(), MapError> {
    for (key, agent) in wanted {
        map.insert(key, agent, 0)?;
    }
    let gone: Vec<K> = map
        .keys()
        .filter(|key| !matches!(key, Ok(key) if wanted.contains_key(key)))
        .collect::<Result<_, _>>()?;
    for key in gone {
        match map.remove(&key) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The queue of sessions that are kept.
pub struct SpareQueue {
    queue: Queue<MapData, Spare>,
}

impl SpareQueue {
    /// Over the pinned map.
    ///
    /// # Errors
    /// When it is missing or of another form.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let queue = Queue::try_from(pins.map("SPARES")?).map_err(KernelError::map("SPARES"))?;
        Ok(Self { queue })
    }

    /// Takes the oldest one out, as the kernel programs do.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pop(&mut self) -> Result<Option<Spare>, KernelError> {
        match self.queue.pop(0) {
            Ok(spare) => Ok(Some(spare)),
            Err(MapError::ElementNotFound) => Ok(None),
            Err(error) => Err(KernelError::map("SPARES")(error)),
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// When there is no room.
    pub fn push(&mut self, spare: Spare) -> Result<(), KernelError> {
        self.queue
            .push(spare, 0)
            .map_err(KernelError::map("SPARES"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_stands_below_those_that_its_name_begins_with() {
        for (name, expected) in [("a.slice", 1), ("a-b.slice", 2), ("a-b-c.slice", 3)] {
            let mut padded = [0; SLICE_LEN];
            padded[..name.len()].copy_from_slice(name.as_bytes());
            assert_eq!(level(&padded), expected, "{name}");
        }
    }
}
