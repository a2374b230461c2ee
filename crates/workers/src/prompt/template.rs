//! Templates over the input of a worker: prompts, and pages of HTML.

use kapelle_core::expr::{Context, ExprError, Prompt, Shared};
use serde_json::Value;

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template(Prompt);

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// The problem, and its line within the template.
    pub fn compile(source: &str) -> Result<Template, (String, usize)> {
        Template::made(source, Prompt::compile(source))
    }

    /// Compiles a template of HTML, in which values are text and never markup.
    ///
    /// # Errors
    /// The problem, and its line within the template.
    pub fn compile_html(source: &str) -> Result<Template, (String, usize)> {
        Template::made(source, Prompt::compile_html(source))
    }

    fn made(source: &str, prompt: Result<Prompt, ExprError>) -> Result<Template, (String, usize)> {
        prompt.map(Template).map_err(|error| {
            let line = line(source, &error).unwrap_or(1);
            (plain(source, &error), line)
        })
    }

    /// Fills the template with the values of `input`; the name `input` is the whole of it.
    ///
    /// # Errors
    /// A missing value, or too long a result.
    pub fn render(&self, input: &Value) -> Result<String, String> {
        let value = |name: &str| if name == "input" { Some(input) } else { input.get(name) };
        let given = self.0.names().filter_map(|name| Some((name, value(name)?)));
        let values =
            given.fold(Context::new(), |all, (name, value)| all.with(name.to_owned(), Shared::from_json(value)));
        self.0.render(&values).map_err(|error| plain(self.0.source(), &error))
    }
}

fn line(source: &str, error: &ExprError) -> Option<usize> {
    let before = source.get(..error.offset?)?;
    Some(1 + before.matches('\n').count())
}

fn plain(source: &str, error: &ExprError) -> String {
    match line(source, error) {
        Some(line) => format!("{error} (line {line} of the template)"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_filled_in_and_nothing_is_escaped() {
        let template = Template::compile("At most {{ n }}:\n{{ text }}").unwrap();
        assert_eq!(template.render(&json!({"n":3,"text":"<b>&"})).unwrap(), "At most 3:\n<b>&");
    }

    #[test]
    fn the_whole_input_has_a_name() {
        let template = Template::compile("{{ input | tojson }}").unwrap();
        assert_eq!(template.render(&json!({"a": 1})).unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn values_of_html_are_never_markup() {
        let template = Template::compile_html(
            "<p title=\"{{ t }}\">{{ t | upper }}{% for x in l %}<i>{{ x }}</i>{% endfor %}</p>",
        );
        let text = template.unwrap().render(&json!({ "t": "<b>\"&'", "l": [["</i>"], 1] })).unwrap();
        let escaped = "&lt;b&gt;&quot;&amp;&#39;";
        let upper = "&lt;B&gt;&quot;&amp;&#39;";
        assert_eq!(text, format!("<p title=\"{escaped}\">{upper}<i>[&quot;&lt;/i&gt;&quot;]</i><i>1</i></p>"));
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let template = Template::compile("{{ text }}").unwrap();
        assert_eq!(template.render(&json!({"text":"{{ secret }}"})).unwrap(), "{{ secret }}");
    }

    #[test]
    fn faults_name_their_line() {
        let (message, line) = Template::compile("a\n{% if %}").err().unwrap();
        assert!(line == 2 && message.contains("line 2"), "{message}");
        let error = Template::compile("{{ absent }}").unwrap().render(&json!({})).unwrap_err();
        assert!(error.starts_with("`absent` is missing") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn a_template_cannot_run_or_write_for_ever() {
        let list: Vec<u32> = (0..3_000).collect();
        let loops = "{% for a in l %}{% for b in l %}{{ a }}{% endfor %}{% endfor %}";
        let error = Template::compile(loops).unwrap().render(&json!({ "l": list })).unwrap_err();
        assert!(error.contains("too many steps"), "{error}");
        let long = json!({ "l": list, "t": "x".repeat(1 << 20) });
        let error = Template::compile("{% for a in l %}{{ t }}{% endfor %}").unwrap().render(&long).unwrap_err();
        assert!(error.contains("longer than 8 MiB"), "{error}");
    }

    #[test]
    fn no_template_overflows_the_stack() {
        let nested = "(".repeat(400) + "1" + &")".repeat(400);
        for inside in ["1".to_owned() + &"+1".repeat(50_000), "a".to_owned() + &".b".repeat(50_000), nested] {
            for source in [format!("{{{{ {inside} }}}}"), format!("{{% if {inside} %}}{{% endif %}}")] {
                assert!(Template::compile(&source).is_err());
            }
        }
    }

    #[test]
    fn lists_of_thousands_are_told_item_by_item() {
        let list: Vec<Value> = (0..10_000).map(|n| json!({ "id": n, "text": "t" })).collect();
        let template =
            Template::compile("{% for a in l %}{{ loop.index }}. {{ a.id }}: {{ a.text | upper }}\n{% endfor %}");
        let text = template.unwrap().render(&json!({ "l": list })).unwrap();
        assert!(text.ends_with("10000. 9999: T\n"));
    }
}
