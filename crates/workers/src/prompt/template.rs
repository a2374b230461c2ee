//! Rendering of prompt templates. This is the one place that knows the template engine.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Deserialize;
use serde_json::Value;

/// Steps that a template may take: enough for a list of thousands, not for a loop of loops.
const FUEL: u64 = 1_000_000;
/// A prompt longer than this is refused while it is rendered.
const OUTPUT_MAX: usize = 16 << 20;

/// A compiled template.
pub(crate) struct Template(Environment<'static>);

const NAME: &str = "prompt";

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong, and its line within the template.
    pub(crate) fn compile(source: &str) -> Result<Template, (String, usize)> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        // Filters and functions that build long texts out of nothing.
        for name in ["replace", "format", "indent", "pprint"] {
            environment.remove_filter(name);
        }
        environment.remove_global("range");
        let compiled = environment.add_template_owned(NAME, source.to_owned());
        compiled.map_err(|error| (plain(&error), error.line().unwrap_or(1)))?;
        Ok(Template(environment))
    }

    /// The template with the values of `input`.
    ///
    /// # Errors
    /// What is missing or too much.
    pub(crate) fn render(&self, input: &Value) -> Result<String, String> {
        let template = self.0.get_template(NAME).map_err(|error| plain(&error))?;
        let mut out = Bounded(Vec::new());
        let values = minijinja::Value::deserialize(input).map_err(|error| error.to_string())?;
        template.render_captured_to(values, &mut out).map_err(|error| plain(&error))?;
        String::from_utf8(out.0).map_err(|error| error.to_string())
    }
}

fn plain(error: &Error) -> String {
    let detail = error.detail().map_or_else(String::new, |detail| format!(": {detail}"));
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line} of the template)"));
    let text = match error.kind() {
        ErrorKind::UndefinedError => "a name in the template has no value".to_owned(),
        ErrorKind::OutOfFuel => "the template takes too many steps".to_owned(),
        ErrorKind::WriteFailure => "the prompt is longer than 16 MiB".to_owned(),
        kind => kind.to_string(),
    };
    format!("{text}{detail}{line}")
}

struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_MAX {
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
    fn a_value_is_never_read_as_a_template() {
        let template = Template::compile("{{ text }}").unwrap();
        assert_eq!(template.render(&json!({"text":"{{ secret }}"})).unwrap(), "{{ secret }}");
    }

    #[test]
    fn faults_name_their_line() {
        let (message, line) = Template::compile("a\n{% if %}").err().unwrap();
        assert!(line == 2 && message.contains("line 2"), "{message}");
        let error = Template::compile("{{ absent }}").unwrap().render(&json!({})).unwrap_err();
        assert!(error.contains("a name in the template has no value"), "{error}");
    }

    #[test]
    fn a_template_cannot_run_or_write_for_ever() {
        let list: Vec<u32> = (0..3_000).collect();
        let loops = "{% for a in l %}{% for b in l %}{{ a }}{% endfor %}{% endfor %}";
        let error = Template::compile(loops).unwrap().render(&json!({ "l": list })).unwrap_err();
        assert!(error.contains("too many steps"), "{error}");
        let long = json!({ "l": list, "t": "x".repeat(1 << 20) });
        let error = Template::compile("{% for a in l %}{{ t }}{% endfor %}").unwrap().render(&long).unwrap_err();
        assert!(error.contains("longer than 16 MiB"), "{error}");
    }
}
