//! Rendering of prompt templates: the one place where prompt workers meet the expression language.

use kapelle_core::expr::{Context, Prompt, Shared};
use serde_json::Value;

/// A compiled template.
pub(crate) struct Template(Prompt);

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong, and its line within the template.
    pub(crate) fn compile(source: &str) -> Result<Template, (String, usize)> {
        Prompt::compile(source).map(Template).map_err(|error| {
            let before = source.as_bytes().iter().take(error.offset.unwrap_or(0));
            let line = 1 + before.filter(|byte| **byte == b'\n').count();
            (error.to_string(), line)
        })
    }

    /// The template with the values of `input`, the whole of which is `input`.
    ///
    /// # Errors
    /// What is missing or too much.
    pub(crate) fn render(&self, input: &Value) -> Result<String, String> {
        let mut context = Context::new();
        for (name, value) in input.as_object().into_iter().flatten() {
            context = context.with(name.clone(), Shared::from_json(value));
        }
        let context = context.with("input", Shared::from_json(input));
        self.0.render(&context).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(source: &str, input: &Value) -> Result<String, String> {
        Template::compile(source).map_err(|(message, line)| format!("{message} (line {line})"))?.render(input)
    }

    #[test]
    fn names_are_filled_in_and_nothing_is_escaped() {
        let text = rendered("<b>{{ text }}</b> {{ n }}", &json!({"text": "a < b & c", "n": 3})).unwrap();
        assert_eq!(text, "<b>a < b & c</b> 3");
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        assert_eq!(rendered("{{ text }}", &json!({"text": "{{ 1 + 1 }}"})).unwrap(), "{{ 1 + 1 }}");
    }

    #[test]
    fn the_whole_input_has_a_name() {
        assert_eq!(rendered("{{ input | tojson }}", &json!({"a": 1})).unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn faults_name_their_line() {
        let error = rendered("one\ntwo {{ text | replace('a', 'b') }}", &json!({})).unwrap_err();
        assert!(error.contains("(line 2)"), "{error}");
        assert!(rendered("{{ missing }}", &json!({})).unwrap_err().contains("missing"));
    }

    #[test]
    fn a_template_cannot_run_or_write_for_ever() {
        let list: Vec<u32> = (0..5_000).collect();
        let source = "{% for a in l %}{% for b in l %}{{ a }}{% endfor %}{% endfor %}";
        assert!(rendered(source, &json!({ "l": list })).is_err());
    }
}
