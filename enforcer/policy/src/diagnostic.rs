//! What is wrong or doubtful in a policy: where, what was expected, and what to do.

use std::fmt;

use serde::Serialize;

use crate::source::{Sources, Span};

/// Diagnostics kept of one list; the rest is counted. Nobody reads more, and a wrong file as large
/// as a policy may be has a hundred thousand.
const MOST_KEPT: usize = 1_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy works, perhaps not as meant.
    Warning,
}

macro_rules! lints {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $meaning:literal;)*) => {
        /// A named doubt about a policy that is otherwise good.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Lint { $(#[doc = $meaning] $name,)* }

        impl Lint {
            /// Every lint.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Name in diagnostics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it says, for the reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

lints! {
    BroadPrefix = "broad-prefix", "An allowed prefix is shorter than /8 (IPv4) or /16 (IPv6), or the address is `*`.";
    BroadListen = "broad-listen", "An allowed address to listen on is a wildcard (`*`, `0.0.0.0`, `[::]`), or a prefix that is not loopback.";
    UndeclaredInterpreter = "undeclared-interpreter", "A program that runs other code or other programs (shell, python, env, xargs...) is allowed without `interpreter = true`.";
    UnreachableRule = "unreachable-rule", "All that an `allow` rule lists is denied by `deny` rules.";
    WritableDirectory = "writable-directory", "A directory on the way to an allowed file can be written by others than root.";
    MissingFile = "missing-file", "A path is not there now; it is looked for again when the policy is applied again.";
    UnlistedBinary = "unlisted-binary", "`by` names a file that no `exec` rule allows, so that the rule holds for nobody.";
    EscapeSocket = "escape-socket", "An allowed unix socket belongs to a service that starts processes outside the session.";
    MissingJit = "missing-jit", "A program that compiles code as it runs (Node.js, Java...) is allowed, and the agent has no `jit = true`: it will not start.";
    SetId = "set-id", "`set_id = true`: a listed program can run as another user, root among them.";
    Devices = "devices", "`devices = true`: whatever a driver does on being told can be done.";
    IoUring = "io-uring", "`io_uring = true`: a part of the kernel that most agents do without is open to it.";
    Namespaces = "namespaces", "`namespaces = true`: user namespaces and mounts of the agent's own.";
    UnjudgedSockets = "unjudged-sockets", "`sockets` names a kind by which something can leave the host without being judged.";
    MissingGroup = "missing-group", "This host has no group of the name in `launch`: only root and admins can launch the agent.";
    NoEnrolment = "no-enrolment", "The agent has no `launch`, `slice` or `entry` in `[agent.enrol]`: nothing can become a session of it.";
}

impl Serialize for Lint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A further place that a diagnostic points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there.
    pub text: String,
}

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the doubt, for warnings that have one.
    pub lint: Option<Lint>,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What was expected there, without the word "expected".
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Other places that have to do with it.
    pub also: Vec<Label>,
}

impl Diagnostic {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            lint: None,
            message: message.into(),
            span,
            expected: None,
            hint: None,
            also: Vec::new(),
        }
    }

    pub(crate) fn lint(lint: Lint, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            lint: Some(lint),
            ..Self::error(span, message)
        }
    }

    pub(crate) fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    pub(crate) fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        self.also.push(Label { span, text });
        self
    }
}

/// A diagnostic as data: what `--output json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the doubt, for warnings that have one.
    pub lint: Option<Lint>,
    /// Name of the file; empty when it is not about a place.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Diagnostics with the sources that they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The files.
    pub sources: Sources,
    /// In the order of their places.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(sources: Sources, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|d| (d.span.source, d.span.start, d.span.end));
        list.dedup();
        let more = list.split_off(MOST_KEPT.min(list.len()));
        if let Some(first) = more.first() {
            let message = format!("{} more from here on", more.len());
            list.push(Diagnostic {
                severity: first.severity,
                ..Diagnostic::error(first.span, message)
            });
        }
        Self { sources, list }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// As text for people, in the form of rustc's diagnostics; `colour` adds terminal styles.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        crate::render::render(self, colour)
    }

    /// As data.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.list.iter().map(|d| self.report(d)).collect()
    }

    fn report(&self, diagnostic: &Diagnostic) -> Report {
        let (line, column) = crate::render::position(&self.sources, diagnostic.span);
        let file = self.sources.of(diagnostic.span).map(|s| s.name.clone());
        Report {
            severity: diagnostic.severity,
            lint: diagnostic.lint,
            file: file.unwrap_or_default(),
            line,
            column,
            message: diagnostic.message.clone(),
            expected: diagnostic.expected.clone(),
            hint: diagnostic.hint.clone(),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// A piece of the author's text as a message quotes it: escaped and not too long, since it can be
/// anything.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let escaped: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    // A backslash-escaped quote inside backticks only confuses.
    let escaped = escaped.replace("\\\"", "\"").replace("\\'", "'");
    let more = if text.chars().nth(LONGEST).is_some() {
        "..."
    } else {
        ""
    };
    format!("`{escaped}{more}`")
}
