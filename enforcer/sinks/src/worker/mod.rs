//! One worker: reads the log on, hands records over, and moves the cursor as they are acknowledged.
//!
//! ```text
//! read after `next` -> filter, render -> sink -> settled: window shrinks, cursor moves, saved
//!        ^                                    '-> failure: window dropped, next = cursor, wait
//!        '-------------------------------------------------------------------------'
//! ```

mod account;
mod backoff;
mod event;
mod window;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backoff::Backoff;
pub use event::Event;
use window::Window;

use crate::{
    config::SinkConfig,
    record::Record,
    render::Render,
    sink::{Failure, Item, Sink},
    spool::{Chunk, Cursor, Limit, Spool},
    state::{Board, CursorFile, Phase, Saved},
    stop::Stop,
};

/// How long one read waits for records: how late the wish to stop is seen.
const IDLE: Duration = Duration::from_millis(100);
/// Whom a worker tells.
pub(crate) type Watch = Arc<dyn Fn(&Event) + Send + Sync>;

/// What a worker is made of.
pub(crate) struct Parts {
    pub config: SinkConfig,
    pub sink: Box<dyn Sink>,
    pub spool: Box<dyn Spool>,
    pub render: Arc<dyn Render>,
    pub file: CursorFile,
    pub saved: Saved,
    pub board: Board,
    pub watch: Watch,
    pub stop: Stop,
}

/// A worker.
pub(crate) struct Worker {
    parts: Parts,
    /// Up to where the log was read.
    next: Cursor,
    /// Records handed over and not settled.
    window: Window,
    /// Records in the next batch at most: less than configured while a refused one is looked for.
    limit: usize,
    backoff: Backoff,
    refused_in_a_row: u32,
    /// When the cursor was saved, and whether it has moved since.
    saved_at: Instant,
    is_moved: bool,
    /// What is wrong, as it was told last.
    told: Option<String>,
}

impl Worker {
    pub fn new(parts: Parts) -> Self {
        Self {
            next: parts.saved.cursor,
            window: Window::default(),
            limit: parts.config.batch.records,
            backoff: Backoff::new(parts.config.retry),
            refused_in_a_row: 0,
            saved_at: Instant::now(),
            is_moved: false,
            told: None,
            parts,
        }
    }

    /// Ships until it is told to stop.
    pub fn run(mut self) {
        while !self.parts.stop.is_told() {
            self.step();
        }
        let outcome = self.parts.sink.confirm(true, &self.parts.stop);
        self.take(outcome, 0);
        self.save();
        let connected = self.parts.sink.connected();
        self.show(|status| {
            status.phase = Phase::Stopped;
            status.connected = connected;
            status.retry_at_ms = None;
        });
    }

    /// One batch, or one wait.
    fn step(&mut self) {
        let chunk = match self.read() {
            Ok(chunk) => chunk,
            Err(why) => return self.fail(Failure::Broken(format!("the log: {why}")), 0),
        };
        for what in &chunk.faults {
            self.show(|status| status.faults += 1);
            self.tell(&Event::Fault {
                sink: self.parts.config.name.clone(),
                what: what.clone(),
            });
        }
        let items = self.prepare(&chunk);
        let (count, outcome) = if items.is_empty() {
            (0, self.parts.sink.confirm(false, &self.parts.stop))
        } else {
            self.show(|status| status.sent += items.len() as u64);
            (
                items.len(),
                self.parts.sink.deliver(&items, &self.parts.stop),
            )
        };
        self.take(outcome, count);
    }

    /// Reads a batch; one that is not full waits a little for more.
    fn read(&mut self) -> Result<Chunk, String> {
        let most = Limit {
            records: self.limit,
            bytes: self.parts.config.batch.bytes,
        };
        let mut chunk = self.read_once(self.next, most, IDLE)?;
        let end = Instant::now() + self.parts.config.linger;
        let mut bytes: usize = chunk.records.iter().map(|r| r.line().len()).sum();
        while !chunk.records.is_empty()
            && chunk.records.len() < most.records
            && bytes < most.bytes
            && !self.parts.stop.is_told()
        {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let rest = Limit {
                records: most.records - chunk.records.len(),
                bytes: most.bytes - bytes,
            };
            let more = self.read_once(chunk.end, rest, left.min(IDLE))?;
            bytes += more.records.iter().map(|r| r.line().len()).sum::<usize>();
            chunk.records.extend(more.records);
            chunk.faults.extend(more.faults);
            chunk.end = more.end;
        }
        Ok(chunk)
    }

    fn read_once(&mut self, after: Cursor, limit: Limit, wait: Duration) -> Result<Chunk, String> {
        let spool = &mut self.parts.spool;
        spool
            .read(after, limit, wait)
            .map_err(|error| error.to_string())
    }

    /// Puts a chunk's records into the window; gives those that are to be sent.
    fn prepare(&mut self, chunk: &Chunk) -> Vec<Item> {
        let mut items = Vec::new();
        let mut filtered = 0;
        for record in &chunk.records {
            if !self.parts.config.filter.passes(record) {
                filtered += 1;
                self.window.pass_over(record.after());
                continue;
            }
            let body = self.render(record);
            let unfit = body.as_ref().err().cloned();
            self.window.push(record.uid(), record.after(), unfit);
            items.extend(body.ok().map(|body| Item {
                record: record.clone(),
                body,
            }));
        }
        self.window.pass_over(chunk.end);
        self.next = chunk.end;
        self.show(|status| status.filtered += filtered);
        items
    }

    fn render(&self, record: &Record) -> Result<Vec<u8>, String> {
        let format = &self.parts.config.format;
        let wrong = |what: &str| format!("the format `{format}` made {what} of it");
        let body = self.parts.render.render(record)?;
        match str::from_utf8(&body) {
            Err(_) => Err(wrong("something that is not UTF-8")),
            Ok("") => Err(wrong("nothing")),
            Ok(text) if text.contains(['\n', '\r']) => Err(wrong("more than one line")),
            Ok(_) => Ok(body),
        }
    }

    fn show(&self, change: impl FnOnce(&mut crate::state::SinkStatus)) {
        self.parts.board.change(change);
    }

    fn tell(&self, event: &Event) {
        (self.parts.watch)(event);
    }
}
