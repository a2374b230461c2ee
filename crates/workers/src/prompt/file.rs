//! The YAML of a prompt worker, and errors that point at its lines.

use std::fmt;

use kapelle_core::{Category, limit::KeyLimit, retry::Jitter};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::offline::Method;

/// A file longer than this is no worker definition.
const FILE_MAX: usize = 256 << 10;

/// What is wrong with a worker file: `workers/x.yaml:3:1: message`, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// The file's name.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl DefinitionError {
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError { file: file.to_owned(), line: 0, column: 0, message: message.into(), help: None }
    }

    pub(crate) fn at(file: &str, place: Location, message: impl Into<String>) -> DefinitionError {
        let (line, column) = (place.line(), place.column());
        DefinitionError { file: file.to_owned(), line, column, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> DefinitionError {
        self.help = Some(help.into());
        self
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptFile {
    pub(crate) kind: Spanned<String>,
    pub(crate) name: Spanned<String>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) queue: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) slots: Option<Spanned<u32>>,
    #[serde(default)]
    pub(crate) model: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) offline: Option<Method>,
    #[serde(default)]
    pub(crate) fallback: Option<bool>,
    #[serde(default)]
    pub(crate) max_cost: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) timeout: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) retry: Option<RetryFile>,
    #[serde(default)]
    pub(crate) per_key: Option<Spanned<PerKey>>,
    #[serde(default)]
    pub(crate) requires: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(crate) cache: Option<Spanned<CacheFor>>,
    #[serde(default)]
    pub(crate) temperature: Option<f64>,
    #[serde(default)]
    pub(crate) max_output_tokens: Option<u32>,
    #[serde(default)]
    pub(crate) input: Option<Spanned<Value>>,
    #[serde(default)]
    pub(crate) max_input_tokens: Option<u64>,
    #[serde(default)]
    pub(crate) system: Option<Spanned<String>>,
    pub(crate) prompt: Spanned<String>,
    #[serde(default)]
    pub(crate) output: Option<Spanned<Value>>,
}

/// `per_key: 1`, or `per_key: { limit: 1, when_full: reject }`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum PerKey {
    Limit(u32),
    Rule(KeyLimit),
}

/// `cache: true`, or `cache: 1h`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum CacheFor {
    Switch(bool),
    Age(String),
}

/// The retry rules as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryFile {
    #[serde(default)]
    pub(crate) max_attempts: Option<Spanned<u32>>,
    #[serde(default)]
    pub(crate) delay: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) multiplier: Option<Spanned<f64>>,
    #[serde(default)]
    pub(crate) max_delay: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) jitter: Option<Jitter>,
    #[serde(default)]
    pub(crate) on: Option<Vec<Category>>,
}

/// Reads the YAML.
pub(crate) fn read(file: &str, text: &str) -> Result<PromptFile, DefinitionError> {
    if text.len() > FILE_MAX {
        let message = format!("the file has {} KiB; a worker file has at most 256 KiB", text.len() >> 10);
        return Err(DefinitionError::whole(file, message));
    }
    if text.trim().is_empty() {
        return Err(DefinitionError::whole(file, "the file is empty").help("a worker file begins with `kind: prompt`"));
    }
    parse(file, text)
}

/// Reads YAML of any shape within the bounds of a worker file.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, DefinitionError> {
    // Anchors are refused by the budget: a definition has no use for them, and they can unfold to any size.
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_documents: 1, max_depth: 64, max_aliases: 0, max_anchors: 0 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(file, &error))
}

fn explain(file: &str, error: &serde_saphyr::Error) -> DefinitionError {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let place = error.location().unwrap_or(Location::UNKNOWN);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let known = expected.join(", ");
            let help = match nearest(field, expected) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {known}"),
            };
            DefinitionError::at(file, place, format!("unknown key `{field}`")).help(help)
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let help = format!("one of: {}", expected.join(", "));
            DefinitionError::at(file, place, format!("`{variant}` is not known here")).help(help)
        }
        Error::SerdeMissingField { field, .. } => {
            let message = format!("the key `{field}` is missing");
            DefinitionError::at(file, place, message).help(format!("add `{field}: ...` at the top level"))
        }
        other => {
            let text = other.to_string();
            // The place is told in front already.
            let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
            DefinitionError::at(file, place, text)
        }
    }
}

/// The known word that is at most two letters away.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).collect();
    let far = |other: &str| {
        let mut row: Vec<usize> = (0..=other.len()).collect();
        for (at, a) in word.iter().enumerate() {
            let mut corner = row[0];
            row[0] = at + 1;
            for (to, b) in other.chars().enumerate() {
                let changed = corner + usize::from(*a != b);
                corner = row[to + 1];
                row[to + 1] = changed.min(row[to] + 1).min(corner + 1);
            }
        }
        row[other.len()]
    };
    known.iter().map(|k| (far(k), *k)).filter(|&(distance, k)| distance <= 2.min(k.len() / 2)).min().map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "kind: prompt\nname: x\nprompt: Say {{ text }}\n";

    fn refused(text: &str) -> String {
        read("workers/x.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_placed_and_the_right_one_suggested() {
        assert!(read("x", GOOD).is_ok());
        let text = format!("{GOOD}ofline: summary\n");
        assert_eq!(refused(&text), "workers/x.yaml:4:1: unknown key `ofline`\n  help: did you mean `offline`?");
        assert!(refused(&format!("{GOOD}colour: red\n")).contains("help: known keys: kind, name"));
    }

    #[test]
    fn every_other_mistake_has_a_line_too() {
        for (text, part) in [
            (format!("{GOOD}slots: many\n"), "x.yaml:4:8: "),
            (format!("{GOOD}offline: magic\n"), "x.yaml:4:10: `magic` is not known here\n  help: one of: language"),
            ("kind: prompt\nname: x\n".to_owned(), "the key `prompt` is missing"),
            (format!("{GOOD}name: y\n"), "duplicate"),
            (format!("{GOOD}input: &a [*a]\n"), "x.yaml:4:"),
            ("\t- [".to_owned(), "x.yaml:1:"),
            (String::new(), "x.yaml: the file is empty"),
            ("x".repeat(300 << 10), "at most 256 KiB"),
        ] {
            let error = refused(&text);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(nearest("sloths", &["slots", "queue"]), Some("slots"));
        assert_eq!(nearest("", &["slots"]), None);
        assert_eq!(nearest("zzzzz", &["slots"]), None);
    }
}
