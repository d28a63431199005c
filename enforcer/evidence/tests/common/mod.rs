//! A log in memory, written as the daemon writes it: the order of its steps is the one that
//! `docs/evidence.md` asks for.
#![allow(dead_code, reason = "each test binary uses a part")]

mod story;

use std::collections::BTreeMap;

use enforcer_evidence::{
    Sealer, Verifier,
    chain::PROFILE,
    epoch::EpochKey,
    note::VerifierKey,
    payload::{self, Payload, SegmentRemoval, TornLine},
    seal::{Resume, Start},
    verify::{Report, Trust, Verdict},
};
use serde_json::{Map, Value, json};

#[allow(unused_imports, reason = "each test binary uses a part")]
pub use story::{Story, story};

/// The log of the tests.
pub const ORIGIN: &str = "enforcer/0123456789abcdef";

/// Nothing was found.
pub fn assert_ok(report: &Report) {
    assert_eq!(
        report.verdict,
        Verdict::Ok,
        "{:#?} {:?}",
        report.findings,
        report.unverifiable
    );
}

/// What lies on the disk, and what an admin and a sink kept elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub segments: BTreeMap<u64, Vec<u8>>,
    pub head: Option<String>,
    pub key: Option<String>,
    pub key_next: Option<String>,
    /// The `epochs` file: the notes that end epochs.
    pub epochs: Vec<String>,
}

impl Disk {
    /// Lines of a segment, without their newlines.
    pub fn lines(&self, segment: u64) -> Vec<Vec<u8>> {
        let bytes = &self.segments[&segment];
        let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(lines.pop().map(|last| last.len()), Some(0), "a torn tail");
        lines
    }

    pub fn set_lines(&mut self, segment: u64, lines: &[Vec<u8>]) {
        let bytes = lines
            .iter()
            .flat_map(|line| line.iter().copied().chain([b'\n']))
            .collect();
        self.segments.insert(segment, bytes);
    }

    /// Every line of the log: its segment, its number in that from 1, and its record.
    pub fn records(&self) -> Vec<(u64, u64, Value)> {
        let of = |segment: u64| {
            (1..)
                .zip(self.lines(segment))
                .map(move |(line, bytes)| (segment, line, bytes))
        };
        let all = self.segments.keys().flat_map(|segment| of(*segment));
        all.map(|(segment, line, bytes)| {
            (segment, line, serde_json::from_slice(&bytes).expect("JSON"))
        })
        .collect()
    }

    /// The leaf of a segment's first line.
    pub fn first_leaf(&self, segment: u64) -> u64 {
        let first = self.lines(segment).swap_remove(0);
        match Payload::of(&serde_json::from_slice(&first).expect("JSON")) {
            Ok(Some(Payload::Segment(opening))) => opening.tree_size,
            other => panic!("{other:?}"),
        }
    }

    pub fn verify(&self, trust: Trust) -> Report {
        let mut verifier = Verifier::new(trust).expect("what is trusted is of one log");
        for (number, bytes) in &self.segments {
            verifier
                .segment(*number, bytes.as_slice())
                .expect("in order");
        }
        verifier.finish(None)
    }

    /// Trust in the first epoch's key and the head.
    pub fn trust(&self, root: &VerifierKey) -> Trust {
        Trust {
            keys: BTreeMap::from([(1, root.clone())]),
            head: self.head.clone(),
            transitions: self.epochs.clone(),
            ..Trust::default()
        }
    }
}

/// The daemon's part.
pub struct Writer {
    pub disk: Disk,
    pub sealer: Sealer,
    pub origin: String,
    segment_bytes: usize,
    time: i64,
    sequence: u64,
    seed: u8,
}

impl Writer {
    pub fn start(origin: &str, disk: Disk, segment_bytes: usize, seed: u8) -> Self {
        Self::start_with(origin, disk, segment_bytes, seed, None)
    }

    /// A start after a crash: a torn last line is set aside, an epoch begins, and both are recorded.
    pub fn start_with(
        origin: &str,
        mut disk: Disk,
        segment_bytes: usize,
        seed: u8,
        torn: Option<TornLine>,
    ) -> Self {
        let mut resume = Resume::default();
        let mut last: Vec<u64> = disk.segments.keys().rev().copied().take(2).collect();
        last.reverse();
        for number in last {
            resume
                .segment(number, disk.segments[&number].as_slice())
                .expect("a log");
        }
        let resumed = resume.finish();
        let keys = disk.key.iter().chain(&disk.key_next);
        let keys = keys
            .map(|text| EpochKey::from_file(text).expect("a key"))
            .collect();
        let head = disk.head.clone();
        let random = [seed; 32];
        let start = Start {
            origin,
            resumed,
            keys,
            head,
            random: &random,
        };
        let (sealer, _found) = Sealer::start(start).expect("an origin");
        disk.segments.entry(sealer.segment()).or_default();
        let mut writer = Self {
            disk,
            sealer,
            origin: origin.to_owned(),
            segment_bytes,
            time: 1_795_510_980_000 + i64::from(seed) * 1_000_000,
            sequence: u64::from(seed) * 100_000,
            seed,
        };
        let mut records = vec![lifecycle(&mut writer, "daemon-start", 3)];
        if let Some(torn) = &torn {
            records.insert(0, writer.own(&Payload::Torn(torn.clone())));
        }
        writer.change_epoch(records);
        writer
    }

    /// The steps by which a prepared epoch comes into force.
    fn change_epoch(&mut self, mut records: Vec<Value>) {
        self.disk.key_next = self.sealer.pending_key().map(|key| key.to_string());
        self.publish();
        if let Some(opening) = self.sealer.epoch_opening().expect("published") {
            self.disk.epochs.push(opening.transition.clone());
            let record = self.own(&Payload::Epoch(opening));
            records.insert(0, record);
        }
        assert!(self.append(&records), "an epoch began");
        self.disk.key = self.disk.key_next.take();
        self.publish();
    }

    /// A day passed.
    pub fn next_epoch(&mut self) {
        self.seed = self.seed.wrapping_add(100);
        self.sealer
            .begin_epoch(&[self.seed; 32])
            .expect("an origin");
        self.change_epoch(Vec::new());
    }

    /// Writes a batch: durable, then told. Gives whether an epoch began.
    pub fn append(&mut self, records: &[Value]) -> bool {
        let number = self.sealer.segment();
        let bytes: usize = records
            .iter()
            .map(|record| record.to_string().len() + 400)
            .sum();
        let full = self.disk.segments[&number].len() + bytes > self.segment_bytes;
        if full && !self.sealer.needs_opening() {
            self.disk.segments.insert(number + 1, Vec::new());
            self.sealer.next_segment();
        }
        let opening = self.sealer.needs_opening().then(|| {
            if self.sealer.opening().is_err() {
                self.publish();
            }
            let opening = self.sealer.opening().expect("published");
            self.own(&Payload::Segment(opening))
        });
        let number = self.sealer.segment();
        let mut batch = self.sealer.begin();
        for record in opening.iter().chain(records) {
            batch.push(record).expect("it belongs here");
        }
        let file = self.disk.segments.get_mut(&number).expect("made");
        file.extend_from_slice(batch.lines());
        batch.commit().epoch_begun
    }

    /// Signs, and replaces the head file.
    pub fn publish(&mut self) {
        let head = self.sealer.sign(self.time);
        self.disk.head = Some(head.note.clone());
        self.sealer.published(head);
    }

    /// A published checkpoint goes into the log, and is what a sink keeps off the host.
    pub fn checkpoint(&mut self) -> String {
        self.publish();
        let payload = self.sealer.checkpoint().expect("published");
        let record = self.own(&Payload::Checkpoint(payload.clone()));
        self.append(&[record]);
        payload.checkpoint
    }

    pub fn events(&mut self, count: u64) {
        let records: Vec<Value> = (0..count).map(|_| self.event()).collect();
        self.append(&records);
    }

    pub fn event(&mut self) -> Value {
        self.sequence += 1;
        let mut record = self.envelope(1007, 1, "exec", Map::new());
        let (pid, sequence) = (1000 + self.sequence % 5000, self.sequence);
        record["metadata"]["sequence"] = sequence.into();
        record["metadata"]["uid"] = format!("{BOOT}:{}:{sequence}", self.origin).into();
        record["process"] = json!({"pid": pid, "cmd_line": "/usr/bin/git fetch", "name": "git"});
        record["actor"] =
            json!({"process": {"pid": pid, "name": "git"}, "user": {"uid": "1000", "name": "ci"}});
        record["message"] =
            format!("exec of /usr/bin/git by {pid} was allowed: \"t\u{e9}st\"").into();
        record
    }

    pub fn stop(mut self) -> Disk {
        let stop = lifecycle(&mut self, "daemon-stop", 4);
        self.append(&[stop]);
        self.checkpoint();
        self.publish();
        self.disk
    }

    /// The oldest segment goes: first on record, then from the disk.
    pub fn remove_oldest(&mut self) {
        let mut numbers = self.disk.segments.keys().copied();
        let (first, next) = (numbers.next().expect("one"), numbers.next().expect("two"));
        let opening = |number| match Payload::of(
            &serde_json::from_slice(&self.disk.lines(number)[0]).expect("JSON"),
        ) {
            Ok(Some(Payload::Segment(opening))) => opening,
            other => panic!("{other:?}"),
        };
        let removal = SegmentRemoval::new(&opening(first), &opening(next)).expect("neighbours");
        let record = self.own(&Payload::Removed(removal));
        self.append(&[record]);
        self.checkpoint();
        self.disk.segments.remove(&first);
    }

    /// A record of the log about itself.
    pub fn own(&mut self, payload: &Payload) -> Value {
        let (code, unmapped) = (payload.code(), payload.unmapped());
        if code == payload::TORN {
            let mut record = self.envelope(6008, 1, code, unmapped);
            record["count"] = 1.into();
            return record;
        }
        let activity = match code {
            payload::SEGMENT => 6,
            payload::REMOVED => 2,
            _ => 99,
        };
        let mut record = self.envelope(1008, activity, code, unmapped);
        record["log_name"] = "enforcer".into();
        record["activity_name"] = code.into();
        record
    }

    fn envelope(
        &mut self,
        class: u64,
        activity: u64,
        code: &str,
        unmapped: Map<String, Value>,
    ) -> Value {
        self.time += 7;
        let category = class / 1000;
        let mut record = json!({
            "activity_id": activity,
            "category_uid": category,
            "class_uid": class,
            "device": {"hostname": "host", "type_id": 0, "uid": "0123456789abcdef"},
            "metadata": {
                "event_code": code,
                "log_name": "enforcer",
                "product": {"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"},
                "profiles": ["host", PROFILE],
                "uid": format!("{BOOT}:{code}:{}", self.time),
                "version": "1.9.0",
            },
            "severity_id": 1,
            "time": self.time,
            "type_uid": class * 100 + activity,
        });
        if !unmapped.is_empty() {
            record["unmapped"] = unmapped.into();
        }
        record
    }
}

pub const BOOT: &str = "5f0c1d1e-0000-4000-8000-00000000b007";

fn lifecycle(writer: &mut Writer, code: &str, activity: u64) -> Value {
    let mut record = writer.envelope(6002, activity, code, Map::new());
    record["app"] = json!({"name": "enforcer", "vendor_name": "enforcer", "version": "0.1.0"});
    record
}

/// The verifier key that epoch 1 of this log had, for a log that began with `seed`.
pub fn root_key(origin: &str, seed: u8) -> VerifierKey {
    EpochKey::generate(origin, 1, &[seed; 32])
        .expect("an origin")
        .verifier()
        .clone()
}
