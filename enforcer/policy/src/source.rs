//! Policy text, and places in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    model::Policy,
};

/// Bytes that one policy file may have.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// One file of a policy, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Canonical name: one file has one name, whoever includes it. Shown in diagnostics.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The source made of a file's bytes.
    ///
    /// # Errors
    /// When there are more than [`MAX_SOURCE_BYTES`], or they are not UTF-8; the diagnostic names
    /// line and column of the first byte that is not.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Diagnostics> {
        let name = name.into();
        let length = bytes.len();
        let (text, fault) = match String::from_utf8(bytes) {
            _ if length > MAX_SOURCE_BYTES => (String::new(), Some(too_large(length))),
            Ok(text) => (text, None),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(good);
                let text = String::from_utf8(bytes).unwrap_or_default();
                let end = Span::new(0, text.len()..text.len());
                let fault = Diagnostic::error(end, "the policy is not UTF-8 text")
                    .expected("UTF-8 from here on")
                    .hint("a policy is a TOML text file; was another file named by mistake?");
                (text, Some(fault))
            }
        };
        let source = Self { name, text };
        match fault {
            None => Ok(source),
            Some(fault) => Err(Diagnostics::new(Sources::new(vec![source]), vec![fault])),
        }
    }
}

/// The diagnostic of a file that is larger than a policy may be.
pub(crate) fn too_large(length: usize) -> Diagnostic {
    Diagnostic::error(
        Span::new(0, 0..0),
        format!("the policy has {length} bytes; the limit is {MAX_SOURCE_BYTES}"),
    )
    .hint("split it with `include`, or was another file named by mistake?")
}

/// How the files named by `include` are read. The only door through which text comes in.
pub trait Includes {
    /// Reads the file that `including` (a canonical name) calls `path`.
    ///
    /// # Errors
    /// Why it cannot be read, as a sentence for the author of the policy.
    fn read(&self, including: &str, path: &str) -> Result<Source, String>;
}

/// For policies that stand alone: every `include` is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn read(&self, _including: &str, _path: &str) -> Result<Source, String> {
        Err("no other files can be read here".into())
    }
}

/// The sources of one policy, shared by everything that points into them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Arc<Vec<Source>>);

impl Sources {
    /// The sources in the order of their index in a [`Span`].
    #[must_use]
    pub fn new(list: Vec<Source>) -> Self {
        Self(Arc::new(list))
    }

    /// The sources, the policy's own file first.
    #[must_use]
    pub fn list(&self) -> &[Source] {
        &self.0
    }

    /// The source that a span is in.
    #[must_use]
    pub fn of(&self, span: Span) -> Option<&Source> {
        self.0.get(span.source as usize)
    }
}

/// A place in a policy's text: bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Index of the source.
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(source: u32, bytes: std::ops::Range<usize>) -> Self {
        // Sources are at most MAX_SOURCE_BYTES long, so their offsets fit.
        let offset = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        Self {
            source,
            start: offset(bytes.start),
            end: offset(bytes.end),
        }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// Equality is of the values: the same policy written elsewhere is the same policy.
impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// A policy that was read without error.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub policy: Policy,
    /// The files that it was read from, the policy's own first.
    pub sources: Sources,
}
