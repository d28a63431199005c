//! stdout is data; stderr is talk.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{args::Format, exit::Exit};

/// Where data goes. A reader that leaves early (`| head`) is no failure: nothing more is written,
/// and the command goes on to its end.
pub struct Screen {
    format: Format,
    out: Box<dyn Write>,
    reader_left: bool,
}

impl Screen {
    /// stdout of this process.
    pub fn of_terminal(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()))
    }

    /// A screen that writes to `out`.
    pub fn new(format: Format, out: Box<dyn Write>) -> Self {
        Self {
            format,
            out,
            reader_left: false,
        }
    }

    /// Shows `data`: as JSON, or as the text that `text` makes of it.
    pub fn show<T: Serialize + ?Sized>(
        &mut self,
        data: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Text => self.text(&text(data)),
            Format::Json => {
                let mut json = serde_json::to_string_pretty(data)?;
                json.push('\n');
                self.write_all(json.as_bytes())
            }
        }
    }

    /// Shows text as it is, in whole lines.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.write_all(text.as_bytes())?;
        if text.is_empty() || text.ends_with('\n') {
            Ok(())
        } else {
            self.write_all(b"\n")
        }
    }

    /// The form that was asked for.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether nobody reads any more.
    pub const fn reader_left(&self) -> bool {
        self.reader_left
    }

    /// Ends the output; data that could not be written make a success a failure.
    pub fn close(mut self, exit: Exit) -> Exit {
        match (self.flush(), exit) {
            (Err(error), Exit::Ok) => {
                eprintln!("error: cannot write to stdout: {error}");
                Exit::Failure
            }
            (Ok(()) | Err(_), exit) => exit,
        }
    }

    fn unless_left<T>(&mut self, written: io::Result<T>, instead: T) -> io::Result<T> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left = true;
                Ok(instead)
            }
            written => written,
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.reader_left {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.unless_left(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.reader_left {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.unless_left(flushed, ())
    }
}

/// Whether stderr shows colours.
pub fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text` without anything that a terminal would obey: agents choose names and arguments.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() || is_direction(c) {
                Shown::Escaped(c.escape_unicode())
            } else {
                Shown::Itself(Some(c))
            }
        })
        .collect()
}

/// Marks that turn the direction of writing, and so can make one text look like another.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

enum Shown {
    Itself(Option<char>),
    Escaped(std::char::EscapeUnicode),
}

impl Iterator for Shown {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Self::Itself(c) => c.take(),
            Self::Escaped(escape) => escape.next(),
        }
    }
}

/// Rows under a head, in columns; without rows, nothing but the head.
pub fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows.into_iter().map(|row| row.map(|cell| plain(&cell))));
    let width = |column: usize| {
        all.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, a line each.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:width$}  {}\n", plain(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "long cell".to_owned()],
            ["überlang".to_owned(), String::new()],
        ];
        assert_eq!(
            table(["X", "Y"], rows),
            "X         Y\na         long cell\nüberlang\n"
        );
        assert_eq!(table(["X", "Y"], []), "X  Y\n");
    }

    #[test]
    fn pairs_stand_under_one_another() {
        assert_eq!(
            pairs(&[("a", "1".into()), ("long", "2".into())]),
            "a     1\nlong  2\n"
        );
    }

    #[test]
    fn a_terminal_is_not_spoken_to_by_an_agent() {
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d ü"),
            "a\\u{1b}[2Jb\\u{a}c\\u{202e}d ü"
        );
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        let mut screen = Screen::new(Format::Text, Box::new(Gone));
        assert!(screen.text("x").is_ok());
        assert!(screen.reader_left());
        assert_eq!(screen.close(Exit::Ok), Exit::Ok);
    }
}
