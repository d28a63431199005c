//! Audit records, checked against the schema of OCSF by a checker that is none of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Instant;

use anyhow::Result;

use crate::command::{command, exists, run_quietly};
use crate::kernel::Series;
use crate::libtest::Tally;
use crate::stamp::remove;
use crate::suites::Boot;
use crate::test::{Report, logs};
use crate::workspace;

/// The checker, where it lies beside the workspace: it is no part of it.
pub struct Checker(PathBuf);

impl Checker {
    /// The checker, if it is there and can run.
    pub fn find() -> Option<Self> {
        let path = workspace::root().join("../shared/tools/ocsf_check.py");
        (path.exists() && exists("python3")).then_some(Self(path))
    }

    /// Checks every line of these files. The error holds the faults; no line at all is one.
    pub fn check(&self, files: &[PathBuf]) -> Result<()> {
        // Without a file it would read its input, which is empty.
        run_quietly(command("python3").arg(&self.0).args(files))
    }
}

/// The files of records in a folder, which need not be there.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    files
}

/// Checks all records that a boot has left in `folder`, as a suite of its own; nothing where the checker is not at
/// hand. Well-formed ones are removed: they are many.
pub fn suite(boot: &Boot, kernel: Series, folder: &Path) -> Result<Option<Report>> {
    static TOLD: Once = Once::new();
    let Some(checker) = Checker::find() else {
        TOLD.call_once(|| {
            eprintln!("test: no checker of OCSF beside the workspace, so that the form of the records is not checked");
        });
        return Ok(None);
    };
    let (began, files) = (Instant::now(), files_in(folder));
    let checked = checker.check(&files);
    let suite = format!("records-form-{}", boot.name);
    let log = logs().join(format!("{suite}-{kernel}.log"));
    let told = match &checked {
        Ok(()) => {
            remove(folder)?;
            format!("{} files of well-formed records\n", files.len())
        }
        Err(faults) => format!("{}: {faults:#}\n", folder.display()),
    };
    fs::write(&log, told)?;
    Ok(Some(Report {
        suite,
        place: kernel.to_string(),
        tally: Tally::of_check(checked.is_ok()),
        seconds: began.elapsed().as_secs(),
        log,
    }))
}
