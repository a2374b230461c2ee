//! Markdown on a terminal: wrapped paragraphs, aligned tables, plain headings. In a pipe Markdown stays as it is.

use comfy_table::{Cell, ContentArrangement, Table, presets};

use crate::out::{Tone, paint};

/// The widest line that is easy to read.
const WIDTH_MAX: u16 = 100;
/// Width when the terminal does not report one.
const WIDTH_ELSE: u16 = 80;

/// Formats Markdown for a terminal.
pub fn for_terminal(markdown: &str) -> String {
    let width = Table::new().width().unwrap_or(WIDTH_ELSE).clamp(20, WIDTH_MAX);
    render(markdown, width)
}

fn render(markdown: &str, width: u16) -> String {
    let mut text = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(next) = lines.next_if(|next| next.starts_with('|')) {
                rows.push(cells(next));
            }
            text.push_str(&table(&rows, width));
        } else if let Some(title) = line.strip_prefix("# ") {
            let rule = "=".repeat(title.chars().count().min(width.into()));
            text.push_str(&format!("{}\n{}", paint(Tone::Bold, &inline(title)), paint(Tone::Dim, &rule)));
        } else if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            let rule = "-".repeat(title.chars().count().min(width.into()));
            text.push_str(&format!("{}\n{}", paint(Tone::Bold, &inline(title)), paint(Tone::Dim, &rule)));
        } else if let Some((indent, item)) = bullet(line) {
            let hanging = " ".repeat(indent.len() + 2);
            text.push_str(&wrap(&inline(item), &format!("{indent}- "), &hanging, width));
        } else {
            text.push_str(&wrap(&inline(line), "", "", width));
        }
        text.push('\n');
    }
    text
}

fn bullet(line: &str) -> Option<(&str, &str)> {
    let at = line.find(|c: char| c != ' ')?;
    line[at..].strip_prefix("- ").map(|item| (&line[..at], item))
}

/// Removes markers of emphasis, which are noise on a terminal.
fn inline(text: &str) -> String {
    let trimmed = text.trim_end();
    let alone = |marker: &str| trimmed.strip_prefix(marker).and_then(|rest| rest.strip_suffix(marker));
    if let Some(bold) = alone("**").filter(|inner| !inner.contains("**")) {
        return paint(Tone::Bold, bold);
    }
    match alone("*").filter(|inner| !inner.contains('*') && !inner.is_empty()) {
        Some(remark) => paint(Tone::Warn, remark),
        None => trimmed.to_owned(),
    }
}

fn wrap(text: &str, first: &str, hanging: &str, width: u16) -> String {
    let mut lines = String::from(first);
    let mut used = first.chars().count();
    let mut fresh = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if !fresh && used + 1 + length > width.into() {
            lines.push('\n');
            lines.push_str(hanging);
            used = hanging.chars().count();
            fresh = true;
        }
        if !fresh {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
        fresh = false;
    }
    lines
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in inner.chars() {
        match (c, escaped) {
            ('\\', false) => escaped = true,
            ('|', false) => cells.push(String::new()),
            (c, was) => {
                let Some(cell) = cells.last_mut() else { continue };
                if was && c != '|' {
                    cell.push('\\');
                }
                cell.push(c);
                escaped = false;
            }
        }
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

fn table(rows: &[Vec<String>], width: u16) -> String {
    let is_rule = |row: &Vec<String>| row.iter().all(|cell| cell.is_empty() || cell.chars().all(|c| "-: ".contains(c)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    // Two columns are names and values, which have no heading; more are a list of things.
    let listed = rows.first().is_some_and(|row| row.len() > 2);
    for (number, row) in rows.iter().enumerate().filter(|(number, row)| *number != 1 || !is_rule(row)) {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let name = (listed && number == 0) || (!listed && column == 0);
            Cell::new(if name { paint(Tone::Dim, cell) } else { cell.clone() })
        });
        table.add_row(cells);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_wrapped_and_its_tables_are_aligned() {
        let page = "# Title\n\nOne two three four five six.\n\n- a bullet that is longer than a line\n\n| Name | A\\|B |\n|---|---|\n| x | 1 |\n";
        let text = render(page, 20);
        let plain = anstream::adapter::strip_str(&text).to_string();
        let expected = "Title\n=====\n\nOne two three four\nfive six.\n\n- a bullet that is\n  longer than a line\n\n Name  A|B\n x     1\n";
        assert_eq!(plain, expected);
    }

    #[test]
    fn odd_markdown_is_left_alone() {
        for page in ["", "**", "*", "|", "||", "- ", "#", "| a \\", "\u{1F600}"] {
            let _ = render(page, 20);
        }
    }
}
