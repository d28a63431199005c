//! Signed notes (C2SP `signed-note`): a text, an empty line, and a line for each signature.
//!
//! Of the kinds of signature only Ed25519 (type 0x01) is known here. A signature by a key that the
//! reader was not given says nothing, and is passed over, as the specification asks.

use std::{fmt, str::FromStr};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Type of a signature, and of a key, by Ed25519.
const ED25519: u8 = 1;
/// What is read of a note at most, in bytes: far above a text of ours with the 16 signatures that a
/// reader has to take.
const MAX_BYTES: usize = 64 << 10;
/// What stands before a signature line: an em dash and a space.
pub(crate) const DASH: &str = "\u{2014} ";

/// Why a text is no note, or no key of notes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not in the form of a note.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// It is not in the form of a key.
    #[error("not a note key: {0}; expected NAME+ID+KEY as the daemon printed it")]
    Key(&'static str),
    /// A name that a key cannot have.
    #[error(
        "{0:?} cannot be the name of a note key: expected 1 to 255 characters, no space, no '+', no control character"
    )]
    Name(String),
}

/// A public key and its name. As text: `name+id+base64(type || key)`, the *vkey* of the tools that
/// read notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        let name = checked_name(name)?;
        let id = key_id(&name, &key);
        Ok(Self { name, id, key })
    }

    /// The key's name, which is the origin of the log that it signs for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = Base64::encode_string(&typed(self.key.as_bytes()));
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The key itself may hold a `+`, the name cannot.
        let mut parts = text.trim_end().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has fewer than three parts"));
        };
        let bytes = untyped(key)?;
        let key = VerifyingKey::from_bytes(&bytes)
            .map_err(|_| NoteError::Key("its last part is no Ed25519 key"))?;
        let found = Self::new(name, key)?;
        if format!("{:08x}", found.id) == id {
            Ok(found)
        } else {
            Err(NoteError::Key("its id is not that of its name and key"))
        }
    }
}

/// A private key and its name. Its bytes are wiped from memory when it is dropped.
pub struct SignerKey {
    verifier: VerifierKey,
    key: SigningKey,
}

impl SignerKey {
    /// The key that these 32 random bytes are the seed of.
    ///
    /// # Errors
    /// When the name cannot be that of a key.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    /// Its public part.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The private key as text, in the form that the Go tools for notes have: to be kept where root
    /// alone can read it.
    #[must_use]
    pub fn private_text(&self) -> Zeroizing<String> {
        let VerifierKey { name, id, .. } = &self.verifier;
        let typed = Zeroizing::new(typed(self.key.as_bytes()));
        let key = Zeroizing::new(Base64::encode_string(&*typed));
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{id:08x}+{}", *key))
    }

    /// Reads what [`SignerKey::private_text`] writes.
    ///
    /// # Errors
    /// When it is something else. The error holds nothing of the key.
    pub fn from_private_text(text: &str) -> Result<Self, NoteError> {
        let rest = text
            .trim_end()
            .strip_prefix("PRIVATE+KEY+")
            .ok_or(NoteError::Key("it does not begin with PRIVATE+KEY+"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has fewer than five parts"));
        };
        let seed = Zeroizing::new(untyped(key)?);
        let found = Self::new(name, &seed)?;
        if format!("{:08x}", found.verifier.id) == id {
            Ok(found)
        } else {
            Err(NoteError::Key("its id is not that of its name and key"))
        }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier)
    }
}

/// What a key's signature on a note is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The key signed this text.
    Valid,
    /// There is a signature in the key's name, and it is not the key's on this text.
    Invalid,
    /// There is none in the key's name.
    Absent,
}

/// A note as it was read. Nothing of its text is to be believed before a key was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_BYTES {
            return Err(NoteError::Form("it is longer than 64 KiB"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Form("it has control characters"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Form(
            "no empty line stands before the signatures",
        ))?;
        let lines = signatures
            .strip_suffix('\n')
            .ok_or(NoteError::Form("its last line has no end"))?;
        let signatures = lines.split('\n').map(signature).collect::<Result<_, _>>()?;
        let text = format!("{text}\n");
        Ok(Self { text, signatures })
    }

    /// The text that is signed, its last newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `key` signed this text.
    #[must_use]
    pub fn signed_by(&self, key: &VerifierKey) -> Signed {
        let mut of_key = self
            .signatures
            .iter()
            .filter(|signature| signature.name == key.name && signature.id == key.id)
            .peekable();
        if of_key.peek().is_none() {
            return Signed::Absent;
        }
        let valid = of_key.all(|signature| {
            Signature::from_slice(&signature.bytes)
                .is_ok_and(|bytes| key.key.verify_strict(self.text.as_bytes(), &bytes).is_ok())
        });
        if valid {
            Signed::Valid
        } else {
            Signed::Invalid
        }
    }
}

/// The note of `text`, which ends in a newline, signed by each of `keys`.
///
/// # Errors
/// When the text cannot be that of a note.
pub fn sign(text: &str, keys: &[&SignerKey]) -> Result<String, NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form("its last line has no end"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Form("it has control characters"));
    }
    Ok(signed(text, keys))
}

/// As [`sign`], for a text that is known to be one.
pub(crate) fn signed(text: &str, keys: &[&SignerKey]) -> String {
    let mut note = format!("{text}\n");
    for SignerKey { verifier, key } in keys {
        let mut bytes = verifier.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&key.sign(text.as_bytes()).to_bytes());
        let signature = Base64::encode_string(&bytes);
        note.push_str(&format!("{DASH}{} {signature}\n", verifier.name));
    }
    note
}

fn signature(line: &str) -> Result<NoteSignature, NoteError> {
    let malformed = || NoteError::Form("a signature line is malformed");
    let rest = line.strip_prefix(DASH).ok_or_else(malformed)?;
    let (name, base64) = rest.split_once(' ').ok_or_else(malformed)?;
    let name = checked_name(name).map_err(|_| malformed())?;
    let bytes = Base64::decode_vec(base64).map_err(|_| malformed())?;
    let (id, bytes) = bytes.split_first_chunk().ok_or_else(malformed)?;
    let id = u32::from_be_bytes(*id);
    let bytes = bytes.to_vec();
    Ok(NoteSignature { name, id, bytes })
}

fn checked_name(name: &str) -> Result<String, NoteError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Err(NoteError::Name(name.chars().take(255).collect()));
    }
    Ok(name.to_owned())
}

/// The id of a key: the first bytes of SHA-256(name || newline || type || key).
fn key_id(name: &str, key: &VerifyingKey) -> u32 {
    let mut sha256 = Sha256::new();
    sha256.update(name);
    sha256.update(b"\n");
    sha256.update(typed(key.as_bytes()));
    let digest: [u8; 32] = sha256.finalize().into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn typed(key: &[u8; 32]) -> [u8; 33] {
    let mut typed = [ED25519; 33];
    typed[1..].copy_from_slice(key);
    typed
}

fn untyped(base64: &str) -> Result<[u8; 32], NoteError> {
    let mut bytes = Zeroizing::new([0; 33]);
    let decoded = Base64::decode(base64, &mut *bytes)
        .map_err(|_| NoteError::Key("its last part is not base64 of 33 bytes"))?;
    match decoded.split_first() {
        Some((&ED25519, key)) => key
            .try_into()
            .map_err(|_| NoteError::Key("its last part is not base64 of 33 bytes")),
        _ => Err(NoteError::Key("it is not an Ed25519 key (type 1)")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Note, Signed, SignerKey, VerifierKey, sign};

    fn key(seed: u8) -> SignerKey {
        SignerKey::new("enforcer/host", &[seed; 32]).expect("a name")
    }

    #[test]
    fn a_note_is_its_signers_and_no_others() {
        let note = sign("text\n\nmore\n", &[&key(1), &key(2)]).expect("a note");
        let note = Note::parse(&note).expect("a note");
        assert_eq!(note.text(), "text\n\nmore\n");
        assert_eq!(note.signed_by(key(1).verifier()), Signed::Valid);
        assert_eq!(note.signed_by(key(2).verifier()), Signed::Valid);
        assert_eq!(note.signed_by(key(3).verifier()), Signed::Absent);
    }

    #[test]
    fn a_note_whose_text_was_changed_is_not_its_signers() {
        let note = sign("text\n", &[&key(1)]).expect("a note");
        let note = Note::parse(&note.replace("text", "tent")).expect("a note");
        assert_eq!(note.signed_by(key(1).verifier()), Signed::Invalid);
    }

    #[test]
    fn keys_are_read_back_from_their_text() {
        let text = key(1).verifier().to_string();
        assert_eq!(text.parse().as_ref(), Ok(key(1).verifier()));
        let private = key(1).private_text();
        let read = SignerKey::from_private_text(&private).expect("a key");
        assert_eq!(read.verifier(), key(1).verifier());
        assert!(!format!("{read:?}").contains(&private[40..]));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let text = key(1).verifier().to_string();
        let (name, rest) = text.split_once('+').expect("a key");
        for other in [
            String::new(),
            name.to_owned(),
            format!("other+{rest}"),
            format!("a b+{rest}"),
            text.replace("+A", "+B"),
            text[..text.len() - 4].to_owned(),
        ] {
            assert!(other.parse::<VerifierKey>().is_err(), "{other}");
        }
        assert!(SignerKey::from_private_text(&text).is_err());
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = sign("text\n", &[&key(1)]).expect("a note");
        for other in [
            "",
            "text\n",
            "text\n\n",
            note.trim_end(),
            &note.replace('\u{2014}', "-"),
            &note.replace("text", "te\txt"),
            &format!("{note}more"),
        ] {
            assert!(Note::parse(other).is_err(), "{other:?}");
        }
        assert!(sign("text", &[&key(1)]).is_err());
    }
}
