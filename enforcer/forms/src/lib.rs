//! A record of the audit log in the form that its reader wants.
//!
//! ```text
//! record (OCSF 1.9.0) --+-> as it is                        Form::Ocsf
//!                       +-> ocsf17.rs   OCSF 1.7.0          Form::Ocsf17   what 1.7.0 lacks moves to `unmapped`
//!                       +-> ecs.rs      ECS 9.4, flat       Form::Ecs      what ECS lacks is `enforcer.*`
//!                       +-> cef.rs      CEF, one line       Form::Cef      cut to CEF's lengths, and says so
//! ```
//!
//! - Nothing here does IO, and nothing is looked up: a form is a function of the record.
//! - The two JSON forms lose nothing; CEF has room for less, and names in `enforcerCut` what it cut.
//! - What a standard calls a field is a table (`ocsf17::LACKING`, `ecs::MOVES`, `cef::FIELDS`); the
//!   tests hold each to facts taken from the standard itself (`tests/facts/`).
#![forbid(unsafe_code)]

mod cef;
mod ecs;
mod head;
mod ocsf17;
mod time;

use core::{fmt, str::FromStr};

use serde_json::Value;

pub use ecs::{ECS_VERSION, ecs};
pub use ocsf17::{OCSF_17_VERSION, ocsf17};

/// Version of OCSF that records are written in, and the only one that is rendered in other forms:
/// of another it is not known what 1.7.0 lacks.
pub const OCSF_VERSION: &str = "1.9.0";

/// The form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// OCSF 1.9.0, as the log has it: the same bytes as the log's line.
    Ocsf,
    /// OCSF 1.7.0, for readers that do not know 1.9.0 yet.
    Ocsf17,
    /// Elastic Common Schema, as one flat JSON object with dots in its keys.
    Ecs,
    /// ArcSight's Common Event Format, version 0, without a syslog header.
    Cef,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Ocsf, Self::Ocsf17, Self::Ecs, Self::Cef];

    /// Name in configurations and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ocsf => "ocsf",
            Self::Ocsf17 => "ocsf-1.7",
            Self::Ecs => "ecs",
            Self::Cef => "cef",
        }
    }

    /// Whether what is rendered is JSON; CEF is plain text.
    #[must_use]
    pub const fn is_json(self) -> bool {
        match self {
            Self::Ocsf | Self::Ocsf17 | Self::Ecs => true,
            Self::Cef => false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::ALL
            .into_iter()
            .find(|form| form.name() == text)
            .ok_or_else(|| FormError::UnknownForm(text.to_owned()))
    }
}

/// Why a record has no such form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// No form has this name.
    #[error("`{0}` is no form of records: write `ocsf`, `ocsf-1.7`, `ecs` or `cef`")]
    UnknownForm(String),
    /// The value is not a record as the log has it.
    #[error(
        "not a record of enforcer's log: `{attribute}` is {found}, where {expected} is expected; \
         only lines that this version writes have other forms"
    )]
    NotARecord {
        /// Path of the attribute; `$` is the value itself.
        attribute: &'static str,
        /// What a record has there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
}

/// The record in this form: one line, without a newline at its end or inside it.
///
/// # Errors
/// When `record` is not a record of OCSF 1.9.0 as the log has it.
pub fn render(form: Form, record: &Value) -> Result<String, FormError> {
    match form {
        Form::Ocsf => head::object(record).map(|_| record.to_string()),
        Form::Ocsf17 => ocsf17(record).map(|record| record.to_string()),
        Form::Ecs => ecs(record).map(|record| record.to_string()),
        Form::Cef => cef::cef(record),
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, FormError};

    #[test]
    fn every_form_is_known_by_its_name_and_an_unknown_one_is_told_the_names() {
        for form in Form::ALL {
            assert_eq!(form.name().parse(), Ok(form));
        }
        let error = "ECS".parse::<Form>().expect_err("names are lower case");
        assert_eq!(error, FormError::UnknownForm("ECS".to_owned()));
        for form in Form::ALL {
            assert!(error.to_string().contains(&format!("`{form}`")), "{error}");
        }
    }
}
