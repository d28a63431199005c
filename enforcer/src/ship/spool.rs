//! The log, as a sink reads it on from its cursor.
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use enforcer_sinks::{Backlog, Chunk, Cursor, Limit, Record, Spool, SpoolError};

use crate::record::{Entry, Follower, ReadError, log::segment, read};

/// Pause between two looks at a log that has nothing new.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads the segments of a folder, while the daemon writes them.
#[derive(Debug)]
pub struct LogSpool {
    folder: PathBuf,
    follower: Follower,
    /// What was read and not given yet: each with the place after it.
    read: VecDeque<(Result<Entry, ReadError>, read::Cursor)>,
    /// Where what is given next begins, once anything was asked for.
    next: Option<Cursor>,
}

impl LogSpool {
    /// Of the log in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            follower: Follower::new(folder, read::Cursor::default()),
            read: VecDeque::new(),
            next: None,
        }
    }

    /// Reads on from elsewhere than where reading stopped. Where the log is not what it was at that place
    /// it is read from before it, so that records come twice rather than never.
    fn go_to(&mut self, place: Cursor, faults: &mut Vec<String>) -> Result<(), SpoolError> {
        if self.next == Some(place) {
            return Ok(());
        }
        let mut from = of_log(place);
        let segments =
            segment::list(&self.folder).map_err(|error| SpoolError(error.to_string()))?;
        match segments.last_key_value() {
            Some((last, _)) if *last < from.segment => {
                faults.push(format!(
                    "segment {} is not there, and no later one: the log began anew, and is read from its beginning",
                    from.segment
                ));
                from = read::Cursor::default();
            }
            Some(_) | None => {}
        }
        if let Some(path) = segments.get(&from.segment)
            && !is_between_lines(path, from.offset)
        {
            faults.push(format!(
                "segment {} was written anew: all of it is read again",
                from.segment
            ));
            from.offset = 0;
        }
        self.follower = Follower::new(&self.folder, from);
        self.read.clear();
        self.next = Some(place);
        Ok(())
    }

    /// Reads what is new; `faults` tells of segments that are gone.
    fn fill(&mut self, faults: &mut Vec<String>) -> Result<(), SpoolError> {
        let before = self.follower.cursor();
        let found = self
            .follower
            .poll()
            .map_err(|error| SpoolError(error.to_string()))?;
        let places = found.iter().skip(1).map(at);
        let afters: Vec<_> = places.chain([self.follower.cursor()]).collect();
        let first = found.first().map(at);
        if let Some(first) = first
            && before != read::Cursor::default()
            && first.segment > before.segment + 1
        {
            faults.push(format!(
                "segments {} to {} are gone, unsent",
                before.segment + 1,
                first.segment - 1
            ));
        }
        let of_one = |(entry, after): (Result<Entry, ReadError>, read::Cursor)| {
            // Behind a segment's last line the next one begins: the place after the line is in its own.
            let here = at(&entry);
            let after = match &entry {
                Ok(entry) if after.segment != here.segment => read::Cursor {
                    segment: here.segment,
                    offset: here.offset + entry.line.len() as u64 + 1,
                },
                Ok(_) | Err(_) => after,
            };
            (entry, after)
        };
        self.read.extend(found.into_iter().zip(afters).map(of_one));
        Ok(())
    }

    /// Takes of what was read what a chunk may hold.
    fn take(&mut self, limit: Limit, chunk: &mut Chunk) {
        let mut bytes = 0;
        while chunk.records.len() < limit.records
            && bytes < limit.bytes
            && let Some((entry, after)) = self.read.pop_front()
        {
            chunk.end = of_sinks(after);
            match entry {
                Ok(entry) => {
                    bytes += entry.line.len();
                    match Record::new(entry.line.into_bytes(), entry.record, chunk.end) {
                        Ok(record) => chunk.records.push(record),
                        Err(error) => chunk.faults.push(format!("{error} ({:?})", entry.at)),
                    }
                }
                Err(error) => chunk.faults.push(error.to_string()),
            }
        }
        self.next = Some(chunk.end);
    }
}

impl Spool for LogSpool {
    fn read(&mut self, after: Cursor, limit: Limit, wait: Duration) -> Result<Chunk, SpoolError> {
        let mut faults = Vec::new();
        self.go_to(after, &mut faults)?;
        let deadline = Instant::now() + wait;
        let mut chunk = Chunk {
            end: after,
            faults,
            ..Chunk::default()
        };
        loop {
            if self.read.is_empty() {
                self.fill(&mut chunk.faults)?;
            }
            self.take(limit, &mut chunk);
            let nothing = chunk.records.is_empty() && chunk.faults.is_empty();
            let left = deadline.saturating_duration_since(Instant::now());
            if !nothing || left.is_zero() {
                return Ok(chunk);
            }
            thread::sleep(left.min(PAUSE));
        }
    }

    fn backlog(&mut self, after: Cursor) -> Option<Backlog> {
        let segments = segment::list(&self.folder).ok()?;
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        let bytes = segments
            .range(after.segment..)
            .map(|(number, path)| {
                let passed = if *number == after.segment {
                    after.offset
                } else {
                    0
                };
                length(path).saturating_sub(passed)
            })
            .sum();
        Some(Backlog {
            records: (bytes == 0).then_some(0),
            bytes,
        })
    }
}

/// Whether a line of the segment ends before this place.
fn is_between_lines(segment: &Path, offset: u64) -> bool {
    let Some(before) = offset.checked_sub(1) else {
        return true;
    };
    let mut byte = [0];
    let read = fs::File::open(segment).and_then(|file| file.read_exact_at(&mut byte, before));
    // What cannot be read now is told by who reads on.
    read.is_ok() && byte == *b"\n"
}

fn at(entry: &Result<Entry, ReadError>) -> read::Cursor {
    match entry {
        Ok(entry) => entry.at,
        Err(ReadError::Malformed { at, .. }) => *at,
        // A follower gives no other fault among the lines.
        Err(ReadError::Directory { .. } | ReadError::Segment { .. }) => read::Cursor::default(),
    }
}

const fn of_log(place: Cursor) -> read::Cursor {
    read::Cursor {
        segment: place.segment,
        offset: place.offset,
    }
}

const fn of_sinks(place: read::Cursor) -> Cursor {
    Cursor {
        segment: place.segment,
        offset: place.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limit = Limit {
        records: 1000,
        bytes: 1 << 20,
    };

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("enforcer-spool-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn write(&self, number: u64, uids: std::ops::Range<u64>, more: &str) {
            let line = |n: u64| format!("{{\"metadata\":{{\"uid\":\"u{n}\"}}}}\n");
            let text: String = uids.map(line).collect();
            let name = format!("enforcer-20261124T090300Z-{number:08}.jsonl");
            fs::write(self.0.join(name), text + more).expect("a segment");
        }

        fn remove(&self, number: u64) {
            let name = format!("enforcer-20261124T090300Z-{number:08}.jsonl");
            fs::remove_file(self.0.join(name)).expect("removed");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn uids(chunk: &Chunk) -> Vec<&str> {
        chunk.records.iter().map(Record::uid).collect()
    }

    #[test]
    fn records_come_once_whatever_the_limit_and_again_from_an_earlier_place() {
        let folder = Folder::new("limits");
        folder.write(1, 0..5, "");
        folder.write(2, 5..8, "");
        let mut spool = LogSpool::new(&folder.0);
        let few = Limit {
            records: 3,
            bytes: 1 << 20,
        };
        let (mut place, mut seen, mut places) = (Cursor::default(), Vec::new(), Vec::new());
        loop {
            let chunk = spool.read(place, few, Duration::ZERO).expect("a log");
            if chunk.records.is_empty() {
                assert_eq!(chunk.end, place);
                break;
            }
            seen.extend(chunk.records.iter().map(|record| record.uid().to_owned()));
            places.push(place);
            place = chunk.end;
            assert_eq!(chunk.records.last().map(Record::after), Some(place));
        }
        assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"]);
        let again = spool.read(places[1], ALL, Duration::ZERO).expect("a log");
        assert_eq!(uids(&again), ["u3", "u4", "u5", "u6", "u7"]);
        assert_eq!(
            spool.backlog(place).map(|left| (left.records, left.bytes)),
            Some((Some(0), 0))
        );
        assert!(spool.backlog(places[1]).is_some_and(|left| left.bytes > 0));
    }

    #[test]
    fn what_is_no_record_and_segments_that_are_gone_are_told_and_passed_over() {
        let folder = Folder::new("faults");
        folder.write(1, 0..1, "nonsense\n{\"metadata\":{}}\n");
        folder.write(2, 1..2, "");
        folder.write(3, 2..3, "");
        folder.write(4, 3..4, "");
        let mut spool = LogSpool::new(&folder.0);
        let one = Limit {
            records: 1,
            bytes: 1 << 20,
        };
        let first = spool
            .read(Cursor::default(), one, Duration::ZERO)
            .expect("a log");
        assert_eq!(uids(&first), ["u0"]);
        let mut spool = LogSpool::new(&folder.0);
        folder.remove(2);
        folder.remove(3);
        let rest = spool.read(first.end, ALL, Duration::ZERO).expect("a log");
        assert_eq!(uids(&rest), ["u3"]);
        assert_eq!(rest.faults.len(), 2, "{:?}", rest.faults);
        let mut spool = LogSpool::new(&folder.0);
        let behind = Cursor {
            segment: 1,
            offset: fs::metadata(folder.0.join("enforcer-20261124T090300Z-00000001.jsonl"))
                .expect("a segment")
                .len(),
        };
        let rest = spool.read(behind, ALL, Duration::ZERO).expect("a log");
        assert_eq!(uids(&rest), ["u3"]);
        assert_eq!(rest.faults, ["segments 2 to 3 are gone, unsent"]);
    }

    #[test]
    fn a_log_that_is_not_what_it_was_is_read_again_rather_than_not_at_all() {
        let folder = Folder::new("anew");
        folder.write(1, 0..4, "");
        let beyond = Cursor {
            segment: 7,
            offset: 99,
        };
        let chunk = LogSpool::new(&folder.0)
            .read(beyond, ALL, Duration::ZERO)
            .expect("a log");
        assert_eq!((uids(&chunk).len(), chunk.faults.len()), (4, 1));
        let amidst = Cursor {
            segment: 1,
            offset: 5,
        };
        let chunk = LogSpool::new(&folder.0)
            .read(amidst, ALL, Duration::ZERO)
            .expect("a log");
        assert_eq!((uids(&chunk).len(), chunk.faults.len()), (4, 1));
    }

    #[test]
    fn a_segment_that_cannot_be_read_for_a_while_costs_no_record() {
        let folder = Folder::new("unreadable");
        folder.write(1, 0..2, "");
        let mut spool = LogSpool::new(&folder.0);
        let all = spool
            .read(Cursor::default(), ALL, Duration::ZERO)
            .expect("a log");
        // More comes, and behind it something that cannot be read as a file.
        folder.write(1, 0..3, "");
        let broken = folder.0.join("enforcer-20261124T090300Z-00000002.jsonl");
        fs::create_dir(&broken).expect("a folder in a segment's place");
        assert!(spool.read(all.end, ALL, Duration::ZERO).is_err());
        fs::remove_dir(&broken).expect("removed");
        let rest = spool.read(all.end, ALL, Duration::ZERO).expect("a log");
        assert_eq!(uids(&rest), ["u2"]);
    }
}
