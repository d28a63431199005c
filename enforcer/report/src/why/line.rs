//! Lines of policies: written, added and taken away.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use enforcer_policy::{NoIncludes, Parsed, Policy, Source, parse};

use crate::object::{Endpoint, reached};

/// A rule with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `[[exec]]`
    Exec {
        path: String,
        interpreter: bool,
        sha256: Option<String>,
    },
    /// `[[connect]]` or `[[listen]]`
    Internet {
        section: &'static str,
        place: String,
        by: Option<String>,
    },
    /// `[[unix]]`
    Unix(String),
}

impl Line {
    pub(super) fn exec(path: String) -> Self {
        Self::Exec {
            path,
            interpreter: false,
            sha256: None,
        }
    }

    /// `None` when the place is none that a rule can be about.
    pub(super) fn internet(
        section: &'static str,
        at: Endpoint,
        by: Option<String>,
    ) -> Option<Self> {
        let protocol = at.transport()?.name();
        let address = at.address?;
        let address = if section == "connect" {
            reached(address)
        } else {
            address.to_canonical()
        };
        let address = match address {
            IpAddr::V4(four) => four.to_string(),
            IpAddr::V6(six) => format!("[{six}]"),
        };
        // Port 0 is one that the kernel chooses, so that only every port covers it.
        let port = match at.port {
            0 => "*".to_owned(),
            port => port.to_string(),
        };
        Some(Self::Internet {
            section,
            place: format!("{protocol}:{address}:{port}"),
            by,
        })
    }

    /// What the line's id is made of.
    fn stem(&self) -> String {
        let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        match self {
            Self::Exec { path, .. } => base(path),
            Self::Internet { section, place, by } => {
                let who = by.as_deref().map_or_else(|| (*section).to_owned(), base);
                let place = place
                    .split_once(':')
                    .map_or(place.as_str(), |(_, place)| place);
                let place = place.replace(":*", "-any-port");
                if *section == "listen" {
                    format!("{who}-at-{place}")
                } else {
                    format!("{who}-to-{place}")
                }
            }
            Self::Unix(peer) => base(peer),
        }
    }

    fn write(&self, id: &str, out: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = match self {
            Self::Exec {
                path,
                interpreter,
                sha256,
            } => {
                let _ = writeln!(
                    out,
                    "[[exec]]\nid = {}\nallow = [{}]",
                    quoted(id),
                    quoted(path)
                );
                if let Some(digest) = sha256 {
                    let _ = writeln!(out, "sha256 = [{}]", quoted(digest));
                }
                if *interpreter {
                    writeln!(out, "interpreter = true")
                } else {
                    Ok(())
                }
            }
            Self::Internet { section, place, by } => {
                let _ = writeln!(
                    out,
                    "[[{section}]]\nid = {}\nallow = [{}]",
                    quoted(id),
                    quoted(place)
                );
                match by {
                    Some(by) => writeln!(out, "by = [{}]", quoted(by)),
                    None => Ok(()),
                }
            }
            Self::Unix(peer) => writeln!(
                out,
                "[[unix]]\nid = {}\nallow = [{}]",
                quoted(id),
                quoted(peer)
            ),
        };
    }
}

/// A TOML basic string, in which nothing but what is seen stands as itself.
pub(super) fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => string.push_str("\\\""),
            '\\' => string.push_str("\\\\"),
            _ if crate::visible::is_hidden(c) => {
                let _ = write!(string, "\\U{:08X}", u32::from(c));
            }
            _ => string.push(c),
        }
    }
    string.push('"');
    string
}

/// The lines as text to add to the policy; `None` when there are none.
pub(super) fn toml(lines: &[Line], policy: &Policy) -> Option<String> {
    let mut taken = ids(policy);
    let mut text = String::new();
    for line in lines {
        if !text.is_empty() {
            text.push('\n');
        }
        let id = free_id(&line.stem(), &taken);
        line.write(&id, &mut text);
        taken.insert(id);
    }
    (!text.is_empty()).then_some(text)
}

fn ids(policy: &Policy) -> BTreeSet<String> {
    let exec = policy.exec.iter().map(|rule| &rule.id);
    let internet = policy
        .connect
        .iter()
        .chain(&policy.listen)
        .map(|rule| &rule.id);
    let unix = policy.unix.iter().map(|rule| &rule.id);
    exec.chain(internet)
        .chain(unix)
        .map(|id| id.value.clone())
        .collect()
}

/// An id that no rule has yet, of the characters that ids may have.
fn free_id(stem: &str, taken: &BTreeSet<String>) -> String {
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let mut id: String = stem.chars().map(good).take(56).collect();
    while id.contains("--") {
        id = id.replace("--", "-");
    }
    let id = id.trim_matches('-');
    let id = if id.is_empty() { "added" } else { id };
    if !taken.contains(id) {
        return id.to_owned();
    }
    // There are fewer rules than numbers.
    let mut numbered = (2_u32..).map(|n| format!("{id}-{n}"));
    numbered.find(|id| !taken.contains(id)).unwrap_or_default()
}

/// A policy of nobody's that is `lines` alone.
pub(super) fn alone(lines: &[Line], jit: bool) -> Option<Parsed> {
    let head = format!(
        "schema = 1\n[agent]\nname = \"why\"\nowner = \"nobody\"\npurpose = \"asked about\"\njit = {jit}\n[agent.enrol]\nlaunch = {{}}\n"
    );
    let mut text = head;
    let mut taken = BTreeSet::new();
    for line in lines {
        let id = free_id(&line.stem(), &taken);
        line.write(&id, &mut text);
        taken.insert(id);
    }
    parse(
        Source {
            name: "suggested".to_owned(),
            text,
        },
        &NoIncludes,
    )
    .ok()
}

/// A policy that allows nothing, to ask about where none is given.
pub(super) fn nobodys_policy() -> Option<Policy> {
    alone(&[], false).map(|parsed| parsed.policy)
}

/// `policy` with `lines` added to it; `None` when a line is none that a policy can have.
pub(super) fn merged(policy: &Policy, lines: &[Line]) -> Option<Policy> {
    let mut merged = policy.clone();
    let added = alone(lines, false)?.policy;
    merged.exec.extend(added.exec);
    merged.connect.extend(added.connect);
    merged.listen.extend(added.listen);
    merged.unix.extend(added.unix);
    Some(merged)
}

/// Takes the rule with this id away.
pub(super) fn without(policy: &mut Policy, id: &str) {
    policy.exec.retain(|rule| rule.id.value != id);
    policy.connect.retain(|rule| rule.id.value != id);
    policy.listen.retain(|rule| rule.id.value != id);
    policy.unix.retain(|rule| rule.id.value != id);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{alone, free_id, nobodys_policy, quoted};

    #[test]
    fn a_policy_of_nothing_is_a_policy() {
        assert!(nobodys_policy().is_some());
        assert!(alone(&[super::Line::exec("/usr/bin/\u{202e}\"\\x".into())], true).is_some());
    }

    #[test]
    fn ids_are_made_of_what_ids_may_have_and_are_free() {
        let taken = BTreeSet::from(["nc".to_owned(), "nc-2".to_owned()]);
        assert_eq!(free_id("nc", &taken), "nc-3");
        assert_eq!(free_id("[", &taken), "added");
        assert_eq!(free_id("Curl-to-[::1]:80", &taken), "curl-to-1-80");
        assert!(free_id(&"x".repeat(500), &taken).len() <= 64);
    }

    #[test]
    fn what_is_not_seen_is_escaped_in_toml() {
        assert_eq!(quoted("a\"\\\u{202e}\n"), r#""a\"\\\U0000202E\U0000000A""#);
    }
}
