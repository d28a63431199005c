//! Where a line opens more than it seems to. What the policy's own lints know is asked of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_policy::{Checked, Facts, Lint, PathFact, Policy, check};

use super::{
    facts::Seen,
    line::{self, Line},
    request::Asked,
};
use crate::object::Endpoint;

/// Addresses at which clouds hand out credentials and the like.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The lines as they are to be suggested, and what is to be known about them.
pub(super) struct Found {
    pub lines: Vec<Line>,
    pub cautions: Vec<String>,
    /// Why no policy may have such a line, where that is so.
    pub refused: Option<String>,
}

pub(super) fn look(lines: &[Line], asked: &Asked, seen: &Seen<'_>, policy: &Policy) -> Found {
    let mut found = Found {
        lines: Vec::new(),
        cautions: Vec::new(),
        refused: None,
    };
    for line in lines {
        let line = found.look_at(line.clone(), seen, policy);
        found.lines.push(line);
    }
    if let Some(to) = asked.destination() {
        found.destination(to);
    }
    let mut told = Vec::new();
    for caution in found.cautions.drain(..) {
        if !told.contains(&caution) {
            told.push(caution);
        }
    }
    found.cautions = told;
    found
}

impl Found {
    fn tell(&mut self, text: impl Into<String>) {
        self.cautions.push(text.into());
    }

    fn look_at(&mut self, line: Line, seen: &Seen<'_>, policy: &Policy) -> Line {
        match line {
            Line::Exec { path, .. } => self.executable(path, seen, policy),
            Line::Internet {
                section,
                ref place,
                ref by,
            } => {
                match by {
                    Some(by) if runs_others(by, seen) => self.tell(format!(
                        "{by} runs code or programs that are given to it: whatever it is made to run has this right too."
                    )),
                    Some(_) => {}
                    None => self.tell("The rule has no `by`, for the acting executable has no path that a policy can name: it holds for every executable of the agent."),
                }
                if place.ends_with(":*") {
                    self.tell(
                        "The kernel was to choose the port, so the line has to open every port.",
                    );
                }
                if section == "listen" {
                    self.lints(&line, seen, policy);
                }
                line
            }
            Line::Unix(ref peer) => {
                self.tell(if peer.starts_with('@') {
                    "An abstract name belongs to whoever binds it first, any user's process among them."
                } else {
                    "The socket may be shared with others: whoever serves it acts outside the session, with rights of its own."
                });
                self.lints(&line, seen, policy);
                line
            }
        }
    }

    fn executable(&mut self, path: String, seen: &Seen<'_>, policy: &Policy) -> Line {
        let interpreter = runs_others(&path, seen);
        if interpreter {
            self.tell(format!(
                "{path} runs code or programs that are given to it, which no hook can see. What these run or reach is judged."
            ));
        }
        let sha256 = self.digest(&path, seen);
        let line = Line::Exec {
            path,
            interpreter,
            sha256,
        };
        self.lints(&line, seen, policy);
        line
    }

    /// The digest that the line needs, where it does.
    fn digest(&mut self, path: &str, seen: &Seen<'_>) -> Option<String> {
        if !seen.is_known(path) {
            self.tell(format!(
                "Whether {path} is root's alone is not known here. If it is not, the rule needs its `sha256` (`sha256sum` prints it) and holds for that content only."
            ));
            return None;
        }
        let PathFact::File(file) = seen.path(path) else {
            return None;
        };
        if file.is_roots() {
            return None;
        }
        self.tell(format!(
            "{path} can be changed by others than root: the rule holds for the content that it has now. Look at it first."
        ));
        let digest = seen.sha256(&file).ok()?;
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What `policy check` says of the line.
    fn lints(&mut self, line: &Line, seen: &Seen<'_>, policy: &Policy) {
        let Some(Checked {
            errors, warnings, ..
        }) = checked(line, policy.agent.jit, seen)
        else {
            return;
        };
        for warning in warnings.list {
            // Those that are told already, or are about the rest of the policy, are left out.
            let told = matches!(
                warning.lint,
                Some(
                    Lint::MissingJit
                        | Lint::WritableDirectory
                        | Lint::EscapeSocket
                        | Lint::BroadListen
                )
            );
            if told {
                let hint = warning
                    .hint
                    .map(|hint| format!(": {hint}"))
                    .unwrap_or_default();
                self.tell(sentence(&format!("{}{hint}", warning.message)));
            }
        }
        self.refused =
            self.refused
                .take()
                .or(errors.list.into_iter().next().map(|error| error.message));
    }

    fn destination(&mut self, to: Endpoint) {
        let Some(address) = to.address.map(|address| address.to_canonical()) else {
            return;
        };
        if METADATA.contains(&address) {
            self.tell("This is a metadata service's address: clouds hand out credentials there, the host's own among them. Allowing it lets the agent become the host.");
        } else if is_link_local(address) {
            self.tell("The address is link-local: who answers there depends on the network that the host happens to be in.");
        } else if address.is_loopback() || address.is_unspecified() {
            self.tell("The address is this host's own: whatever listens on the port, today or later, is reached with it, others' services among them.");
        } else if is_public(address) {
            self.tell("An address can be shared: behind one of a content network or a large provider stand others' services too.");
        }
        if to.port == 53 {
            self.tell("Names looked up can carry data out: use a resolver that logs.");
        }
    }
}

/// Whether the file runs what it is given, as far as the policy's lint knows by its name.
fn runs_others(path: &str, seen: &Seen<'_>) -> bool {
    let line = Line::exec(path.to_owned());
    checked(&line, true, seen).is_some_and(|checked| {
        let is_one = |d: &enforcer_policy::Diagnostic| d.lint == Some(Lint::UndeclaredInterpreter);
        checked.warnings.list.iter().any(is_one)
    })
}

fn checked(line: &Line, jit: bool, seen: &Seen<'_>) -> Option<Checked> {
    let parsed = line::alone(std::slice::from_ref(line), jit)?;
    Some(check(&parsed, seen))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => !four.is_private(),
        IpAddr::V6(six) => !six.is_unique_local(),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
