//! Real receivers: 20,000 records, the receiver restarted in the middle, both ends counted.
//!
//! A receiver is looked for on PATH and below the folder that `ENFORCER_RECEIVERS` names (packages
//! unpacked there will do). A test that does not find its own says so and has tried nothing. All of
//! them listen on 127.0.0.1 alone.
#![forbid(unsafe_code)]

#[path = "receivers/program.rs"]
mod program;
mod support;

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use enforcer_sinks::SinkStatus;
use program::{Program, Running, find, free_port};
use serde_json::{Value, json};
use support::{Rig, certificates::Certificates, record, record_with, spool, uid, uid_of, wait_for};

const RECORDS: usize = 20_000;
/// Some are longer than the 8 KiB that syslog receivers take when nobody tells them otherwise.
const LONG_EVERY: usize = 4_000;

fn find_or_say(name: &str) -> Option<Program> {
    let found = find(name);
    if found.is_none() {
        println!("not run: no {name} here (looked on PATH and below ENFORCER_RECEIVERS)");
    }
    found
}

/// Ships everything by `sink`, and restarts the receiver when a part of it has arrived.
fn ship(sink: &str, receiver: &mut Running) -> SinkStatus {
    let records = spool(0);
    let all = |number: usize| {
        if number % LONG_EVERY == LONG_EVERY - 1 {
            record_with(number, &"BIG".repeat(4_000))
        } else {
            record(number)
        }
    };
    records.append((0..RECORDS / 2).map(all));
    let retry = "retry = { first = \"50ms\", most = \"500ms\", held = \"500ms\" }";
    let mut rig = Rig::new(records.clone(), &format!("{sink}\n{retry}")).started();
    rig.wait("part of it acknowledged", |status| {
        status.acked > (RECORDS / 8) as u64
    });
    receiver.stop();
    records.append((RECORDS / 2..RECORDS).map(all));
    std::thread::sleep(Duration::from_millis(300));
    receiver.start();
    let status = rig.drained();
    rig.stop();
    assert_eq!(status.refused, 0, "{:?}", rig.events());
    status
}

/// Holds the other end to what was sent.
fn count(what: &str, status: &SinkStatus, arrived: &[String]) {
    let distinct: HashSet<&String> = arrived.iter().collect();
    let missing: Vec<String> = (0..RECORDS)
        .map(uid)
        .filter(|uid| !distinct.contains(uid))
        .collect();
    println!(
        "{what}: {} sent, {} acknowledged; {} arrived, {} distinct, {} twice",
        status.sent,
        status.acked,
        arrived.len(),
        distinct.len(),
        arrived.len() - distinct.len()
    );
    assert_eq!(status.acked, RECORDS as u64);
    assert!(
        missing.is_empty(),
        "{what} lost {}: {:?}",
        missing.len(),
        &missing[..1]
    );
    assert_eq!(distinct.len(), RECORDS);
}

/// The records in a file with one a line.
fn lines(path: &Path) -> Vec<String> {
    let file = fs::File::open(path).expect("the receiver's file");
    BufReader::new(file)
        .split(b'\n')
        .map(|line| line.expect("readable"))
        .map(|line| uid_of(&line).unwrap_or_else(|why| panic!("{why}: {}", line.escape_ascii())))
        .collect()
}

/// `tls` are further lines of a sink with TLS; empty without TLS.
fn rsyslog(what: &str, input: &str, global: &str, sink_type: &str, tls: &str) {
    let scheme = if tls.is_empty() { "tcp" } else { "tls" };
    let Some(program) = find_or_say("rsyslogd") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let (port, out) = (free_port(), folder.path().join("out"));
    let fill = |text: &str| {
        text.replace("@PORT@", &port.to_string())
            .replace("@CA@", &certificates.ca.display().to_string())
            .replace("@CERT@", &certificates.server.0.display().to_string())
            .replace("@KEY@", &certificates.server.1.display().to_string())
    };
    let text = format!(
        "global(workDirectory={:?} maxMessageSize=\"64k\" {})\n{}\n\
         template(name=\"body\" type=\"string\" string=\"%msg%\\n\")\n\
         action(type=\"omfile\" file={out:?} template=\"body\")\n",
        folder.path(),
        fill(global),
        fill(input),
    );
    let config = folder.path().join("rsyslog.conf");
    fs::write(&config, text).expect("written");
    let modules = program.folder_with("imtcp.so");
    let mut receiver = Running::new(folder.path(), port, move || {
        let mut command = program.command();
        command
            .arg("-n")
            .arg("-f")
            .arg(&config)
            .arg("-i")
            .arg("NONE");
        if let Some(modules) = &modules {
            command.arg("-M").arg(modules);
        }
        command
    });
    receiver.start();
    let tls = match tls {
        "" => String::new(),
        more => format!("{}\n{more}", certificates.tls()),
    };
    let sink = format!("type = {sink_type:?}\nendpoint = \"{scheme}://127.0.0.1:{port}\"\n{tls}");
    let status = ship(&sink, &mut receiver);
    receiver.stop();
    count(what, &status, &lines(&out));
}

#[test]
fn rsyslog_by_tcp() {
    let input =
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"@PORT@\")";
    rsyslog("rsyslog by TCP", input, "", "syslog", "");
}

const DRIVER: &str = "defaultNetstreamDriverCAFile=\"@CA@\" defaultNetstreamDriverCertFile=\"@CERT@\" defaultNetstreamDriverKeyFile=\"@KEY@\"";

#[test]
fn rsyslog_by_tls_of_gnutls() {
    let input = "module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
        input(type=\"imtcp\" address=\"127.0.0.1\" port=\"@PORT@\")";
    // This driver ends TLS without a word.
    rsyslog(
        "rsyslog by TLS of GnuTLS",
        input,
        DRIVER,
        "syslog",
        "confirm = \"eof\"",
    );
}

#[test]
fn rsyslog_by_tls_of_openssl() {
    let input = "module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
        input(type=\"imtcp\" address=\"127.0.0.1\" port=\"@PORT@\")";
    rsyslog(
        "rsyslog by TLS of OpenSSL",
        input,
        DRIVER,
        "syslog",
        "timeout = \"30s\"",
    );
}

#[test]
fn rsyslog_by_relp() {
    let input = "module(load=\"imrelp\")\n\
        input(type=\"imrelp\" address=\"127.0.0.1\" port=\"@PORT@\" maxDataSize=\"64k\")";
    rsyslog("rsyslog by RELP", input, "", "relp", "");
}

#[test]
fn rsyslog_by_relp_with_tls() {
    let input = "module(load=\"imrelp\")\n\
        input(type=\"imrelp\" address=\"127.0.0.1\" port=\"@PORT@\" maxDataSize=\"64k\" tls=\"on\" \
        tls.caCert=\"@CA@\" tls.myCert=\"@CERT@\" tls.myPrivKey=\"@KEY@\" tls.authMode=\"name\" tls.permittedPeer=[\"shipper.test\"])";
    rsyslog(
        "rsyslog by RELP with TLS",
        input,
        "",
        "relp",
        "timeout = \"30s\"",
    );
}

fn syslog_ng(transport: &str, scheme: &str) {
    let Some(program) = find_or_say("syslog-ng") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(folder.path());
    let (port, out) = (free_port(), folder.path().join("out"));
    let tls = if scheme == "tls" {
        format!(
            "tls(ca-file({:?}) cert-file({:?}) key-file({:?}) peer-verify(required-trusted))",
            certificates.ca, certificates.server.0, certificates.server.1
        )
    } else {
        String::new()
    };
    let text = format!(
        "@version: 3.38\n\
         options {{ log-msg-size(65536); flush-lines(100); stats-freq(0); }};\n\
         source s {{ syslog(ip(127.0.0.1) port({port}) transport({transport:?}) {tls}); }};\n\
         destination d {{ file({out:?} template(\"$MSG\\n\")); }};\n\
         log {{ source(s); destination(d); flags(flow-control); }};\n"
    );
    let config = folder.path().join("syslog-ng.conf");
    fs::write(&config, text).expect("written");
    let modules = program.folder_with("libsyslogformat.so");
    let place = folder.path().to_owned();
    let mut receiver = Running::new(folder.path(), port, move || {
        let mut command = program.command();
        command.args(["--foreground", "--stderr", "--no-caps"]);
        command.arg("--cfgfile").arg(&config);
        command.arg("--persist-file").arg(place.join("persist"));
        command.arg("--pidfile").arg(place.join("pid"));
        command.arg("--control").arg(place.join("control"));
        if let Some(modules) = &modules {
            command.arg("--module-path").arg(modules);
        }
        command
    });
    receiver.start();
    let tls = if scheme == "tls" {
        certificates.tls()
    } else {
        String::new()
    };
    let sink = format!("type = \"syslog\"\nendpoint = \"{scheme}://127.0.0.1:{port}\"\n{tls}");
    let status = ship(&sink, &mut receiver);
    receiver.stop();
    count(&format!("syslog-ng by {scheme}"), &status, &lines(&out));
}

#[test]
fn syslog_ng_by_tcp() {
    syslog_ng("tcp", "tcp");
}

#[test]
fn syslog_ng_by_tls() {
    syslog_ng("tls", "tls");
}

#[test]
fn the_rotel_collector_by_otlp() {
    let Some(program) = find_or_say("rotel-agent") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (port, grpc) = (free_port(), free_port());
    let mut receiver = Running::new(folder.path(), port, move || {
        let mut command = program.command();
        command.args(["start", "--exporter", "blackhole"]);
        command.args(["--debug-log", "logs", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command
    });
    receiver.start();
    let sink = format!("type = \"otlp\"\nendpoint = \"http://127.0.0.1:{port}\"");
    let status = ship(&sink, &mut receiver);
    receiver.stop();
    let mut arrived = Vec::new();
    let output = fs::read_to_string(receiver.output()).expect("its output");
    for line in output.lines().map(str::trim) {
        if let Some(uid) = line.strip_prefix("-> log.record.uid: Str(") {
            arrived.push(uid.trim_end_matches(')').to_owned());
        } else if let Some(body) = line.strip_prefix("Body: Str(") {
            uid_of(body.trim_end_matches(')').as_bytes()).expect("unharmed");
        }
    }
    count("rotel by OTLP/HTTP", &status, &arrived);
}

/// Asks a NATS server by its API.
fn nats_api(port: u16, subject: &str, body: &Value) -> Value {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let body = body.to_string();
    let request = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{body}\r\n",
        body.len()
    );
    socket.write_all(request.as_bytes()).expect("asked");
    let mut input = BufReader::new(socket);
    loop {
        let mut line = String::new();
        assert_ne!(input.read_line(&mut line).expect("an answer"), 0);
        if let Some(rest) = line.strip_prefix("MSG answer 1 ") {
            let mut answer = vec![0; rest.trim().parse().expect("a length")];
            input.read_exact(&mut answer).expect("whole");
            return serde_json::from_slice(&answer).expect("JSON");
        }
    }
}

#[test]
fn nats_server_by_jetstream() {
    let Some(program) = find_or_say("nats-server") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let store = folder.path().join("store");
    let mut receiver = Running::new(folder.path(), port, move || {
        let mut command = program.command();
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]);
        command.arg(&store);
        command
    });
    receiver.start();
    let stream = json!({"name": "RECORDS", "subjects": ["enforcer.records"], "storage": "file",
        "retention": "limits", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
        "discard": "old", "num_replicas": 1});
    let made = nats_api(port, "$JS.API.STREAM.CREATE.RECORDS", &stream);
    assert!(made["error"].is_null(), "{made}");
    let sink = format!(
        "type = \"nats\"\nendpoint = \"nats://127.0.0.1:{port}\"\nsubject = \"enforcer.records\"\nstream = \"RECORDS\""
    );
    let status = ship(&sink, &mut receiver);
    let state = nats_api(port, "$JS.API.STREAM.INFO.RECORDS", &json!({}));
    let arrived: Vec<String> = (1..=state["state"]["messages"].as_u64().expect("a count"))
        .map(|seq| nats_api(port, "$JS.API.STREAM.MSG.GET.RECORDS", &json!({"seq": seq})))
        .map(|message| {
            message["message"]["data"]
                .as_str()
                .expect("data")
                .to_owned()
        })
        .map(|data| uid_of(&base64(&data)).expect("unharmed"))
        .collect();
    count("nats-server by JetStream", &status, &arrived);
    // The server itself has left out what came twice, by its key.
    assert_eq!(arrived.len(), RECORDS);
    receiver.stop();
}

fn base64(text: &str) -> Vec<u8> {
    use ::base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).expect("base64")
}

#[test]
fn journald_by_its_native_protocol() {
    let is_root = rustix::process::geteuid().is_root();
    let (Some(program), Some(reader), true) = (
        find_or_say("systemd-journald"),
        find_or_say("journalctl"),
        is_root,
    ) else {
        println!("not run: journald needs root, and its own /run and /var/log/journal");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    fs::create_dir(&journal).expect("created");
    let conf = "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\nSystemMaxUse=2G\n";
    fs::write(folder.path().join("journald.conf"), conf).expect("written");
    let place = folder.path().to_owned();
    // In mounts of its own: nothing of the host's journal is touched.
    let script = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log \
        && mkdir -p /run/systemd/journal /var/log/journal \
        && touch /run/systemd/journal/flushed \
        && mount --bind \"$0/journal\" /var/log/journal \
        && mount --bind \"$0/journald.conf\" /etc/systemd/journald.conf && exec \"$1\"";
    let path = program.path.clone();
    let mut receiver = Running::without_port(folder.path(), move || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]);
        command.arg(&place).arg(&path);
        command
    });
    receiver.start();
    let socket =
        |receiver: &Running| format!("/proc/{}/root/run/systemd/journal/socket", receiver.id());
    let link = folder.path().join("socket");
    for _ in 0..100 {
        if Path::new(&socket(&receiver)).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if !Path::new(&socket(&receiver)).exists() {
        println!("not run: journald does not start here: {}", receiver.said());
        return;
    }
    std::os::unix::fs::symlink(socket(&receiver), &link).expect("linked");
    let records = spool(RECORDS);
    let sink = format!("type = \"journald\"\npath = {link:?}");
    let mut rig = Rig::new(records, &sink).started();
    let status = rig.drained();
    rig.stop();
    let read = || {
        let output = reader
            .command()
            .args(["--quiet", "--output=json", "--all", "-D"])
            .arg(&journal)
            .arg("SYSLOG_IDENTIFIER=enforcer")
            .output()
            .expect("journalctl");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .map(|entry| {
                let uid = entry["ENFORCER_UID"].as_str().expect("a uid").to_owned();
                if let Some(body) = entry["MESSAGE"].as_str() {
                    assert_eq!(uid_of(body.as_bytes()), Ok(uid.clone()));
                }
                uid
            })
            .collect::<Vec<_>>()
    };
    wait_for("stored", || read().len() >= RECORDS);
    count("journald", &status, &read());
    receiver.stop();
}
