//! Decisions over time as inline SVG: bars alone, which stretch with the page; what is to be read is
//! HTML around them, which does not.

use super::writer::Html;
use crate::report::{Bar, Moment, Timeline, count, step};

/// Height of the drawing in its own units; its width is a unit a bar.
const HEIGHT: f64 = 100.0;

pub(super) fn write(html: &mut Html, title: &str, timeline: &Timeline) {
    if timeline.bars.is_empty() {
        return;
    }
    let sum = |number: fn(&Bar) -> u64| timeline.bars.iter().map(number).sum::<u64>();
    let (allowed, denied, would) = (sum(|b| b.allowed), sum(|b| b.denied), sum(|b| b.would_deny));
    let words = format!(
        "{title}, a bar for {}: {} allowed, {} denied, {} would have been denied",
        step(timeline.step_seconds),
        count(allowed),
        count(denied),
        count(would)
    );
    html.raw("<figure class=\"plot\"><figcaption>")
        .text(title)
        .raw(", a bar for ")
        .text(&step(timeline.step_seconds));
    html.raw("<span class=\"keys\">");
    key(html, "<i class=\"a\"></i>allowed ", allowed);
    key(html, "<i class=\"d\"></i>denied ", denied);
    key(html, "<i class=\"w\"></i>would be denied ", would);
    html.raw("</span></figcaption>");
    let parts: [Part; 3] = [
        |bar| (bar.allowed, "a"),
        |bar| (bar.denied, "d"),
        |bar| (bar.would_deny, "w"),
    ];
    panel(html, &words, timeline, &parts, "all");
    if denied + would > 0 && allowed > 0 {
        let only = format!(
            "{title}: those that were or would have been denied alone, on a scale of their own"
        );
        panel(html, &only, timeline, &parts[1..], "denied only");
    }
    axis(html, timeline);
    html.raw("</figure>");
}

/// A part of a bar: how many, and its class.
type Part = fn(&Bar) -> (u64, &'static str);

fn key(html: &mut Html, mark: &'static str, number: u64) {
    if number > 0 {
        html.raw("<span>")
            .raw(mark)
            .text(&count(number))
            .raw("</span>");
    }
}

fn panel(html: &mut Html, words: &str, timeline: &Timeline, parts: &[Part], name: &'static str) {
    let height = |bar: &Bar| parts.iter().map(|part| part(bar).0).sum::<u64>();
    let most = timeline
        .bars
        .iter()
        .map(height)
        .max()
        .unwrap_or_default()
        .max(1);
    html.raw("<div class=\"panel\"><div class=\"y\" aria-hidden=\"true\"><b>")
        .text(&count(most));
    html.raw("</b><span>").raw(name).raw("</span></div>");
    html.raw("<svg role=\"img\" preserveAspectRatio=\"none\" viewBox=\"0 0 ");
    html.number(wide(timeline.bars.len()))
        .raw(" 100\" aria-label=\"")
        .text(words)
        .raw("\">");
    for (n, bar) in timeline.bars.iter().enumerate() {
        stack(html, n, bar, parts, most);
    }
    html.raw("</svg></div>");
}

fn wide(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn stack(html: &mut Html, n: usize, bar: &Bar, parts: &[Part], most: u64) {
    if parts.iter().all(|part| part(bar).0 == 0) {
        return;
    }
    html.raw("<g><title>")
        .text(&bar.start.minute())
        .raw(" UTC: ")
        .text(&told(bar))
        .raw("</title>");
    let mut top = HEIGHT;
    for part in parts {
        let (number, class) = part(bar);
        if number == 0 {
            continue;
        }
        // Few are seen as well: a bar has half a unit at least.
        #[expect(clippy::cast_precision_loss, reason = "a picture is no count")]
        let height = (number as f64 / most as f64 * HEIGHT).max(0.6);
        top -= height;
        html.raw("<rect class=\"")
            .raw(class)
            .raw("\" x=\"")
            .number(wide(n) + 0.08);
        html.raw("\" y=\"")
            .number(top.max(0.0))
            .raw("\" width=\".84\" height=\"")
            .number(height)
            .raw("\"/>");
    }
    html.raw("</g>");
}

fn told(bar: &Bar) -> String {
    let mut parts = Vec::new();
    for (number, name) in [
        (bar.allowed, "allowed"),
        (bar.denied, "denied"),
        (bar.would_deny, "would be denied"),
    ] {
        if number > 0 {
            parts.push(format!("{} {name}", count(number)));
        }
    }
    parts.join(", ")
}

fn axis(html: &mut Html, timeline: &Timeline) {
    let of_days = timeline.step_seconds >= 6 * 3_600;
    let shown = |at: Moment| if of_days { at.day() } else { at.minute() };
    let (first, last) = (timeline.bars.first(), timeline.bars.last());
    let middle = timeline
        .bars
        .get(timeline.bars.len() / 2)
        .filter(|_| timeline.bars.len() > 4);
    html.raw("<div class=\"x\" aria-hidden=\"true\">");
    for bar in [first, middle, last].into_iter().flatten() {
        html.raw("<span>").text(&shown(bar.start)).raw("</span>");
    }
    html.raw("</div>");
}
