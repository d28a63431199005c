//! In what form a record is sent: the binary brings the forms, by the names of `format`.

use std::fmt;

use crate::record::Record;

/// What a renderer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object on one line.
    Object,
    /// Any text on one line.
    Text,
}

/// Makes of a record what is sent. The same record always gives the same bytes: the file sink finds
/// by them what it has written already.
pub trait Render: Send + Sync {
    /// What it makes.
    fn form(&self) -> Form;

    /// The record in this form, UTF-8 without a line break.
    ///
    /// # Errors
    /// Why the record cannot be told in this form: it is then counted as refused.
    fn render(&self, record: &Record) -> Result<Vec<u8>, String>;
}

/// The line of the log as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsRecorded;

impl Render for AsRecorded {
    fn form(&self) -> Form {
        Form::Object
    }

    fn render(&self, record: &Record) -> Result<Vec<u8>, String> {
        Ok(record.line().to_vec())
    }
}

/// A renderer of text made of a function.
pub struct TextRender<F>(pub F);

impl<F> fmt::Debug for TextRender<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextRender")
    }
}

impl<F: Fn(&Record) -> Result<String, String> + Send + Sync> Render for TextRender<F> {
    fn form(&self) -> Form {
        Form::Text
    }

    fn render(&self, record: &Record) -> Result<Vec<u8>, String> {
        (self.0)(record).map(String::into_bytes)
    }
}
