//! What came of handing records over: the cursor moves, or the worker goes back and waits.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Event, Worker};
use crate::{
    sink::{Failure, Outcome, Refusal},
    state::{LastAcked, LastError, Phase, now_ms},
};

/// How often a cursor that only filtered records move is saved.
const SAVE: Duration = Duration::from_secs(1);
/// Records refused one after the other, with none taken between them, after which the fault is taken
/// for the receiver's or the configuration's: from then on one record a long wait is tried.
const REFUSED_IN_A_ROW: u32 = 16;

impl Worker {
    /// Takes in what came of handing `count` records over.
    pub(super) fn take(&mut self, mut outcome: Outcome, count: usize) {
        let refused: usize = outcome.refused.iter().map(|refusal| refusal.count).sum();
        // All of them: that may be the receiver's fault and not theirs. In halves it is found out.
        if count > 1 && refused == count && outcome.failure.is_none() {
            let why = outcome.refused.pop().map_or_else(String::new, |r| r.why);
            outcome = Failure::Rejected(why).into();
        }
        let lone = match outcome.failure.take() {
            Some(Failure::Rejected(why)) if count == 1 => {
                outcome.settled = 1;
                outcome.refused.push(Refusal::one(0, why));
                true
            }
            failure => {
                outcome.failure = failure;
                count == 1 && refused == 1
            }
        };
        let settled = outcome.settled;
        self.settle(outcome.settled, outcome.refused);
        if let Some(failure) = outcome.failure {
            if settled > refused {
                self.backoff.reset();
                self.refused_in_a_row = 0;
            }
            return self.fail(failure, count - settled.min(count));
        }
        if lone {
            self.refused_in_a_row += 1;
            if self.refused_in_a_row > REFUSED_IN_A_ROW {
                let why = "the receiver refuses every record: is it set up for them?";
                self.fail(Failure::Held(why.to_owned()), 0);
            }
        } else if settled > 0 {
            self.succeed();
        }
        self.limit = self
            .limit
            .saturating_mul(2)
            .min(self.parts.config.batch.records);
        if self.refused_in_a_row > REFUSED_IN_A_ROW {
            self.limit = 1;
        }
        self.save_now_and_then();
    }

    /// Counts what is settled, and moves the cursor.
    fn settle(&mut self, settled: usize, refused: Vec<Refusal>) {
        let done = self.window.settle(settled);
        let mut count = 0;
        for refusal in refused {
            count += refusal.count as u64;
            let among = done
                .sent
                .get(refusal.index..refusal.index + refusal.among)
                .unwrap_or_default();
            if let (Some(first), Some(last)) = (among.first(), among.last()) {
                self.tell_refused(first, last, refusal.count as u64, refusal.why);
            }
        }
        for (uid, why) in &done.unfit {
            self.tell_refused(uid, uid, 1, why.clone());
        }
        let acked = (done.sent.len() as u64).saturating_sub(count);
        if let Some(last) = done.sent.last().filter(|_| acked > 0) {
            self.parts.saved.uid = Some(last.clone());
            self.parts.saved.acked_ms = Some(now_ms());
        }
        if let Some(after) = done.after {
            self.is_moved |= after != self.parts.saved.cursor;
            self.parts.saved.cursor = after;
        }
        if !done.sent.is_empty() || !done.unfit.is_empty() {
            self.save();
        }
        let saved = &self.parts.saved;
        let last_acked = saved.uid.clone().zip(saved.acked_ms);
        let (cursor, refused) = (saved.cursor, count + done.unfit.len() as u64);
        self.show(|status| {
            status.acked += acked;
            status.refused += refused;
            status.cursor = cursor;
            status.last_acked = last_acked.map(|(uid, at_ms)| LastAcked { uid, at_ms });
        });
    }

    fn tell_refused(&self, first: &str, last: &str, count: u64, why: String) {
        self.tell(&Event::Refused {
            sink: self.parts.config.name.clone(),
            first: first.to_owned(),
            last: last.to_owned(),
            count,
            why,
        });
    }

    fn succeed(&mut self) {
        self.backoff.reset();
        self.refused_in_a_row = 0;
        if self.told.take().is_some() {
            let sink = self.parts.config.name.clone();
            self.tell(&Event::Recovered { sink });
        }
        self.show(|status| {
            status.phase = Phase::Shipping;
            status.retry_at_ms = None;
        });
    }

    /// Goes back to the cursor, and waits as the failure asks. `unsettled` of the last batch come
    /// again.
    pub(super) fn fail(&mut self, failure: Failure, unsettled: usize) {
        let again = self.window.drop_all() as u64;
        self.next = self.parts.saved.cursor;
        self.show(|status| status.retried += again);
        let (why, wait, phase) = match failure {
            Failure::Stopped => return,
            Failure::Rejected(_) => {
                self.limit = (unsettled / 2).max(1);
                return;
            }
            Failure::Broken(why) => (why, self.backoff.next(), Phase::Waiting),
            Failure::Busy { why, retry_after } => {
                let wait = self.backoff.next();
                (
                    why,
                    retry_after.map_or(wait, |asked| asked.max(wait)),
                    Phase::Waiting,
                )
            }
            Failure::Held(why) => (why, self.backoff.held(), Phase::Attention),
        };
        let now = now_ms();
        let until = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        self.show(|status| {
            status.phase = phase;
            status.retry_at_ms = Some(until);
            status.last_error = Some(LastError {
                at_ms: now,
                text: why.clone(),
            });
        });
        if self.told.as_ref() != Some(&why) {
            self.tell(&Event::Failing {
                sink: self.parts.config.name.clone(),
                why: why.clone(),
                needs_attention: phase == Phase::Attention,
            });
            self.told = Some(why);
        }
        self.save_now_and_then();
        self.parts.stop.wait(wait);
    }

    fn save_now_and_then(&mut self) {
        if self.is_moved && self.saved_at.elapsed() >= SAVE {
            self.save();
        }
        let cursor = self.parts.saved.cursor;
        let backlog = self.parts.spool.backlog(cursor);
        let connected = self.parts.sink.connected();
        self.show(|status| {
            status.backlog = backlog;
            status.connected = connected;
        });
    }

    /// Makes the cursor durable. Where that fails nothing is lost: what is sent again after a crash
    /// is only more.
    pub(super) fn save(&mut self) {
        if !self.is_moved {
            return;
        }
        let saved: io::Result<()> = self.parts.file.save(&self.parts.saved);
        self.saved_at = Instant::now();
        match saved {
            Ok(()) => self.is_moved = false,
            Err(error) => {
                let text = format!("the cursor cannot be saved: {error}");
                self.show(|status| {
                    status.last_error = Some(LastError {
                        at_ms: now_ms(),
                        text,
                    });
                });
            }
        }
    }
}
