//! OTLP/HTTP.

use std::time::{Duration, Instant};

use enforcer_sinks::Phase;

use crate::support::{
    Rig,
    http::{self, Kind},
    record,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server) -> String {
    let port = server.port();
    format!(
        "type = \"otlp\"\nendpoint = \"http://127.0.0.1:{port}\"\nbatch = 100\ntimeout = \"2s\""
    )
}

#[test]
fn every_record_arrives_once_and_in_order() {
    let server = http::server(Kind::Otlp, None);
    let mut rig = Rig::new(spool(2_000), &sink(&server)).started();
    let status = rig.drained();
    server.account.assert_all(0..2_000);
    assert_eq!(server.account.repeated(), 0);
    assert_eq!((status.acked, status.retried), (2_000, 0));
    rig.stop();
}

#[test]
fn breaks_delays_and_errors_lose_nothing() {
    let mut server = http::server(Kind::Otlp, None);
    server.faults([
        (1, Fault::CloseMidFrame),
        (0, Fault::Status(500, None)),
        (0, Fault::Status(503, Some("0"))),
        (1, Fault::TakeAndClose),
        (1, Fault::Slow(Duration::from_millis(500))),
        // Longer than the sink waits.
        (1, Fault::Slow(Duration::from_millis(2_500))),
    ]);
    let spool = spool(1_500);
    let mut rig = Rig::new(spool.clone(), &sink(&server)).started();
    wait_for("begun", || server.account.distinct().len() > 1_000);
    server.down();
    spool.append((1_500..2_500).map(record));
    server.up();
    rig.drained();
    server.account.assert_all(0..2_500);
    rig.stop();
}

#[test]
fn a_receiver_is_left_alone_as_long_as_it_asks() {
    let server = http::server(Kind::Otlp, None);
    server.faults([(0, Fault::Status(429, Some("2")))]);
    let begun = Instant::now();
    let mut rig = Rig::new(spool(10), &sink(&server)).started();
    let status = rig.wait("waiting", |status| status.phase == Phase::Waiting);
    assert!(status.retry_at_ms.is_some());
    rig.drained();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    server.account.assert_all(0..10);
    rig.stop();
}

#[test]
fn a_record_that_is_refused_is_found_told_and_the_rest_goes_on() {
    let server = http::server(Kind::Otlp, None);
    server.refuse(0);
    server.refuse(357);
    server.refuse(358);
    let mut rig = Rig::new(spool(600), &sink(&server)).started();
    let status = rig.drained();
    let bad = [0, 357, 358];
    server
        .account
        .assert_all((0..600).filter(|number| !bad.contains(number)));
    assert_eq!(rig.refused(), bad.map(uid));
    assert_eq!(server.account.repeated(), 0);
    assert_eq!((status.refused, status.acked), (3, 597));
    rig.stop();
}

#[test]
fn a_receiver_that_refuses_everything_is_not_fed_the_whole_log() {
    let server = http::server(Kind::Otlp, None);
    (0..1_000).for_each(|number| server.refuse(number));
    let more = "retry = { first = \"20ms\", most = \"100ms\", held = \"1h\" }";
    let mut rig = Rig::new(spool(1_000), &format!("{}\n{more}", sink(&server))).started();
    let status = rig.wait("held", |status| status.phase == Phase::Attention);
    assert_eq!(status.refused, 17);
    assert_eq!(rig.refused(), (0..17).map(uid).collect::<Vec<_>>());
    rig.stop();
}

#[test]
fn a_status_that_only_somebody_can_mend_keeps_the_cursor() {
    for status in [401, 403, 404, 301] {
        let server = http::server(Kind::Otlp, None);
        server.faults([
            (0, Fault::Status(status, None)),
            (0, Fault::Status(status, None)),
        ]);
        let mut rig = Rig::new(spool(10), &sink(&server)).started();
        let held = rig.wait("held", |status| status.phase == Phase::Attention);
        assert_eq!(held.acked, 0);
        let text = held.last_error.expect("an error").text;
        assert!(text.contains(&status.to_string()), "{text}");
        rig.drained();
        server.account.assert_all(0..10);
        assert_eq!(rig.refused(), [""; 0]);
        rig.stop();
    }
}
