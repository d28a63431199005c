//! The kernel's tables of files that belong to no policy: the host's libraries, and the enforcer's own.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use enforcer_common::object::{FileId, FileStamp};

use super::{KernelError, load::Pins};

/// A table by file, brought to what it should hold entry by entry: whoever asks meanwhile finds
/// either what was or what will be.
pub struct FileTable<V: Pod> {
    name: &'static str,
    map: HashMap<MapData, FileId, V>,
    /// What it holds.
    held: BTreeMap<FileId, V>,
}

/// The map `LIBRARIES`: the host's libraries, each with the stamp of its content.
pub type LibraryTable = FileTable<FileStamp>;
/// The map `GUARDED`: what is the enforcer's own, as `GUARDED_*`.
pub type GuardTable = FileTable<u32>;

impl LibraryTable {
    /// Over the pinned map.
    ///
    /// # Errors
    /// When it is missing or of another form.
    pub fn libraries(pins: &Pins) -> Result<Self, KernelError> {
        Self::open(pins, "LIBRARIES")
    }
}

impl GuardTable {
    /// Over the pinned map.
    ///
    /// # Errors
    /// When it is missing or of another form.
    pub fn guarded(pins: &Pins) -> Result<Self, KernelError> {
        Self::open(pins, "GUARDED")
    }
}

impl<V: Pod + PartialEq> FileTable<V> {
    fn open(pins: &Pins, name: &'static str) -> Result<Self, KernelError> {
        let map = HashMap::try_from(pins.map(name)?).map_err(KernelError::map(name))?;
        let held = map
            .iter()
            .collect::<Result<_, MapError>>()
            .map_err(KernelError::map(name))?;
        Ok(Self { name, map, held })
    }

    /// Makes it hold `wanted`, and nothing else. What is new comes in before what is old goes.
    ///
    /// # Errors
    /// When the kernel refuses an entry, which it does when the table is full; the rest is done.
    pub fn hold(&mut self, wanted: &BTreeMap<FileId, V>) -> Result<(), KernelError> {
        let mut result = self.add(wanted);
        let gone: Vec<FileId> = self
            .held
            .keys()
            .filter(|file| !wanted.contains_key(file))
            .copied()
            .collect();
        for file in gone {
            match self.map.remove(&file) {
                Ok(()) | Err(MapError::KeyNotFound) => {
                    self.held.remove(&file);
                }
                Err(error) => result = Err(KernelError::map(self.name)(error)),
            }
        }
        result
    }

    /// Makes it hold `wanted` beside what it holds.
    ///
    /// # Errors
    /// As [`FileTable::hold`].
    pub fn add(&mut self, wanted: &BTreeMap<FileId, V>) -> Result<(), KernelError> {
        let mut result = Ok(());
        for (file, value) in wanted {
            if self.held.get(file) == Some(value) {
                continue;
            }
            match self.map.insert(file, value, 0) {
                Ok(()) => {
                    self.held.insert(*file, *value);
                }
                Err(error) => result = Err(KernelError::map(self.name)(error)),
            }
        }
        result
    }
}
