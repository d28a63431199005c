//! Splunk HEC.

use std::time::Duration;

use enforcer_sinks::Phase;

use crate::support::{
    Rig,
    http::{self, Kind},
    record, secret,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server, folder: &std::path::Path, more: &str) -> String {
    let port = server.port();
    let token = secret(folder, "token", http::TOKEN);
    format!(
        "type = \"hec\"\nendpoint = \"http://127.0.0.1:{port}\"\nbatch = 100\ntoken_file = {token:?}\n{more}"
    )
}

#[test]
fn every_record_arrives_once_and_in_order() {
    for (kind, more) in [(Kind::Hec, ""), (Kind::HecAcked, "ack = true")] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = http::server(kind, None);
        let mut rig = Rig::new(spool(1_000), &sink(&server, folder.path(), more)).started();
        rig.drained();
        server.account.assert_all(0..1_000);
        assert_eq!(server.account.repeated(), 0);
        rig.stop();
    }
}

#[test]
fn breaks_delays_and_errors_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = http::server(Kind::Hec, None);
    server.faults([
        (1, Fault::CloseMidFrame),
        (0, Fault::Status(503, None)),
        (0, Fault::Status(500, Some("0"))),
        (1, Fault::TakeAndClose),
        (1, Fault::Slow(Duration::from_millis(500))),
    ]);
    let spool = spool(1_500);
    let mut rig = Rig::new(spool.clone(), &sink(&server, folder.path(), "")).started();
    wait_for("begun", || server.account.distinct().len() > 1_000);
    server.down();
    spool.append((1_500..2_500).map(record));
    server.up();
    rig.drained();
    server.account.assert_all(0..2_500);
    rig.stop();
}

#[test]
fn what_the_indexer_took_and_lost_is_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::HecAcked, None);
    // The third batch is taken with an id, and never indexed.
    server.faults([(6, Fault::Forget)]);
    let more = "ack = true\nack_timeout = \"1s\"";
    let mut rig = Rig::new(spool(500), &sink(&server, folder.path(), more)).started();
    let status = rig.drained();
    server.account.assert_all(0..500);
    assert_eq!(status.retried, 100);
    rig.stop();
}

#[test]
fn a_record_that_is_refused_is_found_told_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Hec, None);
    server.refuse(130);
    let mut rig = Rig::new(spool(300), &sink(&server, folder.path(), "")).started();
    rig.drained();
    server
        .account
        .assert_all((0..300).filter(|number| *number != 130));
    assert_eq!(rig.refused(), [uid(130)]);
    rig.stop();
}

#[test]
fn a_token_that_is_refused_or_not_acknowledged_keeps_the_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::HecAcked, None);
    // Acknowledgement is on for the token and not for the sink: "data channel is missing".
    let mut rig = Rig::new(spool(10), &sink(&server, folder.path(), "")).started();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    let text = status.last_error.expect("an error").text;
    assert!(text.contains("channel"), "{text}");
    assert_eq!((status.acked, status.refused), (0, 0));
    rig.stop();

    let server = http::server(Kind::Hec, None);
    let mut rig = Rig::new(spool(10), &sink(&server, folder.path(), ""));
    secret(folder.path(), "token", "another");
    rig.start();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    let text = status.last_error.expect("an error").text;
    assert!(text.contains("403") && !text.contains("another"), "{text}");
    secret(folder.path(), "token", http::TOKEN);
    rig.drained();
    server.account.assert_all(0..10);
    rig.stop();
}
