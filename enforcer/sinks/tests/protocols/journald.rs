//! The journal's native protocol.

use std::{
    collections::HashMap,
    fs::File,
    io::{IoSliceMut, Read, Seek},
    mem::MaybeUninit,
    os::unix::net::UnixDatagram,
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    fs::{SealFlags, fcntl_get_seals},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};

use crate::support::{Rig, record, record_with, spool, uid, uid_of};

/// Reads entries until `count` came; each says whether it came as a memory file.
fn journald(socket: &Path, count: usize) -> JoinHandle<Vec<(String, bool)>> {
    let socket = UnixDatagram::bind(socket).expect("bound");
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("timeout");
    thread::spawn(move || (0..count).map(|_| receive(&socket)).collect())
}

fn receive(socket: &UnixDatagram) -> (String, bool) {
    let mut buffer = vec![0; 1 << 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut buffer)],
        &mut control,
        RecvFlags::empty(),
    )
    .expect("received");
    let mut bytes = buffer[..got.bytes].to_vec();
    let mut is_memory = false;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            let descriptor = descriptors.next().expect("one");
            let seals = fcntl_get_seals(&descriptor).expect("sealed");
            let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
            assert!(seals.contains(all));
            assert!(bytes.is_empty(), "both payload and descriptor");
            let mut memory = File::from(descriptor);
            memory.rewind().expect("rewound");
            memory.read_to_end(&mut bytes).expect("read");
            is_memory = true;
        }
    }
    let fields = fields(&bytes);
    let uid = uid_of(&fields["MESSAGE"]).expect("a record");
    assert_eq!(fields["ENFORCER_UID"], uid.as_bytes());
    assert!(matches!(fields["PRIORITY"].as_slice(), b"4" | b"6"));
    assert_eq!(fields["SYSLOG_IDENTIFIER"], b"enforcer");
    assert!(fields.contains_key("ENFORCER_VERDICT") && fields.contains_key("ENFORCER_AGENT"));
    (uid, is_memory)
}

fn fields(mut bytes: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut fields = HashMap::new();
    while !bytes.is_empty() {
        let end = bytes
            .iter()
            .position(|b| matches!(b, b'=' | b'\n'))
            .expect("a name");
        let name = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
        let (value, rest) = if bytes[end] == b'=' {
            let length = bytes[end..]
                .iter()
                .position(|b| *b == b'\n')
                .expect("an end");
            (&bytes[end + 1..end + length], &bytes[end + length + 1..])
        } else {
            let start = end + 9;
            let length = u64::from_le_bytes(bytes[end + 1..start].try_into().expect("eight"));
            let stop = start + usize::try_from(length).expect("small");
            assert_eq!(bytes[stop], b'\n');
            (&bytes[start..stop], &bytes[stop + 1..])
        };
        assert!(
            fields.insert(name, value.to_vec()).is_none(),
            "a field twice"
        );
        bytes = rest;
    }
    fields
}

#[test]
fn every_record_is_an_entry_and_long_ones_are_sealed_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let spool = spool(500);
    spool.append([record_with(500, &"BIG".repeat(200_000))]);
    spool.append((501..600).map(record));
    let reader = journald(&path, 600);
    let mut rig = Rig::new(spool, &format!("type = \"journald\"\npath = {path:?}")).started();
    let status = rig.drained();
    let got = reader.join().expect("read");
    let expected: Vec<(String, bool)> = (0..600).map(|n| (uid(n), n == 500)).collect();
    assert_eq!(got, expected);
    assert_eq!(status.acked, 600);
    rig.stop();
}

#[test]
fn a_journal_that_is_away_or_reads_nothing_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let sink = format!("type = \"journald\"\npath = {path:?}\ntimeout = \"300ms\"");
    let mut rig = Rig::new(spool(2_000), &sink).started();
    rig.wait("failing", |status| status.last_error.is_some());
    // Bound, and read by nobody: the socket's room ends.
    let socket = UnixDatagram::bind(&path).expect("bound");
    let status = rig.wait("full", |status| {
        let error = status.last_error.as_ref();
        error.is_some_and(|error| error.text.contains("reads nothing"))
    });
    assert!(status.acked > 0 && status.acked < 2_000);
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("timeout");
    let mut got: Vec<String> = Vec::new();
    while got.last() != Some(&uid(1_999)) {
        got.push(receive(&socket).0);
    }
    got.dedup();
    assert_eq!(got, (0..2_000).map(uid).collect::<Vec<_>>());
    rig.drained();
    rig.stop();
}
