//! The records that were handed over and are not settled: by name and place alone, without their
//! bytes.

use std::collections::VecDeque;

use crate::spool::Cursor;

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// A place that nothing stands before that is not settled.
    free: Option<Cursor>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    /// Why it could not be sent at all.
    unfit: Option<String>,
    /// Where the cursor goes when this is settled.
    after: Cursor,
}

/// What was settled.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Uids of records that were sent.
    pub sent: Vec<String>,
    /// Uids of records that were not, and why.
    pub unfit: Vec<(String, String)>,
    /// Where the cursor goes.
    pub after: Option<Cursor>,
}

impl Window {
    /// Adds a record; `unfit` says why it is not sent.
    pub fn push(&mut self, uid: &str, after: Cursor, unfit: Option<String>) {
        self.entries.push_back(Entry {
            uid: uid.to_owned(),
            unfit,
            after,
        });
    }

    /// What lies before `place` and is not in the window needs no sending.
    pub fn pass_over(&mut self, place: Cursor) {
        match self.entries.back_mut() {
            Some(last) => last.after = place,
            None => self.free = Some(place),
        }
    }

    /// The oldest `count` records that were sent need no more sending; nor do those between them
    /// that were not.
    pub fn settle(&mut self, count: usize) -> Done {
        let mut done = Done {
            after: self.free.take(),
            ..Done::default()
        };
        while let Some(entry) = self.entries.front() {
            if entry.unfit.is_none() && done.sent.len() == count {
                break;
            }
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            done.after = Some(entry.after);
            match entry.unfit {
                None => done.sent.push(entry.uid),
                Some(why) => done.unfit.push((entry.uid, why)),
            }
        }
        done
    }

    /// Forgets everything; gives how many records were sent for nothing.
    pub fn drop_all(&mut self) -> usize {
        self.free = None;
        let sent = self.entries.iter().filter(|entry| entry.unfit.is_none());
        let count = sent.count();
        self.entries.clear();
        count
    }
}
