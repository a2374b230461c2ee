//! Templates of mails in the settings: a subject, a text and HTML, filled with `values` of the input.

use kapelle_core::TaskError;
use kapelle_workers::{configured::Fault, prompt::Template};
use serde_json::Value;

use crate::{faults::invalid, settings::text};

/// The template of one kind of mail.
#[derive(Debug, Clone)]
pub(super) struct MailTemplate {
    subject: Template,
    text: Option<Template>,
    html: Option<Template>,
}

/// The parts that a person reads.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
}

impl MailTemplate {
    /// Reads `templates` of the settings.
    pub(super) fn read_all(settings: &Value, faults: &mut Vec<Fault>) -> Vec<(String, MailTemplate)> {
        let entries = settings["templates"].as_object().into_iter().flatten();
        entries.filter_map(|(name, value)| Some((name.clone(), MailTemplate::read(name, value, faults)?))).collect()
    }

    fn read(name: &str, value: &Value, faults: &mut Vec<Fault>) -> Option<MailTemplate> {
        let mut part = |key: &str, compile: fn(&str) -> Result<Template, (String, usize)>| {
            let compiled = compile(text(value, key)?);
            compiled
                .map_err(|(why, _)| {
                    let hint = "write {{ name }} for a value of the input";
                    faults.push(Fault::of(format!("templates.{name}.{key}"), why, hint));
                })
                .ok()
        };
        let subject = part("subject", Template::compile);
        let (text, html) = (part("text", Template::compile), part("html", Template::compile_html));
        if text.is_none() && html.is_none() && faults.is_empty() {
            faults.push(Fault::of(format!("templates.{name}"), "it has no text", "write `text`, `html` or both"));
        }
        Some(MailTemplate { subject: subject?, text, html })
    }

    /// Fills in the values.
    ///
    /// # Errors
    /// A value that is missing, or too long a result.
    pub(super) fn render(&self, values: &Value) -> Result<Written, TaskError> {
        let fill = |template: &Template| {
            template.render(values).map_err(|why| invalid(format!("values: {why}; give every value of the template")))
        };
        Ok(Written {
            subject: fill(&self.subject)?.trim().to_owned(),
            text: self.text.as_ref().map(fill).transpose()?,
            html: self.html.as_ref().map(fill).transpose()?,
        })
    }
}
