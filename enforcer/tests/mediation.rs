//! docs/mediation.md is made of the catalogue, and the catalogue is held to programs and tests.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use enforcer::{
    daemon::OPEN,
    prove::catalogue::{self, Why},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rust sources below a folder, by file stem: the texts of all files of that name.
fn sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|found| found == "rs") {
            let stem = path.file_stem().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a source");
            found.entry(stem.into_owned()).or_default().push_str(&text);
        }
    }
}

/// The LSM programs there are.
fn programs() -> BTreeSet<String> {
    let mut hooks = BTreeMap::new();
    sources(&root().join("enforcer-ebpf/src/hooks"), &mut hooks);
    let names = |text: &String| {
        let parts = text.split("#[lsm(hook = \"").skip(1);
        let names = parts.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
        names.collect::<Vec<_>>()
    };
    hooks.values().flat_map(names).collect()
}

#[test]
fn the_page_in_the_docs_is_the_one_made_from_the_catalogue() {
    let path = root().join("docs/mediation.md");
    let page = catalogue::mediation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("docs/mediation.md can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/mediation.md is not what the catalogue says; write it anew with\n\
         UPDATE_DOCS=1 cargo test -p enforcer --test mediation"
    );
}

#[test]
fn every_program_stands_in_a_row_and_every_row_names_programs_that_exist() {
    let programs = programs();
    let named: BTreeSet<String> = catalogue::rows()
        .flat_map(|row| row.hooks)
        .map(|hook| (*hook).to_owned())
        .collect();
    assert!(!programs.is_empty());
    assert_eq!(named, programs);
}

#[test]
fn every_test_that_a_row_names_exists() {
    let mut files = BTreeMap::new();
    for folder in ["tests/tests", "enforcer/src", "enforcer/policy/tests"] {
        sources(&root().join(folder), &mut files);
    }
    for row in catalogue::rows() {
        for test in row.tests {
            let (file, function) = test.split_once("::").expect("file::function");
            let is_there = files.get(file).is_some_and(|text| {
                text.split("test]\n")
                    .skip(1)
                    .any(|after| after.trim_start().starts_with(&format!("fn {function}(")))
            });
            assert!(is_there, "{} names {test}, which is no test", row.id);
        }
    }
}

#[test]
fn a_row_that_is_not_open_has_a_test_or_an_attack() {
    for row in catalogue::rows() {
        let proven = !row.tests.is_empty() || !row.attacks.is_empty();
        assert!(proven || !row.open.is_empty(), "{}", row.id);
    }
}

#[test]
fn what_is_open_is_what_doctor_lists() {
    let mut named = BTreeSet::new();
    for open in catalogue::rows().flat_map(catalogue::Row::all_open) {
        match open.why {
            Why::Check(name) => {
                named.insert(name);
            }
            Why::Limit(text) => assert!(!text.is_empty()),
        }
    }
    let listed: BTreeSet<&str> = OPEN.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, listed);
}

#[test]
fn an_attack_is_named_after_its_row_and_once() {
    let mut names = BTreeSet::new();
    for (row, attack) in catalogue::attacks() {
        let (letter, number) = row.id.split_at(1);
        let number: u32 = number.parse().expect("a letter and a number");
        let begin = format!("{}{number:02}-", letter.to_lowercase());
        assert!(attack.id.starts_with(&begin), "{} of {}", attack.id, row.id);
        assert!(names.insert(attack.id), "{} twice", attack.id);
    }
}

#[test]
fn rows_are_numbered_without_a_gap() {
    for group in catalogue::GROUPS {
        for (index, row) in group.rows.iter().enumerate() {
            assert_eq!(row.id[1..], (index + 1).to_string(), "{}", group.title);
        }
    }
}
