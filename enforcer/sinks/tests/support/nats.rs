//! A NATS server with one JetStream stream.

use std::{io, sync::Arc, thread};

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::{
    server::{Account, Buffered, Connection, Fault, Server},
    uid_of,
};

/// Bytes that a message may have.
pub const MAX_PAYLOAD: usize = 16 << 10;
pub const TOKEN: &str = "let-me-in";

/// With `tls` the server asks for TLS after its greeting.
pub fn server(tls: Option<Arc<ServerConfig>>) -> Server {
    Server::new(None, move |connection, account| {
        serve(connection, account, tls.clone())
    })
}

fn serve(
    connection: &mut dyn Connection,
    account: &Account,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<()> {
    let info = json!({
        "server_id": "fake", "version": "2.9", "headers": true, "max_payload": MAX_PAYLOAD,
        "auth_required": true, "tls_required": tls.is_some(),
    });
    connection.write_all(format!("INFO {info}\r\n").as_bytes())?;
    connection.flush()?;
    if let Some(tls) = tls {
        connection.secure(tls)?;
    }
    let mut input = Buffered::new(connection);
    let (mut is_welcome, mut inbox) = (false, String::new());
    let mut sequence = 0;
    while let Some(line) = input.until(b'\n')? {
        let line = String::from_utf8_lossy(&line).into_owned();
        let Some(line) = line.strip_suffix('\r') else {
            account.malformed(format!("a line without CR: {line}"));
            return Ok(());
        };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["CONNECT", ..] => {
                let options: Value = serde_json::from_str(&line[8..]).expect("options");
                is_welcome = options["auth_token"] == TOKEN && options["headers"] == true;
                if !is_welcome {
                    input
                        .connection
                        .write_all(b"-ERR 'Authorization Violation'\r\n")?;
                    return input.connection.flush();
                }
            }
            ["PING"] => {
                // A question of the server's own in between.
                input.connection.write_all(b"PING\r\nPONG\r\n")?;
                input.connection.flush()?;
            }
            ["PONG"] => {}
            ["SUB", subject, _] if is_welcome => {
                inbox = subject.trim_end_matches('*').to_owned();
            }
            ["HPUB", subject, reply, headers, total] if is_welcome => {
                let headers: usize = headers.parse().expect("a length");
                let total: usize = total.parse().expect("a length");
                let fault = account.fault();
                if fault == Some(Fault::CloseMidFrame) {
                    input.exactly(total / 2)?;
                    return Ok(());
                }
                let content = input.exactly(total)?;
                if input.exactly(2)? != b"\r\n" || !reply.starts_with(&inbox) || inbox.is_empty() {
                    account.malformed(format!("a publication: {line}"));
                }
                let (head, body) = content.split_at(headers);
                let answer = match uid_of(body) {
                    Err(why) => {
                        account.malformed(why);
                        continue;
                    }
                    Ok(uid) => {
                        let expected = format!("NATS/1.0\r\nNats-Msg-Id: {uid}\r\n\r\n");
                        if head != expected.as_bytes() || subject != "enforcer.records" {
                            account.malformed(format!("headers {}", head.escape_ascii()));
                        }
                        if account.refuses(&uid) {
                            json!({"type": "x", "error": {"code": 400, "err_code": 10_054,
                                "description": "message size exceeds maximum allowed"}})
                        } else if fault == Some(Fault::Status(503, None)) {
                            json!({"error": {"code": 503, "err_code": 10_008,
                                "description": "JetStream system temporarily unavailable"}})
                        } else {
                            account.take(uid);
                            sequence += 1;
                            json!({"stream": "S", "seq": sequence})
                        }
                    }
                };
                match fault {
                    Some(Fault::TakeAndClose) => return Ok(()),
                    Some(Fault::Slow(time)) => thread::sleep(time),
                    _ => {}
                }
                let answer = answer.to_string();
                let message = format!("MSG {reply} 1 {}\r\n{answer}\r\n", answer.len());
                input.connection.write_all(message.as_bytes())?;
                input.connection.flush()?;
            }
            _ => account.malformed(format!("a line: {line}")),
        }
    }
    Ok(())
}
