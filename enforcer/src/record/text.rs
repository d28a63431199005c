//! Bytes that an agent chose, as text that loses nothing and does nothing to a terminal.
//!
//! Paths, arguments and socket names are byte strings; JSON holds Unicode. Text stays as it is,
//! but a backslash becomes `\\`, and each byte of what is no UTF-8, of a control character or of a
//! character that reorders text (Unicode's bidirectional controls) becomes `\xHH`. The original
//! bytes are got back by undoing the two escapes: [`unescaped`].
#![forbid(unsafe_code)]

use core::fmt::Write as _;

/// The escaped form of `bytes`.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut text, c));
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

/// The bytes that `text` is the escaped form of; `None` when it has an escape that [`escaped`]
/// does not make.
#[must_use]
pub fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('\\');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // The empty part between two backslashes: the next part is plain again.
            bytes.push(b'\\');
            bytes.extend_from_slice(parts.next()?.as_bytes());
        } else {
            let digits = part.strip_prefix('x')?.get(..2)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            bytes.extend_from_slice(part.get(3..)?.as_bytes());
        }
    }
    Some(bytes)
}

fn push(text: &mut String, c: char) {
    match c {
        '\\' => text.push_str(r"\\"),
        _ if c.is_control() || is_bidi_control(c) => {
            push_bytes(text, c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => text.push(c),
    }
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped};

    #[test]
    fn every_byte_string_comes_back_whole() {
        let all: Vec<u8> = (0..=255).collect();
        let samples: [&[u8]; 9] = [
            b"",
            b"/usr/bin/git",
            b"\\",
            b"\\\\x41",
            b"a\\xff",
            b"\xff\xfe",
            b"new\nline\x1b[2J",
            "gr\u{fc}n \u{202e}txt.exe \u{9b}".as_bytes(),
            &all,
        ];
        for bytes in samples {
            assert_eq!(unescaped(&escaped(bytes)).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn text_stays_readable_and_cannot_drive_a_terminal() {
        assert_eq!(escaped("/srv/gr\u{fc}n".as_bytes()), "/srv/gr\u{fc}n");
        assert_eq!(escaped(b"a\x1b[2J\n\xff\\"), r"a\x1b[2J\x0a\xff\\");
        assert_eq!(escaped("\u{202e}".as_bytes()), r"\xe2\x80\xae");
    }

    #[test]
    fn an_escape_that_is_not_ours_is_refused() {
        for text in [r"\n", r"\x4", r"\xzz", r"\x+f", r"\", r"\x"] {
            assert_eq!(unescaped(text), None, "{text}");
        }
    }
}
