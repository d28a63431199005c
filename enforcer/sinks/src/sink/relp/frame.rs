//! RELP's frames.

/// Bytes that an answer may have: the greeting is the longest, with some hundred.
const LONGEST: usize = 64 << 10;

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Number of the frame that it answers; 0 of what it says by itself.
    pub number: u32,
    command: String,
    data: Vec<u8>,
}

impl Frame {
    /// The code that the data begin with.
    pub fn code(&self) -> Option<u16> {
        let digits = self.data.get(..3)?;
        match self.data.get(3) {
            None | Some(b' ' | b'\n') => str::from_utf8(digits).ok()?.parse().ok(),
            Some(_) => None,
        }
    }

    /// The data as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The data's first line, as messages show it.
    pub fn shown(&self) -> String {
        self.text()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect()
    }

    /// Whether the server tells that it ends the session.
    pub fn is_server_close(&self) -> bool {
        self.number == 0 && self.command == "serverclose"
    }
}

/// Adds a frame.
pub(super) fn write(out: &mut Vec<u8>, number: u32, command: &str, data: &[u8]) {
    out.extend_from_slice(format!("{number} {command} {}", data.len()).as_bytes());
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// Frames out of the bytes that come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next(&mut self) -> Result<Option<Frame>, String> {
        let Some((frame, used)) = parse(&self.bytes)? else {
            if self.bytes.len() > LONGEST {
                return Err("an answer that does not end".to_owned());
            }
            return Ok(None);
        };
        self.bytes.drain(..used);
        Ok(Some(frame))
    }
}

/// A frame and its length; `None` while it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    let wrong = |what: &str| Err(format!("the server does not speak RELP: {what}"));
    // The header's three words end at a space or, without data, at the newline.
    let mut words = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate().take(64) {
        if matches!(byte, b' ' | b'\n') {
            let word = bytes.get(start..at).unwrap_or_default();
            words.push(String::from_utf8_lossy(word).into_owned());
            start = at + 1;
            if words.len() == 3 || *byte == b'\n' {
                break;
            }
        }
    }
    let [number, command, length] = words.as_slice() else {
        let ended = bytes.iter().take(64).any(|byte| *byte == b'\n');
        return if ended || bytes.len() >= 64 {
            wrong("no frame header")
        } else {
            Ok(None)
        };
    };
    let (Ok(number), Ok(length)) = (number.parse(), length.parse::<usize>()) else {
        return wrong("no number where one belongs");
    };
    if length > LONGEST {
        return wrong("an answer too long for any");
    }
    if !matches!(command.as_str(), "rsp" | "serverclose") {
        return wrong("a command that only a client sends");
    }
    // Without data the newline may come right after the length.
    let is_bare = bytes.get(start - 1) == Some(&b'\n');
    let end = start + length;
    if is_bare {
        if length != 0 {
            return wrong("data missing");
        }
        let frame = Frame {
            number,
            command: command.clone(),
            data: Vec::new(),
        };
        return Ok(Some((frame, start)));
    }
    match bytes.get(end) {
        None => Ok(None),
        Some(b'\n') => {
            let frame = Frame {
                number,
                command: command.clone(),
                data: bytes.get(start..end).unwrap_or_default().to_vec(),
            };
            Ok(Some((frame, end + 1)))
        }
        Some(_) => wrong("a frame does not end where it says"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for byte in bytes {
            frames.push(&[*byte]);
            while let Some(frame) = frames.next()? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_are_found_byte_by_byte() {
        let found = frames(b"1 rsp 6 200 OK\n2 rsp 7 500 bad\n0 serverclose 0\n3 rsp 0\n");
        let found = found.expect("frames");
        let codes: Vec<_> = found.iter().map(|f| (f.number, f.code())).collect();
        assert_eq!(
            codes,
            [(1, Some(200)), (2, Some(500)), (0, None), (3, None)]
        );
        assert!(found[2].is_server_close());
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\n"[..],
            b"1 rsp x 200\n",
            b"1 syslog 3 abc\n",
            b"1 rsp 3 200 OK\n",
            b"\n",
            b"1 rsp 999999999 ",
        ] {
            assert!(frames(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_written_frame_has_its_length() {
        let mut out = Vec::new();
        write(&mut out, 7, "syslog", b"abc");
        write(&mut out, 8, "close", b"");
        assert_eq!(out, b"7 syslog 3 abc\n8 close 0\n");
    }
}
