//! Elasticsearch's `_bulk`.

use std::time::Duration;

use enforcer_sinks::Phase;

use crate::support::{
    Rig,
    http::{self, Kind},
    record, secret,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server, folder: &std::path::Path) -> String {
    let port = server.port();
    let token = secret(folder, "token", http::TOKEN);
    format!(
        "type = \"elastic\"\nendpoint = \"http://127.0.0.1:{port}\"\nindex = \"logs-enforcer\"\nbatch = 100\ntoken_file = {token:?}"
    )
}

#[test]
fn every_record_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Elastic, None);
    let mut rig = Rig::new(spool(2_000), &sink(&server, folder.path())).started();
    rig.drained();
    server.account.assert_all(0..2_000);
    assert_eq!(server.account.repeated(), 0);
    rig.stop();
}

#[test]
fn what_is_sent_again_makes_no_second_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = http::server(Kind::Elastic, None);
    server.faults([
        (1, Fault::TakeAndClose),
        (1, Fault::CloseMidFrame),
        (1, Fault::Status(429, Some("0"))),
        (1, Fault::TakeAndClose),
        (1, Fault::Slow(Duration::from_millis(300))),
    ]);
    let spool = spool(1_500);
    let mut rig = Rig::new(spool.clone(), &sink(&server, folder.path())).started();
    wait_for("begun", || server.account.distinct().len() > 1_000);
    server.down();
    spool.append((1_500..2_500).map(record));
    server.up();
    let status = rig.drained();
    server.account.assert_all(0..2_500);
    assert_eq!(server.account.repeated(), 0);
    assert!(status.retried >= 200);
    rig.stop();
}

#[test]
fn one_document_that_cannot_be_taken_now_comes_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Elastic, None);
    server.faults([(0, Fault::Item(429)), (1, Fault::Item(503))]);
    let mut rig = Rig::new(spool(500), &sink(&server, folder.path())).started();
    let status = rig.drained();
    assert_eq!(server.account.distinct().len(), 500);
    assert_eq!((status.acked, status.refused), (500, 0));
    rig.stop();
}

#[test]
fn a_document_that_is_refused_is_told_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Elastic, None);
    server.refuse(42);
    server.refuse(299);
    let mut rig = Rig::new(spool(300), &sink(&server, folder.path())).started();
    let status = rig.drained();
    server
        .account
        .assert_all((0..299).filter(|number| *number != 42));
    assert_eq!(rig.refused(), [uid(42), uid(299)]);
    assert_eq!(status.refused, 2);
    rig.stop();
}

#[test]
fn an_index_that_refuses_every_document_is_not_fed_the_whole_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Elastic, None);
    (0..500).for_each(|number| server.refuse(number));
    let sink = format!(
        "{}\nretry = {{ first = \"20ms\", most = \"100ms\", held = \"1h\" }}",
        sink(&server, folder.path())
    );
    let mut rig = Rig::new(spool(500), &sink).started();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    assert_eq!(status.refused, 17);
    rig.stop();
}

#[test]
fn an_index_that_is_not_there_keeps_the_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = http::server(Kind::Elastic, None);
    server.faults([(0, Fault::Item(404))]);
    let mut rig = Rig::new(spool(10), &sink(&server, folder.path())).started();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    assert_eq!((status.acked, status.refused), (3, 0));
    rig.drained();
    assert_eq!(server.account.distinct().len(), 10);
    rig.stop();
}
