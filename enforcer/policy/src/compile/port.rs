//! The ports of an address class: ranges cut where they overlap, and written as prefixes.

use std::collections::BTreeSet;

use enforcer_common::permit::Permit;

use super::{Limit, cell::CellBuilder};
use crate::model::Ports;

/// What one destination of a rule says of the ports, wherever its address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term {
    /// Number of the rule.
    pub(super) rule: u32,
    /// As in the key: with the bit of listening.
    pub(super) protocol: u8,
    pub(super) ports: Ports,
}

/// Ports of which the same is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    pub(super) protocol: u8,
    pub(super) ports: Ports,
    pub(super) permit: Permit,
}

/// Cuts the port ranges of `terms` into segments that do not overlap, neighbours with the same
/// permit joined.
pub(super) fn segments(terms: &[Term], cells: &mut CellBuilder) -> Result<Vec<Segment>, Limit> {
    let mut segments = Vec::new();
    let protocols: BTreeSet<u8> = terms.iter().map(|term| term.protocol).collect();
    for protocol in protocols {
        let of_protocol: Vec<Term> = terms
            .iter()
            .filter(|term| term.protocol == protocol)
            .copied()
            .collect();
        sweep(protocol, &of_protocol, cells, &mut segments)?;
    }
    Ok(segments)
}

/// Goes over the ports from low to high, with the set of terms that cover the place.
fn sweep(
    protocol: u8,
    terms: &[Term],
    cells: &mut CellBuilder,
    segments: &mut Vec<Segment>,
) -> Result<(), Limit> {
    // (first port that is different, whether the term begins there, the term); one past the last
    // port of a term can be 65536.
    let begins = terms
        .iter()
        .map(|term| (u32::from(term.ports.first), true, *term));
    let ends = terms
        .iter()
        .map(|term| (u32::from(term.ports.last) + 1, false, *term));
    let mut edges: Vec<(u32, bool, Term)> = begins.chain(ends).collect();
    edges.sort_unstable();
    let mut covering: BTreeSet<Term> = BTreeSet::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((port, begins, term)) = edges.next() {
        if begins {
            covering.insert(term);
        } else {
            covering.remove(&term);
        }
        let next = edges.peek().map_or(port, |(next, ..)| *next);
        if next > port && !covering.is_empty() {
            let mut rules: Vec<u32> = covering.iter().map(|term| term.rule).collect();
            rules.dedup();
            let permit = cells.permit(rules.iter())?;
            let ports = Ports {
                first: low(port),
                last: low(next - 1),
            };
            join(
                segments,
                Segment {
                    protocol,
                    ports,
                    permit,
                },
            );
        }
    }
    Ok(())
}

fn join(segments: &mut Vec<Segment>, next: Segment) {
    match segments.last_mut() {
        Some(last)
            if last.protocol == next.protocol
                && last.permit == next.permit
                && u32::from(last.ports.last) + 1 == u32::from(next.ports.first) =>
        {
            last.ports.last = next.ports.last;
        }
        Some(_) | None => segments.push(next),
    }
}

/// A port that an edge stands for; edges past 65535 are only ends.
fn low(port: u32) -> u16 {
    u16::try_from(port).unwrap_or(u16::MAX)
}

/// The fewest aligned prefixes that make up a range: (first port, prefix bits).
pub(super) fn prefixes(ports: Ports) -> Vec<(u16, u32)> {
    let mut prefixes = Vec::new();
    let (mut first, end) = (u32::from(ports.first), u32::from(ports.last) + 1);
    while first < end {
        let aligned = if first == 0 {
            16
        } else {
            first.trailing_zeros()
        };
        let fitting = (end - first).ilog2();
        let size = aligned.min(fitting);
        prefixes.push((low(first), 16 - size));
        first += 1 << size;
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_fewest_aligned_prefixes() {
        let of = |first, last| prefixes(Ports { first, last });
        assert_eq!(of(0, 65535), [(0, 0)]);
        assert_eq!(of(443, 443), [(443, 16)]);
        assert_eq!(of(8000, 8001), [(8000, 15)]);
        assert_eq!(of(1, 4), [(1, 16), (2, 15), (4, 16)]);
        assert_eq!(of(65535, 65535), [(65535, 16)]);
        assert_eq!(of(32768, 65535), [(32768, 1)]);
        // The worst range: two prefixes a length.
        assert_eq!(of(1, 65534).len(), 30);
    }
}
