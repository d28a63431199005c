//! Receivers by HTTP: OTLP, HEC and `_bulk`, each strict about its bodies.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    thread,
};

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::{
    server::{Account, Buffered, Connection, Fault, Server},
    uid_of,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Otlp,
    Hec,
    /// With indexer acknowledgement; every second question is answered by no.
    HecAcked,
    Elastic,
}

pub const TOKEN: &str = "0123-token";

#[derive(Default)]
struct Memory {
    /// Documents by id, for `_bulk`.
    ids: std::collections::HashSet<String>,
    /// Events by acknowledgement, and questions about it.
    acks: HashMap<u64, (Vec<String>, usize)>,
    next: u64,
}

pub fn server(kind: Kind, tls: Option<Arc<ServerConfig>>) -> Server {
    let memory = Mutex::new(Memory::default());
    Server::new(tls, move |connection, account| {
        serve(kind, &memory, connection, account)
    })
}

struct Request {
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn serve(
    kind: Kind,
    memory: &Mutex<Memory>,
    connection: &mut dyn Connection,
    account: &Account,
) -> io::Result<()> {
    let mut input = Buffered::new(connection);
    while let Some(line) = input.until(b'\n')? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let ["POST", path, "HTTP/1.1"] = words[..] else {
            account.malformed(format!("a request: {line}"));
            return Ok(());
        };
        let mut headers = HashMap::new();
        loop {
            let line = input.until(b'\n')?.unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length: usize = headers["content-length"].parse().expect("a length");
        let fault = account.fault();
        if fault == Some(Fault::CloseMidFrame) {
            input.exactly(length / 2)?;
            return Ok(());
        }
        let request = Request {
            path: path.to_owned(),
            body: input.exactly(length)?,
            headers,
        };
        if !request.headers.contains_key("host") {
            account.malformed("no Host");
        }
        if let Some(Fault::Slow(time)) = fault {
            thread::sleep(time);
        }
        let (status, retry, body) = match fault {
            Some(Fault::Status(status, retry)) => (status, retry, json!({"text": "told to"})),
            _ => {
                let mut memory = memory.lock().expect("memory");
                let (status, body) = answer(kind, &mut memory, &request, account, fault.as_ref());
                (status, None, body)
            }
        };
        if fault == Some(Fault::TakeAndClose) {
            return Ok(());
        }
        let retry = retry.map_or_else(String::new, |value| format!("Retry-After: {value}\r\n"));
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{retry}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        input.connection.write_all(answer.as_bytes())?;
        input.connection.flush()?;
    }
    Ok(())
}

fn answer(
    kind: Kind,
    memory: &mut Memory,
    request: &Request,
    account: &Account,
    fault: Option<&Fault>,
) -> (u16, Value) {
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    match kind {
        Kind::Otlp => {
            if request.path != "/v1/logs" || header("content-type") != "application/json" {
                account.malformed(format!("a request to {}", request.path));
            }
            otlp(request, account)
        }
        Kind::Hec | Kind::HecAcked => {
            if header("authorization") != format!("Splunk {TOKEN}") {
                return (403, json!({"text": "Invalid token", "code": 4}));
            }
            if kind == Kind::HecAcked && header("x-splunk-request-channel").len() != 36 {
                return (400, json!({"text": "Data channel is missing", "code": 10}));
            }
            match request.path.as_str() {
                "/services/collector/event" => hec(kind, memory, request, account, fault),
                "/services/collector/ack" => hec_ack(memory, request, account),
                other => {
                    account.malformed(format!("a request to {other}"));
                    (404, json!({}))
                }
            }
        }
        Kind::Elastic => {
            if header("authorization") != format!("ApiKey {TOKEN}") {
                return (401, json!({"error": "who are you"}));
            }
            if request.path != "/logs-enforcer/_bulk"
                || header("content-type") != "application/x-ndjson"
            {
                account.malformed(format!("a request to {}", request.path));
            }
            elastic(memory, request, account, fault)
        }
    }
}

fn otlp(request: &Request, account: &Account) -> (u16, Value) {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        account.malformed("no JSON");
        return (400, json!({}));
    };
    let mut uids = Vec::new();
    for resource in body["resourceLogs"].as_array().expect("resources") {
        for record in resource["scopeLogs"][0]["logRecords"]
            .as_array()
            .expect("records")
        {
            let attribute = &record["attributes"][0];
            let text = record["body"]["stringValue"].as_str().expect("a body");
            let uid = uid_of(text.as_bytes()).unwrap_or_else(|why| why);
            let is_good = attribute["key"] == "log.record.uid"
                && attribute["value"]["stringValue"] == uid.as_str()
                && record["timeUnixNano"]
                    .as_str()
                    .is_some_and(|t| t.len() == 19)
                && record["severityNumber"].is_u64();
            if !is_good {
                account.malformed(record.to_string());
            }
            uids.push(uid);
        }
    }
    if uids.iter().any(|uid| account.refuses(uid)) {
        return (400, json!({"code": 3, "message": "one of them is bad"}));
    }
    uids.into_iter().for_each(|uid| account.take(uid));
    (200, json!({"partialSuccess": null}))
}

fn hec(
    kind: Kind,
    memory: &mut Memory,
    request: &Request,
    account: &Account,
    fault: Option<&Fault>,
) -> (u16, Value) {
    let mut uids = Vec::new();
    for event in serde_json::Deserializer::from_slice(&request.body).into_iter::<Value>() {
        let Ok(event) = event else {
            account.malformed("no JSON");
            return (400, json!({"text": "Invalid data format", "code": 6}));
        };
        let uid = uid_of(event["event"].to_string().as_bytes()).unwrap_or_else(|why| why);
        let time = event["time"].as_str().unwrap_or_default();
        let is_good = event["fields"]["uid"] == uid.as_str()
            && time.len() == 14
            && event["host"] == "host-1"
            && event["sourcetype"] == "_json";
        if !is_good {
            account.malformed(event.to_string());
        }
        uids.push(uid);
    }
    if let Some(at) = uids.iter().position(|uid| account.refuses(uid)) {
        return (
            400,
            json!({"text": "Invalid data format", "code": 6, "invalid-event-number": at}),
        );
    }
    if kind == Kind::Hec {
        uids.into_iter().for_each(|uid| account.take(uid));
        return (200, json!({"text": "Success", "code": 0}));
    }
    let id = memory.next;
    memory.next += 1;
    // What is not acknowledged yet is lost by a crash of the indexer.
    if fault != Some(&Fault::Forget) {
        memory.acks.insert(id, (uids, 0));
    }
    (200, json!({"text": "Success", "code": 0, "ackId": id}))
}

fn hec_ack(memory: &mut Memory, request: &Request, account: &Account) -> (u16, Value) {
    let question: Value = serde_json::from_slice(&request.body).expect("a question");
    let id = question["acks"][0].as_u64().expect("an id");
    let is_indexed = match memory.acks.get_mut(&id) {
        None => false,
        Some((uids, asked)) => {
            *asked += 1;
            if *asked == 2 {
                uids.drain(..).for_each(|uid| account.take(uid));
            }
            *asked >= 2
        }
    };
    (200, json!({"acks": {id.to_string(): is_indexed}}))
}

fn elastic(
    memory: &mut Memory,
    request: &Request,
    account: &Account,
    fault: Option<&Fault>,
) -> (u16, Value) {
    let lines: Vec<&[u8]> = request.body.split(|byte| *byte == b'\n').collect();
    if lines.last() != Some(&&b""[..]) || lines.len() % 2 != 1 {
        account.malformed("a bulk that does not end");
    }
    let mut items = Vec::new();
    for pair in lines.chunks_exact(2) {
        let action: Value = serde_json::from_slice(pair[0]).unwrap_or_default();
        let document: Value = serde_json::from_slice(pair[1]).unwrap_or_default();
        let uid = uid_of(pair[1]).unwrap_or_else(|why| why);
        if action != json!({"create": {"_id": uid}}) || !document["@timestamp"].is_i64() {
            account.malformed(format!("{action} {document}"));
        }
        let status = match fault {
            Some(Fault::Item(status)) if items.len() == 3 => *status,
            _ if account.refuses(&uid) => 400,
            _ if !memory.ids.insert(uid.clone()) => 409,
            _ => {
                account.take(uid);
                201
            }
        };
        let error = json!({"type": "some_exception", "reason": "some reason"});
        items.push(json!({"create": {"status": status, "error": error}}));
    }
    (200, json!({"errors": true, "items": items}))
}
