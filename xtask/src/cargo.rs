//! Cargo, called from beneath cargo: its variables for this run must not reach the next one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{command, name};
use crate::workspace;

/// Variables of a user's own that an inner build keeps.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "RUSTUP_HOME",
    "RUST_BACKTRACE",
];
const KEPT_PREFIXES: &[&str] = &[
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_TERM_",
    "CARGO_BUILD_",
    "CARGO_PROFILE_",
];

/// The cargo that runs this, for builds of this workspace with the toolchain that the user chose.
pub fn host() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = command(cargo);
    forget(&mut cargo, |variable| {
        variable.starts_with("CARGO") && !is_kept(variable)
    });
    cargo.current_dir(workspace::root());
    cargo
}

/// `program` freed of everything that rustup and the outer cargo put around this process, for another toolchain.
pub fn foreign(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = command(program);
    forget(&mut command, |variable| {
        let of_rust = variable.starts_with("CARGO")
            || variable.starts_with("RUST")
            || variable == "LD_LIBRARY_PATH";
        of_rust && (variable == "CARGO_TARGET_DIR" || !is_kept(variable))
    });
    command
}

fn forget(command: &mut Command, unwanted: impl Fn(&str) -> bool) {
    for (variable, _) in std::env::vars_os() {
        if unwanted(&variable.to_string_lossy()) {
            command.env_remove(variable);
        }
    }
}

fn is_kept(variable: &str) -> bool {
    KEPT.contains(&variable)
        || KEPT_PREFIXES
            .iter()
            .any(|prefix| variable.starts_with(prefix))
}

/// A program that cargo has built.
#[derive(Debug, PartialEq, Eq)]
pub struct Executable {
    /// The target's name: of the binary, or of the file under `tests/`.
    pub name: String,
    /// `bin`, `test`, `lib`, ...
    pub kind: String,
    /// Whether it is a test program, which a `bin` or `lib` can be made into too.
    pub is_test: bool,
    /// Where it is.
    pub path: PathBuf,
}

/// Runs a building `cargo` command and says which programs came out of it.
pub fn executables(cargo: &mut Command) -> Result<Vec<Executable>> {
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let built = cargo
        .output()
        .with_context(|| format!("cannot start {}", name(cargo)))?;
    if !built.status.success() {
        bail!("{} failed: {}", name(cargo), built.status);
    }
    Ok(parse(&String::from_utf8_lossy(&built.stdout)))
}

fn parse(messages: &str) -> Vec<Executable> {
    let artifact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(Executable {
            path: message.get("executable")?.as_str()?.into(),
            name: message["target"]["name"].as_str()?.to_owned(),
            is_test: message["profile"]["test"].as_bool()?,
            kind: message["target"]["kind"][0].as_str()?.to_owned(),
        })
    };
    messages.lines().filter_map(artifact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artifacts_with_an_executable_are_programs() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"x"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"exec"},"profile":{"test":true},"executable":"/t/debug/deps/exec-1"}
not json
{"reason":"build-finished","success":true}"#;
        let (name, kind, path) = ("exec".into(), "test".into(), "/t/debug/deps/exec-1".into());
        assert_eq!(
            parse(messages),
            [Executable {
                name,
                kind,
                is_test: true,
                path
            }]
        );
    }

    #[test]
    fn a_users_settings_are_kept_and_the_outer_runs_are_not() {
        assert!(is_kept("CARGO_HOME") && is_kept("CARGO_NET_OFFLINE"));
        assert!(
            !is_kept("CARGO_MANIFEST_DIR")
                && !is_kept("CARGO_PKG_NAME")
                && !is_kept("RUSTUP_TOOLCHAIN")
        );
    }
}
