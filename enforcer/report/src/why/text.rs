//! The explanation as text for a terminal.

use std::fmt::Write as _;

use super::{Process, RemedyKind, RuleNote, Why};
use crate::visible::{visible, width};

/// Columns of the text.
const COLUMNS: usize = 96;
/// Columns of the names on the left.
const LEFT: usize = 10;

impl Why {
    /// As text for people, in at most 96 columns but for single words and policy lines that are longer.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = Out(String::new());
        let verdict = match self.verdict {
            "allow" => "allowed",
            "deny" => "denied",
            _ => "would be denied (monitor mode)",
        };
        out.line("tried", &self.tried);
        out.line("verdict", &self.verdict_words(verdict));
        out.line("", self.meaning);
        self.who(&mut out);
        self.rules(&mut out);
        self.remedy(&mut out);
        if self.verdict != "allow" {
            out.line("advice", self.advice);
        }
        for caution in &self.cautions {
            out.line("careful", caution);
        }
        if let Some(ask) = &self.ask {
            out.line("ask", &ask.how);
        }
        out.0
    }

    fn verdict_words(&self, verdict: &str) -> String {
        let generation = self
            .generation
            .map(|g| format!(", by generation {g} of the policies"))
            .unwrap_or_default();
        let later = match (self.generation, self.generation_now) {
            (Some(then), Some(now)) if then != now => {
                format!(" ({now} is in force now, and is what is told of below)")
            }
            _ => String::new(),
        };
        format!("{verdict}: {}{generation}{later}", self.reason)
    }

    fn who(&self, out: &mut Out) {
        let session = self.session.as_deref().unwrap_or("unknown");
        let owner = self
            .owner
            .as_deref()
            .map(|owner| format!(", of {owner}"))
            .unwrap_or_default();
        out.line(
            "agent",
            &format!("{}{owner}; session {session}", self.agent),
        );
        match (&self.task, &self.task_id) {
            (Some(task), Some(id)) => out.line("task", &format!("{task} ({id})")),
            (Some(task), None) | (None, Some(task)) => out.line("task", task),
            (None, None) => {}
        }
        process(&self.process, out);
        let host = self.host.as_deref().unwrap_or("unknown");
        let time = self.time.as_deref().unwrap_or("unknown");
        out.line("when", &format!("{time} on {host}; event {}", self.event));
    }

    fn rules(&self, out: &mut Out) {
        if let Some(rule) = &self.rule {
            let entry = if rule.entry.is_empty() {
                String::new()
            } else {
                format!(": {} = {}", rule.effect, rule.entry)
            };
            out.line("rule", &format!("{}{}{entry}", rule.rule, placed(rule)));
        }
        for near in &self.nearest {
            out.line(
                "nearest",
                &format!(
                    "{}{}: {}, but {}",
                    near.rule,
                    placed(near),
                    near.entry,
                    near.differs.join("; ")
                ),
            );
        }
    }

    fn remedy(&self, out: &mut Out) {
        let name = match self.remedy.kind {
            RemedyKind::NothingToDo => "now",
            RemedyKind::AddLines | RemedyKind::SetKey => "to allow",
            RemedyKind::ChangeRule => "change",
            RemedyKind::Apply => "apply",
            RemedyKind::NotByPolicy => "no way",
            RemedyKind::NotKnown => "unclear",
        };
        if self.verdict == "allow" {
            return;
        }
        out.line(name, &self.remedy.text);
        if let Some(toml) = &self.remedy.toml {
            out.0.push('\n');
            for line in toml.lines() {
                // Writing to a `String` cannot fail.
                let _ = if line.is_empty() {
                    writeln!(out.0)
                } else {
                    writeln!(out.0, "    {}", visible(line))
                };
            }
            out.0.push('\n');
            let place = self.remedy.place.as_deref().unwrap_or_default();
            let tried = if self.remedy.tried {
                "Tried on the policy in force: it allows this request."
            } else {
                "Not tried on a policy."
            };
            out.line("", &format!("It goes {place}. {tried}"));
        }
    }
}

fn placed(rule: &RuleNote) -> String {
    if rule.place.is_empty() {
        String::new()
    } else {
        format!(" ({})", rule.place)
    }
}

fn process(process: &Process, out: &mut Out) {
    let executable = process
        .executable
        .as_deref()
        .unwrap_or("the launcher's image, or not known");
    let pid = process
        .pid
        .map(|pid| format!(", process {pid}"))
        .unwrap_or_default();
    let user = process
        .user
        .as_deref()
        .map(|user| format!(", user {user}"))
        .unwrap_or_default();
    out.line("by", &format!("{executable}{pid}{user}"));
    if let Some(line) = &process.claimed_command_line {
        out.line("claimed", &format!("as {line}"));
    }
    if !process.claimed_arguments.is_empty() {
        out.line(
            "claimed",
            &format!("to run {}", process.claimed_arguments.join(" ")),
        );
    }
    for ancestor in &process.ancestry {
        let path = ancestor.path.as_deref().unwrap_or("unknown");
        let pid = ancestor
            .pid
            .map(|pid| format!(", process {pid}"))
            .unwrap_or_default();
        out.line("under", &format!("{path}{pid}"));
    }
    if !process.ancestry_is_whole {
        out.line("under", "... (not known up to the session's first process)");
    }
}

/// Lines of a name and a wrapped text.
struct Out(String);

impl Out {
    fn line(&mut self, name: &str, text: &str) {
        let text = visible(text);
        let mut name = format!("{name:<LEFT$}");
        let mut column = LEFT;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let wide = width(word);
            if column > LEFT && column + 1 + wide > COLUMNS {
                self.0.push_str(name.trim_end());
                self.0.push('\n');
                name = " ".repeat(LEFT);
                column = LEFT;
            }
            if column > LEFT {
                name.push(' ');
                column += 1;
            }
            name.push_str(word);
            column += wide;
        }
        self.0.push_str(name.trim_end());
        self.0.push('\n');
    }
}
