//! Where the paths of a policy stand: every directory entry that is passed when one is resolved, and
//! whether only root can change what it leads to.
//!
//! A path whose folders are all root's leads to what an administrator put there, for the kernel keeps
//! sessions from changing those entries ([`super::guarded`]): when its file changes, the file is
//! looked at again and trusted as at an apply. Any other path means what it meant when its policy was
//! applied, until the policy is applied again.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// Links followed in one path, as the kernel (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// Folders deep that a directory rule goes.
const MAX_DEPTH: usize = 64;

/// Where a path stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The entries passed on the way, links by their own path, without the last one.
    pub way: BTreeSet<PathBuf>,
    /// What it leads to, and what links below a directory rule lead to.
    pub ends: BTreeSet<PathBuf>,
    /// Folders of which everything below counts.
    pub trees: BTreeSet<PathBuf>,
    /// Whether others than root can change one of these, or what is below a tree.
    pub is_open: bool,
}

impl Place {
    /// Looks up `path` as a policy writes it: one that ends with `/` is everything below it.
    ///
    /// # Errors
    /// When it leads nowhere, or cannot be looked up.
    pub fn of(path: &str) -> io::Result<Self> {
        let mut place = Self::default();
        let end = place.resolve(Path::new(path))?;
        if path.ends_with('/') {
            place.below(&end, MAX_DEPTH)?;
            place.trees.insert(end);
        } else {
            place.ends.insert(end);
        }
        Ok(place)
    }

    /// Follows a path entry by entry; gives its end.
    fn resolve(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut rest: Vec<OsString> = Vec::new();
        push_parts(path, &mut rest);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            self.is_open |= is_open(&fs::metadata(&at)?);
            let entry = at.join(&part);
            if fs::symlink_metadata(&entry)?.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many links"));
                }
                let target = fs::read_link(&entry)?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push_parts(&target, &mut rest);
                self.way.insert(entry);
            } else {
                if !rest.is_empty() {
                    self.way.insert(entry.clone());
                }
                at = entry;
            }
        }
        Ok(at)
    }

    fn below(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        if depth == 0 {
            return Err(io::Error::other("nested too deeply"));
        }
        self.is_open |= is_open(&fs::metadata(folder)?);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.below(&entry.path(), depth - 1)?;
            } else if kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|m| m.is_file()) {
                let end = self.resolve(&entry.path())?;
                self.ends.insert(end);
            }
        }
        Ok(())
    }
}

/// Puts the parts of a path on a stack, the first one on top.
fn push_parts(path: &Path, stack: &mut Vec<OsString>) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => stack.push(name.to_owned()),
            Component::ParentDir => stack.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

fn is_open(folder: &fs::Metadata) -> bool {
    folder.uid() != 0 || folder.mode() & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("enforcer-places-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("real/deep")).expect("folders");
        fs::write(folder.join("real/tool"), "").expect("a file");
        fs::canonicalize(folder).expect("it was just made")
    }

    fn place(path: &Path, end: &str) -> Place {
        Place::of(&format!("{}{end}", path.display())).expect("it is there")
    }

    #[test]
    fn every_entry_on_the_way_is_told_links_by_their_own_path() {
        let folder = folder("way");
        symlink("real", folder.join("link")).expect("a link");
        symlink("../link/tool", folder.join("real/again")).expect("a link");
        let found = place(&folder.join("link/again"), "");
        for entry in ["link", "real", "real/again"] {
            assert!(found.way.contains(&folder.join(entry)), "{entry}");
        }
        assert!(found.way.contains(folder.parent().expect("it has one")));
        assert_eq!(found.ends, BTreeSet::from([folder.join("real/tool")]));
        assert!(found.trees.is_empty());
        assert!(Place::of(&format!("{}/none", folder.display())).is_err());
        symlink("loop", folder.join("loop")).expect("a link");
        assert!(Place::of(&format!("{}/loop", folder.display())).is_err());
        fs::remove_dir_all(&folder).expect("it was made above");
    }

    #[test]
    fn a_directory_is_a_tree_with_what_its_links_lead_to() {
        let folder = folder("tree");
        fs::write(folder.join("elsewhere"), "").expect("a file");
        symlink("../../elsewhere", folder.join("real/deep/link")).expect("a link");
        let found = place(&folder.join("real"), "/");
        assert_eq!(found.trees, BTreeSet::from([folder.join("real")]));
        assert_eq!(found.ends, BTreeSet::from([folder.join("elsewhere")]));
        fs::remove_dir_all(&folder).expect("it was made above");
    }

    #[test]
    fn a_folder_that_others_write_to_makes_it_open() {
        if !nix::unistd::geteuid().is_root() {
            return; // every folder would be another's
        }
        // Not below the folder for temporary files, to which everybody writes.
        let folder = PathBuf::from(format!("/var/lib/enforcer-places-{}", std::process::id()));
        fs::create_dir_all(folder.join("real/deep")).expect("folders");
        fs::write(folder.join("real/tool"), "").expect("a file");
        let is_open = |end: &str| place(&folder.join("real"), end).is_open;
        assert!(!is_open("/tool") && !is_open("/"));
        let mode = |path: &str, mode| {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode))
                .expect("a mode");
        };
        mode("real/deep", 0o777);
        assert!(!is_open("/tool") && is_open("/"));
        mode("real/deep", 0o755);
        mode("real", 0o1777);
        assert!(is_open("/tool") && is_open("/"));
        fs::remove_dir_all(&folder).expect("it was made above");
    }
}
