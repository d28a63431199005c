//! RELP.

use std::time::Duration;

use crate::support::{
    Rig, record, relp,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server) -> String {
    let port = server.port();
    format!("type = \"relp\"\nendpoint = \"tcp://127.0.0.1:{port}\"\nwindow = 50")
}

#[test]
fn every_record_arrives_once_and_in_order() {
    let server = relp::server(None);
    let mut rig = Rig::new(spool(2_000), &sink(&server)).started();
    let status = rig.drained();
    server.account.assert_all(0..2_000);
    assert_eq!(server.account.repeated(), 0);
    assert_eq!((status.acked, status.retried), (2_000, 0));
    assert!(status.connected);
    rig.stop();
}

#[test]
fn a_connection_that_breaks_anywhere_loses_nothing() {
    let server = relp::server(None);
    server.faults([
        (100, Fault::CloseMidFrame),
        (0, Fault::TakeAndClose),
        (400, Fault::TakeAndClose),
        (7, Fault::Slow(Duration::from_millis(300))),
        (60, Fault::CloseMidFrame),
    ]);
    let mut rig = Rig::new(spool(1_500), &sink(&server)).started();
    rig.drained();
    server.account.assert_all(0..1_500);
    // The cursor follows each acknowledgement: at most a window comes twice for a break.
    assert!(server.account.repeated() <= 4 * 50);
    rig.stop();
}

#[test]
fn a_record_that_the_server_refuses_is_told_and_the_rest_goes_on() {
    let server = relp::server(None);
    server.refuse(777);
    let mut rig = Rig::new(spool(1_000), &sink(&server)).started();
    let status = rig.drained();
    let expected: Vec<usize> = (0..1_000).filter(|number| *number != 777).collect();
    server.account.assert_all(expected);
    assert_eq!(rig.refused(), [uid(777)]);
    assert_eq!((status.refused, status.acked), (1, 999));
    rig.stop();
}

#[test]
fn a_server_that_is_restarted_under_load_gets_everything() {
    let mut server = relp::server(None);
    let spool = spool(1_000);
    let mut rig = Rig::new(spool.clone(), &sink(&server)).started();
    wait_for("begun", || server.account.distinct().len() > 300);
    server.down();
    spool.append((1_000..2_000).map(record));
    server.up();
    rig.drained();
    server.account.assert_all(0..2_000);
    rig.stop();
}

#[test]
fn a_server_that_speaks_something_else_is_told() {
    let server = crate::support::http::server(crate::support::http::Kind::Otlp, None);
    let mut rig = Rig::new(spool(1), &sink(&server)).started();
    let status = rig.wait("failing", |status| status.last_error.is_some());
    assert_eq!(status.acked, 0);
    rig.stop();
}
