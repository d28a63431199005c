//! NATS's messages.

use serde_json::Value;

use crate::{net::stream::Stream, sink::Failure, stop::Until};

/// Bytes that a line of the server may have: `INFO` names a whole cluster.
const LONGEST_LINE: usize = 64 << 10;
/// Bytes that an answer may have.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// What the server says.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    Info(Value),
    Ping,
    Pong,
    Error(String),
    Message {
        subject: String,
        /// Of its headers' first line: 503 when nobody answers.
        status: Option<u16>,
        payload: Vec<u8>,
    },
}

/// Adds a publication with headers that asks for an answer.
pub(super) fn publish(out: &mut Vec<u8>, subject: &str, reply: &str, headers: &str, body: &[u8]) {
    let length = headers.len() + body.len();
    let line = format!("HPUB {subject} {reply} {} {length}\r\n", headers.len());
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Messages out of the bytes that come.
#[derive(Debug, Default)]
pub(super) struct Wire {
    bytes: Vec<u8>,
}

impl Wire {
    /// The next message.
    pub fn receive(&mut self, stream: &mut Stream, until: &Until) -> Result<Incoming, Failure> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(message) = self.next().map_err(Failure::Broken)? {
                return Ok(message);
            }
            let count = stream.read(&mut buffer, until)?;
            if count == 0 {
                return Err(stream.closed());
            }
            self.bytes
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Answers what the server has asked meanwhile.
    pub fn answer_pings(&mut self, stream: &mut Stream, until: &Until) -> Result<(), Failure> {
        let mut buffer = [0; 4_096];
        while let Some(count) = stream.poll(&mut buffer)? {
            self.bytes
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        while let Some(message) = self.next().map_err(Failure::Broken)? {
            match message {
                Incoming::Ping => stream.write_all(b"PONG\r\n", until)?,
                Incoming::Error(why) => return Err(Failure::Broken(why)),
                Incoming::Info(_) | Incoming::Pong | Incoming::Message { .. } => {}
            }
        }
        Ok(())
    }

    /// The next whole message among what has come.
    fn next(&mut self) -> Result<Option<Incoming>, String> {
        loop {
            let Some((message, used)) = parse(&self.bytes)? else {
                return Ok(None);
            };
            self.bytes.drain(..used);
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

/// A message (`None`: one that says nothing) and its length; `None` while it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(Option<Incoming>, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > LONGEST_LINE {
            Err("the server does not speak NATS: a line that does not end".to_owned())
        } else {
            Ok(None)
        };
    };
    let line = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let after = end + 2;
    let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let message = match verb.to_ascii_uppercase().as_str() {
        "INFO" => {
            let info = serde_json::from_str(rest).map_err(|why| format!("INFO: {why}"))?;
            Some(Incoming::Info(info))
        }
        "PING" => Some(Incoming::Ping),
        "PONG" => Some(Incoming::Pong),
        "+OK" => None,
        "-ERR" => Some(Incoming::Error(rest.trim_matches('\'').to_owned())),
        verb @ ("MSG" | "HMSG") => {
            return delivered(bytes, after, verb == "HMSG", rest);
        }
        other => {
            let shown: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(format!("the server does not speak NATS: `{shown}`"));
        }
    };
    Ok(Some((message, after)))
}

/// `MSG subject sid [reply] length` or `HMSG subject sid [reply] headers length`, and what follows.
fn delivered(
    bytes: &[u8],
    after: usize,
    has_headers: bool,
    rest: &str,
) -> Result<Option<(Option<Incoming>, usize)>, String> {
    let wrong = || format!("the server does not speak NATS: `MSG {rest}`");
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let lengths = if has_headers { 2 } else { 1 };
    let (Some(subject), Some(first)) = (words.first(), words.len().checked_sub(lengths)) else {
        return Err(wrong());
    };
    let numbers: Vec<usize> = words
        .get(first..)
        .unwrap_or_default()
        .iter()
        .filter_map(|word| word.parse().ok())
        .collect();
    let (header, total) = match numbers.as_slice() {
        [total] if !has_headers => (0, *total),
        [header, total] if has_headers && header <= total => (*header, *total),
        _ => return Err(wrong()),
    };
    if total > LONGEST_PAYLOAD {
        return Err("an answer too long for any".to_owned());
    }
    let Some(content) = bytes.get(after..after + total) else {
        return Ok(None);
    };
    match bytes.get(after + total..after + total + 2) {
        None => return Ok(None),
        Some(b"\r\n") => {}
        Some(_) => return Err(wrong()),
    }
    let (head, payload) = content.split_at(header);
    let status = String::from_utf8_lossy(head)
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("NATS/1.0 ")?.get(..3)?.parse().ok());
    let message = Incoming::Message {
        subject: (*subject).to_owned(),
        status,
        payload: payload.to_vec(),
    };
    Ok(Some((Some(message), after + total + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(bytes: &[u8]) -> Result<Vec<Incoming>, String> {
        let mut wire = Wire::default();
        let mut found = Vec::new();
        for byte in bytes {
            wire.bytes.push(*byte);
            while let Some(message) = wire.next()? {
                found.push(message);
            }
        }
        Ok(found)
    }

    #[test]
    fn messages_are_found_byte_by_byte() {
        let text = b"INFO {\"a\":1}\r\n+OK\r\nPING\r\nMSG i.1 1 5\r\nab\r\nc\r\n\
            HMSG i.2 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n-ERR 'no'\r\n";
        let message = |subject: &str, status, payload: &[u8]| Incoming::Message {
            subject: subject.to_owned(),
            status,
            payload: payload.to_vec(),
        };
        assert_eq!(
            messages(text).expect("messages"),
            [
                Incoming::Info(serde_json::json!({"a": 1})),
                Incoming::Ping,
                message("i.1", None, b"ab\r\nc"),
                message("i.2", Some(503), b""),
                Incoming::Error("no".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG a 1 x\r\n",
            b"MSG a 1 2\r\nabc\r\n",
            b"HMSG a 1 9 4\r\n",
            b"INFO {\r\n",
            b"MSG\r\n",
        ] {
            assert!(messages(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
