//! SHA-256 values, and the two forms in which they are written: hexadecimal in records, base64 in
//! notes.

use std::{fmt, str::FromStr};

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// A SHA-256 value. Its text is 64 lower-case hexadecimal digits, and no other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The text is no SHA-256 value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 value: expected 64 lower-case hexadecimal digits")]
pub struct NotAHash(pub String);

impl Hash {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The form of RFC 4648, section 4, which notes use.
    #[must_use]
    pub fn base64(&self) -> String {
        Base64::encode_string(&self.0)
    }

    /// Reads what [`Hash::base64`] writes; `None` for anything else.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let decoded = Base64::decode(text, &mut bytes).ok()?.len();
        (decoded == bytes.len()).then_some(Self(bytes))
    }

    /// Writes the hexadecimal form.
    pub(crate) fn write_hex(&self, digits: &mut [u8; 64]) {
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
    }
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let read = || {
            let mut bytes = [0; 32];
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            if pairs.len() != bytes.len() || !rest.is_empty() {
                return None;
            }
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = nibble(*high)? << 4 | nibble(*low)?;
            }
            Some(Self(bytes))
        };
        read().ok_or_else(|| NotAHash(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Hash;

    #[test]
    fn a_hash_is_read_back_from_both_of_its_forms() {
        let hash = Hash::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), hex);
        assert_eq!(hex.parse(), Ok(hash));
        assert_eq!(Hash::from_base64(&hash.base64()), Some(hash));
        let mut written = [0; 64];
        hash.write_hex(&mut written);
        assert_eq!(written, hex.as_bytes());
    }

    #[test]
    fn a_second_spelling_of_a_hash_is_refused() {
        let hex = Hash::of(b"abc").to_string();
        for other in [
            hex.to_uppercase(),
            format!("{hex}00"),
            hex[1..].to_owned(),
            format!(" {}", &hex[1..]),
        ] {
            assert!(other.parse::<Hash>().is_err(), "{other}");
        }
        let base64 = Hash::of(b"abc").base64();
        assert_eq!(Hash::from_base64(base64.trim_end_matches('=')), None);
        assert_eq!(Hash::from_base64(&base64.replace("0=", "1=")), None);
    }
}
