//! The table as it is printed, and as it is in the documentation.

use std::fs;

use super::cells::{ALL, Mark};
use crate::support::{Fallible, installed};

/// Stand around the table in `docs/providers.md`.
const AROUND: [&str; 2] = ["<!-- matrix: -->\n", "<!-- :matrix -->"];

/// In Markdown, every column as wide as its widest cell.
pub(super) fn written(rows: &[(&str, [Mark; ALL.len()])]) -> String {
    let head = ["provider"].into_iter().chain(ALL.iter().map(|(name, _)| *name));
    let mut lines: Vec<Vec<&str>> = vec![head.collect()];
    lines.extend(rows.iter().map(|(name, marks)| {
        let marks = marks.iter().map(|mark| mark.word());
        [*name].into_iter().chain(marks).collect()
    }));
    let widths: Vec<usize> = (0..=ALL.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let drawn = |line: &[&str]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("| {cell:width$} "));
        cells.collect::<String>() + "|\n"
    };
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let rule = format!("|{}|\n", dashes.join("|"));
    let mut table = drawn(&lines[0]) + &rule;
    for line in &lines[1..] {
        table.push_str(&drawn(line));
    }
    table
}

/// What the documentation has.
pub(super) fn documented() -> Fallible<String> {
    let page = fs::read_to_string(installed::root().join("docs/providers.md"))?;
    let [begin, end] = AROUND;
    let (_, rest) = page.split_once(begin).ok_or("docs/providers.md has no table")?;
    let (table, _) = rest.split_once(end).ok_or("the table in docs/providers.md has no end")?;
    Ok(table.to_owned())
}
