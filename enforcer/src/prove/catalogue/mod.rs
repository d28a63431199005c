//! Every way round an allowlist that we know of: what closes it, what leaves it open, what proves it.
//!
//! `docs/mediation.md` is made of this table, `enforcer doctor --prove` makes its attacks, and
//! `enforcer/tests/mediation.rs` holds it to the kernel programs and to the tests.
#![forbid(unsafe_code)]

mod execution;
mod guards;
mod network;
mod processes;
mod text;

pub use self::text::{mediation, state_text};
use super::attacks::Attack;

/// A way round, and what stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name: `N5`.
    pub id: &'static str,
    /// The technique, in a few words.
    pub technique: &'static str,
    /// The LSM programs that judge it.
    pub hooks: &'static [&'static str],
    /// What of it stays open.
    pub open: &'static [Open],
    /// Tests, as `file::function`.
    pub tests: &'static [&'static str],
    /// What `enforcer doctor --prove` tries.
    pub attacks: &'static [Attack],
}

/// Something that stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Why.
    pub why: Why,
    /// Where.
    pub kernels: Kernels,
}

/// Why something stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// As the check of this name in `enforcer doctor` says.
    Check(&'static str),
    /// By what the product is: said here, and in the README.
    Limit(&'static str),
}

/// On which kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// All that are supported.
    All,
    /// Those before this one.
    Before(u32, u32),
}

impl Open {
    /// Open everywhere, as `enforcer doctor` says.
    #[must_use]
    pub const fn check(name: &'static str) -> Self {
        Self {
            why: Why::Check(name),
            kernels: Kernels::All,
        }
    }

    /// Open everywhere, by what the product is.
    #[must_use]
    pub const fn limit(why: &'static str) -> Self {
        Self {
            why: Why::Limit(why),
            kernels: Kernels::All,
        }
    }

    /// Whether it is open on this kernel.
    #[must_use]
    pub fn holds_on(&self, kernel: (u32, u32)) -> bool {
        match self.kernels {
            Kernels::All => true,
            Kernels::Before(major, minor) => kernel < (major, minor),
        }
    }
}

/// A group of rows.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its title.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

/// All rows.
pub const GROUPS: [Group; 4] = [
    Group {
        title: "Network",
        rows: network::ROWS,
    },
    Group {
        title: "Execution",
        rows: execution::ROWS,
    },
    Group {
        title: "Identity and other processes",
        rows: processes::ROWS,
    },
    Group {
        title: "Attacks on the enforcer",
        rows: guards::ROWS,
    },
];

/// All rows, one after the other.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|group| group.rows)
}

/// All attacks, each with its row.
pub fn attacks() -> impl Iterator<Item = (&'static Row, &'static Attack)> {
    rows().flat_map(|row| row.attacks.iter().map(move |attack| (row, attack)))
}

/// The attack of this name.
#[must_use]
pub fn attack(id: &str) -> Option<&'static Attack> {
    attacks()
        .map(|(_, attack)| attack)
        .find(|attack| attack.id == id)
}

impl Row {
    /// All that stays open of it: said of the row, and of its attacks.
    pub fn all_open(&self) -> impl Iterator<Item = Open> {
        let mut all: Vec<Open> = self.open.to_vec();
        for open in self.attacks.iter().filter_map(|attack| attack.open) {
            if !all.contains(&open) {
                all.push(open);
            }
        }
        all.into_iter()
    }
}
