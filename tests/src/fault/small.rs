//! A file system that can be full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::ended;
use crate::{cli::told, place, record};

/// A file system of its own, so that it can be full. It goes with the value; records in it are kept.
#[derive(Debug)]
pub struct Small(PathBuf);

impl Small {
    /// One of this size.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn new(kib: u32) -> Self {
        let path = place::directory("small");
        let options = format!("size={kib}k,mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path);
        let output = ended(mount);
        assert!(output.status.success(), "{}", told(&output));
        Self(path)
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When not even a file fits.
    pub fn fill(&self) {
        let filler = fs::File::create(self.filler()).expect("a file");
        let block = [0; 1024];
        while std::io::Write::write_all(&mut &filler, &block).is_ok() {}
    }

    /// Gives back what [`Small::fill`] took.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn give_room(&self) {
        fs::remove_file(self.filler()).expect("the filler is there");
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The same as an argument.
    #[must_use]
    pub fn text(&self) -> &str {
        place::text(&self.0)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            record::keep(&self.0);
        }
        let mut unmount = Command::new("umount");
        unmount.args(["-l", self.text()]);
        let _ = ended(unmount); // the VM ends soon, whatever stays
    }
}
