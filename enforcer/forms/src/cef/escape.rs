//! The escapes of CEF, another set in the header than in the extension, and its lengths.
//!
//! The standard does not say whether a length counts characters or bytes, nor whether before or after
//! escaping. So what is written keeps to it in every reading: its escaped bytes are counted.
#![forbid(unsafe_code)]

use core::fmt::Write as _;

/// A value as it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// Escaped text.
    pub text: String,
    /// Whether that is all of the value.
    pub is_whole: bool,
}

/// A value of the header, which is one line: bars and backslashes are escaped, and what would end
/// the line is a space.
pub fn header(value: &str, room: usize) -> Written {
    fitted(value, room, |c| match c {
        '\\' => Some(r"\\"),
        '|' => Some(r"\|"),
        '\n' | '\r' => Some(" "),
        _ => None,
    })
}

/// A value of the extension: equals signs and backslashes are escaped, lines end with `\n`.
pub fn extension(value: &str, room: usize) -> Written {
    fitted(value, room, |c| match c {
        '\\' => Some(r"\\"),
        '=' => Some(r"\="),
        '\n' => Some(r"\n"),
        '\r' => Some(r"\r"),
        _ => None,
    })
}

/// As much of a value as fits, never half of a character or of an escape.
fn fitted(value: &str, room: usize, escape: impl Fn(char) -> Option<&'static str>) -> Written {
    let mut text = String::with_capacity(value.len().min(room));
    for c in value.chars() {
        let before = text.len();
        match escape(c) {
            Some(escaped) => text.push_str(escaped),
            None if acts(c) => push_bytes(&mut text, c),
            None => text.push(c),
        }
        if text.len() > room {
            text.truncate(before);
            return Written {
                text,
                is_whole: false,
            };
        }
    }
    Written {
        text,
        is_whole: true,
    }
}

/// Whether a terminal or a reader of lines acts on a character.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Every byte as `\xHH`, as records spell bytes that are no text, with its backslash escaped.
fn push_bytes(text: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, r"\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::{extension, header};

    #[test]
    fn each_part_has_its_own_escapes() {
        let value = "a|b=c\\d\ne\rf";
        assert_eq!(header(value, 99).text, r"a\|b=c\\d e f");
        assert_eq!(extension(value, 99).text, r"a|b\=c\\d\ne\rf");
    }

    #[test]
    fn nothing_acts_on_a_terminal_or_ends_a_line() {
        let value = "\u{1b}[2J\u{2028}\u{9b}";
        let expected = r"\\x1b[2J\\xe2\\x80\\xa8\\xc2\\x9b";
        assert_eq!(header(value, 99).text, expected);
        assert_eq!(extension(value, 99).text, expected);
    }

    #[test]
    fn a_value_ends_before_what_does_not_fit_whole() {
        for (value, room, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("a\u{fc}", 2, "a"),
            ("a=", 2, "a"),
            ("\u{1b}", 4, ""),
            ("=", 0, ""),
        ] {
            let written = extension(value, room);
            assert_eq!(written.text, expected, "{value:?} in {room}");
            assert_eq!(written.is_whole, value == expected, "{value:?} in {room}");
        }
    }
}
