//! What holds for every sink: cursors, filters, the state, the end.

use std::{
    fs,
    time::{Duration, Instant},
};

use enforcer_sinks::{
    AsRecorded, Config, Event, Form, Phase, Shipper, StartError, acknowledged,
    config::Surroundings, read_status,
};

use crate::support::{
    LONG, Rig,
    http::{self, Kind},
    record, relp,
    server::{Fault, Server},
    spool, uid, wait_for,
};

fn sink(server: &Server, more: &str) -> String {
    let port = server.port();
    format!("type = \"relp\"\nendpoint = \"tcp://127.0.0.1:{port}\"\n{more}")
}

#[test]
fn a_shipper_goes_on_where_the_last_one_ended() {
    let server = relp::server(None);
    let spool = spool(500);
    let mut rig = Rig::new(spool.clone(), &sink(&server, "")).started();
    rig.drained();
    rig.stop();
    spool.append((500..900).map(record));
    rig.start();
    let status = rig.drained();
    assert_eq!(status.sent, 400);
    assert_eq!(status.last_acked.expect("one").uid, uid(899));
    rig.stop();
    server.account.assert_all(0..900);
    assert_eq!(server.account.repeated(), 0);
}

#[test]
fn shippers_that_are_stopped_under_load_again_and_again_lose_nothing() {
    let server = relp::server(None);
    let spool = spool(0);
    let mut rig = Rig::new(spool.clone(), &sink(&server, "batch = 64\nwindow = 16"));
    for round in 0..20 {
        spool.append((round * 200..(round + 1) * 200).map(record));
        rig.start();
        std::thread::sleep(Duration::from_millis(round as u64));
        rig.stop();
    }
    rig.start();
    rig.drained();
    rig.stop();
    server.account.assert_all(0..4_000);
}

#[test]
fn only_what_the_filter_lets_through_is_sent_and_the_cursor_passes_the_rest() {
    let server = relp::server(None);
    let filter = "filter = { verdict = [\"deny\"], agent = [\"coder\"] }";
    let mut rig = Rig::new(spool(1_005), &sink(&server, filter)).started();
    let status = rig.drained();
    rig.stop();
    server.account.assert_all((0..1_005).step_by(10));
    assert_eq!((status.sent, status.filtered), (101, 904));
    let cursors = acknowledged(rig.state()).expect("readable");
    assert_eq!(cursors["it"], record(1_004).after());
}

#[test]
fn the_state_tells_what_a_sink_is_at() {
    let mut server = relp::server(None);
    let spool = spool(100);
    let mut rig = Rig::new(spool.clone(), &sink(&server, "")).started();
    let status = rig.drained();
    assert_eq!((status.phase, status.connected), (Phase::Shipping, true));
    server.down();
    rig.wait("disconnected", |status| !status.connected);
    spool.append((100..150).map(record));
    let status = rig.wait("waiting", |status| status.phase == Phase::Waiting);
    assert!(status.retry_at_ms.is_some());
    rig.wait("behind", |status| {
        status
            .backlog
            .is_some_and(|backlog| backlog.records == Some(50))
    });
    let folder = rig.state().to_owned();
    wait_for("written down", || {
        let status = read_status(&folder).expect("readable").expect("there");
        let sink = &status.sinks[0];
        sink.phase == Phase::Waiting && sink.kind == "relp" && sink.acked == 100
    });
    server.up();
    rig.drained();
    rig.stop();
    let status = read_status(&folder).expect("readable").expect("there");
    assert_eq!(status.sinks[0].phase, Phase::Stopped);
    assert_eq!(status.sinks[0].acked, 150);
    let told = rig.events();
    assert!(
        matches!(told.first(), Some(Event::Failing { .. })),
        "{told:?}"
    );
    assert!(
        matches!(told.last(), Some(Event::Recovered { .. })),
        "{told:?}"
    );
}

#[test]
fn a_cursor_that_cannot_be_read_sends_everything_again_and_says_so() {
    let server = relp::server(None);
    let mut rig = Rig::new(spool(100), &sink(&server, "")).started();
    rig.drained();
    rig.stop();
    fs::write(rig.state().join("it.cursor"), "not a cursor").expect("written");
    rig.start();
    rig.drained();
    rig.stop();
    server.account.assert_all(0..100);
    assert_eq!(server.account.repeated(), 100);
    let damaged = rig.state().join("it.damaged");
    assert_eq!(fs::read_to_string(damaged).expect("kept"), "not a cursor");
    let is_told =
        |event: &Event| matches!(event, Event::Fault { what, .. } if what.contains("no cursor"));
    assert!(rig.events().iter().any(is_told));
}

#[test]
fn a_second_shipper_with_the_same_folder_is_refused() {
    let server = relp::server(None);
    let mut rig = Rig::new(spool(1), &sink(&server, "")).started();
    let second = Shipper::start(
        &Config::default(),
        rig.state(),
        |_| Box::new(spool(0)),
        |_| Some(std::sync::Arc::new(AsRecorded)),
        |_| {},
    );
    assert!(matches!(second, Err(StartError::Running { .. })));
    rig.stop();
}

#[test]
fn a_receiver_that_hangs_holds_up_neither_the_end_nor_another_sink() {
    let hung = http::server(Kind::Otlp, None);
    hung.faults([(0, Fault::Slow(Duration::from_secs(20)))]);
    let good = relp::server(None);
    let text = format!(
        "[[sink]]\nname = \"hung\"\ntype = \"otlp\"\nendpoint = \"http://127.0.0.1:{}\"\n\
         [[sink]]\nname = \"good\"\ntype = \"relp\"\nendpoint = \"tcp://127.0.0.1:{}\"\n",
        hung.port(),
        good.port()
    );
    let surroundings = Surroundings {
        formats: &[("ocsf", Form::Object)],
        credentials: None,
    };
    let config = Config::parse("ship.toml", &text, surroundings).expect("good");
    let folder = tempfile::tempdir().expect("a folder");
    let records = spool(300);
    let shipper = Shipper::start(
        &config,
        folder.path(),
        |_| Box::new(records.clone()),
        |_| Some(std::sync::Arc::new(AsRecorded)),
        |_| {},
    )
    .expect("started");
    wait_for("shipped by the other", || {
        good.account.distinct().len() == 300
    });
    let begun = Instant::now();
    assert_eq!(shipper.stop(Duration::from_secs(3)), ["hung"]);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let cursors = acknowledged(folder.path()).expect("readable");
    assert_eq!(cursors.get("hung"), None);
    assert_eq!(cursors["good"], record(299).after());
}

#[test]
fn waits_end_when_it_is_told_to_stop() {
    let server = relp::server(None);
    let port = server.port();
    drop(server);
    std::thread::sleep(Duration::from_millis(50));
    let sink = format!(
        "type = \"relp\"\nendpoint = \"tcp://127.0.0.1:{port}\"\nretry = {{ first = \"1h\", most = \"1h\", held = \"1h\" }}"
    );
    let mut rig = Rig::new(spool(1), &sink).started();
    rig.wait("waiting", |status| status.phase == Phase::Waiting);
    let begun = Instant::now();
    rig.stop();
    assert!(begun.elapsed() < LONG / 10);
}

#[test]
fn a_receiver_away_for_long_costs_no_memory_and_no_record() {
    let mut server = relp::server(None);
    let spool = spool(0);
    let mut rig = Rig::new(spool.clone(), &sink(&server, "")).started();
    server.down();
    for part in 0..30 {
        spool.append((part * 1_000..(part + 1) * 1_000).map(record));
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = rig.status();
    assert_eq!(status.acked, 0);
    server.up();
    rig.drained();
    server.account.assert_all(0..30_000);
    rig.stop();
}
