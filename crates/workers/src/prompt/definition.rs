//! A prompt worker's file, checked: names, money, times, schemas and templates are known to be good.

use kapelle_core::{
    DurationMs, Money, Name, Requires,
    cache::CacheRule,
    limit::{KeyLimit, WhenFull},
    retry::RetryPolicy,
    worker::WorkerSpec,
};
use serde_saphyr::{Location, Spanned};
use sha2::{Digest, Sha256};

use super::{
    file::{self, CacheFor, DefinitionError, PerKey, PromptFile, RetryFile},
    template::Template,
};
use crate::{offline::Method, schema::Schema};

/// The model alias when the file names none.
const DEFAULT_ALIAS: &str = "fast";
/// The queue of prompt workers when the file names none.
const DEFAULT_QUEUE: &str = "openai";
/// Tokens of input when the file names no limit.
const DEFAULT_INPUT_TOKENS: u64 = 100_000;

/// A prompt worker, ready to be bound to a gateway.
pub struct PromptDefinition {
    pub(crate) spec: WorkerSpec,
    pub(crate) alias: String,
    pub(crate) offline: Option<Method>,
    pub(crate) fallback: bool,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) max_input_tokens: u64,
    pub(crate) system: Option<Template>,
    pub(crate) prompt: Template,
    pub(crate) input: Option<Schema>,
    pub(crate) output: Option<Schema>,
}

impl PromptDefinition {
    /// Reads and checks a worker file. `file` is its name, for messages.
    ///
    /// # Errors
    /// [`DefinitionError`] with file, line, column and what to do.
    pub fn parse(file: &str, text: &str) -> Result<PromptDefinition, DefinitionError> {
        let written = file::read(file, text)?;
        let mut definition = Checker { file }.check(written)?;
        definition.spec.version = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(definition)
    }

    /// What is known of the worker without running it.
    #[must_use]
    pub fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    /// The model alias it asks.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The classical method that answers where no model can.
    #[must_use]
    pub fn offline(&self) -> Option<Method> {
        self.offline
    }
}

struct Checker<'a> {
    file: &'a str,
}

impl Checker<'_> {
    fn check(&self, written: PromptFile) -> Result<PromptDefinition, DefinitionError> {
        if written.kind.value != "prompt" {
            let message = format!("`{}` is not a kind of worker file", written.kind.value);
            return Err(self.at(&written.kind, message).help("write `kind: prompt`"));
        }
        let mut spec = WorkerSpec::named("");
        spec.name = self.name(&written.name)?;
        spec.description = written.description;
        spec.queue = match &written.queue {
            Some(queue) => self.name(queue)?,
            None => Name::new(DEFAULT_QUEUE),
        };
        if let Some(slots) = &written.slots {
            if !(1..=10_000).contains(&slots.value) {
                return Err(self.at(slots, "slots must be between 1 and 10000"));
            }
            spec.slots = slots.value;
        }
        spec.timeout = written.timeout.as_ref().map(|text| self.duration(text)).transpose()?;
        spec.max_cost = match &written.max_cost {
            Some(text) => Some(Money::parse(&text.value).map_err(|error| self.at(text, error.to_string()))?),
            None => None,
        };
        spec.per_key = written.per_key.as_ref().map(|rule| self.per_key(rule)).transpose()?;
        if let Some(labels) = &written.requires {
            spec.requires = Requires::parse(&labels.value).map_err(|error| self.at(labels, error.to_string()))?;
        }
        spec.cache = match &written.cache {
            Some(cache) => self.cache(cache)?,
            None => None,
        };
        spec.retry = written.retry.map(|retry| self.retry(retry)).transpose()?;
        let input = self.schema(written.input.as_ref())?;
        let output = self.schema(written.output.as_ref())?;
        spec.input = input.as_ref().map(|schema| schema.source().clone());
        spec.output = output.as_ref().map(|schema| schema.source().clone());
        let alias = written.model.map_or_else(|| DEFAULT_ALIAS.to_owned(), |model| model.value);
        spec.model = Some(Name::new(&alias));
        Ok(PromptDefinition {
            spec,
            alias,
            offline: written.offline.filter(|&method| method != Method::None),
            fallback: written.fallback.unwrap_or(true),
            temperature: written.temperature,
            max_output_tokens: written.max_output_tokens,
            max_input_tokens: written.max_input_tokens.unwrap_or(DEFAULT_INPUT_TOKENS),
            system: written.system.as_ref().map(|text| self.template(text)).transpose()?,
            prompt: self.template(&written.prompt)?,
            input,
            output,
        })
    }

    fn at<T>(&self, field: &Spanned<T>, message: impl Into<String>) -> DefinitionError {
        DefinitionError::at(self.file, field.referenced, message)
    }

    fn name(&self, field: &Spanned<String>) -> Result<Name, DefinitionError> {
        Name::parse(&field.value).map_err(|error| self.at(field, error.to_string()))
    }

    fn duration(&self, field: &Spanned<String>) -> Result<DurationMs, DefinitionError> {
        match DurationMs::parse(&field.value) {
            Ok(DurationMs::ZERO) => Err(self.at(field, "a duration of zero leaves no time")),
            Ok(duration) => Ok(duration),
            Err(error) => Err(self.at(field, error.to_string())),
        }
    }

    fn per_key(&self, field: &Spanned<PerKey>) -> Result<KeyLimit, DefinitionError> {
        let rule = match field.value {
            PerKey::Limit(limit) => KeyLimit { limit, when_full: WhenFull::Queue },
            PerKey::Rule(rule) => rule,
        };
        if !(1..=10_000).contains(&rule.limit) {
            return Err(self.at(field, "per_key must be between 1 and 10000 tasks of one key"));
        }
        Ok(rule)
    }

    fn cache(&self, field: &Spanned<CacheFor>) -> Result<Option<CacheRule>, DefinitionError> {
        match &field.value {
            CacheFor::Switch(on) => Ok(on.then(CacheRule::default)),
            CacheFor::Age(text) => match DurationMs::parse(text) {
                Ok(DurationMs::ZERO) => Err(self.at(field, "a duration of zero keeps no answer; write `cache: false`")),
                Ok(age) => Ok(Some(CacheRule { max_age: Some(age) })),
                Err(error) => Err(self.at(field, format!("{error}; or write true or false"))),
            },
        }
    }

    fn retry(&self, written: RetryFile) -> Result<RetryPolicy, DefinitionError> {
        let mut policy = RetryPolicy::default();
        if let Some(attempts) = written.max_attempts {
            if !(1..=1_000).contains(&attempts.value) {
                return Err(self.at(&attempts, "max_attempts must be between 1 and 1000"));
            }
            policy.max_attempts = attempts.value;
        }
        if let Some(multiplier) = written.multiplier {
            if !(1.0..=100.0).contains(&multiplier.value) {
                return Err(self.at(&multiplier, "multiplier must be between 1 and 100"));
            }
            policy.multiplier = multiplier.value;
        }
        if let Some(delay) = &written.delay {
            policy.delay = self.duration(delay)?;
        }
        if let Some(delay) = &written.max_delay {
            policy.max_delay = self.duration(delay)?;
        }
        policy.jitter = written.jitter.unwrap_or_default();
        policy.on = written.on.map(Into::into);
        Ok(policy)
    }

    fn schema(&self, field: Option<&Spanned<serde_json::Value>>) -> Result<Option<Schema>, DefinitionError> {
        let Some(field) = field else { return Ok(None) };
        let compiled = Schema::compile(&field.value);
        compiled.map(Some).map_err(|error| self.at(field, format!("not a JSON Schema: {error}")))
    }

    fn template(&self, field: &Spanned<String>) -> Result<Template, DefinitionError> {
        Template::compile(&field.value).map_err(|(message, line)| {
            let place = field.referenced;
            let mut error = DefinitionError::at(self.file, place, message);
            // The place of a block is its first line with text; the template also counts the empty ones before.
            let empty = field.value.bytes().take_while(|byte| *byte == b'\n').count();
            if place != Location::UNKNOWN {
                error.line = place.line() + line.saturating_sub(1 + empty) as u64;
            }
            error.help("names of the input stand in {{ }}, such as {{ text }}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "kind: prompt\nname: x\nprompt: Say {{ text }}\n";

    fn refused(text: &str) -> String {
        PromptDefinition::parse("x.yaml", text).err().unwrap().to_string()
    }

    #[test]
    fn defaults_hold_where_the_file_is_silent() {
        let definition = PromptDefinition::parse("x.yaml", GOOD).unwrap();
        assert_eq!((definition.spec().queue.as_str(), definition.alias()), ("openai", "fast"));
        assert!(definition.offline().is_none() && definition.fallback);
    }

    #[test]
    fn every_field_reaches_the_spec() {
        let text = format!(
            "{GOOD}queue: ml\nslots: 2\nmax_cost: $0.05\ntimeout: 90s\noffline: summary\nfallback: false\nmodel: big\n\
             retry: {{ max_attempts: 5, delay: 2s, multiplier: 3, max_delay: 1m, jitter: none, on: [timeout] }}\n"
        );
        let definition = PromptDefinition::parse("x.yaml", &text).unwrap();
        let spec = definition.spec();
        assert_eq!((spec.queue.as_str(), spec.slots, spec.max_cost), ("ml", 2, Some(Money(50_000_000))));
        assert_eq!(spec.timeout, Some(DurationMs(90_000)));
        let retry = spec.retry.as_ref().unwrap();
        assert_eq!(
            (retry.max_attempts, retry.delay.0, retry.max_delay.0, retry.on.as_ref().map_or(0, |on| on.len())),
            (5, 2_000, 60_000, 1)
        );
        assert_eq!(
            (definition.alias(), definition.offline(), definition.fallback),
            ("big", Some(Method::Summary), false)
        );
    }

    #[test]
    fn limits_for_keys_and_kept_answers_are_read_in_both_ways() {
        let spec = |rest: &str| PromptDefinition::parse("x.yaml", &format!("{GOOD}{rest}\n")).unwrap().spec().clone();
        let queue = KeyLimit { limit: 2, when_full: WhenFull::Queue };
        assert_eq!(spec("per_key: 2").per_key, Some(queue));
        let rule = spec("per_key: { limit: 1, when_full: cancel_running }").per_key;
        assert_eq!(rule, Some(KeyLimit { limit: 1, when_full: WhenFull::CancelRunning }));
        assert_eq!(spec("cache: 1h").cache, Some(CacheRule { max_age: Some(DurationMs(3_600_000)) }));
        assert_eq!((spec("cache: true").cache, spec("cache: false").cache), (Some(CacheRule::default()), None));
        assert_ne!(spec("cache: 1h").version, spec("cache: 2h").version);
    }

    #[test]
    fn empty_lines_before_a_prompt_do_not_move_the_place_of_its_fault() {
        let error = refused("kind: prompt\nname: x\nprompt: >-\n\n\n\n\n  first {# no end\n");
        assert!(error.starts_with("x.yaml:8:"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_placed() {
        for (text, part) in [
            (GOOD.replace("prompt\n", "script\n"), "x.yaml:1:7: `script` is not a kind"),
            (GOOD.replace("name: x", "name: 9"), "x.yaml:2:7: `9` is not a name"),
            (format!("{GOOD}timeout: 60\n"), "x.yaml:4:10: `60` is not a duration"),
            (format!("{GOOD}max_cost: cheap\n"), "x.yaml:4:11: `cheap` is not an amount"),
            (format!("{GOOD}slots: 0\n"), "x.yaml:4:8: slots must be"),
            (format!("{GOOD}per_key: 0\n"), "x.yaml:4:10: per_key must be"),
            (format!("{GOOD}cache: often\n"), "x.yaml:4:8: `often` is not a duration"),
            (format!("{GOOD}output: {{ type: strnig }}\n"), "x.yaml:4:9: not a JSON Schema"),
            (format!("{GOOD}system: |\n  one\n  {{% if %}}\n"), "x.yaml:6:"),
            (GOOD.replace("{{ text }}", "{{ text"), "x.yaml:3:"),
        ] {
            let error = refused(&text);
            assert!(error.contains(part), "{error}");
        }
    }
}
