//! A compiled policy put into maps, and the generation swapped.
//!
//! An agent's tables are built beside those in force, under an index that nobody uses. One pointer
//! then puts the parameters of every agent in force at once; the kernel returns from that write
//! only when no program that read the old pointer still runs, so the old tables can go.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use aya::{
    Pod,
    maps::{Array, ArrayOfMaps, HashMap, InnerMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use enforcer_common::{
    label::AgentParams,
    maps::{MAX_AGENTS, MAX_TABLES},
    object::{AddressKey, FileId, PortKey, UnixKey},
    permit::{ExecPermit, Permit},
};
use enforcer_policy::Tables;

use super::{KernelError, load::Pins};

const BPF_F_NO_PREALLOC: u32 = 1;

type AddressTable = LpmTrie<MapData, AddressKey, u32>;
type PortTable = LpmTrie<MapData, PortKey, Permit>;
type ExecTable = HashMap<MapData, FileId, ExecPermit>;
type UnixTable = HashMap<MapData, UnixKey, Permit>;
type ParamsTable = Array<MapData, AgentParams>;

/// The maps that hold the policy in force.
pub struct PolicyMaps {
    policy: ArrayOfMaps<MapData, ParamsTable>,
    addresses: ArrayOfMaps<MapData, AddressTable>,
    ports: ArrayOfMaps<MapData, PortTable>,
    executables: ArrayOfMaps<MapData, ExecTable>,
    unix_peers: ArrayOfMaps<MapData, UnixTable>,
    params: Vec<AgentParams>,
    /// Indexes that hold tables, in force or just built.
    used: BTreeSet<u32>,
}

impl PolicyMaps {
    /// Over the pinned maps; what an earlier daemon put in force is read back.
    ///
    /// # Errors
    /// When a map is missing or of another form.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        fn outer<V: InnerMap>(
            pins: &Pins,
            name: &'static str,
        ) -> Result<ArrayOfMaps<MapData, V>, KernelError> {
            ArrayOfMaps::try_from(pins.map(name)?).map_err(KernelError::map(name))
        }
        let policy = outer::<ParamsTable>(pins, "POLICY")?;
        let params = match policy.get(&0, 0) {
            Ok(inner) => inner
                .iter()
                .collect::<Result<Vec<_>, _>>()
                .map_err(KernelError::map("POLICY"))?,
            Err(MapError::KeyNotFound) => Vec::new(),
            Err(error) => return Err(KernelError::map("POLICY")(error)),
        };
        let used = params
            .iter()
            .filter(|p| p.flags != 0)
            .map(|p| p.tables)
            .collect();
        Ok(Self {
            policy,
            addresses: outer(pins, "ADDRESSES")?,
            ports: outer(pins, "PORTS")?,
            executables: outer(pins, "EXECUTABLES")?,
            unix_peers: outer(pins, "UNIX_PEERS")?,
            params,
            used,
        })
    }

    /// Parameters in force, by agent slot.
    #[must_use]
    pub fn params(&self) -> &[AgentParams] {
        &self.params
    }

    /// Builds an agent's tables under a free index. They are in force for nobody yet.
    ///
    /// # Errors
    /// When there is no free index or the kernel refuses a map; what was built is given up.
    pub fn build(&mut self, tables: &Tables) -> Result<u32, KernelError> {
        let index = (0..MAX_TABLES)
            .find(|index| !self.used.contains(index))
            .ok_or(KernelError::Full {
                what: "policy table",
                limit: MAX_TABLES,
            })?;
        self.fill(index, tables)?;
        self.used.insert(index);
        Ok(index)
    }

    /// Puts a generation in force: the parameters of every agent, by slot. When this returns, no
    /// older verdict is given any more, and tables that no agent uses are gone.
    ///
    /// # Errors
    /// When the kernel refuses; the generation before stays in force.
    pub fn put_in_force(&mut self, params: &[AgentParams]) -> Result<(), KernelError> {
        let mut inner = ParamsTable::create(MAX_AGENTS, 0).map_err(KernelError::map("POLICY"))?;
        for (slot, entry) in (0..MAX_AGENTS).zip(params) {
            inner
                .set(slot, *entry, 0)
                .map_err(KernelError::map("POLICY"))?;
        }
        self.policy
            .set(0, &inner, 0)
            .map_err(KernelError::map("POLICY"))?;
        self.params = params.to_vec();
        // The generation is in force whatever becomes of the old tables: they are swept next time.
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "tables of an older generation stay for now");
        }
        Ok(())
    }

    /// Gives up tables that were built and not put in force, and those no longer in force.
    ///
    /// # Errors
    /// When the kernel refuses; the tables then stay until the next sweep.
    pub fn sweep(&mut self) -> Result<(), KernelError> {
        let in_force: BTreeSet<u32> = self
            .params
            .iter()
            .filter(|p| p.flags != 0)
            .map(|p| p.tables)
            .collect();
        for index in self.used.difference(&in_force).copied().collect::<Vec<_>>() {
            self.fill(index, &Tables::default())?; // nothing is listed there
            self.used.remove(&index);
        }
        Ok(())
    }

    /// Makes maps of the tables and puts them under the index.
    fn fill(&mut self, index: u32, tables: &Tables) -> Result<(), KernelError> {
        let addresses = build_trie(
            "ADDRESSES",
            tables
                .addresses
                .iter()
                .map(|(key, bits, class)| (Key::new(AddressKey::FAMILY_BITS + bits, *key), *class)),
        )?;
        let ports = build_trie(
            "PORTS",
            tables
                .ports
                .iter()
                .map(|(key, bits, permit)| (Key::new(PortKey::CLASS_BITS + bits, *key), *permit)),
        )?;
        let executables = build_hash("EXECUTABLES", &tables.executables)?;
        let unix_peers = build_hash("UNIX_PEERS", &tables.unix)?;
        self.addresses
            .set(index, &addresses, 0)
            .map_err(KernelError::map("ADDRESSES"))?;
        self.ports
            .set(index, &ports, 0)
            .map_err(KernelError::map("PORTS"))?;
        self.executables
            .set(index, &executables, 0)
            .map_err(KernelError::map("EXECUTABLES"))?;
        self.unix_peers
            .set(index, &unix_peers, 0)
            .map_err(KernelError::map("UNIX_PEERS"))?;
        Ok(())
    }
}

fn capacity(entries: usize) -> u32 {
    u32::try_from(entries.max(1)).unwrap_or(u32::MAX)
}

fn build_trie<K: Pod, V: Pod>(
    name: &'static str,
    entries: impl Iterator<Item = (Key<K>, V)>,
) -> Result<LpmTrie<MapData, K, V>, KernelError> {
    let entries: Vec<_> = entries.collect();
    let mut trie = LpmTrie::create(capacity(entries.len()), BPF_F_NO_PREALLOC)
        .map_err(KernelError::map(name))?;
    for (key, value) in entries {
        trie.insert(&key, value, 0)
            .map_err(KernelError::map(name))?;
    }
    Ok(trie)
}

fn build_hash<K: Pod, V: Pod>(
    name: &'static str,
    entries: &[(K, V)],
) -> Result<HashMap<MapData, K, V>, KernelError> {
    let mut hash = HashMap::create(capacity(entries.len()), 0).map_err(KernelError::map(name))?;
    for (key, value) in entries {
        hash.insert(key, value, 0).map_err(KernelError::map(name))?;
    }
    Ok(hash)
}
