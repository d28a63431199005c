//! The one shape of failure on the control socket.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::api::Diagnostic;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// For programs.
    #[serde(rename = "error")]
    pub code: ErrorCode,
    /// For people: names what was asked for and what stood against it.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// For [`ErrorCode::PolicyInvalid`]: every finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

impl Problem {
    /// A problem without hint or diagnostics.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            diagnostics: Vec::new(),
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with diagnostics.
    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal;)*) => {
        /// Kind of a [`Problem`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The request is not one of this interface: bad JSON, unknown field, bad value.
    BadRequest = 400;
    /// The peer's process is inside a session: it is refused everything.
    InsideSession = 403;
    /// The peer has not the role that this needs.
    Denied = 403;
    /// No such path, session, agent or policy.
    NotFound = 404;
    /// The path exists, the method is not for it.
    MethodNotAllowed = 405;
    /// The request took too long to arrive.
    TimedOut = 408;
    /// Another apply is under way, or the generation in force is not the expected one.
    Conflict = 409;
    /// The request is larger than is read.
    TooLarge = 413;
    /// The policy has errors: see the diagnostics.
    PolicyInvalid = 422;
    /// The daemon's own failure.
    Internal = 500;
    /// The daemon does not enforce now, so nothing is started.
    NotEnforcing = 503;
    /// A table is full: no room for another session, or too many connections.
    LimitReached = 507;
}
