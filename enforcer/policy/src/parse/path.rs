//! Paths and unix peers inside a rule.

use enforcer_common::object::UNIX_NAME_LEN;

use super::fault::Fault;
use crate::{diagnostic::quoted, model::Peer};

/// An absolute path in its plain form; `/` at its end says "directory".
pub(super) fn parse_path(text: &str) -> Result<String, Fault> {
    let fault = |message: &str| Fault::new(text, format!("{} {message}", quoted(text)));
    if !text.starts_with('/') {
        return Err(fault("is not an absolute path").expected("a path that begins with `/`"));
    }
    if text.contains('\0') {
        return Err(fault("has a NUL, which no path can have"));
    }
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner.is_empty() {
        return Err(fault("is every file of the host").expected("a smaller directory"));
    }
    if inner
        .split('/')
        .skip(1)
        .any(|name| matches!(name, "" | "." | ".."))
    {
        return Err(fault("is not a plain path").expected("a path without `//`, `.` and `..`"));
    }
    Ok(text.to_owned())
}

/// A unix peer: an absolute path, or `@` and an abstract name.
pub(super) fn parse_peer(text: &str) -> Result<Peer, Fault> {
    let Some(name) = text.strip_prefix('@') else {
        let path = parse_path(text).map_err(|fault| {
            if text.starts_with('/') {
                return fault;
            }
            fault.expected("an absolute path, or `@` and an abstract name")
        })?;
        if path.ends_with('/') {
            return Err(Fault::new(text, format!("{} is a directory", quoted(text)))
                .expected("the path of one socket"));
        }
        return Ok(Peer::Path(path));
    };
    let longest = UNIX_NAME_LEN - 1;
    if name.is_empty() || name.len() > longest {
        return Err(
            Fault::new(text, format!("{} cannot be an abstract name", quoted(text)))
                .expected(format!("1 to {longest} bytes after `@`")),
        );
    }
    Ok(Peer::Abstract(name.to_owned()))
}
