//! What one boot brings along: the product laid out as it is installed, the guest's scripts and the command, in a
//! directory that the guest sees as `/vm`. The guest copies `root/` over its own root, since identity by file is not
//! tested on a network share.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use crate::command::{command, exists, run_quietly, shell_quoted};
use crate::stamp::Product;
use crate::{setup, workspace};

const SCRIPTS: &[&str] = &["init", "run-command", "enforcer-vm.service"];

/// The directory of one boot.
pub struct Stage {
    directory: PathBuf,
}

impl Stage {
    /// An empty stage in `directory`, with the guest's scripts.
    pub fn new(directory: PathBuf) -> Result<Self> {
        let guest = directory.join("guest");
        fs::create_dir_all(&guest)?;
        fs::create_dir_all(directory.join("root"))?;
        for script in SCRIPTS {
            fs::copy(workspace::guest().join(script), guest.join(script))
                .with_context(|| format!("no guest/{script}"))?;
        }
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Installs the product: the binary, the ready policies and the service.
    pub fn install_product(&self, enforcer: &Path) -> Result<()> {
        self.install(&stripped(enforcer)?, "usr/bin/enforcer")?;
        let policies = workspace::root().join("policies");
        self.install_tree(&policies, "usr/share/enforcer/policies")?;
        let packaging = workspace::root().join("packaging");
        for unit in ["enforcer.service", "enforcer-ship.service"] {
            self.install(
                &packaging.join(unit),
                &format!("usr/lib/systemd/system/{unit}"),
            )?;
        }
        self.install(
            &packaging.join("enforcer.sysusers.conf"),
            "usr/lib/sysusers.d/enforcer.conf",
        )
    }

    /// Lays one file at `place` under the guest's root.
    pub fn install(&self, file: &Path, place: &str) -> Result<()> {
        let destination = self.directory.join("root").join(place);
        fs::create_dir_all(destination.parent().expect("a place is in a directory"))?;
        fs::copy(file, &destination)
            .map(drop)
            .with_context(|| format!("cannot stage {}", file.display()))
    }

    fn install_tree(&self, directory: &Path, place: &str) -> Result<()> {
        let entries = fs::read_dir(directory);
        for entry in entries.with_context(|| format!("no {}", directory.display()))? {
            let path = entry?.path();
            let name = path.file_name().expect("an entry has a name");
            let place = format!("{place}/{}", name.to_string_lossy());
            if path.is_dir() {
                self.install_tree(&path, &place)?;
            } else {
                self.install(&path, &place)?;
            }
        }
        Ok(())
    }

    /// Writes what the guest's scripts ask, as shell assignments.
    pub fn set(&self, values: &[(&str, &str)]) -> Result<()> {
        let lines: String = values
            .iter()
            .map(|(name, value)| format!("{name}={}\n", shell_quoted(value)))
            .collect();
        Ok(fs::write(self.directory.join("spec"), lines)?)
    }

    /// Writes the command to run.
    pub fn set_command(&self, words: &[String]) -> Result<()> {
        let words: Vec<_> = words.iter().map(|word| shell_quoted(word)).collect();
        Ok(fs::write(
            self.directory.join("command"),
            format!("exec {}\n", words.join(" ")),
        )?)
    }
}

/// `program` without its debug information, which is most of it and would be copied at every boot.
pub fn stripped(program: &Path) -> Result<PathBuf> {
    if !exists("strip") {
        return Ok(program.to_path_buf());
    }
    let metadata = fs::metadata(program).with_context(|| format!("no {}", program.display()))?;
    let time = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    let name = program.file_name().expect("a program has a name");
    let inputs = format!("{} {} {time}", program.display(), metadata.len());
    let _lock = setup::lock()?;
    let product = Product::new(workspace::vm().join("stripped").join(name), inputs);
    product.ensure(|partial| {
        run_quietly(
            command("strip")
                .arg("--strip-debug")
                .arg("-o")
                .arg(partial)
                .arg(program),
        )
    })?;
    Ok(product.path().to_path_buf())
}
