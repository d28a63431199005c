//! `docs/mediation.md`, as text.
#![forbid(unsafe_code)]

use super::{GROUPS, Open, Row, Why};
use crate::daemon::OPEN;

/// Kernels that have a column.
const KERNELS: [(u32, u32); 2] = [(6, 1), (6, 12)];

const HEAD: &str = "<!-- Made from enforcer/src/prove/catalogue; change it there, then:
     UPDATE_DOCS=1 cargo test -p enforcer --test mediation -->
# Mediation

Every known way round the allowlists, what stands in it, and what proves that. *Hooks* are the LSM
programs (`enforcer-ebpf/src/hooks/`) that judge it. *Tests* run in the VM on both kernels where they
are files of `tests/tests/`; the names after *prove* are attacks that `enforcer doctor --prove` makes
on your own host, outside a session, where they must work, and inside one, as root and as an ordinary
user, where they must not. What is open says why; `enforcer doctor` lists those by the same names.
";

/// The page.
#[must_use]
pub fn mediation() -> String {
    let mut text = HEAD.to_owned();
    for group in &GROUPS {
        text.push_str(&format!(
            "\n## {}\n\n| | technique | hooks | Linux 6.1 | Linux 6.12 | tests |\n|---|---|---|---|---|---|\n",
            group.title
        ));
        for row in group.rows {
            text.push_str(&line(row));
        }
    }
    text.push_str("\n## What stays open\n\n");
    for (name, detail) in OPEN {
        text.push_str(&format!("- `{name}`: {detail}.\n"));
    }
    text
}

fn line(row: &Row) -> String {
    let [before, now] = KERNELS.map(|kernel| state_text(row, kernel));
    format!(
        "| {} | {} | {} | {before} | {now} | {} |\n",
        row.id,
        row.technique,
        quoted(row.hooks),
        proofs(row)
    )
}

/// `closed`, or what is open and why.
#[must_use]
pub fn state_text(row: &Row, kernel: (u32, u32)) -> String {
    let open: Vec<String> = row
        .all_open()
        .filter(|open| open.holds_on(kernel))
        .map(|open| why(&open))
        .collect();
    // Where some attack is closed, what is open is an exception.
    let some_closed = row.attacks.iter().any(|attack| attack.open.is_none())
        || (row.attacks.is_empty() && !row.hooks.is_empty() && !row.tests.is_empty());
    match (open.is_empty(), some_closed) {
        (true, _) => "closed".to_owned(),
        (false, true) => format!("closed; open: {}", open.join("; ")),
        (false, false) => format!("open: {}", open.join("; ")),
    }
}

/// Why it is open, in a table.
fn why(open: &Open) -> String {
    match open.why {
        Why::Check(name) => format!("`{name}`"),
        Why::Limit(text) => text.to_owned(),
    }
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

fn proofs(row: &Row) -> String {
    let mut parts = Vec::new();
    if !row.tests.is_empty() {
        parts.push(quoted(row.tests));
    }
    if !row.attacks.is_empty() {
        let ids: Vec<&str> = row.attacks.iter().map(|attack| attack.id).collect();
        parts.push(format!("prove: {}", ids.join(", ")));
    }
    parts.join("; ")
}
