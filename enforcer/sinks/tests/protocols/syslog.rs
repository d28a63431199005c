//! Syslog over TCP.

use std::time::Duration;

use crate::support::{
    Rig,
    server::{Fault, Server},
    spool, syslog, wait_for,
};

fn sink(server: &Server, more: &str) -> String {
    let port = server.port();
    format!("type = \"syslog\"\nendpoint = \"tcp://127.0.0.1:{port}\"\n{more}")
}

const OFTEN: &str = "confirm_records = 700\nconfirm_after = \"300ms\"";

#[test]
fn every_record_arrives_once_and_in_order() {
    let server = syslog::server(None);
    let mut rig = Rig::new(spool(2_000), &sink(&server, OFTEN)).started();
    let status = rig.drained();
    server.account.assert_all(0..2_000);
    assert_eq!(server.account.repeated(), 0);
    assert_eq!((status.acked, status.retried), (2_000, 0));
    rig.stop();
}

#[test]
fn what_was_not_confirmed_is_sent_again_after_a_broken_connection() {
    let server = syslog::server(None);
    server.faults([
        (100, Fault::CloseMidFrame),
        (500, Fault::Forget),
        (300, Fault::Slow(Duration::from_millis(200))),
        (5, Fault::CloseMidFrame),
    ]);
    let mut rig = Rig::new(spool(2_000), &sink(&server, OFTEN)).started();
    let status = rig.drained();
    server.account.assert_all(0..2_000);
    assert!(status.retried > 0);
    rig.stop();
}

#[test]
fn nothing_counts_before_the_receiver_has_closed() {
    let server = syslog::server(None);
    let more = "confirm_records = 100000\nconfirm_after = \"1h\"";
    let mut rig = Rig::new(spool(300), &sink(&server, more)).started();
    wait_for("sent", || server.account.distinct().len() == 300);
    assert_eq!(rig.status().acked, 0);
    // The orderly end confirms.
    rig.stop();
    rig.start();
    assert_eq!(rig.drained().sent, 0);
    rig.stop();
    assert_eq!(server.account.repeated(), 0);
}

#[test]
fn a_receiver_that_goes_away_and_comes_back_gets_everything() {
    let mut server = syslog::server(None);
    let spool = spool(1_000);
    let mut rig = Rig::new(spool.clone(), &sink(&server, OFTEN)).started();
    wait_for("begun", || !server.account.distinct().is_empty());
    server.down();
    spool.append((1_000..3_000).map(crate::support::record));
    rig.wait("waiting", |status| status.last_error.is_some());
    server.up();
    rig.drained();
    server.account.assert_all(0..3_000);
    rig.stop();
}

#[test]
fn written_is_enough_where_the_configuration_says_so() {
    let server = syslog::server(None);
    let mut rig = Rig::new(spool(500), &sink(&server, "confirm = \"write\"")).started();
    let status = rig.drained();
    assert_eq!(status.acked, 500);
    wait_for("arrived", || server.account.distinct().len() == 500);
    server.account.assert_all(0..500);
    rig.stop();
}
