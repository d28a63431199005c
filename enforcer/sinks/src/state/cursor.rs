//! The durable cursor of one sink.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{read_small, replace};
use crate::spool::Cursor;

/// Ending of the files' names.
const ENDING: &str = "cursor";

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The place after the last record that was acknowledged, or that the filter kept back.
    pub cursor: Cursor,
    /// The last acknowledged record: for people, and for [`super::status`] after a restart.
    pub uid: Option<String>,
    /// When it was acknowledged, milliseconds since 1970.
    pub acked_ms: Option<i64>,
}

/// The file of one sink.
#[derive(Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
}

impl CursorFile {
    pub fn new(state: &Path, sink: &str) -> Self {
        Self {
            path: state.join(format!("{sink}.{ENDING}")),
        }
    }

    /// What was saved; of a new sink the beginning of the log. A file that holds no cursor is set
    /// aside and told: sending the log again costs duplicates that can be removed, not sending would
    /// cost records.
    pub fn load(&self) -> io::Result<(Saved, Option<String>)> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Saved::default(), None));
            }
            Err(error) => return Err(named(&self.path, &error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(saved) => Ok((saved, None)),
            Err(why) => {
                let aside = self.path.with_extension("damaged");
                fs::rename(&self.path, &aside).map_err(|error| named(&aside, &error))?;
                let told = format!(
                    "{} holds no cursor ({why}): it is now {}, and the whole log is sent again",
                    self.path.display(),
                    aside.display()
                );
                Ok((Saved::default(), Some(told)))
            }
        }
    }

    /// Replaces it; durable when this returns.
    pub fn save(&self, saved: &Saved) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(saved)?;
        bytes.push(b'\n');
        replace(&self.path, &bytes, 0o644, true).map_err(|error| named(&self.path, &error))
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The cursor of every sink that has one in a shipper's folder, by the sink's name: the log must not
/// remove what lies after the least of them. A file that holds no cursor counts as the beginning.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn acknowledged(state: &Path) -> io::Result<BTreeMap<String, Cursor>> {
    let mut cursors = BTreeMap::new();
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING)
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            let saved: Saved = serde_json::from_slice(&read_small(&path)?).unwrap_or_default();
            cursors.insert(name.to_owned(), saved.cursor);
        }
    }
    Ok(cursors)
}
