//! A receiver of syslog over TCP and TLS, strict about RFC 6587's octet counting and RFC 5424.

use std::{io, sync::Arc, thread};

use rustls::ServerConfig;

use super::{
    server::{Account, Buffered, Connection, Fault, Server},
    uid_of,
};

pub fn server(tls: Option<Arc<ServerConfig>>) -> Server {
    Server::new(tls, serve)
}

fn serve(connection: &mut dyn Connection, account: &Account) -> io::Result<()> {
    let mut input = Buffered::new(connection);
    let mut untold = Vec::new();
    // The connection's end closes it from this side too: that is what acknowledges.
    while let Some(length) = input.until(b' ')? {
        let length = String::from_utf8_lossy(&length).into_owned();
        if length.starts_with('0') || !length.bytes().all(|b| b.is_ascii_digit()) {
            account.malformed(format!("a length {length:?}"));
            return Ok(());
        }
        let length: usize = length.parse().expect("digits");
        match account.fault() {
            Some(Fault::CloseMidFrame) => {
                input.exactly(length / 2)?;
                return Ok(());
            }
            // As a receiver that is killed with records read and not stored.
            Some(Fault::Forget) => {
                input.exactly(length)?;
                return Err(io::Error::other("killed"));
            }
            Some(Fault::Slow(time)) => thread::sleep(time),
            _ => {}
        }
        let message = input.exactly(length)?;
        match message_uid(&message) {
            Ok(uid) => untold.push(uid),
            Err(why) => account.malformed(why),
        }
        for uid in untold.drain(..) {
            account.take(uid);
        }
    }
    Ok(())
}

/// The uid of an RFC 5424 message, which its structured data and its text must agree about.
pub fn message_uid(message: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(message).map_err(|_| "not UTF-8".to_owned())?;
    let wrong = |what: &str| Err(format!("{what}: {text}"));
    let Some(rest) = text.strip_prefix('<') else {
        return wrong("no priority");
    };
    let Some((priority, rest)) = rest.split_once('>') else {
        return wrong("no priority");
    };
    if !priority.parse::<u8>().is_ok_and(|priority| priority < 192) {
        return wrong("priority");
    }
    let fields: Vec<&str> = rest.splitn(7, ' ').collect();
    let [version, time, host, app, process, id, rest] = fields[..] else {
        return wrong("header");
    };
    let time_is_good = time.len() == 24
        && time.ends_with('Z')
        && time.as_bytes()[10] == b'T'
        && time.as_bytes()[19] == b'.';
    if version != "1"
        || !time_is_good
        || (host, app, process, id) != ("host-1", "enforcer", "-", "exec")
    {
        return wrong("header");
    }
    let Some(rest) = rest.strip_prefix("[enforcer@32473 uid=\"") else {
        return wrong("structured data");
    };
    let Some((uid, body)) = rest.split_once("\"] ") else {
        return wrong("structured data");
    };
    if uid_of(body.as_bytes())? == uid {
        Ok(uid.to_owned())
    } else {
        wrong("two uids")
    }
}
