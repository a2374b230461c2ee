//! Reader of single values. Errors name the expected kind, the found kind and the position.

use serde_json::Value as Json;

use super::{
    near::nearest,
    node::{Content, Node, Place},
    problem::{Problem, Problems},
    scalar,
    shape::{Key, Table},
    words,
};
use crate::{money::Money, name::Name, time::DurationMs};

/// Path of a field, as a list that lives on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Trail<'t> {
    parent: Option<&'t Trail<'t>>,
    name: &'t str,
}

impl<'t> Trail<'t> {
    /// Path of the whole file.
    pub const ROOT: Trail<'static> = Trail { parent: None, name: "" };

    /// Returns the path of an inner field.
    #[must_use]
    pub fn then(&'t self, name: &'t str) -> Trail<'t> {
        Trail { parent: Some(self), name }
    }

    /// Returns the name of the field itself.
    #[must_use]
    pub fn last(&self) -> &'t str {
        self.name
    }

    /// Formats the path: `steps.fetch.retry`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.parent.map(Trail::text).unwrap_or_default();
        if !text.is_empty() && !self.name.is_empty() && !self.name.starts_with('[') {
            text.push('.');
        }
        text.push_str(self.name);
        text
    }
}

/// Reads values of a file and collects its problems.
#[derive(Debug)]
pub struct Reader<'s> {
    /// Text of the file.
    pub source: &'s str,
    /// Problems so far.
    pub problems: Problems,
}

impl Reader<'_> {
    /// Reports a problem with the value at that position.
    pub fn report(&mut self, place: Place, trail: &Trail<'_>, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = (place.line, place.column);
        self.problems.push(Problem { line, column, field: trail.text(), message: message.into(), hint });
    }

    /// Reports a value of another kind than expected.
    pub fn expected(&mut self, node: &Node<'_>, trail: &Trail<'_>, expected: &str) {
        let message = format!("expected {expected}, found {}", node.kind());
        let hint = node.is_null().then(|| "give it a value, or remove the key".to_owned());
        self.report(node.place, trail, message, hint);
    }

    /// Reports a value that is not a map, with the expected keys when they are few.
    pub(super) fn expected_map<S>(&mut self, node: &Node<'_>, trail: &Trail<'_>, table: &Table<S>) {
        if table.keys.len() > 8 {
            return self.expected(node, trail, "a map");
        }
        let names: Vec<&str> = table.names().collect();
        self.expected(node, trail, &format!("a map with the keys {}", names.join(", ")));
    }

    /// Reads the entries of a map with the keys of a table. Unknown and missing keys are reported.
    pub fn table<'n, 'a, S: 'static>(
        &mut self,
        node: &'n Node<'a>,
        trail: &Trail<'_>,
        table: &Table<S>,
    ) -> Vec<(&'static Key<S>, &'n Node<'a>)> {
        let Some(entries) = node.entries() else {
            self.expected_map(node, trail, table);
            return Vec::new();
        };
        let mut found = Vec::with_capacity(entries.len());
        let mut misspelt = Vec::new();
        for (name, value) in entries {
            let text = name.text().unwrap_or_default();
            match table.key(text) {
                Some(key) => found.push((key, value)),
                None => misspelt.extend(self.unknown(name, trail, table)),
            }
        }
        let given = |name: &str| found.iter().any(|(key, _)| key.name == name) || misspelt.contains(&name);
        for missing in table.required.iter().filter(|required| !given(required)) {
            let about = table.key(missing).map(|key| format!("add `{missing}:`. {}", key.about));
            self.report(node.place, trail, format!("`{missing}` is missing"), about);
        }
        found
    }

    /// Reports a key that the table does not have. A key of equal meaning comes before one of similar spelling.
    fn unknown<S>(&mut self, name: &Node<'_>, trail: &Trail<'_>, table: &Table<S>) -> Option<&'static str> {
        let text = name.text().unwrap_or_default();
        let shown: String = text.chars().take(60).collect();
        let near = nearest(text, table.names());
        let hint = match (words::advice(table.name, text), near) {
            (Some(advice), _) => advice.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("known here: {}", table.names().collect::<Vec<_>>().join(", ")),
        };
        self.report(name.place, &trail.then(&shown), format!("unknown key `{shown}`"), Some(hint));
        near
    }

    /// Reads the text of a value as it is written: `1.10` and `012` are kept.
    pub fn text<'n>(&mut self, node: &'n Node<'_>, trail: &Trail<'_>) -> Option<&'n str> {
        if node.text().is_none() || node.is_null() {
            self.expected(node, trail, "text");
            return None;
        }
        node.text()
    }

    /// Reads a name of a worker, queue, model or workflow.
    pub fn name(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Name> {
        let text = match (&node.content, node.kind()) {
            (Content::Scalar { text, .. }, "text") => text,
            (_, kind) => {
                let hint = matches!(kind, "true or false").then(|| "put it in quotes".to_owned());
                self.expected(node, trail, "a name");
                if let Some(problem) = self.problems.problems.last_mut().filter(|problem| problem.hint.is_none()) {
                    problem.hint = hint;
                }
                return None;
            }
        };
        Name::parse(text).map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    /// Reads a duration such as `30s`.
    pub fn duration(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<DurationMs> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.expected(node, trail, "a duration such as 30s");
            return None;
        };
        let parsed = DurationMs::parse(text);
        parsed.map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    /// Reads an amount in dollars from its digits as they are written.
    pub fn money(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Money> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.expected(node, trail, "an amount in dollars such as $2.50");
            return None;
        };
        let parsed = Money::parse(text);
        parsed.map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    /// Reads a number between two bounds.
    pub fn number(&mut self, node: &Node<'_>, trail: &Trail<'_>, bounds: (f64, f64), whole: bool) -> Option<f64> {
        let (least, most) = bounds;
        let word = if whole { "a whole number" } else { "a number" };
        let found = match self.scalar(node) {
            Some(Json::Number(number)) if !whole || !number.is_f64() => number.as_f64(),
            _ => None,
        };
        match found {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                let message = match (number < least, most == f64::MAX) {
                    (true, true) => format!("{number} is less than {least}"),
                    _ => format!("{number} is not between {least} and {most}"),
                };
                self.report(node.place, trail, message, None);
                None
            }
            None => {
                self.expected(node, trail, &format!("{word} between {least} and {most}"));
                None
            }
        }
    }

    /// Returns the JSON of a scalar. Returns `None` for a list, a map, or a number that JSON cannot hold.
    #[must_use]
    pub fn scalar(&self, node: &Node<'_>) -> Option<Json> {
        match &node.content {
            Content::Scalar { text, plain } => scalar::to_json(text, *plain),
            _ => None,
        }
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<bool> {
        match self.scalar(node) {
            Some(Json::Bool(flag)) => Some(flag),
            _ => {
                self.expected(node, trail, "true or false");
                let old = node.text().is_some_and(|text| {
                    matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n")
                });
                if let Some(problem) = self.problems.problems.last_mut().filter(|_| old) {
                    problem.hint = Some("in YAML 1.2 yes, no, on and off are text: write true or false".to_owned());
                }
                None
            }
        }
    }

    /// Reads one of a few words. Returns its index among them.
    pub fn one_of(&mut self, node: &Node<'_>, trail: &Trail<'_>, words: &[&str]) -> Option<usize> {
        let listed = words.join(", ");
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.expected(node, trail, &format!("one of {listed}"));
            return None;
        };
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let shown: String = text.chars().take(60).collect();
            let hint = match nearest(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {listed}"),
            };
            self.report(node.place, trail, format!("`{shown}` is not known here"), Some(hint));
        }
        found
    }

    /// Reads the JSON of a value.
    pub fn json(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Json> {
        match scalar::tree_to_json(node) {
            Ok(json) => Some(json),
            Err(place) => {
                let hint = Some("write it in quotes to keep it as text".to_owned());
                self.report(place, trail, "the number cannot be kept exactly in JSON", hint);
                None
            }
        }
    }
}
