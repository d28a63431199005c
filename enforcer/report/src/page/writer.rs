//! Writes HTML. What is markup is `&'static str`, what is text is escaped: there is no third way in, so
//! that nothing of a record can become markup.

use std::fmt::Write as _;

use crate::visible::is_hidden;

/// A page being written.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup, which is ours.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, whosever.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ if is_hidden(c) => self.0.extend(c.escape_unicode()),
                _ => self.0.push(c),
            }
        }
        self
    }

    /// Text with paths in it, which may break after a slash.
    pub(super) fn path(&mut self, text: &str) -> &mut Self {
        for part in text.split_inclusive('/') {
            self.text(part);
            // Not after the first slash of a path.
            if part.len() > 1 && part.ends_with('/') && !part.ends_with(" /") {
                self.raw("<wbr>");
            }
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: impl Into<f64>) -> &mut Self {
        let number: f64 = number.into();
        // Writing to a `String` cannot fail; two digits are finer than a pixel.
        let text = format!("{number:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let _ = write!(self.0, "{text}");
        self
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}
