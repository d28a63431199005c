//! Segments of the log as files: their names, their order, and a torn end.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

const PREFIX: &str = "enforcer-";
const SUFFIX: &str = ".jsonl";
/// Bytes read at once when looking for the last newline.
const BLOCK: u64 = 64 << 10;

/// A last line without its end, which a crash left: moved out of the segment, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Segment that it stood in.
    pub segment: PathBuf,
    /// File that now holds it.
    pub set_aside: PathBuf,
    /// Where in the segment it began.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

/// Name of the segment `number`, begun at `time`.
#[must_use]
pub fn name(number: u64, time: Timestamp) -> String {
    let time = time.strftime("%Y%m%dT%H%M%SZ");
    format!("{PREFIX}{time}-{number:08}{SUFFIX}")
}

/// The number in a segment's name; `None` for any other name.
#[must_use]
pub fn number(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let (_, number) = name.rsplit_once('-')?;
    // `parse` alone would take a sign.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse().ok()).flatten()
}

/// The segments in `directory` by number.
///
/// # Errors
/// When the directory cannot be read, or two segments have the same number.
pub fn list(directory: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = number(&entry.file_name()) else {
            continue;
        };
        if let Some(other) = segments.insert(number, entry.path()) {
            let both = format!(
                "{} and {} have one number",
                other.display(),
                entry.path().display()
            );
            return Err(io::Error::new(ErrorKind::InvalidData, both));
        }
    }
    Ok(segments)
}

/// Moves what follows the last newline of the segment `path`, which is open for writing as `file`,
/// to a file beside it. The copy is durable before the segment is cut.
///
/// # Errors
/// When the segment cannot be read or cut, or the copy cannot be made. The segment is whole then.
pub fn set_torn_aside(path: &Path, file: &File) -> io::Result<Option<Torn>> {
    let reader = File::open(path)?;
    let end = reader.metadata()?.len();
    let offset = whole_lines(&reader, end)?;
    if offset == end {
        return Ok(None);
    }
    let (set_aside, aside) = create_aside(path)?;
    let copied = copy(&reader, offset, end, aside).and_then(|sha256| {
        sync_directory(path)?;
        Ok(sha256)
    });
    let sha256 = copied.inspect_err(|_| {
        // Half a copy, on a full disk: the next try makes a whole one.
        let _ = fs::remove_file(&set_aside);
    })?;
    file.set_len(offset)?;
    Ok(Some(Torn {
        segment: path.to_owned(),
        set_aside,
        offset,
        bytes: end - offset,
        sha256,
    }))
}

/// The last whole line of the segment `path`; `None` when it has none.
///
/// # Errors
/// When the segment cannot be read.
pub fn last_line(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let end = whole_lines(&file, file.metadata()?.len())?;
    let start = whole_lines(&file, end.saturating_sub(1))?;
    (start < end)
        .then(|| read(&file, start, end - 1))
        .transpose()
}

/// Bytes up to and with the last newline before `end`.
fn whole_lines(file: &File, end: u64) -> io::Result<u64> {
    let mut upper = end;
    while upper > 0 {
        let lower = upper.saturating_sub(BLOCK);
        let block = read(file, lower, upper)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(lower + at as u64 + 1);
        }
        upper = lower;
    }
    Ok(0)
}

/// Copies a part of `from` to `to`, durably; gives its SHA-256.
fn copy(from: &File, mut lower: u64, end: u64, mut to: File) -> io::Result<[u8; 32]> {
    let mut sha256 = Sha256::new();
    while lower < end {
        let upper = end.min(lower + BLOCK);
        let block = read(from, lower, upper)?;
        sha256.update(&block);
        to.write_all(&block)?;
        lower = upper;
    }
    to.sync_all()?;
    Ok(sha256.finalize().into())
}

fn read(file: &File, lower: u64, upper: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(upper - lower).map_err(io::Error::other)?;
    let mut block = vec![0; len];
    file.read_exact_at(&mut block, lower)?;
    Ok(block)
}

/// Makes `NAME.torn`, or the first free `NAME.torn-2`, `NAME.torn-3`...: none is overwritten.
fn create_aside(segment: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 1_u32.. {
        let mut name = segment.as_os_str().to_owned();
        name.push(".torn");
        if attempt > 1 {
            name.push(format!("-{attempt}"));
        }
        let path = PathBuf::from(name);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return Ok((path, file)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use jiff::Timestamp;

    use super::{name, number};

    #[test]
    fn a_segments_name_gives_its_number_back() {
        let time = Timestamp::from_second(1_795_510_980).expect("a time");
        assert_eq!(name(7, time), "enforcer-20261124T090300Z-00000007.jsonl");
        assert_eq!(
            number(OsStr::new(&name(123_456_789, time))),
            Some(123_456_789)
        );
    }

    #[test]
    fn other_names_are_no_segments() {
        for name in [
            "enforcer-20261124T090300Z-00000007.jsonl.torn",
            "enforcer-20261124T090300Z-00000007.jsonl.zst",
            "enforcer-x.jsonl",
            "other-20261124T090300Z-00000007.jsonl",
            "enforcer-20261124T090300Z-+1.jsonl",
            "enforcer-20261124T090300Z-.jsonl",
        ] {
            assert_eq!(number(OsStr::new(name)), None, "{name}");
        }
    }
}
