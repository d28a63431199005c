//! Policy files and what they include: read from disk by the command line and by the daemon at
//! start, or taken from a request.
//!
//! An include names a file relative to the folder of the file that includes it, and stays within the
//! folder of the policy. Names are joined as text, the same way on disk and in a request, so that
//! one file has one name and a request means what the sender's disk meant.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use enforcer_policy::{Diagnostics, Includes, MAX_SOURCE_BYTES, Parsed, Source, parse};

use super::api::{IncludeSource, PolicySource};

/// Why policy files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name cannot stand in a diagnostic or a request.
    #[error("the name {0:?} is not UTF-8 text")]
    Name(PathBuf),
    /// A folder was named in which no policy is.
    #[error("no policy in {0}: a policy is a file whose name ends with .toml")]
    Empty(PathBuf),
}

/// The policy files that `paths` stand for: a file for itself, a folder for the `*.toml` files
/// directly in it, by name. Rule sets that are only included belong into a folder below.
///
/// # Errors
/// [`SourceError`], for the first path that cannot be read or holds no policy.
pub fn policy_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| SourceError::Read {
            path: path.clone(),
            source,
        })?;
        if metadata.is_dir() {
            files.extend(policies_in(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn policies_in(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") && !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(SourceError::Empty(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}

/// A policy file, read: what became of it, and its text for a request when it has no errors.
pub type Reading = Result<(Parsed, PolicySource), Diagnostics>;

/// Reads and parses a policy file with what it includes.
///
/// # Errors
/// [`SourceError`] when the file itself cannot be read; errors in its text, or of its includes, are
/// the inner `Err`.
pub fn read_policy(path: &Path) -> Result<Reading, SourceError> {
    let name = path
        .to_str()
        .ok_or_else(|| SourceError::Name(path.to_owned()))?;
    let bytes = read_bounded(path).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })?;
    // The name is joined with nothing, only made canonical: `./a.toml` is `a.toml`.
    let name = join("", name);
    let root = FileIncludes {
        root: folder_of(&name).to_owned(),
    };
    Ok(Source::from_bytes(name, bytes)
        .and_then(|source| parse(source, &root))
        .map(|parsed| {
            let source = PolicySource::of(&parsed);
            (parsed, source)
        }))
}

/// Reads at most one byte more than a policy may have, so that its size is judged and not endured.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_SOURCE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Includes on disk.
struct FileIncludes {
    /// Folder that includes stay within, as text.
    root: String,
}

impl Includes for FileIncludes {
    fn read(&self, including: &str, path: &str) -> Result<Source, String> {
        let name = included_name(including, path)?;
        if !within(&self.root, &name) {
            let root = if self.root.is_empty() {
                "."
            } else {
                &self.root
            };
            return Err(format!(
                "`{path}` is outside of the policy's folder, `{root}`"
            ));
        }
        let bytes = read_bounded(Path::new(&name))
            .map_err(|error| format!("`{name}` cannot be read: {error}"))?;
        Source::from_bytes(name, bytes)
            .map_err(|found| found.list.into_iter().map(|one| one.message).collect())
    }
}

impl PolicySource {
    /// The text of a parsed policy with what it includes.
    #[must_use]
    pub fn of(parsed: &Parsed) -> Self {
        let mut sources = parsed.sources.list().iter().cloned();
        let root = sources.next().unwrap_or(Source {
            name: String::new(),
            text: String::new(),
        });
        Self {
            name: root.name,
            text: root.text,
            includes: sources
                .map(|Source { name, text }| IncludeSource { name, text })
                .collect(),
        }
    }

    /// Parses the policy as it was sent, by no other text than its own.
    ///
    /// # Errors
    /// The policy's errors.
    pub fn parse(&self) -> Result<Parsed, Diagnostics> {
        let source = Source::from_bytes(self.name.clone(), self.text.clone().into_bytes())?;
        parse(source, self)
    }

    /// Name of the agent, or where the text does not tell it, that of the file.
    #[must_use]
    pub fn agent(&self) -> String {
        match self.parse() {
            Ok(parsed) => parsed.policy.agent.name.value,
            Err(_) => self.name.clone(),
        }
    }
}

impl Includes for PolicySource {
    fn read(&self, including: &str, path: &str) -> Result<Source, String> {
        let name = included_name(including, path)?;
        let found = self.includes.iter().find(|include| include.name == name);
        found
            .map(|include| Source {
                name: include.name.clone(),
                text: include.text.clone(),
            })
            .ok_or_else(|| format!("`{name}` was not sent with the policy"))
    }
}

/// Name of the file that `including` calls `path`.
fn included_name(including: &str, path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        return Err(format!(
            "`{path}` is absolute: an include is relative to the file that includes it"
        ));
    }
    Ok(join(folder_of(including), path))
}

fn folder_of(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => "",
    }
}

/// Joins as text: no `.`, no empty parts, and `..` only where nothing is left to go up from.
fn join(folder: &str, path: &str) -> String {
    let absolute = folder.starts_with('/') || (folder.is_empty() && path.starts_with('/'));
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}

fn within(root: &str, name: &str) -> bool {
    let up = |path: &str| path.split('/').take_while(|part| *part == "..").count();
    match root {
        "" => up(name) == 0,
        "/" => true,
        root => name
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| up(rest) == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_text() {
        for (including, path, expected) in [
            ("a.toml", "b.toml", "b.toml"),
            ("p/a.toml", "sets/git.toml", "p/sets/git.toml"),
            ("p/a.toml", "./sets/../git.toml", "p/git.toml"),
            ("/etc/p/a.toml", "../b.toml", "/etc/b.toml"),
            ("/a.toml", "../../b.toml", "/b.toml"),
            ("a.toml", "../b.toml", "../b.toml"),
            ("../p/a.toml", "../../b.toml", "../../b.toml"),
        ] {
            assert_eq!(
                included_name(including, path).as_deref(),
                Ok(expected),
                "{including} + {path}"
            );
        }
        assert!(included_name("a.toml", "/etc/shadow").is_err());
    }

    #[test]
    fn an_include_stays_within_the_policys_folder() {
        for (root, name, expected) in [
            ("", "sets/git.toml", true),
            ("", "../git.toml", false),
            ("p", "p/sets/git.toml", true),
            ("p", "private/git.toml", false),
            ("p", "git.toml", false),
            ("/etc/p", "/etc/p/git.toml", true),
            ("/etc/p", "/etc/shadow", false),
            ("..", "../git.toml", true),
            ("..", "../../git.toml", false),
            ("/", "/git.toml", true),
        ] {
            assert_eq!(within(root, name), expected, "{name} in {root}");
        }
    }

    #[test]
    fn a_sent_policy_reads_only_what_was_sent() {
        let sent = PolicySource {
            name: "p/a.toml".into(),
            text: String::new(),
            includes: vec![IncludeSource {
                name: "p/sets/git.toml".into(),
                text: "x".into(),
            }],
        };
        assert_eq!(
            sent.read("p/a.toml", "sets/git.toml")
                .map(|source| source.text)
                .as_deref(),
            Ok("x")
        );
        assert_eq!(
            sent.read("p/sets/git.toml", "./git.toml")
                .map(|source| source.text)
                .as_deref(),
            Ok("x")
        );
        assert!(sent.read("p/a.toml", "/etc/hostname").is_err());
        assert!(sent.read("p/a.toml", "sets/other.toml").is_err());
    }

    #[test]
    fn a_folder_stands_for_the_policies_directly_in_it() {
        let folder = std::env::temp_dir().join(format!("enforcer-sources-{}", std::process::id()));
        fs::create_dir_all(folder.join("sets")).expect("a folder");
        assert!(matches!(
            policy_files(std::slice::from_ref(&folder)),
            Err(SourceError::Empty(_))
        ));
        for name in [
            "b.toml",
            "a.toml",
            ".hidden.toml",
            "notes.md",
            "sets/c.toml",
        ] {
            fs::write(folder.join(name), "").expect("a file");
        }
        let found = policy_files(std::slice::from_ref(&folder)).expect("policies");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        assert!(matches!(
            policy_files(&[folder.join("absent")]),
            Err(SourceError::Read { .. })
        ));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
