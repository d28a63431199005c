//! The document as one HTML page.

use super::{Block, Column, Document, Set, Table, plot, writer::Html};
use crate::report::Severity;

const STYLE: &str = include_str!("style.css");

pub(super) fn write(document: &Document) -> String {
    let mut html = Html::default();
    html.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    // Should a way into the markup be found all the same, nothing is run or fetched.
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n");
    html.raw("<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html.text(&document.title)
        .raw(": ")
        .text(&document.subtitle)
        .raw("</title>\n<style>\n")
        .raw(STYLE);
    html.raw("</style>\n</head>\n<body>\n<header><h1>")
        .text(&document.title)
        .raw("</h1><p>");
    html.text(&document.subtitle).raw("</p></header>\n<main>\n");
    banner(&mut html, document);
    let mut open = false;
    for block in &document.blocks {
        if let Block::Heading(2, ..) = block {
            html.raw(if open {
                "</section>\n<section>\n"
            } else {
                "<section>\n"
            });
            open = true;
        }
        write_block(&mut html, block);
    }
    html.raw(if open { "</section>\n" } else { "" })
        .raw("</main>\n</body>\n</html>\n");
    html.finish()
}

fn banner(html: &mut Html, document: &Document) {
    let (open, word) = match document.severity {
        Severity::Alarm => ("<p class=\"banner alarm\"><strong>", "Alarm"),
        Severity::Attention => ("<p class=\"banner attention\"><strong>", "Attention"),
        Severity::Note => ("<p class=\"banner good\"><strong>", "In order"),
    };
    html.raw(open)
        .raw(word)
        .raw("</strong> ")
        .text(&document.sentence)
        .raw("</p>\n");
}

fn write_block(html: &mut Html, block: &Block) {
    match block {
        Block::Heading(level, text, number) => {
            html.raw(if *level == 2 { "<h2" } else { "<h3" });
            if let Some(number) = number {
                html.raw(" id=\"agent-").text(&number.to_string()).raw("\"");
            }
            html.raw(">")
                .text(text)
                .raw(if *level == 2 { "</h2>\n" } else { "</h3>\n" });
        }
        Block::Text(text) => {
            html.raw("<p>").text(text).raw("</p>\n");
        }
        Block::Items(items) => write_items(html, items),
        Block::Facts(facts) => {
            html.raw("<dl class=\"facts\">");
            for (name, value) in facts {
                html.raw("<div><dt>")
                    .raw(name)
                    .raw("</dt><dd>")
                    .text(value)
                    .raw("</dd></div>");
            }
            html.raw("</dl>\n");
        }
        Block::Table(table) => write_table(html, table),
        Block::Plot(title, timeline) => plot::write(html, title, timeline),
    }
}

fn write_items(html: &mut Html, items: &[(Option<Severity>, String)]) {
    html.raw("<ul>");
    for (severity, text) in items {
        html.raw(match severity {
            Some(Severity::Alarm) => "<li class=\"alarm\"><strong>Alarm:</strong> ",
            Some(Severity::Attention) => "<li class=\"attention\"><strong>Attention:</strong> ",
            Some(Severity::Note) | None => "<li>",
        });
        html.text(text).raw("</li>");
    }
    html.raw("</ul>\n");
}

fn write_table(html: &mut Html, table: &Table) {
    if table.rows.is_empty() {
        html.raw("<p class=\"none\"><b>")
            .text(&table.caption)
            .raw(":</b> ");
        html.text(table.note.as_deref().unwrap_or("None."))
            .raw("</p>\n");
        return;
    }
    html.raw("<div class=\"wide\"><table><caption>")
        .text(&table.caption)
        .raw("</caption><thead><tr>");
    for column in &table.columns {
        html.raw("<th scope=\"col\"")
            .raw(class(column))
            .raw(">")
            .raw(column.title)
            .raw("</th>");
    }
    html.raw("</tr></thead><tbody>\n");
    for (number, row) in table.rows.iter().enumerate() {
        html.raw("<tr>");
        for (n, (column, cell)) in table.columns.iter().zip(row).enumerate() {
            let (open, close) = if n == 0 {
                ("<th scope=\"row\"", "</th>")
            } else {
                ("<td", "</td>")
            };
            html.raw(open).raw(class(column)).raw(">");
            if table.leads && n == 0 {
                html.raw("<a href=\"#agent-")
                    .text(&number.to_string())
                    .raw("\">")
                    .text(cell)
                    .raw("</a>");
            } else if matches!(column.set, Set::Code | Set::Long) {
                html.path(cell);
            } else {
                html.text(cell);
            }
            html.raw(close);
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table>");
    if let Some(note) = &table.note {
        html.raw("<p class=\"note\">").text(note).raw("</p>");
    }
    html.raw("</div>\n");
}

const fn class(column: &Column) -> &'static str {
    match (column.set, column.minor) {
        (Set::Text, false) => " class=\"words\"",
        (Set::Text, true) => " class=\"words minor\"",
        (Set::Code | Set::Long, false) => " class=\"code\"",
        (Set::Code | Set::Long, true) => " class=\"code minor\"",
        (Set::Number, false) => " class=\"number\"",
        (Set::Number, true) => " class=\"number minor\"",
        (Set::Time, false) => " class=\"time\"",
        (Set::Time, true) => " class=\"time minor\"",
    }
}
