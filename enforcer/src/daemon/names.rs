//! What the numbers in events mean: agents and rules by generation, users, digests.
//!
//! An event may wait in the ring while newer generations come into force, even while no daemon
//! lives. So the meaning of a generation's numbers is stored before the generation is in force, and
//! kept for a while after.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use enforcer_common::object::{FileId, FileStamp};
use enforcer_policy::{Audit, Cells};
use serde::{Deserialize, Serialize};

use super::store;

/// Users whose names are kept: an agent that runs as root can act as any number of them.
const USERS: usize = 4096;
/// Generations whose meaning is kept.
const KEPT: usize = 32;

/// An agent as a generation knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentNames {
    /// Its slot.
    pub slot: u32,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    #[serde(default)]
    pub owner: String,
    /// What of it is recorded.
    pub audit: Audit,
    /// The rules behind the cells of its tables.
    pub cells: Cells,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    owner: Arc<str>,
    audit: Audit,
    cells: Cells,
}

/// The meanings, by generation.
#[derive(Debug)]
pub struct Names {
    folder: PathBuf,
    generations: BTreeMap<u32, HashMap<u32, Known>>,
    digests: HashMap<(FileId, FileStamp), [u8; 32]>,
    users: HashMap<u32, Option<Arc<str>>>,
}

impl Names {
    /// Reads what earlier daemons of this boot left in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be made or read. A file that cannot be understood is passed over:
    /// its records then lack names.
    pub fn open(folder: &Path) -> io::Result<Self> {
        store::make_folder(folder, 0o700)?;
        let mut names = Self {
            folder: folder.to_owned(),
            generations: BTreeMap::new(),
            digests: HashMap::new(),
            users: HashMap::new(),
        };
        for entry in fs::read_dir(folder)?.flatten() {
            let path = entry.path();
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            match (number, store::read::<Vec<AgentNames>>(&path)) {
                (Some(number), Ok(Some(agents))) => names.take(number, agents),
                (_, Err(error)) => tracing::warn!(path = %path.display(), %error, "passed over"),
                (None, _) | (_, Ok(None)) => {}
            }
        }
        Ok(names)
    }

    /// Stores what a generation's numbers will mean. To be called before it comes into force.
    ///
    /// # Errors
    /// When it cannot be written; the generation must not come into force.
    pub fn add(&mut self, generation: u32, agents: Vec<AgentNames>) -> io::Result<()> {
        store::write(&self.file(generation), &agents)?;
        self.take(generation, agents);
        while self.generations.len() > KEPT {
            if let Some((oldest, _)) = self.generations.pop_first() {
                let _ = fs::remove_file(self.file(oldest)); // what stays is only a file too many
            }
        }
        Ok(())
    }

    fn file(&self, generation: u32) -> PathBuf {
        self.folder.join(format!("{generation}.json"))
    }

    fn take(&mut self, generation: u32, agents: Vec<AgentNames>) {
        let known = agents
            .into_iter()
            .map(|agent| {
                (
                    agent.slot,
                    Known {
                        name: agent.name.into(),
                        owner: agent.owner.into(),
                        audit: agent.audit,
                        cells: agent.cells,
                    },
                )
            })
            .collect();
        self.generations.insert(generation, known);
    }

    /// The newest generation that is known.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.generations
            .last_key_value()
            .map_or(0, |(number, _)| *number)
    }

    fn known(&self, generation: u32, slot: u32) -> Option<&Known> {
        self.generations.get(&generation)?.get(&slot)
    }

    /// Name of the agent that had this slot.
    #[must_use]
    pub fn agent(&self, generation: u32, slot: u32) -> Option<Arc<str>> {
        Some(self.known(generation, slot)?.name.clone())
    }

    /// Who answers for the agent that has this slot in this generation.
    #[must_use]
    pub fn owner(&self, generation: u32, slot: u32) -> Option<Arc<str>> {
        Some(self.known(generation, slot)?.owner.clone())
    }

    /// What of the agent is recorded; everything when the generation is not known.
    #[must_use]
    pub fn audit(&self, generation: u32, slot: u32) -> Audit {
        self.known(generation, slot)
            .map_or(Audit::All, |known| known.audit)
    }

    /// Id of the rule that decided.
    #[must_use]
    pub fn rule(&self, generation: u32, slot: u32, cell: u32, conditions: u64) -> Option<Arc<str>> {
        self.known(generation, slot)?
            .cells
            .rule(cell, conditions)
            .map(Arc::from)
    }

    /// Keeps the digest of a file that was read.
    pub fn add_digest(&mut self, file: FileId, stamp: FileStamp, digest: [u8; 32]) {
        self.digests.insert((file, stamp), digest);
    }

    /// The digest of a file, where it was read.
    #[must_use]
    pub fn digest(&self, file: FileId, stamp: FileStamp) -> Option<[u8; 32]> {
        self.digests.get(&(file, stamp)).copied()
    }

    /// Name of a user that was looked up before; the inner `None` = it has none.
    #[must_use]
    #[expect(clippy::option_option, reason = "not known, and known to have none")]
    pub fn known_user(&self, uid: u32) -> Option<Option<Arc<str>>> {
        self.users.get(&uid).cloned()
    }

    /// Keeps the name of a user.
    pub fn add_user(&mut self, uid: u32, name: Option<Arc<str>>) {
        if self.users.len() >= USERS {
            self.users.clear();
        }
        self.users.insert(uid, name);
    }
}

/// Name of a user of the host.
#[must_use]
pub fn user_name(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(uid.into())
        .ok()
        .flatten()
        .map(|user| user.name)
}
