//! TLS: right certificates work, wrong ones of either side do not.

use enforcer_sinks::Phase;

use crate::support::{
    Rig,
    certificates::Certificates,
    http::{self, Kind},
    nats, relp, secret,
    server::{Fault, Server},
    spool, syslog, wait_for,
};

/// A protocol: its receiver, and the lines of its sink but for `tls`.
struct Protocol {
    name: &'static str,
    server: Server,
    sink: String,
}

fn protocols(certificates: &Certificates, folder: &std::path::Path) -> Vec<Protocol> {
    let tls = || Some(certificates.server_config());
    let make = |name, server: Server, scheme: &str, more: &str| Protocol {
        name,
        sink: format!(
            "type = {name:?}\nendpoint = \"{scheme}://127.0.0.1:{}\"\n{more}",
            server.port()
        ),
        server,
    };
    let token = secret(folder, "nats-token", nats::TOKEN);
    let nats_more = format!("subject = \"enforcer.records\"\ntoken_file = {token:?}");
    vec![
        make(
            "syslog",
            syslog::server(tls()),
            "tls",
            "confirm_after = \"300ms\"",
        ),
        make("relp", relp::server(tls()), "tls", ""),
        make("otlp", http::server(Kind::Otlp, tls()), "https", ""),
        make("nats", nats::server(tls()), "tls", &nats_more),
    ]
}

#[test]
fn records_arrive_by_tls_with_a_client_certificate_also_after_a_break() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    for protocol in protocols(&certificates, folder.path()) {
        println!("{}", protocol.name);
        let after = if protocol.name == "otlp" { 1 } else { 300 };
        protocol.server.faults([(after, Fault::CloseMidFrame)]);
        let sink = format!("{}\n{}", protocol.sink, certificates.tls());
        let mut rig = Rig::new(spool(2_000), &sink).started();
        let status = rig.drained();
        assert!(status.retried > 0, "{}", protocol.name);
        protocol.server.account.assert_all(0..2_000);
        rig.stop();
    }
}

#[test]
fn a_wrong_certificate_of_either_side_lets_nothing_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let wrong = [
        certificates.tls_with(&certificates.other_ca, "receiver.test", true),
        certificates.tls_with(&certificates.ca, "another.test", true),
        certificates.tls_with(&certificates.ca, "127.0.0.1", true),
        certificates.tls_with(&certificates.ca, "receiver.test", false),
    ];
    for tls in &wrong {
        for protocol in protocols(&certificates, folder.path()) {
            let what = format!("{} with {tls}", protocol.name);
            let mut rig = Rig::new(spool(20), &format!("{}\n{tls}", protocol.sink)).started();
            // A receiver that ends the connection may do so before what it says is read: then the
            // shipper learns the reason by one of the next tries.
            let status = rig.wait(&what, |status| status.phase == Phase::Attention);
            let error = status.last_error.expect("an error").text;
            assert_eq!(status.acked, 0, "{what}");
            assert!(error.contains("ertificate"), "{what}: {error}");
            rig.stop();
            assert_eq!(protocol.server.account.distinct().len(), 0, "{what}");
        }
    }
}

#[test]
fn certificates_that_are_put_right_are_used_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let ca = folder.path().join("installed.pem");
    for protocol in protocols(&certificates, folder.path()) {
        std::fs::copy(&certificates.other_ca, &ca).expect("copied");
        let tls = certificates.tls_with(&ca, "receiver.test", true);
        let mut rig = Rig::new(spool(20), &format!("{}\n{tls}", protocol.sink)).started();
        rig.wait("held", |status| status.phase == Phase::Attention);
        std::fs::copy(&certificates.ca, &ca).expect("copied");
        rig.drained();
        protocol.server.account.assert_all(0..20);
        rig.stop();
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&certificates.client.1, mode).expect("mode");
    for protocol in protocols(&certificates, folder.path()) {
        let sink = format!("{}\n{}", protocol.sink, certificates.tls());
        let mut rig = Rig::new(spool(20), &sink).started();
        let status = rig.wait("held", |status| status.phase == Phase::Attention);
        let error = status.last_error.expect("an error").text;
        assert!(error.contains("chmod o="), "{error}");
        rig.stop();
        assert_eq!(protocol.server.account.distinct().len(), 0);
    }
}

#[test]
fn a_receiver_without_tls_gets_nothing_by_a_sink_with_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let server = relp::server(None);
    let sink = format!(
        "type = \"relp\"\nendpoint = \"tls://127.0.0.1:{}\"\ntimeout = \"500ms\"\n{}",
        server.port(),
        certificates.tls()
    );
    let mut rig = Rig::new(spool(20), &sink).started();
    rig.wait("failing", |status| status.last_error.is_some());
    wait_for("connected", || {
        server
            .account
            .connections
            .load(std::sync::atomic::Ordering::SeqCst)
            > 0
    });
    assert_eq!(server.account.distinct().len(), 0);
    rig.stop();
}

#[test]
fn an_end_that_tls_does_not_vouch_for_acknowledges_nothing_unless_it_is_allowed_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    for (confirm, is_believed) in [("close", false), ("eof", true)] {
        let server = syslog::server(Some(certificates.server_config()));
        let is_rude = &server.account.is_rude;
        is_rude.store(true, std::sync::atomic::Ordering::SeqCst);
        let sink = format!(
            "type = \"syslog\"\nendpoint = \"tls://127.0.0.1:{}\"\n{}\n\
             confirm = {confirm:?}\nconfirm_after = \"100ms\"",
            server.port(),
            certificates.tls()
        );
        let mut rig = Rig::new(spool(20), &sink).started();
        if is_believed {
            rig.drained();
            server.account.assert_all(0..20);
        } else {
            let status = rig.wait("held", |status| status.phase == Phase::Attention);
            let error = status.last_error.expect("an error").text;
            assert!(error.contains("close_notify"), "{error}");
            assert_eq!(status.acked, 0);
        }
        rig.stop();
    }
}
