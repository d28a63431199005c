//! The policy core's diagnostics as they go over the socket.
#![forbid(unsafe_code)]

use enforcer_policy as policy;

use super::api::{Diagnostic, Severity};

/// Findings that are sent; of more only the number is told, so that noise sent as a policy does not
/// come back multiplied.
const MOST_SENT: usize = 200;

impl Diagnostic {
    /// The core's findings, errors and warnings as they are there.
    #[must_use]
    pub fn list(found: &policy::Diagnostics) -> Vec<Self> {
        let mut sent: Vec<Self> = found
            .reports()
            .into_iter()
            .zip(&found.list)
            .take(MOST_SENT)
            .map(|(report, diagnostic)| with_text(report, rendered(found, diagnostic)))
            .collect();
        let unsent = found.list.len().saturating_sub(MOST_SENT);
        if let (Some(last), 1..) = (sent.last(), unsent) {
            let message = format!("{unsent} more findings are not shown");
            let rest = Self {
                lint: None,
                expected: None,
                hint: None,
                rendered: message.clone(),
                message,
                ..last.clone()
            };
            sent.push(rest);
        }
        sent
    }
}

fn with_text(report: policy::Report, rendered: String) -> Diagnostic {
    Diagnostic {
        severity: match report.severity {
            policy::Severity::Error => Severity::Error,
            policy::Severity::Warning => Severity::Warning,
        },
        lint: report.lint.map(|lint| lint.name().to_owned()),
        file: report.file,
        line: report.line,
        column: report.column,
        message: report.message,
        expected: report.expected,
        hint: report.hint,
        rendered,
    }
}

fn rendered(all: &policy::Diagnostics, one: &policy::Diagnostic) -> String {
    let alone = policy::Diagnostics {
        sources: all.sources.clone(),
        list: vec![one.clone()],
    };
    alone.render(false)
}

#[cfg(test)]
mod tests {
    use enforcer_policy::{NoIncludes, Source, parse};

    use super::*;

    fn found(text: String) -> Vec<Diagnostic> {
        let source = Source {
            name: "p.toml".into(),
            text,
        };
        Diagnostic::list(&parse(source, &NoIncludes).expect_err("errors"))
    }

    #[test]
    fn a_finding_keeps_its_place_and_its_text() {
        let found = found("schema = 1\nagnet = 2\n".into());
        let unknown = found
            .iter()
            .find(|one| one.line == 2)
            .expect("the second line's");
        assert_eq!((unknown.file.as_str(), unknown.column), ("p.toml", 1));
        assert_eq!(unknown.severity, Severity::Error);
        assert!(
            unknown.rendered.contains("p.toml:2:1"),
            "{}",
            unknown.rendered
        );
    }

    #[test]
    fn noise_does_not_come_back_multiplied() {
        let found = found((0..1000).map(|n| format!("key{n} = 1\n")).collect());
        assert_eq!(found.len(), MOST_SENT + 1);
        let last = found.last().expect("a last one");
        assert!(
            last.rendered.ends_with("more findings are not shown"),
            "{}",
            last.rendered
        );
    }
}
