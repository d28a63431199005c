//! Files that a daemon leaves for the next one: written whole or not at all.

#![forbid(unsafe_code)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

/// Makes a folder that only root can enter, with what is above it.
///
/// # Errors
/// As mkdir(2).
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Writes `value` as JSON; the file has the old content or the new, and the new is durable on return.
///
/// # Errors
/// What the system said; the old content is still there.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Reads what [`write`] wrote; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read or holds something else.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged: {error}", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_half_written_file_is_never_seen() {
        let folder = std::env::temp_dir().join(format!("enforcer-store-{}", std::process::id()));
        make_folder(&folder, 0o700).unwrap();
        let path = folder.join("value.json");
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), None);
        write(&path, &vec![1, 2]).unwrap();
        fs::write(folder.join("value.new"), "[1,").unwrap(); // a write that was cut off
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]));
        write(&path, &vec![3]).unwrap();
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), Some(vec![3]));
        fs::write(&path, "noise").unwrap();
        assert!(read::<Vec<u32>>(&path).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
