//! The last lines of a file.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Adds the whole lines among the file's last `most` bytes; gives what follows the last of them.
pub(super) fn read(path: &Path, most: u64, lines: &mut HashSet<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let mut parts = bytes.split(|byte| *byte == b'\n');
    let torn = parts.next_back().unwrap_or_default().to_vec();
    // The first is cut where the reading began.
    let cut = usize::from(start > 0);
    lines.extend(parts.skip(cut).map(<[u8]>::to_vec));
    Ok(torn)
}
