//! Events as the kernel programs write them: the bytes of the shared `repr(C)` types.

use core::mem::size_of;

use enforcer_common::{
    event::{self as abi, EXEC_ARGV_CUT, EXEC_ARGV_UNREADABLE, EXEC_PATH_MISSING, Header, Kind},
    object::{FileId, FileStamp, UNIX_UNNAMED, UnixKey},
    permit::NO_CELL,
    verdict::{Reason, Verdict},
};

use crate::record::event::{DecodeError, Endpoint, Event, Object, Socket, UnixPeer};

/// The bytes of a shared type.
pub(super) fn bytes_of<T: Copy>(value: &T) -> Vec<u8> {
    let start = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: the callers pass `repr(C)` types of integers without implicit padding (the layout test
    // of their crate holds that), so that each of the `size_of::<T>()` bytes is initialised; the
    // slice does not outlive `value`.
    unsafe { std::slice::from_raw_parts(start, size_of::<T>()) }.to_vec()
}

pub(super) fn header(kind: Kind, verdict: Verdict, reason: Reason) -> Header {
    Header {
        sequence: 1001,
        time_ns: 61_000_000_007,
        session: 0xfeed_0000_0000_0001,
        exec: 0,
        start_ns: 60_000_000_000,
        conditions: 5,
        tgid: 4242,
        tid: 4243,
        parent_tgid: 4200,
        uid: 1000,
        agent: 3,
        generation: 7,
        cell: 12,
        kind: kind as u8,
        verdict: verdict as u8,
        reason: reason as u8,
        pad: 0,
    }
}

pub(super) fn exec(header: Header, path: &[u8], arguments: &[&[u8]]) -> abi::Exec {
    let argv: Vec<u8> = arguments
        .iter()
        .flat_map(|a| [a, &b"\0"[..]].concat())
        .collect();
    let mut exec = abi::Exec {
        header,
        file: FileId {
            inode: 1234,
            device: (253 << 20) | 1,
            generation: 9,
        },
        stamp: FileStamp {
            ctime_sec: 1_700_000_000,
            ctime_nsec: 5,
            pad: 0,
            size: 4096,
        },
        argc: u32::try_from(arguments.len()).expect("a few"),
        level: 0,
        flags: 0,
        path_len: u16::try_from(path.len()).expect("a path"),
        argv_len: u16::try_from(argv.len()).expect("arguments"),
        pad: 0,
        path: [0; abi::PATH_LEN],
        argv: [0; abi::ARGV_LEN],
    };
    exec.path[..path.len()].copy_from_slice(path);
    exec.argv[..argv.len()].copy_from_slice(&argv);
    exec
}

fn executable(exec: &abi::Exec) -> crate::record::event::Executable {
    let event = Event::decode(&bytes_of(exec)).expect("an event");
    let Object::Executable(executable) = event.object else {
        panic!("no executable");
    };
    *executable
}

#[test]
fn every_field_of_an_exec_comes_through() {
    let header = header(Kind::Exec, Verdict::Allow, Reason::RuleAllows);
    let event = Event::decode(&bytes_of(&exec(
        header,
        b"/usr/bin/git",
        &[b"git", b"", b"status"],
    )))
    .expect("an event");
    let head = &event.head;
    assert_eq!((head.sequence, head.time_ns), (1001, 61_000_000_007));
    assert_eq!((head.session, head.exec), (0xfeed_0000_0000_0001, 0));
    assert_eq!((head.start_ns, head.conditions), (60_000_000_000, 5));
    assert_eq!((head.tgid, head.tid, head.parent_tgid), (4242, 4243, 4200));
    assert_eq!((head.uid, head.agent, head.generation), (1000, 3, 7));
    assert_eq!((head.cell, head.kind), (Some(12), Kind::Exec));
    assert_eq!(
        (head.verdict, head.reason),
        (Verdict::Allow, Reason::RuleAllows)
    );
    let Object::Executable(executable) = event.object else {
        panic!("no executable");
    };
    assert_eq!(executable.file.inode, 1234);
    assert_eq!(
        (executable.file.device, executable.file.generation),
        ((253 << 20) | 1, 9)
    );
    assert_eq!(
        (executable.stamp.ctime_sec, executable.stamp.ctime_nsec),
        (1_700_000_000, 5)
    );
    assert_eq!(
        (executable.stamp.size, executable.argc, executable.level),
        (4096, 3, 0)
    );
    assert_eq!(executable.path.as_deref(), Some(&b"/usr/bin/git"[..]));
    let arguments = executable.arguments.expect("arguments");
    assert_eq!(arguments, [&b"git"[..], b"", b"status"]);
    assert!(!executable.arguments_cut);
}

#[test]
fn what_an_exec_could_not_hold_is_told() {
    let header = header(Kind::Exec, Verdict::Deny, Reason::ReadFailed);
    let mut event = exec(header, b"", &[]);
    assert_eq!(executable(&event).arguments, Some(Vec::new()));
    event.flags = EXEC_PATH_MISSING | EXEC_ARGV_UNREADABLE;
    assert_eq!(executable(&event).path, None);
    assert_eq!(executable(&event).arguments, None);
    let mut event = exec(header, b"/a", &[b"a", b"cut short"]);
    event.flags = EXEC_ARGV_CUT;
    event.argv_len -= 3;
    assert!(executable(&event).arguments_cut);
    assert_eq!(
        executable(&event).arguments,
        Some(vec![b"a".to_vec(), b"cut sho".to_vec()])
    );
}

#[test]
fn addresses_of_both_families_come_through() {
    let header = header(Kind::Connect, Verdict::Allow, Reason::RuleAllows);
    let mut event = abi::Connect {
        header,
        address: [140, 82, 112, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        family: 4,
        protocol: 6,
        port: 443,
        pad: 0,
    };
    let decoded = |event: &abi::Connect| {
        let event = Event::decode(&bytes_of(event)).expect("an event");
        let Object::Endpoint(Endpoint {
            address,
            protocol,
            port,
        }) = event.object
        else {
            panic!("no endpoint");
        };
        (address.map(|a| a.to_string()), protocol, port)
    };
    assert_eq!(decoded(&event), (Some("140.82.112.4".to_owned()), 6, 443));
    event.family = 6;
    event.address = [0x26, 6, 0x50, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(decoded(&event).0.as_deref(), Some("2606:50c0::1"));
    event.family = 0;
    assert_eq!(decoded(&event).0, None);
    event.family = 5;
    let error = Event::decode(&bytes_of(&event)).expect_err("no family");
    assert_eq!(
        error,
        DecodeError::Number {
            field: "family",
            value: 5
        }
    );
}

#[test]
fn unix_peers_and_sockets_come_through() {
    let header = header(Kind::Unix, Verdict::Deny, Reason::NotListed);
    let decoded = |peer: UnixKey| {
        let event = Event::decode(&bytes_of(&abi::Unix { header, peer }))?;
        let Object::UnixSocket(peer) = event.object else {
            panic!("no unix socket");
        };
        Ok(peer)
    };
    let file = FileId {
        inode: 5,
        device: 6,
        generation: 7,
    };
    let mut peer = UnixKey::path(file);
    peer.name[..6].copy_from_slice(b"/run/s");
    peer.name_len = 6;
    assert_eq!(
        decoded(peer),
        Ok(UnixPeer::Path {
            file,
            path: b"/run/s".to_vec()
        })
    );
    let peer = UnixKey::abstract_name(b"a\0b").expect("a name");
    assert_eq!(decoded(peer), Ok(UnixPeer::Abstract(b"a\0b".to_vec())));
    let mut peer = UnixKey::path(FileId::default());
    peer.kind = UNIX_UNNAMED;
    assert_eq!(decoded(peer), Ok(UnixPeer::Unnamed));
    peer.kind = 0;
    assert_eq!(decoded(peer), Ok(UnixPeer::Unknown));
    peer.kind = 9;
    assert!(matches!(
        decoded(peer),
        Err(DecodeError::Number {
            field: "peer.kind",
            ..
        })
    ));
    peer.name_len = 109;
    assert!(matches!(
        decoded(peer),
        Err(DecodeError::Count {
            field: "name_len",
            ..
        })
    ));

    let mut header = header;
    header.kind = Kind::Socket as u8;
    header.cell = NO_CELL;
    let socket = abi::Socket {
        header,
        family: 17,
        kind: 3,
        protocol: 768,
        pad: 0,
    };
    let event = Event::decode(&bytes_of(&socket)).expect("an event");
    assert_eq!(
        event.object,
        Object::Socket(Socket {
            family: 17,
            kind: 3,
            protocol: 768
        })
    );
    assert_eq!(event.head.cell, None);
}

#[test]
fn plain_events_are_a_head_alone() {
    for kind in [Kind::Fork, Kind::SessionStart, Kind::SessionEnd] {
        let header = header(kind, Verdict::Allow, Reason::Enrolled);
        let event = Event::decode(&bytes_of(&header)).expect("an event");
        assert_eq!((event.head.kind, event.object), (kind, Object::Process));
    }
}

#[test]
fn bytes_that_are_no_event_are_refused_at_every_length() {
    let header = header(Kind::Exec, Verdict::Allow, Reason::RuleAllows);
    let whole = bytes_of(&exec(header, b"/a", &[b"a"]));
    for length in 0..whole.len() {
        let error = Event::decode(&whole[..length]).expect_err("cut");
        assert!(
            matches!(error, DecodeError::Length { .. }),
            "{length}: {error}"
        );
    }
    assert!(Event::decode(&[&whole[..], &[0]].concat()).is_err());
    for (at, field) in [
        (size_of::<Header>() - 4, "kind"),
        (size_of::<Header>() - 3, "verdict"),
        (size_of::<Header>() - 2, "reason"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] = 200;
        let error = Event::decode(&bytes).expect_err("no such number");
        assert_eq!(error, DecodeError::Number { field, value: 200 });
    }
    let mut long = exec(header, b"/a", &[b"a"]);
    long.path_len = 513;
    assert!(matches!(
        Event::decode(&bytes_of(&long)),
        Err(DecodeError::Count {
            field: "path_len",
            ..
        })
    ));
}
