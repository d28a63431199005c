//! Holds the documentation to the code: what it names is there, and what it must name is named.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use enforcer::{cli::exit, kernel::load::MAPS};
use enforcer_common::{
    hooks::hooks_of,
    maps::{self, Counter},
    verdict::Reason,
};

/// Folders of the workspace whose files the pages name.
const FOLDERS: [&str; 8] = [
    "docs/",
    "enforcer-common/",
    "enforcer-ebpf/",
    "enforcer/",
    "packaging/",
    "policies/",
    "tests/",
    "xtask/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below a folder of the workspace with this extension.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The pages: README.md and those in docs/.
fn pages() -> Vec<(String, String)> {
    let mut found = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut found);
    let page = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a page");
        (path.display().to_string(), text)
    };
    found.into_iter().map(page).collect()
}

/// What stands between backticks outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|part| part.split('`').skip(1).step_by(2))
        .collect()
}

/// Every test function of the workspace, as `file::function`.
fn tests() -> BTreeSet<String> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        files(&root().join(folder), "rs", &mut sources);
    }
    let tests_of = |path: PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.expect("a source's name is text").to_owned();
        let text = fs::read_to_string(&path).expect("a source");
        let names: Vec<String> = text.split("test]\n").skip(1).filter_map(name).collect();
        names.into_iter().map(move |name| format!("{stem}::{name}"))
    };
    sources.into_iter().flat_map(tests_of).collect()
}

/// Name of the function that follows a test's attribute.
fn name(after: &str) -> Option<String> {
    let (_, rest) = after.split_once("fn ")?;
    let (name, _) = rest.split_once('(')?;
    Some(name.to_owned())
}

/// Whether this names a test: `file::function`.
fn names_test(word: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    word.split_once("::").is_some_and(|(file, function)| {
        is_name(file) && is_name(function) && function.contains('_')
    })
}

#[test]
fn every_test_that_a_page_names_exists() {
    let tests = tests();
    for (page, text) in pages() {
        for word in quoted(&text).into_iter().filter(|word| names_test(word)) {
            assert!(
                tests.contains(word),
                "{page} names {word}, which is no test"
            );
        }
    }
}

#[test]
fn every_promise_has_a_state_and_no_state_without_tests() {
    let text = read("docs/promises.md");
    let promises: Vec<&str> = text.split("\n## ").skip(1).collect();
    let numbered = promises
        .iter()
        .filter(|promise| promise.starts_with(|first: char| first.is_ascii_digit()));
    let mut count = 0;
    for promise in numbered {
        count += 1;
        let state = promise
            .lines()
            .find_map(|line| line.strip_prefix("State: **"))
            .and_then(|rest| rest.split_once("**"))
            .map(|(state, _)| state);
        let tests = quoted(promise).into_iter().filter(|word| names_test(word));
        match state {
            Some("proven" | "partly") => assert!(tests.count() > 0, "no test: {promise}"),
            Some("pending") => {}
            _ => panic!("no state: {promise}"),
        }
    }
    assert_eq!(count, 10, "ten promises");
}

#[test]
fn every_map_stands_with_its_capacity() {
    let text = read("docs/failure-verdicts.md");
    let capacities = [
        ("LABELS", maps::MAX_LABELS),
        ("SESSIONS", maps::MAX_SESSIONS),
        ("PENDING", maps::MAX_PENDING),
        ("OWN_SOCKETS", 0),
        ("SPARES", maps::MAX_SPARES),
        ("NOBODY", 1),
        ("SLICES", maps::MAX_ENROLLING),
        ("SLICE_LEVELS", 1),
        ("ENTRIES", maps::MAX_ENROLLING),
        ("POLICY", maps::MAX_AGENTS),
        ("ADDRESSES", maps::MAX_ADDRESSES),
        ("PORTS", maps::MAX_PORTS),
        ("EXECUTABLES", maps::MAX_EXECUTABLES),
        ("UNIX_PEERS", maps::MAX_UNIX_PEERS),
        ("LIBRARIES", maps::MAX_LIBRARIES),
        ("GUARDED", maps::MAX_GUARDED),
        ("DENIALS", maps::DENIALS_BYTES),
        ("EVENTS", maps::EVENTS_BYTES),
        ("COUNTERS", u32::try_from(Counter::ALL.len()).expect("few")),
        ("LEARN", maps::MAX_LEARN),
    ];
    assert_eq!(MAPS.len(), capacities.len());
    for map in MAPS {
        let (_, capacity) = capacities.iter().find(|(name, _)| *name == map).expect(map);
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{map}`")));
        let row = row.unwrap_or_else(|| panic!("no row for {map}"));
        let cell = row.split('|').nth(3).unwrap_or_default();
        assert!(cell.trim().starts_with(&format!("{capacity} ")), "{row}");
    }
}

#[test]
fn every_hook_has_a_program_that_does_nothing_to_be_measured_against() {
    let text = read("enforcer-ebpf/src/bin/noop.rs");
    let list = text.split("noop! {").nth(1).expect("the list");
    let mut named: Vec<&str> = list
        .trim_end_matches(['}', '\n'])
        .split_whitespace()
        .collect();
    let mut hooks: Vec<&str> = hooks_of((6, 1), |_| true).collect();
    named.sort_unstable();
    hooks.sort_unstable();
    assert_eq!(named, hooks);
}

#[test]
fn every_reason_counter_and_exit_status_is_explained() {
    let verdicts = read("docs/failure-verdicts.md");
    for reason in Reason::ALL {
        let row = format!("\n| `{}` | ", reason.name());
        assert!(verdicts.contains(&row), "no row for {}", reason.name());
    }
    let operations = read("docs/operations.md");
    for counter in Counter::ALL {
        let row = format!("\n| `{}` | ", counter.name());
        assert!(operations.contains(&row), "no row for {}", counter.name());
    }
    for line in exit::TABLE.lines().skip(1) {
        let (number, text) = line.trim().split_once("  ").expect("number and text");
        assert!(
            operations.contains(&format!("\n| {number} | {text} |\n")),
            "{line}"
        );
    }
}

#[test]
fn every_quotation_of_code_stands_in_the_code() {
    let mut count = 0;
    for (page, text) in pages() {
        for block in text.split("```").skip(1).step_by(2) {
            let Some((file, code)) = block
                .strip_prefix("rust file=")
                .and_then(|block| block.split_once('\n'))
            else {
                continue;
            };
            assert!(
                read(file).contains(code),
                "{page} quotes {file} otherwise:\n{code}"
            );
            count += 1;
        }
    }
    assert!(count > 0, "quotations are there, and found");
}

#[test]
fn every_file_that_a_page_names_exists() {
    for (page, text) in pages() {
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once(')')?.0))
            .filter(|link| !link.contains(':') && !link.starts_with('#'));
        let folder = Path::new(&page).parent().expect("a page is in a folder");
        for link in links {
            assert!(folder.join(link).exists(), "{page} links to {link}");
        }
        let is_path = |word: &&str| {
            FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', ' '])
        };
        for path in quoted(&text).into_iter().filter(is_path) {
            assert!(root().join(path).exists(), "{page} names {path}");
        }
    }
}
