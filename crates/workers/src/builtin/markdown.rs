//! Any JSON value as readable Markdown: strings are paragraphs, lists are bullets, objects are small tables.

use serde_json::{Map, Value};

/// The longest page, in bytes.
const PAGE_MAX: usize = 4 << 20;
/// Rows of one table, or bullets of one list.
const ROWS_MAX: usize = 2_000;
/// The deepest level of lists within lists; deeper values are written as JSON.
const DEPTH_MAX: usize = 5;
/// The longest text in a cell.
const CELL_MAX: usize = 160;

/// A page in progress.
#[derive(Default)]
pub(crate) struct Markdown {
    text: String,
}

impl Markdown {
    /// Returns the page, unless it grew too long.
    pub(crate) fn finish(self) -> Option<String> {
        let mut text = self.text.trim_end().to_owned();
        text.push('\n');
        (text.len() <= PAGE_MAX).then_some(text)
    }

    fn full(&self) -> bool {
        self.text.len() > PAGE_MAX
    }

    /// Adds a heading; its text is kept on one line.
    pub(crate) fn heading(&mut self, level: usize, text: &str) {
        let line = one_line(text);
        self.block(&format!("{} {line}", "#".repeat(level)));
    }

    /// Adds a paragraph as it is written.
    pub(crate) fn paragraph(&mut self, text: &str) {
        self.block(text.trim());
    }

    fn block(&mut self, text: &str) {
        if !self.full() {
            self.text.push_str(text);
            self.text.push_str("\n\n");
        }
    }

    /// Adds any value.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => self.object(map),
            Value::Array(items) if !items.is_empty() => self.list(items),
            Value::String(text) if !text.trim().is_empty() => self.paragraph(text),
            other => self.paragraph(&cell(other)),
        }
    }

    /// Adds an object. Short values make a table, long ones a part each; a property `text` needs no name.
    fn object(&mut self, map: &Map<String, Value>) {
        let (short, long): (Vec<_>, Vec<_>) = map.iter().partition(|(_, value)| fits_cell(value));
        if let Some(text) = map.get("text").and_then(Value::as_str) {
            self.paragraph(text);
        }
        let short: Vec<_> = short.into_iter().filter(|(name, _)| *name != "text").collect();
        if !short.is_empty() {
            let rows: Vec<Vec<String>> = short.iter().map(|(name, value)| vec![label(name), cell(value)]).collect();
            self.table(&rows);
        }
        for (name, value) in long.into_iter().filter(|(name, _)| *name != "text") {
            self.block(&format!("**{}**", label(name)));
            self.value(value);
        }
    }

    fn list(&mut self, items: &[Value]) {
        let alike =
            items.iter().all(|item| item.as_object().is_some_and(|m| !m.is_empty() && m.values().all(is_plain)));
        if alike {
            self.table_of(items);
            return;
        }
        let mut lines = String::new();
        bullets(items, 0, &mut lines);
        self.block(lines.trim_end());
    }

    /// Adds a table of objects; its columns are their properties in order of appearance.
    pub(crate) fn table_of(&mut self, items: &[Value]) {
        let mut columns: Vec<&String> = Vec::new();
        for name in items.iter().take(ROWS_MAX).filter_map(Value::as_object).flat_map(Map::keys) {
            if columns.len() < 12 && !columns.contains(&name) {
                columns.push(name);
            }
        }
        let mut rows = vec![columns.iter().map(|name| label(name)).collect::<Vec<_>>()];
        for item in items.iter().take(ROWS_MAX) {
            rows.push(columns.iter().map(|name| cell(item.get(name.as_str()).unwrap_or(&Value::Null))).collect());
        }
        self.table(&rows);
        if items.len() > ROWS_MAX {
            self.paragraph(&format!("and {} more", items.len() - ROWS_MAX));
        }
    }

    fn table(&mut self, rows: &[Vec<String>]) {
        let mut lines = String::new();
        for (number, row) in rows.iter().enumerate() {
            lines.push_str(&format!("| {} |\n", row.join(" | ")));
            if number == 0 {
                lines.push_str(&format!("|{}\n", "---|".repeat(row.len())));
            }
            if lines.len() > PAGE_MAX {
                break;
            }
        }
        self.block(lines.trim_end());
    }
}

fn bullets(items: &[Value], depth: usize, lines: &mut String) {
    for item in items.iter().take(ROWS_MAX) {
        if lines.len() > PAGE_MAX {
            return;
        }
        let indent = "  ".repeat(depth);
        match item {
            Value::Array(inner) if depth < DEPTH_MAX => bullets(inner, depth + 1, lines),
            Value::Object(map) if depth < DEPTH_MAX => {
                let parts: Vec<String> = map.iter().map(|(name, v)| format!("{}: {}", label(name), plain(v))).collect();
                lines.push_str(&format!("{indent}- {}\n", parts.join("; ")));
            }
            other => lines.push_str(&format!("{indent}- {}\n", plain(other))),
        }
    }
    if items.len() > ROWS_MAX {
        lines.push_str(&format!("- and {} more\n", items.len() - ROWS_MAX));
    }
}

fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn fits_cell(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= CELL_MAX && !text.contains('\n'),
        other => is_plain(other),
    }
}

/// Turns `key_points` into "Key points".
fn label(name: &str) -> String {
    let words = name.replace(['_', '|', '\n'], " ");
    let mut chars = words.trim().chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) if text.trim().is_empty() => "—".to_owned(),
        Value::String(text) => one_line(text),
        Value::Array(items) if items.is_empty() => "—".to_owned(),
        Value::Array(items) if items.iter().all(is_plain) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn cell(value: &Value) -> String {
    plain(value).replace('|', "\\|")
}
