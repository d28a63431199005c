//! Cells: which rules stand behind a permit.

use std::collections::HashMap;

use enforcer_common::permit::Permit;

use super::{Limit, masks};
use crate::{
    diagnostic::Diagnostic,
    model::Effect,
    source::Span,
    tables::{CellRule, Cells, MAX_CELL_ENTRIES},
};

#[derive(Default)]
pub(super) struct CellBuilder {
    rules: Vec<CellRule>,
    cells: Vec<Vec<u32>>,
    known: HashMap<Vec<u32>, u32>,
    entries: usize,
}

impl CellBuilder {
    /// Adds a rule; its number is its place in the order of the policy.
    pub(super) fn rule(&mut self, id: &str, effect: Effect, condition: u64) -> u32 {
        self.rules.push(CellRule {
            id: id.to_owned(),
            effect,
            condition,
        });
        number(self.rules.len() - 1)
    }

    /// The permit of an object that these rules cover, in the order of the policy, each once.
    pub(super) fn permit<'r>(
        &mut self,
        rules: impl Iterator<Item = &'r u32>,
    ) -> Result<Permit, Limit> {
        let rules: Vec<u32> = rules.copied().collect();
        let (mut allow, mut deny) = (0, 0);
        for rule in rules
            .iter()
            .filter_map(|rule| self.rules.get(*rule as usize))
        {
            let (allows, denies) = masks(rule.effect, rule.condition);
            allow |= allows;
            deny |= denies;
        }
        let cell = self.cell(rules)?;
        Ok(Permit {
            allow,
            deny,
            cell,
            pad: 0,
        })
    }

    fn cell(&mut self, rules: Vec<u32>) -> Result<u32, Limit> {
        if let Some(cell) = self.known.get(&rules) {
            return Ok(*cell);
        }
        self.entries += rules.len();
        if self.entries > MAX_CELL_ENTRIES {
            return Err(too_many_overlaps());
        }
        let cell = number(self.cells.len());
        self.cells.push(rules.clone());
        self.known.insert(rules, cell);
        Ok(cell)
    }

    pub(super) fn finish(self) -> Cells {
        Cells {
            rules: self.rules,
            cells: self.cells,
        }
    }
}

fn too_many_overlaps() -> Limit {
    let message = format!(
        "the policy's rules overlap in too many ways: more than {MAX_CELL_ENTRIES} rules in all overlaps"
    );
    Box::new(
        Diagnostic::error(Span::default(), message)
            .hint("many rules cover the same objects; make fewer, larger rules of them"),
    )
}

/// An index as the tables write it; the limits keep every index far below 2^32.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
