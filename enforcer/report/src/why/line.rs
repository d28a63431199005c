//! Lines of policies: written, added and taken away.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use enforcer_common::{event::Kind, verdict::Reason};
use enforcer_policy::{NoIncludes, Parsed, Policy, Source, parse};

use crate::{
    object::{Endpoint, Object},
    record::Decision,
};

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
        // Connecting to the unspecified address is connecting to loopback, which is what a rule names.
        let address = match at.address?.to_canonical() {
            IpAddr::V4(four) if four.is_unspecified() && section == "connect" => {
                "127.0.0.1".to_owned()
            }
            IpAddr::V6(six) if six.is_unspecified() && section == "connect" => "[::1]".to_owned(),
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
fn quoted(text: &str) -> String {
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

/// A key of `[agent]` that would open what was denied.
pub(super) struct AgentKey {
    pub toml: String,
    /// Whether the policy in force has it.
    pub is_set: bool,
    /// What else it opens.
    pub caution: &'static str,
}

/// The key that a denial asks for, where one can open it.
pub(super) fn agent_key(decision: &Decision<'_>, policy: Option<&Policy>) -> Option<AgentKey> {
    let agent = policy.map(|policy| &policy.agent);
    let key = |name: &str, is_set: bool, caution| {
        Some(AgentKey {
            toml: format!("{name} = true"),
            is_set,
            caution,
        })
    };
    match decision.reason? {
        Reason::ExecutableMemory => key(
            "jit",
            agent.is_some_and(|agent| agent.jit),
            "With `jit`, code that any program of the agent makes itself, or is made to make by an attacker, runs unseen. What it then runs and reaches is judged.",
        ),
        Reason::SetIdNotAllowed => key(
            "set_id",
            agent.is_some_and(|agent| agent.set_id.value),
            "With `set_id`, every listed program with such rights runs with them, root's among them, and so does what it starts.",
        ),
        Reason::DeviceNotAllowed => key(
            "devices",
            agent.is_some_and(|agent| agent.devices.value),
            "With `devices`, every driver takes commands from whatever the agent's user may open, disks past their file systems among them.",
        ),
        Reason::IoUringNotAllowed => key(
            "io_uring",
            agent.is_some_and(|agent| agent.io_uring.value),
            "What is asked through a ring is judged, but the kernel's code for rings is large and new: it is more to attack.",
        ),
        Reason::NamespaceNotAllowed => key(
            "namespaces",
            agent.is_some_and(|agent| agent.namespaces.value),
            "In a user namespace the agent has every capability towards what belongs to it: more of the kernel to attack. Root's mounts stay closed.",
        ),
        Reason::SocketKindNotAllowed => sockets(socket_kind(&decision.object)?, policy),
        Reason::NeverAllowed if is_net_raw(decision) => sockets("raw", policy),
        _ => None,
    }
}

fn is_net_raw(decision: &Decision<'_>) -> bool {
    decision.kind == Some(Kind::Capability)
        && matches!(decision.object, Object::Number(_, Some(13)))
}

fn sockets(kind: &'static str, policy: Option<&Policy>) -> Option<AgentKey> {
    let has = policy.map(|policy| {
        policy
            .agent
            .sockets
            .iter()
            .map(|kind| kind.value.name())
            .collect()
    });
    let mut kinds: Vec<&str> = has.unwrap_or_default();
    let is_set = kinds.contains(&kind);
    if !is_set {
        kinds.push(kind);
    }
    let kinds: Vec<String> = kinds.into_iter().map(quoted).collect();
    let caution = match kind {
        "netlink-route" | "netlink" | "alg" => {
            "Every executable of the agent may then make such sockets; what is sent on them is not judged."
        }
        _ => {
            "Every executable of the agent may then make such sockets, and where they send to is not judged: no `[[connect]]` rule holds for them."
        }
    };
    Some(AgentKey {
        toml: format!("sockets = [{}]", kinds.join(", ")),
        is_set,
        caution,
    })
}

/// The narrowest kind of `sockets` that such a socket is of. Numbers are those of `linux/socket.h`,
/// `linux/net.h` and `linux/in.h`.
fn socket_kind(object: &Object<'_>) -> Option<&'static str> {
    let Object::Socket(family, kind, protocol) = *object else {
        return None;
    };
    match (family, kind, protocol) {
        (2 | 10, 3, _) => Some("raw"),
        (2, 2, 1) | (10, 2, 58) => Some("ping"),
        (16, _, 0) => Some("netlink-route"),
        (16, ..) => Some("netlink"),
        (17, ..) => Some("packet"),
        (29, ..) => Some("can"),
        (31, ..) => Some("bluetooth"),
        (38, ..) => Some("alg"),
        (40, ..) => Some("vsock"),
        _ => None,
    }
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
