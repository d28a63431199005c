//! Text that an agent may have chosen, made harmless to read: nothing in it moves a cursor, turns the
//! direction of writing or stands there unseen.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text with each character that is not seen as itself written out as `\u{hex}`.
///
/// These are control characters, the controls of bidirectional writing (Unicode Standard Annex 9,
/// 2), separators of lines and paragraphs, and characters without a width or an appearance of their
/// own, by which two different texts would look alike.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whether a reader would not see the character, or see others in its place.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' // soft hyphen
                | '\u{34f}' // combining grapheme joiner
                | '\u{61c}' // Arabic letter mark
                | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' // zero width, marks of direction
                | '\u{2028}'..='\u{202e}' // separators, embeddings and overrides
                | '\u{2060}'..='\u{206f}' // joiners, isolates, invisible operators
                | '\u{2800}' // an empty Braille cell
                | '\u{fe00}'..='\u{fe0f}' // variation selectors
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}' // tags, more variation selectors
        )
}

/// Columns that the text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, visible, in at most `columns` columns: what is too long loses its middle, which `…` marks.
#[must_use]
pub fn fitted(text: &str, columns: usize) -> String {
    let text = visible(text);
    if width(&text) <= columns {
        return text.into_owned();
    }
    let room = columns.saturating_sub(1);
    // Of paths and addresses the end says more than the beginning.
    let (head, tail) = (room / 2, room - room / 2);
    let start = take_columns(text.chars(), head);
    let end: String = take_columns(text.chars().rev(), tail)
        .chars()
        .rev()
        .collect();
    format!("{start}…{end}")
}

fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut taken = String::new();
    let mut used = 0;
    for c in chars {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        taken.push(c);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{fitted, visible, width};

    #[test]
    fn what_would_not_be_seen_is_written_out() {
        assert_eq!(visible("/usr/bin/gr\u{fc}n"), "/usr/bin/gr\u{fc}n");
        assert_eq!(
            visible("a\u{202e}b\u{1b}[2J\n"),
            r"a\u{202e}b\u{1b}[2J\u{a}"
        );
        assert_eq!(visible("pay\u{200b}pal\u{feff}"), r"pay\u{200b}pal\u{feff}");
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        assert_eq!(fitted("/usr/bin/git", 12), "/usr/bin/git");
        assert_eq!(
            fitted("/usr/lib/git-core/git-remote-http", 15),
            "/usr/li…te-http"
        );
        assert_eq!(width(&fitted("/usr/lib/git-core/git-remote-http", 15)), 15);
        assert!(
            width(&fitted(
                "\u{6f22}\u{5b57}\u{6f22}\u{5b57}\u{6f22}\u{5b57}",
                7
            )) <= 7
        );
        assert_eq!(fitted("abc", 1), "…");
    }
}
