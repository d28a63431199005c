//! NATS JetStream.

use std::time::Duration;

use enforcer_sinks::Phase;

use crate::support::{
    Rig, nats, record, record_with, secret,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server, folder: &std::path::Path, token: &str) -> String {
    let port = server.port();
    let token = secret(folder, "token", token);
    format!(
        "type = \"nats\"\nendpoint = \"nats://127.0.0.1:{port}\"\nsubject = \"enforcer.records\"\ntoken_file = {token:?}"
    )
}

#[test]
fn every_record_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = nats::server(None);
    let sink = sink(&server, folder.path(), nats::TOKEN);
    let mut rig = Rig::new(spool(2_000), &sink).started();
    let status = rig.drained();
    server.account.assert_all(0..2_000);
    assert_eq!(server.account.repeated(), 0);
    assert_eq!((status.acked, status.retried), (2_000, 0));
    rig.stop();
}

#[test]
fn breaks_delays_and_errors_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = nats::server(None);
    server.faults([
        (100, Fault::CloseMidFrame),
        (300, Fault::TakeAndClose),
        (7, Fault::Slow(Duration::from_millis(300))),
    ]);
    let sink = sink(&server, folder.path(), nats::TOKEN);
    let spool = spool(1_500);
    let mut rig = Rig::new(spool.clone(), &sink).started();
    wait_for("begun", || server.account.distinct().len() > 1_000);
    server.down();
    spool.append((1_500..2_500).map(record));
    server.up();
    rig.drained();
    server.account.assert_all(0..2_500);
    rig.stop();
}

#[test]
fn a_stream_that_cannot_store_now_is_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = nats::server(None);
    server.faults([(3, Fault::Status(503, None)), (0, Fault::Status(503, None))]);
    let sink = sink(&server, folder.path(), nats::TOKEN);
    let mut rig = Rig::new(spool(200), &sink).started();
    rig.drained();
    let all: Vec<String> = (0..200).map(uid).collect();
    assert!(server.account.distinct().into_iter().eq(all));
    rig.stop();
}

#[test]
fn a_record_too_large_for_the_server_or_the_stream_is_told_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = nats::server(None);
    server.refuse(150);
    let spool = spool(100);
    spool.append([record_with(100, &"BIG".repeat(nats::MAX_PAYLOAD / 3))]);
    spool.append((101..200).map(record));
    let sink = sink(&server, folder.path(), nats::TOKEN);
    let mut rig = Rig::new(spool, &sink).started();
    rig.drained();
    let bad = [100, 150];
    server
        .account
        .assert_all((0..200).filter(|number| !bad.contains(number)));
    assert_eq!(rig.refused(), bad.map(uid));
    rig.stop();
}

#[test]
fn a_wrong_token_keeps_the_cursor_until_it_is_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = nats::server(None);
    let sink = sink(&server, folder.path(), "wrong-one");
    let mut rig = Rig::new(spool(50), &sink).started();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    let text = status.last_error.expect("an error").text;
    assert!(text.contains("Authorization"), "{text}");
    assert!(!text.contains("wrong-one"), "{text}");
    secret(folder.path(), "token", nats::TOKEN);
    rig.drained();
    server.account.assert_all(0..50);
    rig.stop();
}
