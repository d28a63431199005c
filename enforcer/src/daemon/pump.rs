//! From the rings to the log: the one thread that reads events and writes records.
//!
//! ```text
//! rings -> decode -> in order -> record -> one durable batch -> the rings' room is given back
//! ```
//!
//! While the log cannot be written nothing is read: events wait in the rings, and when these are
//! full the kernel does what each agent's `on_audit_failure` says.

#![forbid(unsafe_code)]

use std::{
    collections::{HashSet, VecDeque},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use enforcer_common::{
    event::Kind,
    maps::{Counter, DENIALS_BYTES, EVENTS_BYTES},
    verdict::Verdict,
};
use enforcer_policy::Audit;
use serde_json::Value;

use super::{
    accounted::Accounted,
    core::{Core, counter},
    store,
};
use crate::{
    clock,
    config::{SHIP_CONFIG, SHIP_STATE_DIR},
    kernel::{
        KernelError,
        load::{Opened, Pins},
        ring::Ring,
    },
    record::{
        Event, Filter, Keep, Log, LogError,
        ocsf::{Loss, Place, Recorder, loss},
        read,
    },
};

/// Events of a batch, from each ring.
const BATCH: usize = 4096;
/// Records among which are all whose events were not released: a batch of each ring, and as many
/// of the daemon's own.
const UNRELEASED: usize = 4 * BATCH;
/// How long the reader rests when nothing is to be read: what is not a denial waits this long.
const REST_MS: u16 = 10;
/// The same while no session lives.
const IDLE_MS: u16 = 100;
/// Pause before a failed write is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How long events that still come are written once the daemon was told to stop.
const LAST_TURNS: Duration = Duration::from_secs(5);
/// Time between two looks at sessions, lineage and the clock.
const SWEEP: Duration = Duration::from_secs(1);

/// The reader and writer.
pub struct Pump {
    core: Arc<Core>,
    denials: Ring,
    events: Ring,
    log: Log,
    recorder: Recorder,
    /// Sequence numbers that an earlier daemon wrote without giving their room back.
    written: HashSet<u64>,
    /// Denials that were read and wait for what came before them, each with the position after it.
    held: VecDeque<(Event, u64)>,
    /// Position in the ring for denials after the last one that did not wait.
    denials_done: u64,
    accounted: Accounted,
    swept: Instant,
}

/// Events that are written together.
struct Batch {
    /// In the order of their sequence numbers.
    events: Vec<Event>,
    /// How many could not be read.
    undecodable: u64,
    /// Whether nothing more was there.
    all: bool,
}

impl Pump {
    /// Takes the rings and the log over.
    ///
    /// # Errors
    /// When a ring cannot be mapped or the log cannot be read.
    pub fn new(
        core: Arc<Core>,
        pins: &Pins,
        log: Log,
        mut recorder: Recorder,
    ) -> Result<Self, KernelError> {
        let folder = core.config.log_dir.clone();
        let failed = |path: &std::path::Path, error: read::ReadError| KernelError::Io {
            path: path.to_owned(),
            source: io::Error::other(error),
        };
        let last = read::resume(&folder, &mut recorder).map_err(|e| failed(&folder, e))?;
        if core.opened == Opened::Fresh {
            core.maps().continue_after(last)?;
        }
        let (latest, _) =
            read::tail(&folder, UNRELEASED, &Filter::default()).map_err(|e| failed(&folder, e))?;
        let boot = format!("{}:", recorder.host().boot_id);
        let written = latest
            .iter()
            .filter_map(|entry| sequence_of(&entry.record, &boot))
            .collect();
        let mut accounted: Accounted = store::read(&core.config.accounted_file())
            .map_err(KernelError::io(core.config.accounted_file()))?
            // Maps that were made anew have lost nothing yet.
            .filter(|_| core.opened != Opened::Fresh)
            .unwrap_or_default();
        let noted = accounted.until_ns;
        for entry in &latest {
            accounted.learn(&entry.record, &boot, noted);
        }
        core.log().path = log.segment().display().to_string();
        let denials = Ring::new(pins.map("DENIALS")?, "DENIALS", DENIALS_BYTES)?;
        Ok(Self {
            denials_done: denials.position(),
            held: VecDeque::new(),
            denials,
            events: Ring::new(pins.map("EVENTS")?, "EVENTS", EVENTS_BYTES)?,
            core,
            log,
            recorder,
            written,
            accounted,
            swept: Instant::now(),
        })
    }

    /// Runs until `stop` is set and what was waiting then is written.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut told_to_stop = None;
        loop {
            let last = stop.load(Ordering::Acquire);
            if last {
                told_to_stop.get_or_insert_with(Instant::now);
            }
            // What goes on coming waits for the next daemon.
            let is_late = told_to_stop.is_some_and(|since: Instant| since.elapsed() > LAST_TURNS);
            let moved = self.turn(stop);
            if self.swept.elapsed() >= SWEEP {
                self.sweep();
                self.swept = Instant::now();
            }
            if last && (!moved || is_late) {
                return self.close();
            }
            if !moved {
                self.rest();
            }
        }
    }

    /// Signs the log to its end.
    fn close(self) {
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the end of the log is not signed: the next daemon adopts it");
        }
    }

    /// Moves one batch; false when there was nothing to move.
    fn turn(&mut self, stop: &AtomicBool) -> bool {
        let Batch {
            events,
            undecodable,
            all,
        } = self.collect();
        let mut records = Vec::with_capacity(events.len());
        for event in &events {
            self.core.observe(event);
            let record = self.recorder.record(event, &*self.core);
            if self.is_recorded(event) {
                records.push(record);
            }
        }
        if all {
            self.core.note_emptied();
        }
        let accounted = self.account(undecodable, &mut records);
        records.append(&mut self.core.take_posted());
        let moved = !records.is_empty() || !events.is_empty();
        if !records.is_empty() {
            self.write(records, stop);
        }
        self.denials.release(self.denials_done);
        self.events.release(self.events.position());
        if accounted != self.accounted {
            self.accounted = accounted;
            if let Err(error) = store::write(&self.core.config.accounted_file(), &accounted) {
                tracing::warn!(%error, "a loss may be told of twice");
            }
        }
        moved
    }

    /// What waits, in the order of its sequence numbers, and so that ancestors come before their
    /// descendants: denials are read first, so that whatever came before one on its own task is in
    /// the other ring by then; when that ring holds more than a batch, later denials are held back.
    fn collect(&mut self) -> Batch {
        let mut undecodable = 0;
        let written = &self.written;
        let mut decode = |bytes: &[u8]| match Event::decode(bytes) {
            Ok(event) if written.contains(&event.head.sequence) => None,
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(%error, "an event cannot be read");
                undecodable += 1;
                None
            }
        };
        let held = &mut self.held;
        let denials = self.denials.read(BATCH - held.len(), |bytes, end| {
            if let Some(event) = decode(bytes) {
                held.push_back((event, end));
            }
        });
        let mut events = Vec::new();
        let count = self
            .events
            .read(BATCH, |bytes, _| events.extend(decode(bytes)));
        let newest = events.iter().map(|event| event.head.sequence).max();
        let may_go = |denial: &Event| {
            count < BATCH || newest.is_some_and(|newest| denial.head.sequence < newest)
        };
        while let Some((denial, end)) = held.pop_front_if(|(denial, _)| may_go(denial)) {
            events.push(denial);
            self.denials_done = end;
        }
        if held.is_empty() {
            self.denials_done = self.denials.position();
        }
        let all = held.is_empty() && count < BATCH && denials < BATCH;
        events.sort_by_key(|event| event.head.sequence);
        Batch {
            events,
            undecodable,
            all,
        }
    }

    /// Allowed execs are reported by the kernel for ancestry's sake even where the agent's policy
    /// records denials only.
    fn is_recorded(&self, event: &Event) -> bool {
        let head = &event.head;
        if head.kind != Kind::Exec || head.verdict != Verdict::Allow {
            return true;
        }
        match self.core.names().audit(head.generation, head.agent) {
            Audit::All => true,
            Audit::Denials => false,
        }
    }

    /// Adds a record for each loss that the log does not tell of yet: what the kernel counted, and
    /// what could not be read.
    fn account(&mut self, undecodable: u64, records: &mut Vec<Value>) -> Accounted {
        let now = clock::boot_ns();
        let mut told = self.accounted;
        let before = records.len();
        let mut tell = |place, count| {
            let gap = Loss {
                time_ns: now,
                place,
                count,
                from_ns: self.accounted.until_ns,
                until_ns: now,
            };
            records.push(loss(self.recorder.host(), &gap));
        };
        let lost = [
            (
                Place::DenialsRing,
                Counter::DenialsDropped,
                &mut told.denials,
            ),
            (Place::EventsRing, Counter::EventsDropped, &mut told.events),
        ];
        for (place, which, told) in lost {
            let counted = counter(&self.core, which);
            if counted < *told {
                *told = 0; // the maps were made anew
            }
            if counted > *told {
                tell(place, counted - *told);
                *told = counted;
            }
        }
        if undecodable > 0 {
            tell(Place::Decoding, undecodable);
        }
        let gaps = records.len() - before;
        if gaps > 0 {
            if self.core.alerts() {
                tracing::error!(gaps, "events were lost; the log says how many and where");
            }
            told.until_ns = now;
            self.core.log().gaps += u64::try_from(gaps).unwrap_or_default();
        }
        told
    }

    /// Writes until it is durable. A record that has no form in the log is told of as lost; whatever
    /// else fails is tried again. Only a daemon that stops gives up: the events then stay in the
    /// rings for the next one, since their room is not given back.
    fn write(&mut self, mut records: Vec<Value>, stop: &AtomicBool) {
        loop {
            match self.log.append(&records) {
                Ok(()) => return self.note_written(records.len()),
                Err(LogError::Record { index, source }) => {
                    tracing::error!(%source, "a record cannot be written");
                    records[index] = self.lost_record();
                    continue;
                }
                Err(error) => self.note_failed(&error),
            }
            if stop.load(Ordering::Acquire) {
                tracing::error!(
                    records = records.len(),
                    "stopping with events unwritten: they wait in the kernel"
                );
                std::process::exit(1);
            }
            thread::sleep(RETRY);
        }
    }

    fn lost_record(&self) -> Value {
        let now = clock::boot_ns();
        let gap = Loss {
            time_ns: now,
            place: Place::Daemon,
            count: 1,
            from_ns: now,
            until_ns: now,
        };
        loss(self.recorder.host(), &gap)
    }

    fn note_written(&self, records: usize) {
        let mut state = self.core.log();
        state.records_written += u64::try_from(records).unwrap_or_default();
        state.path = self.log.segment().display().to_string();
        state.last_error = None;
    }

    fn note_failed(&self, error: &LogError) {
        let text = error.to_string();
        let mut state = self.core.log();
        if state.last_error.as_deref() != Some(&text) {
            tracing::error!(%error, "the log cannot be written; events wait in the kernel");
        }
        state.last_error = Some(text);
    }

    fn rest(&mut self) {
        let idle = self.core.sessions().living().next().is_none();
        let pause = if idle { IDLE_MS } else { REST_MS };
        if let Err(error) = self.denials.wait(pause) {
            tracing::error!(%error, "cannot wait for events");
            thread::sleep(RETRY);
        }
    }

    /// Removes an old segment, where the administrator wants that.
    fn retain(&mut self) {
        let keep = self.core.config.keep;
        if keep == Keep::default() {
            return;
        }
        match self.log.retain(keep, first_unread()) {
            Ok(None) => {}
            Ok(Some(segment)) => tracing::info!(segment, "an old segment of the log was removed"),
            Err(error) => tracing::error!(%error, "old segments of the log stay"),
        }
    }

    fn sweep(&mut self) {
        match self.log.append(&[]) {
            Ok(()) => self.core.log().last_error = None,
            Err(error) => self.note_failed(&error),
        }
        self.retain();
        self.recorder.set_boot_to_wall_ns(clock::boot_to_wall_ns());
        if let Err(error) = self.core.sweep_sessions() {
            tracing::error!(%error, "sessions cannot be looked at");
        }
        // Read before the labels: an exec that is not in them may be newer than the look at them.
        let since = counter(&self.core, Counter::Sequence);
        let Ok(labels) = self.core.maps().labels() else {
            return; // nothing is forgotten until they can be looked at
        };
        let live: HashSet<u64> = labels
            .iter()
            .flat_map(|label| [label.image.exec, label.next.exec])
            .collect();
        self.recorder.retain(since, |exec| live.contains(&exec));
    }
}

/// The sequence number in a record's `metadata.uid` (`boot:sequence`), if it is of this boot.
fn sequence_of(record: &Value, boot: &str) -> Option<u64> {
    record
        .pointer("/metadata/uid")?
        .as_str()?
        .strip_prefix(boot)?
        .parse()
        .ok()
}

/// The first segment that a receiver has not got wholly yet. Where receivers are named and none has
/// a cursor that can be read, none has got anything.
fn first_unread() -> Option<u64> {
    match enforcer_sinks::acknowledged(Path::new(SHIP_STATE_DIR)) {
        Ok(cursors) if !cursors.is_empty() => cursors.values().map(|cursor| cursor.segment).min(),
        Ok(_) | Err(_) => Path::new(SHIP_CONFIG).exists().then_some(0),
    }
}
