//! Reads single values, and says what was expected, what was found and where.

use serde_json::Value as Json;

use super::{
    keys::{Key, Shape, Table},
    near::nearest,
    node::{Content, Node, Place},
    problem::{Problem, Problems},
    references::Site,
    scalar,
};
use crate::{
    expr::{ExprError, Expression, Path, Template},
    money::Money,
    name::Name,
    time::DurationMs,
};

/// The way to a field, as a list that lives on the stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail<'t> {
    parent: Option<&'t Trail<'t>>,
    name: &'t str,
}

impl<'t> Trail<'t> {
    pub const ROOT: Trail<'static> = Trail { parent: None, name: "" };

    pub fn then(&'t self, name: &'t str) -> Trail<'t> {
        Trail { parent: Some(self), name }
    }

    /// The name of the field itself.
    pub fn last(&self) -> &'t str {
        self.name
    }

    pub fn text(&self) -> String {
        let mut text = self.parent.map(Trail::text).unwrap_or_default();
        if !text.is_empty() && !self.name.is_empty() && !self.name.starts_with('[') {
            text.push('.');
        }
        text.push_str(self.name);
        text
    }
}

/// What all readers share: the text, the problems so far, and the references to be checked at the end.
pub(super) struct Reader<'s> {
    pub source: &'s str,
    pub problems: Problems,
    pub sites: Vec<Site>,
}

impl Reader<'_> {
    pub fn report(&mut self, place: Place, trail: &Trail<'_>, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = (place.line, place.column);
        self.problems.push(Problem { line, column, field: trail.text(), message: message.into(), hint });
    }

    fn expected(&mut self, node: &Node<'_>, trail: &Trail<'_>, expected: &str) {
        let message = format!("expected {expected}, found {}", node.kind());
        self.report(node.place, trail, message, None);
    }

    /// The entries of a map with the keys of a table. Unknown and missing keys are reported.
    pub fn table<'n, 'a>(
        &mut self,
        node: &'n Node<'a>,
        trail: &Trail<'_>,
        table: &Table,
    ) -> Vec<(&'static Key, &'n Node<'a>)> {
        let Some(entries) = node.entries() else {
            self.expected(node, trail, "a map");
            return Vec::new();
        };
        let mut found = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let text = name.text().unwrap_or_default();
            match table.key(text) {
                Some(key) => found.push((key, value)),
                None => {
                    let shown: String = text.chars().take(60).collect();
                    let hint = match nearest(text, table.names()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known here: {}", table.names().collect::<Vec<_>>().join(", ")),
                    };
                    self.report(name.place, &trail.then(text), format!("unknown key `{shown}`"), Some(hint));
                }
            }
        }
        for missing in table.required.iter().filter(|required| !found.iter().any(|(key, _)| key.name == **required)) {
            self.report(node.place, trail, format!("`{missing}` is missing"), None);
        }
        found
    }

    pub fn text<'n>(&mut self, node: &'n Node<'_>, trail: &Trail<'_>) -> Option<&'n str> {
        if node.text().is_none() || node.kind() == "nothing" {
            self.expected(node, trail, "text");
            return None;
        }
        node.text()
    }

    pub fn name(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Name> {
        let text = match (&node.content, node.kind()) {
            (Content::Scalar { text, .. }, "text") => text,
            _ => {
                self.expected(node, trail, "a name");
                return None;
            }
        };
        Name::parse(text).map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    pub fn duration(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<DurationMs> {
        let Some(text) = node.text() else {
            self.expected(node, trail, "a duration such as 30s");
            return None;
        };
        let parsed = DurationMs::parse(text);
        parsed.map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    pub fn money(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Money> {
        let Some(text) = node.text() else {
            self.expected(node, trail, "an amount such as $2.50");
            return None;
        };
        let parsed = Money::parse(text);
        parsed.map_err(|error| self.report(node.place, trail, error.to_string(), None)).ok()
    }

    /// A number within the limits of its key.
    pub fn number(&mut self, node: &Node<'_>, trail: &Trail<'_>, shape: Shape) -> Option<f64> {
        let (least, most, whole) = match shape {
            Shape::Whole { least, most } => (least as f64, most as f64, true),
            Shape::Number { least, most } => (least, most, false),
            _ => (f64::MIN, f64::MAX, false),
        };
        let word = if whole { "a whole number" } else { "a number" };
        let found = match self.scalar(node) {
            Some(Json::Number(number)) if !whole || !number.is_f64() => number.as_f64(),
            _ => None,
        };
        match found {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                let message = format!("{number} is not between {least} and {most}");
                self.report(node.place, trail, message, None);
                None
            }
            None => {
                self.expected(node, trail, &format!("{word} between {least} and {most}"));
                None
            }
        }
    }

    fn scalar(&self, node: &Node<'_>) -> Option<Json> {
        match &node.content {
            Content::Scalar { text, plain } => scalar::to_json(text, *plain),
            _ => None,
        }
    }

    pub fn flag(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<bool> {
        match self.scalar(node) {
            Some(Json::Bool(flag)) => Some(flag),
            _ => {
                self.expected(node, trail, "true or false");
                None
            }
        }
    }

    /// One of a few words; the answer is its place among them.
    pub fn one_of(&mut self, node: &Node<'_>, trail: &Trail<'_>, words: &[&str]) -> Option<usize> {
        let listed = words.join(", ");
        let Some(text) = node.text() else {
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

    /// The JSON of a value.
    pub fn json(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<Json> {
        match scalar::tree_to_json(node) {
            Ok(json) => Some(json),
            Err(place) => {
                let hint = Some("write it in quotes to keep it as text".to_owned());
                self.report(place, trail, "the number is too large to be kept exactly", hint);
                None
            }
        }
    }

    /// An expression, with or without `${{ }}`.
    pub fn expression(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Expression> {
        let Some(text) = node.text() else {
            self.expected(node, trail, "an expression");
            return None;
        };
        match Expression::compile(text) {
            Ok(expression) => {
                let lead = text.find("${{").filter(|_| expression.source().len() < text.len()).map_or(0, |at| at + 3);
                self.remember(expression.references(), node, lead, trail, scope);
                Some(expression)
            }
            Err(error) => {
                self.expression_problem(node, trail, &error);
                None
            }
        }
    }

    /// A tree with `${{ }}` in its strings.
    pub fn template(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Template> {
        let tree = self.json(node, trail)?;
        match Template::compile(&tree) {
            Ok(template) => {
                template.each_expression(&mut |field, start, expression| {
                    self.remember(expression.references(), node.at_path(field), start, &trail.then(field), scope);
                });
                Some(template)
            }
            Err(error) => {
                let field = error.field.clone().unwrap_or_default();
                let at = node.at_path(&field);
                self.expression_problem(at, &trail.then(&field), &error);
                None
            }
        }
    }

    fn expression_problem(&mut self, node: &Node<'_>, trail: &Trail<'_>, error: &ExprError) {
        let place = node.place_at(self.source, error.offset.unwrap_or(0));
        self.report(place, trail, error.message.clone(), error.hint.clone());
    }

    fn remember(&mut self, paths: &[Path], node: &Node<'_>, lead: usize, trail: &Trail<'_>, scope: Scope) {
        for path in paths {
            let place = node.place_at(self.source, lead + path.offset);
            self.sites.push(Site { path: path.clone(), place, field: trail.text().into(), scope });
        }
    }
}

/// Where an expression stands, and so what it can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scope {
    /// The block and, inside of a step, the step.
    pub block: u32,
    /// The step whose needs decide; none for what is evaluated when the block has ended.
    pub step: Option<u32>,
    /// Whether `item` and `index` are there.
    pub item: bool,
    /// Whether `turn` and `previous` are there.
    pub turn: bool,
    /// Whether `error` is there.
    pub error: bool,
    /// Whether the step itself is there, as in the `until` of a loop.
    pub own: bool,
    /// Whether nothing but the inputs is there, as in `vars`.
    pub inputs_only: bool,
    /// Only `completed` can be referred to: it says what starts a run when another has ended.
    pub completed: bool,
}
