//! The figures of `bench` as a picture: for each kernel and operation one bar a mode, over nothing attached.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::bench::{MODES, Numbers, OPERATIONS, percent};

const WIDTH: u32 = 900;
const LABEL: u32 = 220;
const BAR: u32 = 12;
const GAP: u32 = 14;
/// Percentages that the longest bar stands for at most; a longer one is cut and says its number.
const FULL: f64 = 60.0;
const COLORS: [&str; 6] = [
    "#b0b0b0", "#4c78a8", "#72b7b2", "#54a24b", "#eeca3b", "#e45756",
];

/// The picture. Numbers that are not there have no bar.
pub fn svg(numbers: &BTreeMap<String, Numbers>) -> String {
    let modes = &MODES[1..];
    let mut body = String::new();
    let mut y = 64;
    let mut line = |text: &str| {
        body.push_str(text);
        body.push('\n');
    };
    for (series, by_operation) in numbers {
        line(&format!(
            r#"<text x="16" y="{y}" font-weight="bold">Linux {series}</text>"#
        ));
        y += GAP;
        for (operation, meaning) in OPERATIONS {
            let Some(by_mode) = by_operation.get(operation) else {
                continue;
            };
            let Some(base) = by_mode.get("none").copied().filter(|base| *base > 0) else {
                continue;
            };
            line(&format!(r#"<text x="16" y="{}">{meaning}</text>"#, y + BAR));
            line(&format!(
                r##"<text x="16" y="{}" fill="#666" font-size="10">{base} instructions</text>"##,
                y + 2 * BAR + 2
            ));
            for (mode, color) in modes.iter().zip(COLORS) {
                let Some(number) = by_mode.get(*mode) else {
                    continue;
                };
                let over = percent(*number, base);
                let room = f64::from(WIDTH - LABEL - 120);
                let length = (over.clamp(0.0, FULL) / FULL * room).max(1.0);
                line(&format!(
                    r#"<rect x="{LABEL}" y="{y}" width="{length:.0}" height="{}" fill="{color}"/>"#,
                    BAR - 2
                ));
                line(&format!(
                    r#"<text x="{:.0}" y="{}" font-size="10">{over:+.1} %</text>"#,
                    f64::from(LABEL) + length + 4.0,
                    y + BAR - 3
                ));
                y += BAR;
            }
            y += GAP;
        }
        y += GAP;
    }
    let mut legend = String::new();
    for (index, (mode, color)) in modes.iter().zip(COLORS).enumerate() {
        let x = 16 + u32::try_from(index).unwrap_or_default() * 140;
        let _ = writeln!(
            legend,
            r#"<rect x="{x}" y="30" width="10" height="10" fill="{color}"/><text x="{}" y="39">{mode}</text>"#,
            x + 14
        );
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="18" font-size="14">Instructions a call, more than with nothing attached</text>
{legend}{body}</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_for_each_number_and_none_for_what_is_missing() {
        let by_mode = BTreeMap::from([
            ("none".to_owned(), 100),
            ("noop".to_owned(), 110),
            ("denied".to_owned(), 90),
        ]);
        let numbers = Numbers::from([("tcp".to_owned(), by_mode)]);
        let text = svg(&BTreeMap::from([("6.12".to_owned(), numbers)]));
        assert!(
            text.contains("+10.0 %") && text.contains("-10.0 %"),
            "{text}"
        );
        assert_eq!(text.matches("<rect x=\"220\"").count(), 2);
    }
}
