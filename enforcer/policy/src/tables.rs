//! The compiled policy: what the daemon writes into the kernel's maps.

use std::net::IpAddr;

use enforcer_common::{
    object::{Address, AddressKey, FileId, FileStamp, LISTEN, PortKey, TCP, UDP, UnixKey},
    permit::{ALWAYS, Answer, ExecPermit, NO_CELL, Permit},
    verdict::Reason,
};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Effect, End, Protocol},
    request::{Request, Subject},
};

/// Rules that all cells of one policy may list together: bounds the memory that overlaps take.
pub const MAX_CELL_ENTRIES: usize = 1 << 20;

/// One agent's tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Address prefixes: key, prefix bits of the address (without [`AddressKey::FAMILY_BITS`]),
    /// address class. The longest prefix holds the whole truth about its addresses.
    pub addresses: Vec<(AddressKey, u32, u32)>,
    /// Port prefixes of each class: key, prefix bits of the port (0 to 16, without
    /// [`PortKey::CLASS_BITS`]), permit. No two overlap. What listen rules say of the class's
    /// addresses stands under the protocol with [`LISTEN`].
    pub ports: Vec<(PortKey, u32, Permit)>,
    /// Executables, sorted by identity.
    pub executables: Vec<(FileId, ExecPermit)>,
    /// Unix peers, sorted by key.
    pub unix: Vec<(UnixKey, Permit)>,
    /// Which rules stand behind the permits.
    pub cells: Cells,
}

/// What the tables say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed; in monitor mode it goes on all the same.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// Cell behind the permit that decided; [`NO_CELL`] = none did.
    pub cell: u32,
    /// Condition bits that were true of the subject.
    pub conditions: u64,
}

impl Decision {
    fn denied(reason: Reason, conditions: u64) -> Self {
        Self {
            allowed: false,
            reason,
            cell: NO_CELL,
            conditions,
        }
    }

    fn of(permit: &Permit, conditions: u64) -> Self {
        let (allowed, reason) = match permit.decide(conditions) {
            Answer::Allowed => (true, Reason::RuleAllows),
            Answer::Denied => (false, Reason::RuleDenies),
            Answer::ConditionUnmet => (false, Reason::NotForThisBinary),
        };
        Self {
            allowed,
            reason,
            cell: permit.cell,
            conditions,
        }
    }
}

impl Tables {
    /// Decides by the kernel's lookups over these tables.
    #[must_use]
    pub fn decide(&self, acting: &Subject, request: &Request) -> Decision {
        let Some(conditions) = self.conditions(acting) else {
            return Decision::denied(Reason::ExecutableNotListed, 0);
        };
        match *request {
            Request::Exec { file, stamp } => self.exec(file, stamp, conditions),
            Request::Connect {
                protocol,
                address,
                port,
            } => {
                let key = key_of(address).map(or_loopback);
                let protocol = port_protocol(End::Remote, protocol);
                self.internet(key, protocol, port, conditions)
            }
            Request::Listen {
                protocol,
                address,
                port,
            } => {
                let protocol = port_protocol(End::Local, protocol);
                self.internet(key_of(address), protocol, port, conditions)
            }
            Request::Unix { peer } => Self::decided(self.peer(&peer), conditions),
        }
    }

    /// The id of the rule that decided, where one did.
    #[must_use]
    pub fn rule(&self, decision: &Decision) -> Option<&str> {
        self.cells.rule(decision.cell, decision.conditions)
    }

    /// Condition bits that are true of a task whose executable these files are; `None` when one of
    /// them is not listed.
    #[must_use]
    pub fn conditions(&self, acting: &Subject) -> Option<u64> {
        if acting.files.is_empty() {
            return Some(ALWAYS);
        }
        let listed = acting.files.iter().map(|file| self.executable(*file));
        listed
            .map(|entry| entry.map(|e| e.conditions))
            .try_fold(0, |all, one| Some(all | one?))
    }

    fn decided(permit: Option<&Permit>, conditions: u64) -> Decision {
        match permit {
            Some(permit) => Decision::of(permit, conditions),
            None => Decision::denied(Reason::NotListed, conditions),
        }
    }

    fn exec(&self, file: FileId, stamp: FileStamp, conditions: u64) -> Decision {
        match self.executable(file) {
            None => Decision::denied(Reason::NotListed, conditions),
            Some(entry) if entry.stamp != stamp => {
                Decision::denied(Reason::FileChanged, conditions)
            }
            Some(entry) => Decision::of(&entry.permit, conditions),
        }
    }

    fn executable(&self, file: FileId) -> Option<&ExecPermit> {
        let index = self
            .executables
            .binary_search_by_key(&file, |(id, _)| *id)
            .ok()?;
        self.executables.get(index).map(|(_, permit)| permit)
    }

    fn peer(&self, peer: &UnixKey) -> Option<&Permit> {
        let index = self.unix.binary_search_by_key(peer, |(key, _)| *key).ok()?;
        self.unix.get(index).map(|(_, permit)| permit)
    }

    /// Decides about an address by its key; without one, it is an address that is not judged.
    fn internet(
        &self,
        key: Option<AddressKey>,
        protocol: u8,
        port: u16,
        conditions: u64,
    ) -> Decision {
        match key {
            Some(key) => Self::decided(self.place(key, protocol, port), conditions),
            None => Decision::denied(Reason::AddressNotJudgeable, conditions),
        }
    }

    fn place(&self, address: AddressKey, protocol: u8, port: u16) -> Option<&Permit> {
        let class = self.addresses.iter().filter(|(key, bits, _)| {
            key.family == address.family && shares(&key.address, &address.address, *bits)
        });
        let (_, _, class) = class.max_by_key(|(_, bits, _)| *bits)?;
        let wanted = PortKey::new(*class, protocol, port);
        let entry = self.ports.iter().filter(|(key, bits, _)| {
            (key.class, key.protocol) == (wanted.class, wanted.protocol)
                && shares(&key.port, &wanted.port, *bits)
        });
        entry
            .max_by_key(|(_, bits, _)| *bits)
            .map(|(_, _, permit)| permit)
    }
}

/// [`PortKey::protocol`] of what is asked of an end.
pub(crate) const fn port_protocol(end: End, protocol: Protocol) -> u8 {
    let number = match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    };
    match end {
        End::Remote => number,
        End::Local => number | LISTEN,
    }
}

/// The key that a hook makes of an address; `None` of one that a translator gets, see
/// [`Address::is_translated`].
fn key_of(address: IpAddr) -> Option<AddressKey> {
    match address {
        IpAddr::V4(address) => Some(AddressKey::v4(address.octets())),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let words =
                [bits >> 96, bits >> 64, bits >> 32, bits].map(|word| (word as u32).to_be());
            let judged = !Address::v6(words).is_translated();
            judged.then(|| AddressKey::v6(address.octets()))
        }
    }
}

/// The key of a destination: the unspecified address leads to loopback.
fn or_loopback(key: AddressKey) -> AddressKey {
    const UNSPECIFIED_V4: AddressKey = AddressKey::v4([0; 4]);
    const UNSPECIFIED_V6: AddressKey = AddressKey::v6([0; 16]);
    match key {
        UNSPECIFIED_V4 => AddressKey::v4([127, 0, 0, 1]),
        UNSPECIFIED_V6 => AddressKey::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        key => key,
    }
}

/// Whether two byte strings begin with the same bits.
fn shares(a: &[u8], b: &[u8], bits: u32) -> bool {
    let mut left = bits;
    a.iter().zip(b).all(|(a, b)| {
        let here = left.min(8);
        left -= here;
        u32::from(a ^ b) >> (8 - here) == 0
    })
}

/// Which rules stand behind each permit: names the deciding rule from what an event carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cells {
    pub(crate) rules: Vec<CellRule>,
    /// Each an ascending list of indices into `rules`.
    pub(crate) cells: Vec<Vec<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CellRule {
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) condition: u64,
}

impl Cells {
    /// The id of the rule that decided: the first in policy order that denies under `conditions`,
    /// else the first that allows. `None` when no rule of the cell holds, or there is no such cell.
    #[must_use]
    pub fn rule(&self, cell: u32, conditions: u64) -> Option<&str> {
        let rules = self.cells.get(cell as usize)?;
        let first = |effect: Effect| {
            let rules = rules
                .iter()
                .filter_map(|rule| self.rules.get(*rule as usize));
            let mut holding = rules.filter(|rule| rule.condition & conditions != 0);
            holding
                .find(|rule| rule.effect == effect)
                .map(|rule| rule.id.as_str())
        };
        first(Effect::Deny).or_else(|| first(Effect::Allow))
    }
}
