//! Address prefixes, nested ones folded from the outside in, to address classes.

use std::{collections::HashMap, rc::Rc};

use enforcer_common::{
    maps::{MAX_ADDRESSES, MAX_PORTS},
    object::{AddressKey, IPV4, IPV6, PortKey},
    permit::Permit,
};
use ipnet::IpNet;

use super::{
    Limit,
    cell::{CellBuilder, number},
    port::{Segment, Term, prefixes, segments},
    within,
};
use crate::{
    model::{Address, Policy},
    tables::port_protocol,
};

type Addresses = Vec<(AddressKey, u32, u32)>;
type PortEntries = Vec<(PortKey, u32, Permit)>;

/// A prefix of the address space; the derived order puts a prefix before those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    family: u32,
    /// The address from the top bit down, zeros after the prefix.
    bits: u128,
    length: u32,
}

impl Prefix {
    fn contains(self, other: Self) -> bool {
        let differ = (self.bits ^ other.bits).leading_zeros();
        self.family == other.family && self.length <= other.length && differ >= self.length
    }

    fn key(self) -> AddressKey {
        let (family, address) = (self.family.to_be_bytes(), self.bits.to_be_bytes());
        AddressKey { family, address }
    }
}

/// The address and port tables of a policy; `rules` numbers its internet rules.
pub(super) fn fold(
    policy: &Policy,
    rules: &[u32],
    cells: &mut CellBuilder,
) -> Result<(Addresses, PortEntries), Limit> {
    let mut classes = Classes::new(cells);
    let listed = listed(policy, rules, &mut classes);
    let mut addresses = Addresses::new();
    // The prefixes that contain the one looked at, outermost first, with the terms that cover them.
    let mut around: Vec<(Prefix, Rc<[u32]>, u32)> = Vec::new();
    for group in listed.chunk_by(|a, b| a.0 == b.0) {
        let Some((prefix, _)) = group.first().copied() else {
            continue;
        };
        while around
            .last()
            .is_some_and(|(outer, ..)| !outer.contains(prefix))
        {
            around.pop();
        }
        let outer = around.last();
        let own = group.iter().map(|(_, term)| *term);
        let inherited = outer.map_or(&[][..], |(_, terms, _)| terms);
        let mut terms: Vec<u32> = inherited.iter().copied().chain(own).collect();
        terms.sort_unstable();
        terms.dedup();
        let class = classes.class(&terms)?;
        // An entry that says what the one around it says only makes the lookup longer.
        if outer.is_none_or(|(_, _, around)| *around != class) {
            addresses.push((prefix.key(), prefix.length, class));
        }
        around.push((prefix, terms.into(), class));
    }
    within(addresses.len(), MAX_ADDRESSES, "address prefixes")?;
    Ok((addresses, classes.ports))
}

/// Every prefix that a rule lists, with what it says of the ports, sorted.
fn listed(policy: &Policy, rules: &[u32], classes: &mut Classes<'_>) -> Vec<(Prefix, u32)> {
    let mut listed = Vec::new();
    for ((end, rule), number) in policy.internet().zip(rules) {
        for destination in rule
            .destinations
            .iter()
            .map(|destination| destination.value)
        {
            let term = classes.term(Term {
                rule: *number,
                protocol: port_protocol(end, destination.protocol),
                ports: destination.ports,
            });
            listed.extend(
                of_address(destination.address)
                    .into_iter()
                    .map(|p| (p, term)),
            );
        }
    }
    listed.sort_unstable();
    listed.dedup();
    listed
}

fn of_address(address: Address) -> Vec<Prefix> {
    let all = |family| Prefix {
        family,
        bits: 0,
        length: 0,
    };
    match address {
        Address::Any => vec![all(IPV4), all(IPV6)],
        Address::Net(IpNet::V4(net)) => vec![Prefix {
            family: IPV4,
            bits: u128::from(net.addr().to_bits()) << 96,
            length: net.prefix_len().into(),
        }],
        Address::Net(IpNet::V6(net)) => vec![Prefix {
            family: IPV6,
            bits: net.addr().to_bits(),
            length: net.prefix_len().into(),
        }],
    }
}

/// The address classes made so far: two prefixes of which the same is true share one.
struct Classes<'c> {
    cells: &'c mut CellBuilder,
    terms: Vec<Term>,
    known_terms: HashMap<Term, u32>,
    of_terms: HashMap<Box<[u32]>, u32>,
    of_segments: HashMap<Vec<Segment>, u32>,
    ports: PortEntries,
}

impl<'c> Classes<'c> {
    fn new(cells: &'c mut CellBuilder) -> Self {
        Self {
            cells,
            terms: Vec::new(),
            known_terms: HashMap::new(),
            of_terms: HashMap::new(),
            of_segments: HashMap::new(),
            ports: PortEntries::new(),
        }
    }

    fn term(&mut self, term: Term) -> u32 {
        *self.known_terms.entry(term).or_insert_with(|| {
            self.terms.push(term);
            number(self.terms.len() - 1)
        })
    }

    fn class(&mut self, terms: &[u32]) -> Result<u32, Limit> {
        if let Some(class) = self.of_terms.get(terms) {
            return Ok(*class);
        }
        let whole: Vec<Term> = terms
            .iter()
            .filter_map(|term| self.terms.get(*term as usize))
            .copied()
            .collect();
        let segments = segments(&whole, self.cells)?;
        let class = match self.of_segments.get(&segments) {
            Some(class) => *class,
            None => {
                let class = number(self.of_segments.len());
                self.add_ports(class, &segments)?;
                self.of_segments.insert(segments, class);
                class
            }
        };
        self.of_terms.insert(terms.into(), class);
        Ok(class)
    }

    fn add_ports(&mut self, class: u32, segments: &[Segment]) -> Result<(), Limit> {
        for segment in segments {
            for (port, bits) in prefixes(segment.ports) {
                let key = PortKey::new(class, segment.protocol, port);
                self.ports.push((key, bits, segment.permit));
            }
        }
        // Held here, not at the end, so that a policy far beyond the limit is refused soon.
        within(self.ports.len(), MAX_PORTS, "port prefixes")
    }
}
