//! The small files beside the segments: the epoch's private key, the newest signed note, and the notes
//! that ended epochs. Each is replaced whole, and durable when a call returns.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use enforcer_evidence::epoch::EpochKey;

/// The newest signed note.
pub const HEAD: &str = "head";
/// The notes that ended epochs, one behind the other.
pub const EPOCHS: &str = "epochs";
/// The private key of the epoch in force.
const KEY: &str = "epoch.key";
/// That of an epoch whose record is not durable yet.
const KEY_NEXT: &str = "epoch.key.next";

/// The folder of the log, for its small files.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    /// Mode of what is not a key.
    mode: u32,
    /// A key that is in force and still stands in [`KEY_NEXT`].
    is_unsettled: bool,
}

impl Keeper {
    /// Of the log in this folder, whose files have this mode; keys are for root alone.
    pub fn new(folder: &Path, mode: u32) -> Self {
        Self {
            folder: folder.to_owned(),
            mode,
            is_unsettled: false,
        }
    }

    /// The keys that are there. One that cannot be read is as good as lost, and is told.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn keys(&self) -> io::Result<Vec<EpochKey>> {
        let mut keys = Vec::new();
        for name in [KEY, KEY_NEXT] {
            let Some(text) = read(&self.folder, name)? else {
                continue;
            };
            match EpochKey::from_file(&text) {
                Ok(key) => keys.push(key),
                Err(error) => tracing::error!(%error, "{}", self.folder.join(name).display()),
            }
        }
        Ok(keys)
    }

    /// Stores the key of an epoch whose record is not written yet.
    ///
    /// # Errors
    /// When it does not become durable.
    pub fn store_next_key(&self, text: &str) -> io::Result<()> {
        self.replace(KEY_NEXT, text, 0o600)
    }

    /// Puts that key in the place of the one before it, which is destroyed by that.
    ///
    /// # Errors
    /// When it cannot be renamed: [`Keeper::settle`] tries again. A start knows both keys.
    pub fn change_key(&mut self) -> io::Result<()> {
        self.is_unsettled = true;
        self.settle()
    }

    /// Does what [`Keeper::change_key`] could not.
    ///
    /// # Errors
    /// When it still cannot be done.
    pub fn settle(&mut self) -> io::Result<()> {
        if self.is_unsettled {
            fs::rename(self.folder.join(KEY_NEXT), self.folder.join(KEY))?;
            self.sync()?;
            self.is_unsettled = false;
        }
        Ok(())
    }

    /// Publishes a note.
    ///
    /// # Errors
    /// When it does not become durable.
    pub fn store_head(&self, note: &str) -> io::Result<()> {
        self.replace(HEAD, note, self.mode)
    }

    /// Adds a note that ends an epoch.
    ///
    /// # Errors
    /// When it does not become durable.
    pub fn add_epoch(&self, note: &str) -> io::Result<()> {
        let before = read(&self.folder, EPOCHS)?.unwrap_or_default();
        self.replace(EPOCHS, &(before + note), self.mode)
    }

    fn replace(&self, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let aside = self.folder.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.set_permissions(Permissions::from_mode(mode))?; // whatever the umask
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&aside, self.folder.join(name))?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// The text of one of these files in the folder of a log; `None` when it is not there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(folder: &Path, name: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
