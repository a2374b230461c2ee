//! Workflows with parameters: a template and values give the text of a workflow.

use std::fmt::Write as _;

use kapelle_core::{
    Name,
    yaml::{self, Form, Problems, Reader, Shape, Table, Trail, key, nearest},
};
use kapelle_workers::schema::Schema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;

/// The built-in templates.
const SHIPPED: [&str; 10] = [
    include_str!("../../../templates/map-reduce.yaml"),
    include_str!("../../../templates/evaluator-optimiser.yaml"),
    include_str!("../../../templates/approval-gate.yaml"),
    include_str!("../../../templates/fallback.yaml"),
    include_str!("../../../templates/human-review.yaml"),
    include_str!("../../../templates/batch-with-check.yaml"),
    include_str!("../../../templates/onboarding.yaml"),
    include_str!("../../../templates/research-synthesis.yaml"),
    include_str!("../../../templates/catchball.yaml"),
    include_str!("../../../templates/wisdom-synthesis.yaml"),
];

static TEMPLATE: Table = Table {
    name: "template",
    about: "A workflow with parameters.",
    required: &["kind", "name", "description", "parameters", "workflow"],
    keys: &[
        key("kind", Shape::OneOf(&["template"]), "`template`."),
        key("name", Shape::Text, "Its name."),
        key("description", Shape::Text, "One line for people."),
        key("parameters", Shape::Json, "The JSON Schema of the parameters."),
        key("workflow", Shape::Text, "The text of the workflow."),
    ],
};

/// A workflow with parameters. In its text `$(x)` stands for the parameter `x`, and `$(name)` for the name of the
/// workflow. A placeholder that is a whole value becomes the parameter as JSON; inside other text it becomes text, and
/// then its value must be a scalar.
#[derive(Debug, Clone, Deserialize)]
pub struct Template {
    /// Name for `kapelle workflows new`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The JSON Schema of the parameters.
    pub parameters: Value,
    workflow: String,
}

impl Template {
    /// Returns the built-in templates.
    ///
    /// # Errors
    /// Never, unless one of them is invalid, which a test refuses.
    pub fn shipped() -> Result<Vec<Template>, Error> {
        SHIPPED.into_iter().map(Template::parse).collect()
    }

    /// Reads a template from YAML.
    ///
    /// # Errors
    /// The problem.
    pub fn parse(text: &str) -> Result<Template, Error> {
        let form =
            Form { name: "a template", most: 1 << 20, empty: "it begins with `kind: template`", split: "shorten it" };
        let said = yaml::document(text.as_bytes(), "template", form, |document| {
            let Some(root) = document.root else { return Err(Problems::whole("template", "it is empty", form.empty)) };
            let mut reader = Reader { source: document.source, problems: document.problems };
            let said = reader.object(&root, &Trail::ROOT, &TEMPLATE);
            said.filter(|_| reader.problems.is_empty()).ok_or(reader.problems)
        });
        let said = said.map_err(|problems| Error::Config(format!("not a template: {problems}")))?;
        serde_json::from_value(said).map_err(|error| Error::Config(format!("not a template: {error}")))
    }

    /// Returns the text of a workflow of that name.
    ///
    /// # Errors
    /// A parameter that is unknown, missing or does not fit; a workflow that would be invalid.
    pub fn expand(&self, name: &str, values: Map<String, Value>) -> Result<String, Error> {
        Name::parse(name)?;
        let known: Vec<&str> = self.properties().map(|(name, _)| name).collect();
        if let Some(given) = values.keys().find(|given| !known.contains(&given.as_str())) {
            let hint = match nearest(given, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", known.join(", ")),
            };
            return Err(Error::Inputs(format!("the template `{}` has no parameter `{given}`: {hint}", self.name)));
        }
        let schema = Schema::compile(&self.parameters).map_err(|error| Error::Config(error.to_string()))?;
        let mut values = schema.admit(Value::Object(values)).map_err(|error| Error::Inputs(error.message))?;
        values["name"] = Value::from(name);
        let text = fill(&self.workflow, &values)?;
        crate::load(text.as_bytes(), name)?;
        Ok(text)
    }

    /// Returns the parameters with their schemas.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        let properties = self.parameters.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
    }
}

/// Replaces `$(x)` by values.
fn fill(text: &str, values: &Value) -> Result<String, Error> {
    let mut filled = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line;
        let comment = line.trim_start().starts_with('#');
        while let Some(at) = rest.find("$(") {
            let (before, behind) = rest.split_at(at);
            let Some(end) = behind.find(')') else { break };
            let (name, after) = (&behind[2..end], &behind[end + 1..]);
            let value = values
                .get(name)
                .ok_or_else(|| Error::Config(format!("`$({name})` is not a parameter of the template")))?;
            filled.push_str(before);
            let whole = before.trim_end().ends_with([':', '-', '[', ','])
                && after.trim_start().starts_with([',', ']', '}'])
                || before.trim_end().ends_with([':', '-'])
                    && (after.trim().is_empty() || after.trim_start().starts_with('#'));
            if whole && !comment {
                let _ = write!(filled, "{value}");
            } else {
                filled.push_str(&plain(name, value)?);
            }
            rest = after;
        }
        filled.push_str(rest);
        filled.push('\n');
    }
    Ok(filled)
}

/// Formats a value that can stand inside other text, quoted or not, without ending it.
fn plain(name: &str, value: &Value) -> Result<String, Error> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(Error::Inputs(format!("the parameter `{name}` stands inside text, so it must be a text"))),
    };
    match text.chars().find(|c| c.is_control() || matches!(c, '"' | '\'' | '\\' | '{' | '}' | '#' | '$')) {
        Some(wrong) => {
            Err(Error::Inputs(format!("the parameter `{name}` stands inside of text, where {wrong:?} cannot be")))
        }
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_template_that_ships_gives_a_workflow_with_its_defaults() {
        for template in Template::shipped().unwrap() {
            let text = template.expand("mine", Map::new()).unwrap();
            assert!(text.contains("name: \"mine\"") && !text.contains("$("), "{text}");
        }
    }

    #[test]
    fn values_become_json_or_plain_text_and_nothing_else() {
        let filled = |text: &str, value: Value| fill(text, &json!({ "x": value }));
        assert_eq!(filled("a: $(x)", json!(["b: c"])).unwrap(), "a: [\"b: c\"]\n");
        assert_eq!(filled("a: { b: $(x), c: $(x) }", json!(3)).unwrap(), "a: { b: 3, c: 3 }\n");
        assert_eq!(filled("a: \"go $(x)!\"", json!("on")).unwrap(), "a: \"go on!\"\n");
        assert!(filled("a: \"go $(x)!\"", json!("\" }\nb: 1")).is_err());
        assert!(filled("a: \"go $(x)!\"", json!("${{ vars }}")).is_err());
        assert!(filled("a: $(y)", json!(1)).is_err());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let template = Template::shipped().unwrap().remove(0);
        let wrong = |values: Value| template.expand("t", values.as_object().cloned().unwrap()).unwrap_err().to_string();
        assert!(wrong(json!({ "mapp": "x" })).contains("did you mean `map`?"));
        assert!(wrong(json!({ "max_parallel": 0 })).contains("max_parallel"));
        assert!(template.expand("no name", Map::new()).is_err());
    }
}
