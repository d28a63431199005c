//! The command line.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

/// The product's one binary, as installed in the test VM.
pub const ENFORCER: &str = "/usr/bin/enforcer";

/// A name that nobody else uses in this boot: `label`, this process, a number.
#[must_use]
pub fn unique(label: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{label}-{}-{number}", std::process::id())
}

/// The helper program that makes one attempt after the other.
#[must_use]
pub fn probe() -> PathBuf {
    helper("probe")
}

/// A helper program of this package.
///
/// # Panics
/// Outside the test VM, where none is installed.
#[must_use]
pub fn helper(name: &str) -> PathBuf {
    let tests = std::env::var_os("ENFORCER_TESTS");
    let tests = tests.expect("these tests run in the test VM: `cargo xtask test`");
    Path::new(&tests).join(name)
}

/// Runs `enforcer` with these arguments to its end.
///
/// # Panics
/// When it cannot be started.
pub fn enforcer<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    Command::new(ENFORCER)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("enforcer starts")
}

/// As [`enforcer`], for what must succeed; gives its standard output.
///
/// # Panics
/// When it fails.
pub fn must<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let output = enforcer(arguments);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As [`must`], with `--output json`.
///
/// # Panics
/// When it fails or writes no JSON.
pub fn json<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Value {
    let mut words = vec!["--output".into(), "json".into()];
    words.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
    let text = must(words);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All that a command said, for the message of a failed test.
#[must_use]
pub fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
