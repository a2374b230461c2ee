//! Secrets by reference: `${secret:NAME}` in the settings of a worker.
//!
//! The value is read at the moment of use, from a variable or a file that `secrets:` of kapelle.yaml names.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::PathBuf, sync::Arc};

use kapelle_core::TaskError;
use kapelle_workers::configured::Fault;
use serde_json::Value;

use crate::faults::unsettled;

/// The longest file that holds a secret, in bytes.
const SECRET_MAX: u64 = 16 << 10;
/// Shorter values are not searched for in outputs: they would change words that are no secret.
const SCRUB_LEAST: usize = 4;
const OPEN: &str = "${secret:";

/// Returns the value of a variable.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The place of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment or of `.env`.
    Variable(String),
    /// A file, whose first and last white space does not count.
    File(PathBuf),
}

/// The secrets that the owner declared, by name. Values are not kept.
#[derive(Clone)]
pub struct Secrets {
    sources: Arc<BTreeMap<String, SecretSource>>,
    lookup: Lookup,
}

impl Secrets {
    /// Makes the list of secrets.
    #[must_use]
    pub fn new(sources: BTreeMap<String, SecretSource>, lookup: Lookup) -> Secrets {
        Secrets { sources: Arc::new(sources), lookup }
    }

    fn value(&self, name: &str) -> Result<String, TaskError> {
        let missing = |what: String| Err(unsettled(format!("secret `{name}`: {what}")));
        let value = match self.sources.get(name) {
            None => return missing("it is not declared; add it to `secrets:` of kapelle.yaml".to_owned()),
            Some(SecretSource::Variable(variable)) => match (self.lookup)(variable) {
                Some(value) => value,
                None => return missing(format!("the variable {variable} is not set; set it, or write it to .env")),
            },
            Some(SecretSource::File(path)) => {
                let mut text = String::new();
                let read = File::open(path).and_then(|file| file.take(SECRET_MAX).read_to_string(&mut text));
                match read {
                    Ok(_) => text.trim().to_owned(),
                    Err(error) => return missing(format!("{} cannot be read: {error}", path.display())),
                }
            }
        };
        if value.is_empty() { missing("it is empty; give it a value".to_owned()) } else { Ok(value) }
    }
}

/// A text of the settings that may refer to secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretText {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

impl SecretText {
    /// Reads a text. A reference to a secret that is not declared is a fault.
    pub(crate) fn read(field: &str, text: &str, secrets: &Secrets, faults: &mut Vec<Fault>) -> SecretText {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let Some((name, after)) = after.split_once('}') else {
                faults.push(Fault::of(field, "`${secret:` has no end", "write ${secret:NAME}"));
                return SecretText { parts };
            };
            if !secrets.sources.contains_key(name) {
                let known: Vec<&str> = secrets.sources.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let hint =
                    format!("declare it in kapelle.yaml: `secrets: {{ {name}: {{ env: VARIABLE }} }}`; known: {known}");
                faults.push(Fault::of(field, format!("unknown secret `{name}`"), hint));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Secret(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        SecretText { parts }
    }

    /// Reads a map of texts, such as headers.
    pub(crate) fn read_map(
        field: &str,
        settings: &Value,
        secrets: &Secrets,
        faults: &mut Vec<Fault>,
    ) -> Vec<(String, SecretText)> {
        let entries = settings[field].as_object().into_iter().flatten();
        let mut read = |(name, text): (&String, &Value)| {
            let text = SecretText::read(&format!("{field}.{name}"), text.as_str().unwrap_or(""), secrets, faults);
            (name.clone(), text)
        };
        entries.map(&mut read).collect()
    }

    /// Tells whether it refers to a secret.
    pub(crate) fn has_secret(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Secret(_)))
    }

    /// Returns the text with the values of its secrets, which are noted in `revealed`.
    ///
    /// # Errors
    /// When a secret has no value; the message names it.
    pub(crate) fn reveal(&self, secrets: &Secrets, revealed: &mut Revealed) -> Result<String, TaskError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Secret(name) => {
                    let value = secrets.value(name)?;
                    text.push_str(&value);
                    revealed.0.push((name.clone(), value));
                }
            }
        }
        Ok(text)
    }
}

/// Values that one attempt used, which are removed from its outputs and errors.
#[derive(Default)]
pub(crate) struct Revealed(Vec<(String, String)>);

impl Revealed {
    /// Returns the text with every value replaced by the name of its secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let long = self.0.iter().filter(|(_, value)| value.len() >= SCRUB_LEAST);
        long.fold(text.to_owned(), |text, (name, value)| {
            let text = text.replace(value.as_str(), &format!("[secret {name}]"));
            let escaped = Value::from(value.as_str()).to_string();
            text.replace(escaped.trim_matches('"'), &format!("[secret {name}]"))
        })
    }

    /// Returns the error without the values.
    pub(crate) fn scrub_error(&self, mut error: TaskError) -> TaskError {
        error.message = self.scrub(&error.message);
        error
    }

    /// Returns the value with all its texts scrubbed.
    pub(crate) fn scrub_value(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.scrub(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.scrub_value(item)).collect(),
            Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (self.scrub(&key), self.scrub_value(value))).collect())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(folder: &std::path::Path) -> Secrets {
        let sources = BTreeMap::from([
            ("token".to_owned(), SecretSource::Variable("TOKEN".to_owned())),
            ("unset".to_owned(), SecretSource::Variable("UNSET".to_owned())),
            ("file".to_owned(), SecretSource::File(folder.join("secret"))),
            ("gone".to_owned(), SecretSource::File(folder.join("gone"))),
        ]);
        Secrets::new(sources, Arc::new(|name| (name == "TOKEN").then(|| "s3cr\"t".to_owned())))
    }

    #[test]
    fn a_reference_is_resolved_when_it_is_used_and_scrubbed_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "first\n").unwrap();
        let secrets = secrets(folder.path());
        let mut faults = Vec::new();
        let text = SecretText::read("h", "Bearer ${secret:token}/${secret:file}!", &secrets, &mut faults);
        assert!(faults.is_empty() && text.has_secret() && !format!("{text:?}").contains("s3cr"));
        let mut revealed = Revealed::default();
        assert_eq!(text.reveal(&secrets, &mut revealed).unwrap(), "Bearer s3cr\"t/first!");
        std::fs::write(folder.path().join("secret"), "second").unwrap();
        assert_eq!(text.reveal(&secrets, &mut revealed).unwrap(), "Bearer s3cr\"t/second!");
        let shown = revealed.scrub_value(json!({ "a": ["x s3cr\"t", { "second": "{\"k\":\"s3cr\\\"t\"}" }] }));
        assert_eq!(shown, json!({ "a": ["x [secret token]", { "[secret file]": "{\"k\":\"[secret token]\"}" }] }));
    }

    #[test]
    fn what_is_missing_is_named_without_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(folder.path());
        for (text, part) in [
            ("${secret:unset}", "secret `unset`: the variable UNSET is not set"),
            ("${secret:gone}", "secret `gone`: "),
        ] {
            let read = SecretText::read("h", text, &secrets, &mut Vec::new());
            let error = read.reveal(&secrets, &mut Revealed::default()).unwrap_err();
            assert!(error.message.contains(part) && !error.retryable, "{error}");
        }
        for (text, part) in [("${secret:tokn}", "unknown secret `tokn`"), ("${secret:token", "has no end")] {
            let mut faults = Vec::new();
            SecretText::read("headers.x", text, &secrets, &mut faults);
            assert!(faults[0].field == "headers.x" && faults[0].message.contains(part), "{faults:?}");
        }
    }
}
