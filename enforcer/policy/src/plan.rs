//! What applying a policy would change.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::Serialize;

use crate::model::{Agent, Mode, Policy};

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It is there before and after, with another value.
    Changed,
}

/// One change, of a setting, a rule, or something that a rule lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In which way.
    pub sign: Sign,
    /// `agent`, `exec`, `connect`, `listen` or `unix`.
    pub section: &'static str,
    /// Id of the rule; the key, in `agent`.
    pub name: String,
    /// What in it: a binary, a destination, a socket, a property with its value; empty = the whole
    /// rule, with all that is listed next.
    pub item: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Sign::Added => '+',
            Sign::Removed => '-',
            Sign::Changed => '~',
        };
        write!(f, "{sign} {} {}", self.section, self.name)?;
        if self.item.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.item)
        }
    }
}

/// The changes from `old` (`None` = the agent is not in force) to `new`: first the agent's
/// settings, then its rules in their order, what goes before what comes.
#[must_use]
pub fn plan(old: Option<&Policy>, new: &Policy) -> Vec<Change> {
    let mut changes = settings(old.map(|policy| &policy.agent), &new.agent);
    let before = old.map(views).unwrap_or_default();
    let after = views(new);
    let (old_rules, new_rules) = (by_name(&before), by_name(&after));
    for view in before
        .iter()
        .filter(|view| !new_rules.contains_key(&view.name()))
    {
        changes.extend(view.whole(Sign::Removed));
    }
    for view in &after {
        match old_rules.get(&view.name()) {
            None => changes.extend(view.whole(Sign::Added)),
            Some(before) => changes.extend(view.since(before)),
        }
    }
    changes
}

fn by_name(views: &[View]) -> HashMap<(&'static str, &str), &View> {
    views.iter().map(|view| (view.name(), view)).collect()
}

/// A rule as sets of words that can be compared.
struct View {
    section: &'static str,
    id: String,
    items: BTreeSet<String>,
}

impl View {
    fn new(section: &'static str, id: &str) -> Self {
        Self {
            section,
            id: id.to_owned(),
            items: BTreeSet::new(),
        }
    }

    fn with(mut self, word: &str, values: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        self.items
            .extend(values.into_iter().map(|value| format!("{word} {value}")));
        self
    }

    /// What makes it the same rule in another policy.
    fn name(&self) -> (&'static str, &str) {
        (self.section, &self.id)
    }

    fn change(&self, sign: Sign, item: &str) -> Change {
        let (section, name, item) = (self.section, self.id.clone(), item.to_owned());
        Change {
            sign,
            section,
            name,
            item,
        }
    }

    fn whole(&self, sign: Sign) -> Vec<Change> {
        let rule = std::iter::once(self.change(sign, ""));
        rule.chain(self.items.iter().map(|item| self.change(sign, item)))
            .collect()
    }

    fn since(&self, before: &Self) -> Vec<Change> {
        let removed = before.items.difference(&self.items);
        let added = self.items.difference(&before.items);
        let removed = removed.map(|item| self.change(Sign::Removed, item));
        removed
            .chain(added.map(|item| self.change(Sign::Added, item)))
            .collect()
    }
}

fn views(policy: &Policy) -> Vec<View> {
    let exec = policy.exec.iter().map(|rule| {
        let digests = rule.sha256.iter().map(|digest| Hex(&digest.value));
        View::new("exec", &rule.id.value)
            .with(
                rule.effect.name(),
                rule.paths.iter().map(|path| &path.value),
            )
            .with("sha256", digests)
            .with("interpreter", rule.interpreter.then_some("true"))
            .with("optional", rule.optional.then_some("true"))
    });
    let internet = policy.internet().map(|(end, rule)| {
        View::new(end.section(), &rule.id.value)
            .with(
                rule.effect.name(),
                rule.destinations.iter().map(|d| d.value),
            )
            .with("by", rule.by.iter().flatten().map(|path| &path.value))
    });
    let unix = policy.unix.iter().map(|rule| {
        View::new("unix", &rule.id.value).with(
            rule.effect.name(),
            rule.peers.iter().map(|peer| &peer.value),
        )
    });
    exec.chain(internet).chain(unix).collect()
}

struct Hex<'a>(&'a [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn settings(old: Option<&Agent>, new: &Agent) -> Vec<Change> {
    let after = words(new);
    let before = old.map(words);
    let change = |sign, name: &str, item| Change {
        sign,
        section: "agent",
        name: name.to_owned(),
        item,
    };
    let Some(before) = before else {
        return after
            .into_iter()
            .map(|(name, value)| change(Sign::Added, name, value))
            .collect();
    };
    let pairs = before
        .into_iter()
        .zip(after)
        .filter(|(before, after)| before != after);
    pairs
        .map(|((name, before), (_, after))| {
            change(Sign::Changed, name, format!("{before} -> {after}"))
        })
        .collect()
}

/// An agent's settings as words, always the same keys in the same order.
fn words(agent: &Agent) -> [(&'static str, String); 17] {
    use crate::model::{Audit, Libraries, OnAuditFailure};
    let mode = match &agent.mode {
        Mode::Enforce => "enforce".to_owned(),
        Mode::Monitor { until } => format!("monitor until {}", until.value.text),
    };
    let audit = match agent.audit {
        Audit::All => "all",
        Audit::Denials => "denials",
    };
    let failure = match agent.on_audit_failure {
        OnAuditFailure::Deny => "deny",
        OnAuditFailure::Alert => "alert",
        OnAuditFailure::Continue => "continue",
    };
    let libraries = match agent.libraries {
        Libraries::Host => "host",
        Libraries::Listed => "listed",
    };
    let none = || "none".to_owned();
    let sockets: Vec<_> = agent.sockets.iter().map(|kind| kind.value.name()).collect();
    let sockets = if sockets.is_empty() {
        none()
    } else {
        sockets.join(", ")
    };
    let slice = agent
        .slice
        .as_ref()
        .map_or_else(none, |slice| slice.value.clone());
    let entry = agent.entry.as_ref().map_or_else(none, |entry| {
        let exec = &entry.exec.value;
        match &entry.user {
            Some(user) => format!("{exec} by {}", user.value),
            None => exec.clone(),
        }
    });
    let launch = agent.launch.as_ref().map_or_else(
        || "nobody".to_owned(),
        |launch| {
            launch
                .group
                .as_ref()
                .map_or("root".to_owned(), |group| format!("group {}", group.value))
        },
    );
    [
        ("name", agent.name.value.clone()),
        ("owner", agent.owner.clone()),
        ("purpose", agent.purpose.clone()),
        ("mode", mode),
        ("audit", audit.to_owned()),
        ("on_audit_failure", failure.to_owned()),
        ("libraries", libraries.to_owned()),
        ("jit", agent.jit.to_string()),
        ("set_id", agent.set_id.value.to_string()),
        ("secure_exec", agent.secure_exec.to_string()),
        ("devices", agent.devices.value.to_string()),
        ("io_uring", agent.io_uring.value.to_string()),
        ("namespaces", agent.namespaces.value.to_string()),
        ("sockets", sockets),
        ("launch", launch),
        ("slice", slice),
        ("entry", entry),
    ]
}
