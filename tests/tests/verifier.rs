//! What the kernel's verifier has to look at in each program: it grows only when somebody says so.
//!
//! `cargo xtask verifier --update` writes the budgets anew.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, fs, path::Path};

use aya::programs::loaded_programs;
use enforcer_common::hooks::{HOOKS, HOOKS_BEFORE_6_5, HOOKS_WHERE_PRESENT};

/// Instructions that the verifier may process, by kernel series and program.
const BUDGETS: &str = include_str!("../verifier.json");
/// A budget may be passed by this part of it: another compiler or patch level of the kernel is no growth.
const SLACK: u32 = 4;
/// Where the host finds what was counted.
const COUNTED: &str = "/results/verifier.json";
/// Characters of a program's name that the kernel keeps: `BPF_OBJ_NAME_LEN` without its NUL.
const NAME_LEN: usize = 15;

fn series() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[test]
fn no_program_needs_more_than_its_budget() {
    let hooks = HOOKS
        .iter()
        .chain(HOOKS_BEFORE_6_5)
        .chain(HOOKS_WHERE_PRESENT);
    let by_name: BTreeMap<&str, &str> = hooks
        .map(|hook| (hook.get(..NAME_LEN).unwrap_or(hook), *hook))
        .collect();
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for program in loaded_programs() {
        let program = program.expect("a program");
        let (name, count) = (
            program.name_as_str().unwrap_or_default().to_owned(),
            program.verified_instruction_count().unwrap_or_default(),
        );
        if let Some(hook) = by_name.get(name.as_str()) {
            counted.insert(hook, count);
        }
    }
    if Path::new("/results").is_dir() {
        let text = serde_json::to_string(&counted).expect("numbers");
        fs::write(COUNTED, text).expect("the results are written");
    }
    let budgets: BTreeMap<String, BTreeMap<String, u32>> =
        serde_json::from_str(BUDGETS).expect("the budgets are JSON");
    let budget = budgets.get(&series()).expect("a budget for this kernel");
    let is_over = |hook: &str, count: u32| {
        let most = budget.get(hook).copied().unwrap_or(0);
        count > most + most / SLACK
    };
    let over: Vec<String> = counted
        .iter()
        .filter(|(hook, count)| is_over(hook, **count))
        .map(|(hook, count)| format!("{hook}: {count}, {:?} budgeted", budget.get(*hook)))
        .collect();
    assert!(
        over.is_empty(),
        "{over:#?}\nif it has to be: cargo xtask verifier --update"
    );
    assert!(counted.len() + 1 >= HOOKS.len(), "{counted:?}");
}
