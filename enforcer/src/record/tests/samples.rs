//! A record of everything that there are records of, ordinary and at the edges.

use std::{collections::BTreeMap, sync::LazyLock};

use enforcer_common::{
    event::{self as abi, EXEC_ARGV_CUT, EXEC_ARGV_UNREADABLE, EXEC_PATH_MISSING, Header, Kind},
    object::{FileId, FileStamp, UNIX_UNNAMED, UnixKey},
    permit::NO_CELL,
    verdict::{Reason, Verdict},
};
use enforcer_evidence::{
    Hash,
    payload::{
        Cause, CheckpointRecord, EpochOpening, Payload, SegmentDigest, SegmentOpening,
        SegmentRemoval,
    },
};
use serde_json::Value;

use super::{
    bytes::{bytes_of, exec, header},
    common::{Facts, exec_event, host},
};
use crate::record::{
    By, DaemonChange, Event, Lifecycle, Loss, Place, PolicyChange, PolicyOutcome, Recorder, Torn,
    daemon, loss, ocsf::log, policy, torn,
};

/// Each verdict, and each reason, at least once.
fn outcomes() -> Vec<(Verdict, Reason)> {
    let verdicts = Verdict::ALL.into_iter().cycle();
    let ordinary = Verdict::ALL.map(|verdict| (verdict, Reason::RuleAllows));
    verdicts
        .zip(Reason::ALL.iter().copied())
        .chain(ordinary)
        .collect()
}

/// The bytes of events of every kind, ordinary and at the edges, but for their outcome.
fn samples(head: impl Fn(Kind) -> Header) -> Vec<Vec<u8>> {
    let mut samples = execs(&head);
    samples.extend(endpoints(&head));
    samples.extend(unix_peers(head(Kind::Unix)));
    let socket = abi::Socket {
        header: head(Kind::Socket),
        family: 17,
        kind: 3,
        protocol: 768,
        pad: 0,
    };
    samples.push(bytes_of(&socket));
    for kind in [Kind::Fork, Kind::SessionStart, Kind::SessionEnd] {
        samples.push(bytes_of(&head(kind)));
    }
    samples.extend(others(&head));
    samples.extend(files(&head));
    samples
}

fn files(head: &impl Fn(Kind) -> Header) -> Vec<Vec<u8>> {
    let sample = |kind, how, path: &[u8], known: bool| {
        let mut event = abi::File {
            header: head(kind),
            file: FileId::default(),
            stamp: FileStamp::default(),
            how,
            path_len: u16::try_from(path.len()).unwrap(),
            pad: 0,
            path: [0; abi::PATH_LEN],
        };
        event.path[..path.len()].copy_from_slice(path);
        if known {
            event.file.inode = u64::MAX;
            event.stamp.size = u64::MAX;
        }
        bytes_of(&event)
    };
    vec![
        sample(Kind::Code, abi::FILE_MAPPED, b"/opt/a/\xff.so", true),
        sample(Kind::Code, abi::FILE_ANONYMOUS, b"", false),
        sample(Kind::Code, abi::FILE_PROTECTED, b"", false),
        sample(Kind::Write, abi::FILE_OPENED, b"/proc/sys/kernel/x", true),
        sample(Kind::Write, abi::FILE_TRUNCATED, b"", true),
    ]
}

fn others(head: &impl Fn(Kind) -> Header) -> Vec<Vec<u8>> {
    let kinds = Kind::ALL.iter().filter(|kind| {
        (Kind::Trace as u8..=Kind::Interface as u8).contains(&(**kind as u8))
            || (Kind::SocketOption as u8..=Kind::Guard as u8).contains(&(**kind as u8))
            || (Kind::SetId as u8..=Kind::IoUring as u8).contains(&(**kind as u8))
    });
    let mut samples = Vec::new();
    for kind in kinds {
        for (target_tgid, detail) in [(0, 0), (u32::MAX, u32::MAX)] {
            samples.push(bytes_of(&abi::Other {
                header: head(*kind),
                target_tgid,
                detail,
            }));
        }
    }
    samples
}

fn execs(head: &impl Fn(Kind) -> Header) -> Vec<Vec<u8>> {
    let whole = exec(head(Kind::Exec), b"/usr/bin/git", &[b"git", b"", b"push"]);
    let mut missing = exec(head(Kind::Exec), b"", &[]);
    missing.flags = EXEC_PATH_MISSING | EXEC_ARGV_UNREADABLE;
    let mut cut = exec(
        head(Kind::Exec),
        b"/\xff\n\\\"\x1b",
        &[b"\x00\xfe", b"\xe2\x80\xae"],
    );
    cut.flags = EXEC_ARGV_CUT;
    cut.level = u16::MAX;
    cut.argc = u32::MAX;
    cut.file = FileId {
        inode: u64::MAX,
        device: u32::MAX,
        generation: u32::MAX,
    };
    cut.stamp.size = u64::MAX;
    cut.stamp.ctime_sec = i64::MIN;
    let longest = exec(
        head(Kind::Exec),
        &[b'\xff'; abi::PATH_LEN],
        &[&[b'\\'; abi::ARGV_LEN - 1]],
    );
    let root = exec(head(Kind::Exec), b"/", &[b"/"]);
    let mut unread = missing;
    unread.file = FileId::default();
    unread.stamp = FileStamp::default();
    [whole, missing, cut, longest, root, unread]
        .iter()
        .map(bytes_of)
        .collect()
}

fn endpoints(head: &impl Fn(Kind) -> Header) -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for kind in [Kind::Connect, Kind::Send, Kind::SendConnected, Kind::Listen] {
        for (family, protocol) in [(4, 6), (4, 17), (6, 6), (6, 132), (0, 0)] {
            for byte in [0, 10, 255] {
                let connect = abi::Connect {
                    header: head(kind),
                    address: [byte; 16],
                    family,
                    protocol,
                    port: u16::MAX,
                    pad: 0,
                };
                samples.push(bytes_of(&connect));
            }
        }
    }
    samples
}

fn unix_peers(header: Header) -> Vec<Vec<u8>> {
    let file = FileId {
        inode: 5,
        device: 6,
        generation: 7,
    };
    let mut named = UnixKey::path(file);
    named.name[..6].copy_from_slice(b"/run/s");
    named.name_len = 6;
    let mut unnamed = UnixKey::path(FileId::default());
    unnamed.kind = UNIX_UNNAMED;
    let mut unknown = unnamed;
    unknown.kind = 0;
    let longest = UnixKey::abstract_name(&[0xff; 107]).expect("a name");
    let unread = UnixKey::path(FileId::default());
    let peers = [
        named,
        UnixKey::path(file),
        unread,
        unnamed,
        unknown,
        longest,
    ];
    peers
        .map(|peer| bytes_of(&abi::Unix { header, peer }))
        .to_vec()
}

/// Heads from the ordinary to the largest numbers, for one outcome.
fn heads((verdict, reason): (Verdict, Reason)) -> [impl Fn(Kind) -> Header; 3] {
    [0, 1, 2].map(|edge| {
        move |kind| {
            let ordinary = header(kind, verdict, reason);
            match edge {
                0 => ordinary,
                1 => Header {
                    exec: 5,
                    cell: NO_CELL,
                    agent: 0,
                    generation: 0,
                    ..ordinary
                },
                _ => Header {
                    sequence: u64::MAX,
                    time_ns: u64::MAX,
                    session: u64::MAX,
                    exec: u64::MAX,
                    start_ns: u64::MAX,
                    conditions: u64::MAX,
                    tgid: u32::MAX,
                    ..ordinary
                },
            }
        }
    })
}

/// A record of each sample, by daemons that know all and that know nothing; made once.
pub(super) fn decisions() -> &'static [Value] {
    static DECISIONS: LazyLock<Vec<Value>> = LazyLock::new(make_decisions);
    &DECISIONS
}

fn make_decisions() -> Vec<Value> {
    let mut records = Vec::new();
    for facts in [Facts::all(), Facts::default()] {
        for head in outcomes().into_iter().flat_map(heads) {
            let mut recorder = Recorder::new(host());
            // A chain longer than one record tells.
            for n in 1..=30 {
                recorder.record(&exec_event(n, n - 1, 100, "/bin/sh"), &facts);
            }
            for bytes in samples(head) {
                let event = Event::decode(&bytes).expect("an event");
                records.push(recorder.record(&event, &facts));
            }
        }
    }
    records
}

fn told_by_the_daemon() -> Vec<Value> {
    let mut host = host();
    let mut records = Vec::new();
    for machine_id in [Some("0123"), None] {
        host.machine_id = machine_id.map(str::to_owned);
        let outcomes = [
            PolicyOutcome::Applied { generation: 7 },
            PolicyOutcome::Removed { generation: 8 },
            PolicyOutcome::Rejected {
                why: "release-bot.toml:3:5: unknown key".to_owned(),
            },
        ];
        records.extend(outcomes.map(|outcome| policy(&host, &policy_change(outcome))));
        for lifecycle in [Lifecycle::Start, Lifecycle::Stop, Lifecycle::Remove] {
            records.extend([true, false].map(|up| daemon(&host, &daemon_change(lifecycle, up))));
        }
        for place in [
            Place::DenialsRing,
            Place::EventsRing,
            Place::Decoding,
            Place::Daemon,
            Place::Log,
        ] {
            records.push(loss(
                &host,
                &Loss {
                    time_ns: 9,
                    place,
                    count: 5,
                    from_ns: 1,
                    until_ns: 8,
                },
            ));
        }
        let aside = Torn {
            segment: "/var/log/enforcer/a.jsonl".into(),
            set_aside: "/var/log/enforcer/a.jsonl.torn".into(),
            offset: 10,
            bytes: 3,
            sha256: [1; 32],
        };
        records.push(torn(&host, 5, &aside));
    }
    records
}

fn policy_change(outcome: PolicyOutcome) -> PolicyChange {
    let name = matches!(outcome, PolicyOutcome::Applied { .. }).then(|| "root".to_owned());
    PolicyChange {
        time_ns: 5,
        agent: "release-bot".to_owned(),
        sha256: name.is_some().then_some([7; 32]),
        outcome,
        by: By {
            uid: 0,
            name,
            pid: 77,
        },
    }
}

fn daemon_change(lifecycle: Lifecycle, enforcing: bool) -> DaemonChange {
    let programs = if enforcing {
        vec!["socket_connect".to_owned()]
    } else {
        Vec::new()
    };
    DaemonChange {
        time_ns: 5,
        lifecycle,
        pid: 77,
        start_ns: 4,
        uid: 0,
        enforcing,
        programs,
        posture: BTreeMap::from([("kernel".to_owned(), "6.1.192".to_owned())]),
        removal: (lifecycle == Lifecycle::Remove).then(|| {
            let by = By {
                uid: 0,
                name: enforcing.then(|| "root".to_owned()),
                pid: 78,
            };
            (by, "moving \"away\"\n\u{1b}[31m".to_owned())
        }),
    }
}

/// A record of everything that is handed to the log.
pub(super) fn all() -> Vec<Value> {
    [decisions(), &told_by_the_daemon()].concat()
}

/// The log's records about itself.
pub(super) fn told_by_the_log() -> Vec<Value> {
    let digest = SegmentDigest {
        segment: 1,
        sha256: Hash([1; 32]),
        bytes: 4096,
    };
    let opening = |former| {
        Payload::Segment(SegmentOpening {
            segment: 1,
            epoch: 1,
            vkey: "enforcer/x+00000000+AA".to_owned(),
            tree_size: 0,
            tree_roots: Vec::new(),
            checkpoint: "a note".to_owned(),
            former,
        })
    };
    let payloads = [
        opening(None),
        opening(Some(digest)),
        Payload::Epoch(EpochOpening {
            epoch: 2,
            vkey: "enforcer/x+00000000+AA".to_owned(),
            cause: Cause::Start,
            transition: "a note".to_owned(),
            former_head: Some("a note".to_owned()),
            adopted: 3,
        }),
        Payload::Checkpoint(CheckpointRecord {
            epoch: 2,
            checkpoint: "a note".to_owned(),
        }),
        Payload::Removed(SegmentRemoval {
            segment: 1,
            sha256: Hash([1; 32]),
            bytes: 4096,
            first_leaf: 0,
            last_leaf: 9,
        }),
    ];
    payloads
        .iter()
        .zip(1..)
        .map(|(payload, time)| log(&host(), time, payload))
        .collect()
}
