//! Definitions as readable YAML.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Formats the tree as YAML.
#[must_use]
pub fn write(tree: &Json) -> String {
    let mut text = String::new();
    entries(tree, 0, &mut text);
    text
}

fn entries(tree: &Json, depth: usize, text: &mut String) {
    let Json::Object(map) = tree else { return };
    for (key, value) in map {
        let _ = write!(text, "{:depth$}{key}:", "", depth = depth * 2);
        match value {
            Json::Object(inner) if !inner.is_empty() && has_depth(value) => {
                text.push('\n');
                entries(value, depth + 1, text);
            }
            _ => {
                text.push(' ');
                flow(value, text);
                text.push('\n');
            }
        }
    }
}

/// Tells whether a map holds further maps, and so is not written on one line.
fn has_depth(tree: &Json) -> bool {
    tree.as_object().is_some_and(|map| map.len() > 3 || map.values().any(Json::is_object))
}

fn flow(value: &Json, text: &mut String) {
    match value {
        Json::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", flowed(value))).collect();
            let _ = write!(text, "{{ {} }}", parts.join(", "));
        }
        Json::Array(items) => {
            let parts: Vec<String> = items.iter().map(flowed).collect();
            let _ = write!(text, "[{}]", parts.join(", "));
        }
        Json::String(word) if is_plain(word) => text.push_str(word),
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn flowed(value: &Json) -> String {
    let mut text = String::new();
    flow(value, &mut text);
    text
}

/// Tells whether a word needs no quotes.
fn is_plain(word: &str) -> bool {
    let begins = word.chars().next().is_some_and(|first| first.is_ascii_lowercase());
    let reserved = matches!(word, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    begins && !reserved && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let tree = serde_json::json!({
            "name": "x",
            "steps": { "a": { "worker": "w", "if": "inputs.a == 'b: c'", "with": { "n": 1, "on": [true, "yes"] } } },
        });
        let text = write(&tree);
        assert!(text.contains("\n  a:\n    worker: w\n"), "{text}");
        kapelle_core::definition::Definition::parse(text.as_bytes(), "x.yaml").unwrap();
    }
}
