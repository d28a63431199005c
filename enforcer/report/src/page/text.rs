//! The document as text for a terminal.

use super::{Block, Document, Set, Table};
use crate::{
    report::{Bar, Severity, Timeline},
    visible::{fitted, visible, width},
};

/// Columns of the text.
const COLUMNS: usize = 96;
/// Columns of a table, which is set in by two.
const ROOM: usize = COLUMNS - 2;
/// Columns between two of a table.
const GAP: usize = 2;
/// Columns that a text of a table keeps at least.
const LEAST: usize = 8;

pub(super) fn write(document: &Document) -> String {
    let mut out = String::new();
    wrap(&mut out, "", "", &document.title);
    wrap(&mut out, "", "", &document.subtitle);
    out.push('\n');
    wrap(&mut out, "", "", &document.sentence);
    for block in &document.blocks {
        out.push('\n');
        match block {
            Block::Heading(2, text, _) => heading(&mut out, text, '='),
            Block::Heading(_, text, _) => heading(&mut out, text, '-'),
            Block::Text(text) => wrap(&mut out, "", "", text),
            Block::Items(items) => {
                for (severity, text) in items {
                    let mark = match severity {
                        Some(Severity::Alarm) => "!! ",
                        Some(Severity::Attention) => "!  ",
                        Some(Severity::Note) | None => "-  ",
                    };
                    wrap(&mut out, mark, "   ", text);
                }
            }
            Block::Facts(facts) => {
                let facts: Vec<String> = facts
                    .iter()
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect();
                wrap(&mut out, "", "", &facts.join("; "));
            }
            Block::Table(table) => write_table(&mut out, table),
            Block::Plot(title, timeline) => plot(&mut out, title, timeline),
        }
    }
    out
}

fn heading(out: &mut String, text: &str, line: char) {
    let text = fitted(text, COLUMNS);
    let under: String = std::iter::repeat_n(line, width(&text)).collect();
    out.push_str(&text);
    out.push('\n');
    out.push_str(&under);
    out.push('\n');
}

/// Words in lines of at most [`COLUMNS`]; a word that is longer loses its middle.
fn wrap(out: &mut String, first: &str, next: &str, text: &str) {
    let text = visible(text);
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = fitted(word, COLUMNS - width(next));
        if !is_empty && width(&line) + 1 + width(&word) > COLUMNS {
            out.push_str(line.trim_end());
            out.push('\n');
            next.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(&word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn write_table(out: &mut String, table: &Table) {
    wrap(out, "", "", &table.caption);
    if !table.rows.is_empty() {
        let shown = shown(table);
        let titles: Vec<String> = table
            .columns
            .iter()
            .map(|column| column.title.to_owned())
            .collect();
        row(out, table, &shown, &titles);
        for cells in &table.rows {
            row(out, table, &shown, cells);
            below(out, table, cells);
        }
    }
    if let Some(note) = &table.note {
        wrap(out, "  ", "  ", note);
    }
}

/// The long cells of a row, in lines of their own.
fn below(out: &mut String, table: &Table, cells: &[String]) {
    for (column, cell) in table.columns.iter().zip(cells) {
        if column.set == Set::Long && !cell.is_empty() {
            wrap(
                out,
                "      ",
                "      ",
                &format!("{}: {cell}", column.title),
            );
        }
    }
}

/// The columns that are shown, by number, and their widths.
fn shown(table: &Table) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> = Vec::new();
    for (n, column) in table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.set != Set::Long)
    {
        let cells = table.rows.iter().filter_map(|cells| cells.get(n));
        let widest = cells.map(|cell| width(&visible(cell))).max();
        shown.push((n, widest.unwrap_or_default().max(width(column.title))));
    }
    let needed = |shown: &[(usize, usize)]| {
        let gaps = GAP * shown.len().saturating_sub(1);
        shown.iter().map(|(_, wide)| wide).sum::<usize>() + gaps
    };
    // A little can be taken from the texts; for more than that, what matters least goes.
    while needed(&shown) > ROOM + ROOM / 8 {
        let minor =
            |(n, _): &(usize, usize)| table.columns.get(*n).is_some_and(|column| column.minor);
        match shown.iter().rposition(minor) {
            Some(last) => shown.remove(last),
            None => break,
        };
    }
    while needed(&shown) > ROOM {
        let is_text = |n: usize| {
            let set = table.columns.get(n).map(|column| column.set);
            matches!(set, Some(Set::Text | Set::Code))
        };
        let widest = |may: &dyn Fn(usize) -> bool| {
            let wide = shown
                .iter()
                .enumerate()
                .filter(|(_, (n, wide))| may(*n) && *wide > LEAST);
            wide.max_by_key(|(_, (_, wide))| *wide)
                .map(|(place, _)| place)
        };
        // Where texts cannot give way any more, what is set as a number is none of ours.
        let gives = widest(&is_text).or_else(|| widest(&|_| true));
        let Some((_, wide)) = gives.and_then(|place| shown.get_mut(place)) else {
            break;
        };
        *wide -= 1;
    }
    shown
}

fn row(out: &mut String, table: &Table, shown: &[(usize, usize)], cells: &[String]) {
    let mut line = String::from("  ");
    for (place, (n, wide)) in shown.iter().enumerate() {
        let (Some(column), Some(cell)) = (table.columns.get(*n), cells.get(*n)) else {
            continue;
        };
        if place > 0 {
            line.push_str("  ");
        }
        let cell = fitted(cell, *wide);
        let pad = " ".repeat(wide.saturating_sub(width(&cell)));
        if column.set == Set::Number {
            line.push_str(&pad);
            line.push_str(&cell);
        } else {
            line.push_str(&cell);
            line.push_str(&pad);
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// One line of blocks for all decisions, one for those that were or would have been denied.
fn plot(out: &mut String, title: &str, timeline: &Timeline) {
    let (Some(first), Some(last)) = (timeline.bars.first(), timeline.bars.last()) else {
        return;
    };
    wrap(
        out,
        "",
        "",
        &format!(
            "{title}, from {} to {}",
            first.start.minute(),
            last.start.minute()
        ),
    );
    let mut line = |name: &str, number: fn(&Bar) -> u64| {
        let most = timeline.bars.iter().map(number).max().unwrap_or_default();
        let blocks: String = timeline
            .bars
            .iter()
            .take(COLUMNS - 30)
            .map(|bar| block(number(bar), most))
            .collect();
        let line = format!(
            "  {name:<9} {blocks}  at most {}",
            crate::report::count(most)
        );
        out.push_str(line.trim_end());
        out.push('\n');
    };
    line("all", |bar| bar.allowed + bar.denied + bar.would_deny);
    line("denied", |bar| bar.denied);
    if timeline.bars.iter().any(|bar| bar.would_deny > 0) {
        line("would be", |bar| bar.would_deny);
    }
}

/// A block of the height of a number, of eight: what is not zero is seen.
fn block(number: u64, most: u64) -> char {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = match (number, most) {
        (0, _) | (_, 0) => 0,
        (number, most) => (u128::from(number) * 8).div_ceil(u128::from(most)),
    };
    usize::try_from(height)
        .ok()
        .and_then(|height| BLOCKS.get(height))
        .copied()
        .unwrap_or('█')
}
