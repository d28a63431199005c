//! Running other programs, with failures that say what was run.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// A command that finds the administrator's programs too: Debian leaves `/usr/sbin` out of a user's `PATH`.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// Whether `program` can be found.
pub fn exists(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")
        .split(':')
        .any(|directory| {
            !directory.is_empty() && std::path::Path::new(directory).join(program).is_file()
        })
}

/// Runs to the end with the caller's standard streams; an unsuccessful end is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", name(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", name(command));
    }
    Ok(())
}

/// Runs to the end without a word, unless it fails: then the error holds all that was said.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// The standard output of a successful run; an unsuccessful one is an error that holds what was said.
pub fn output(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", name(command)))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        let said = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
        bail!("{} failed: {status}\n{}", name(command), said.trim_end());
    }
    Ok(stdout)
}

/// The command line as one would type it, for messages.
pub fn name(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

/// `word` quoted so that a POSIX shell reads it back as it is.
pub fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run_quietly(command("sh").args(["-c", "echo lost >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c") && error.contains("exit status: 3") && error.contains("lost"),
            "{error}"
        );
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in [
            "plain",
            "two words",
            "it's",
            "$HOME `id` \"x\"",
            "",
            "new\nline",
        ] {
            let script = format!("printf %s {}", shell_quoted(word));
            assert_eq!(output(command("sh").arg("-c").arg(script)).unwrap(), word);
        }
    }
}
