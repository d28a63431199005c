//! Folders of tests, which go with the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::{command, run_quietly};

/// A new folder.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("xtask-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A Debian package with one file in it.
    pub fn package(&self, name: &str, file: &str) -> PathBuf {
        let tree = self.0.join(format!("{name}.tree"));
        let file = tree.join(file);
        for folder in [file.parent().unwrap(), &tree.join("DEBIAN")] {
            fs::create_dir_all(folder).unwrap();
        }
        // Much that does not compress, so that half of the archive is half of this.
        let text: String = (0_u32..4096)
            .map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761)))
            .collect();
        fs::write(&file, text).unwrap();
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: tests <tests@example.com>\nDescription: a test\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let archive = self.0.join(format!("{name}_1_all.deb"));
        let mut build = command("dpkg-deb");
        build.args(["--build", "--root-owner-group"]);
        run_quietly(build.arg(&tree).arg(&archive)).unwrap();
        archive
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what stays is in the folder of temporary files
    }
}
