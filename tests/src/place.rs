//! Files that tests make: on the guest's own disk, root's.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::cli::unique;

/// A new directory that root alone can write. It stays: a policy in force may name what is in it.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn directory(label: &str) -> PathBuf {
    let path = Path::new("/opt/enforcer-test-files").join(unique(label));
    fs::create_dir_all(&path).expect("the directory is made");
    path
}

/// Copies a program, with another name.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> PathBuf {
    fs::copy(from, &to).expect("the program is copied");
    mode(to.as_ref(), 0o755);
    to.as_ref().to_owned()
}

/// Writes an executable script.
///
/// # Panics
/// When it cannot be written.
pub fn script(path: impl AsRef<Path>, text: &str) -> PathBuf {
    fs::write(&path, text).expect("the script is written");
    mode(path.as_ref(), 0o755);
    path.as_ref().to_owned()
}

/// Sets permission bits.
///
/// # Panics
/// When they cannot be set.
pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// A path as a policy and an attempt write it.
///
/// # Panics
/// When it is not UTF-8.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}
