//! What the prover found: judged, as a table and as JSON.
#![forbid(unsafe_code)]

use serde::Serialize;

use super::{
    attacks::Attack,
    catalogue::{Row, Why},
    party::Answer,
    records::Denials,
};

/// What came of an attack made once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// What the kernel answered; absent when the attack said that it worked.
    pub errno: Option<i32>,
    /// The answer in words.
    pub error: Option<String>,
    /// Whether it got through.
    pub effect: bool,
    /// Denials that were recorded of it; absent outside a session.
    pub denials: Option<u64>,
    /// Number of the order.
    #[serde(skip)]
    pub serial: u32,
    /// Why it was denied, by the records.
    #[serde(skip)]
    pub reasons: Vec<String>,
}

impl Tried {
    /// Of an answer and what was seen.
    pub fn of(serial: u32, answer: Answer, effect: bool) -> Self {
        Self {
            errno: answer.errno,
            error: answer.error,
            effect,
            denials: None,
            serial,
            reasons: Vec::new(),
        }
    }

    /// Adds what was recorded.
    pub fn recorded(&mut self, denials: &Denials) {
        self.denials = Some(denials.count);
        self.reasons = denials.reasons.iter().cloned().collect();
    }

    /// Whether the kernel answered as it answers a denial.
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        use nix::libc::{EACCES, EPERM};
        matches!(self.errno, Some(EPERM | EACCES))
    }

    fn words(&self) -> String {
        self.error.clone().unwrap_or_else(|| {
            if self.effect {
                "it worked"
            } else {
                "without effect"
            }
            .to_owned()
        })
    }
}

/// One attack, as one kind of user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Outside a session.
    pub outside: Tried,
    /// Inside; absent where it does not even work outside.
    pub inside: Option<Tried>,
}

/// How an attack came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It did not get through, and the denial was recorded.
    Closed,
    /// It got through.
    Open,
    /// It does not work here outside a session either.
    NotApplicable,
    /// It did not get through, and not for a denial that was recorded.
    Error,
}

impl State {
    /// Name in JSON and text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::NotApplicable => "not-applicable",
            Self::Error => "error",
        }
    }
}

/// An attack and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Row of the catalogue.
    pub row: &'static str,
    /// Name of the attack.
    pub attack: &'static str,
    /// What it tries.
    pub technique: &'static str,
    /// How it came out.
    pub state: State,
    /// Whether the catalogue says that it gets through on this kernel.
    pub known_open: bool,
    /// Why it came out so.
    pub why: String,
    /// Programs that judge it.
    pub hooks: &'static [&'static str],
    /// Inside a session, as root.
    pub as_root: Option<Tried>,
    /// Inside a session, as an ordinary user.
    pub as_user: Option<Tried>,
    /// Outside, as root.
    pub outside: Tried,
    /// Outside, as an ordinary user.
    pub outside_as_user: Tried,
}

impl Line {
    /// Judges what came of an attack as root and as an ordinary user.
    pub fn of(row: &Row, attack: &Attack, kernel: (u32, u32), root: Pair, user: Pair) -> Self {
        let known = attack.open.filter(|open| open.holds_on(kernel));
        let tried: Vec<&Tried> = [&root.inside, &user.inside].into_iter().flatten().collect();
        let (state, why) = if tried.is_empty() {
            (State::NotApplicable, root.outside.words())
        } else if tried.iter().any(|tried| tried.effect) {
            let why = match known.map(|open| open.why) {
                Some(Why::Check(name)) => name.to_owned(),
                Some(Why::Limit(text)) => text.to_owned(),
                None => "it is to be denied on this kernel, and it got through".to_owned(),
            };
            (State::Open, why)
        } else if let Some(otherwise) = tried.iter().find(|tried| !tried.is_denied()) {
            let why = format!("it failed, and not for a denial: {}", otherwise.words());
            (State::Error, why)
        } else if tried.iter().any(|tried| tried.denials == Some(0)) {
            (
                State::Error,
                "it was denied, and no record says so".to_owned(),
            )
        } else {
            let mut reasons: Vec<&str> = tried
                .iter()
                .flat_map(|tried| &tried.reasons)
                .map(String::as_str)
                .collect();
            reasons.sort_unstable();
            reasons.dedup();
            (State::Closed, reasons.join(", "))
        };
        Self {
            row: row.id,
            attack: attack.id,
            technique: attack.technique,
            state,
            known_open: known.is_some(),
            why,
            hooks: row.hooks,
            as_root: root.inside,
            as_user: user.inside,
            outside: root.outside,
            outside_as_user: user.outside,
        }
    }

    /// Whether it came out no worse than the catalogue says.
    #[must_use]
    pub fn is_as_told(&self) -> bool {
        match self.state {
            State::Closed | State::NotApplicable => true,
            State::Open => self.known_open,
            State::Error => false,
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Kernel: major, minor.
    pub kernel: String,
    /// The prover's session.
    pub session: String,
    /// Attack by attack.
    pub rows: Vec<Line>,
    /// Denials that were recorded.
    pub denials: u64,
    /// Attacks that did not get through.
    pub closed: usize,
    /// Attacks that did.
    pub open: usize,
    /// Attacks that do not work here anyway.
    pub not_applicable: usize,
    /// Attacks of which it is not known.
    pub errors: usize,
    /// Nothing is open but what the catalogue says.
    pub as_told: bool,
}

impl Report {
    /// Of the lines.
    pub fn of(kernel: (u32, u32), session: String, rows: Vec<Line>, denials: u64) -> Self {
        let count = |state| rows.iter().filter(|line| line.state == state).count();
        Self {
            kernel: format!("{}.{}", kernel.0, kernel.1),
            session,
            denials,
            closed: count(State::Closed),
            open: count(State::Open),
            not_applicable: count(State::NotApplicable),
            errors: count(State::Error),
            as_told: rows.iter().all(Line::is_as_told),
            rows,
        }
    }
}

/// The report's last lines.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "Linux {}, session {}, {} denials recorded\n",
        report.kernel, report.session, report.denials
    );
    for line in report.rows.iter().filter(|line| !line.is_as_told()) {
        text.push_str(&format!("NOT HELD {}: {}\n", line.attack, line.why));
    }
    text.push_str(&format!(
        "{} closed, {} open, {} not applicable",
        report.closed, report.open, report.not_applicable
    ));
    if report.errors > 0 {
        text.push_str(&format!(", {} in doubt", report.errors));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::catalogue;

    fn tried(errno: Option<i32>, effect: bool, denials: Option<u64>) -> Tried {
        Tried {
            errno,
            error: errno.map(|errno| std::io::Error::from_raw_os_error(errno).to_string()),
            effect,
            denials,
            serial: 0,
            reasons: vec!["not-listed".to_owned()],
        }
    }

    fn line(id: &str, inside: Option<Tried>) -> Line {
        let (row, attack) = catalogue::attacks()
            .find(|(_, attack)| attack.id == id)
            .expect("an attack");
        let outside = tried(None, inside.is_some(), None);
        let pair = Pair { outside, inside };
        Line::of(row, attack, (6, 12), pair.clone(), pair)
    }

    #[test]
    fn an_attack_is_closed_only_by_a_denial_that_was_recorded() {
        let (eperm, enoent) = (nix::libc::EPERM, nix::libc::ENOENT);
        let cases = [
            (
                Some(tried(Some(eperm), false, Some(1))),
                State::Closed,
                true,
            ),
            (
                Some(tried(Some(eperm), false, Some(0))),
                State::Error,
                false,
            ),
            (
                Some(tried(Some(enoent), false, Some(1))),
                State::Error,
                false,
            ),
            (Some(tried(None, false, Some(1))), State::Error, false),
            (Some(tried(None, true, Some(0))), State::Open, false),
            (Some(tried(Some(eperm), true, Some(1))), State::Open, false),
            (None, State::NotApplicable, true),
        ];
        for (inside, state, as_told) in cases {
            let line = line("n01-connect", inside);
            assert_eq!(
                (line.state, line.is_as_told()),
                (state, as_told),
                "{line:?}"
            );
        }
        let known = line("x06-heap", Some(tried(None, true, Some(0))));
        assert!(known.is_as_told() && known.why == "open-personality");
    }

    #[test]
    fn the_last_line_counts() {
        let rows = vec![
            line("n01-connect", Some(tried(Some(1), false, Some(1)))),
            line("x06-heap", Some(tried(None, true, Some(0)))),
            line("n02-send", None),
        ];
        let report = Report::of((6, 12), "0".to_owned(), rows, 1);
        assert!(report.as_told);
        assert!(text(&report).ends_with("\n1 closed, 1 open, 1 not applicable\n"));
    }
}
