//! A prompt worker's file, checked: names, money, times, schemas and templates are valid.

use kapelle_core::{
    DurationMs, Money, Name, Requires,
    cache::CacheRule,
    limit::{KeyLimit, WhenFull},
    retry::RetryPolicy,
    task_rate::TaskRate,
    worker::WorkerSpec,
    yaml::{self, Node, Place, Problems, Reader, Trail},
};
use sha2::{Digest, Sha256};

use super::{
    file::{CacheFor, FORM, PerKey, PromptFile, RetryFile, WORKER},
    template::Template,
};
use crate::{offline::Method, schema::Schema, tenants::tenants};

/// The default model alias.
const DEFAULT_ALIAS: &str = "fast";
/// The default queue of prompt workers.
const DEFAULT_QUEUE: &str = "openai";
/// The default limit of input tokens.
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
    /// Reads and checks a worker file. `file` is its name in messages.
    ///
    /// # Errors
    /// Every problem, with file, line, column, field and what to do.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<PromptDefinition, Problems> {
        yaml::document(bytes, file, FORM, |document| {
            let Some(root) = document.root else { return Err(Problems::whole(file, "the file is empty", FORM.empty)) };
            let mut reader = Reader { source: document.source, problems: document.problems };
            let json = reader.object(&root, &Trail::ROOT, &WORKER).unwrap_or_default();
            let written = serde_json::from_value(json).unwrap_or_default();
            let mut checker = Checker { reader, root: &root };
            let definition = checker.check(written);
            match definition.filter(|_| checker.reader.problems.is_empty()) {
                Some(mut definition) => {
                    let digest = Sha256::digest(bytes);
                    definition.spec.version = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    Ok(definition)
                }
                None => Err(checker.reader.problems.sorted()),
            }
        })
    }

    /// Returns the description of the worker.
    #[must_use]
    pub fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    /// Returns its model alias.
    #[must_use]
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Returns the classical method that answers when no model can.
    #[must_use]
    pub fn offline(&self) -> Option<Method> {
        self.offline
    }
}

/// Checks what tables of keys cannot express. Invalid values are reported and left out.
pub(crate) struct Checker<'a, 'n> {
    pub(crate) reader: Reader<'a>,
    pub(crate) root: &'n Node<'n>,
}

impl Checker<'_, '_> {
    /// Builds the definition. `None` without a prompt; then a problem has been reported.
    fn check(&mut self, mut written: PromptFile) -> Option<PromptDefinition> {
        let mut spec = self.settings(&mut written, DEFAULT_QUEUE);
        spec.max_cost = written.max_cost.and_then(|text| Money::parse(&text).ok());
        spec.cache = written.cache.and_then(|cache| self.cache(&cache));
        let input = self.schema("input", written.input.as_ref());
        let output = self.schema("output", written.output.as_ref());
        spec.input = input.as_ref().map(|schema| schema.source().clone());
        spec.output = output.as_ref().map(|schema| schema.source().clone());
        let alias = written.model.unwrap_or_else(|| DEFAULT_ALIAS.to_owned());
        spec.model = Some(Name::new(&alias));
        let system = written.system.and_then(|text| self.template("system", &text));
        Some(PromptDefinition {
            spec,
            alias,
            offline: written.offline.filter(|&method| method != Method::None),
            fallback: written.fallback.unwrap_or(true),
            temperature: written.temperature,
            max_output_tokens: written.max_output_tokens,
            max_input_tokens: written.max_input_tokens.unwrap_or(DEFAULT_INPUT_TOKENS),
            system,
            prompt: self.template("prompt", &written.prompt)?,
            input,
            output,
        })
    }

    /// Reads the settings that every kind of worker has.
    pub(crate) fn settings(&mut self, written: &mut PromptFile, queue: &str) -> WorkerSpec {
        let mut spec = WorkerSpec::named("");
        spec.name = Name::new(&written.name);
        spec.description = std::mem::take(&mut written.description);
        spec.queue = Name::new(written.queue.as_deref().unwrap_or(queue));
        spec.slots = written.slots.unwrap_or(spec.slots);
        spec.timeout = written.timeout.take().and_then(|text| self.duration("timeout", &text));
        spec.per_key = written.per_key.map(|rule| match rule {
            PerKey::Limit(limit) => KeyLimit { limit, when_full: WhenFull::Queue },
            PerKey::Rule { limit, when_full } => KeyLimit { limit, when_full },
        });
        match written.rate.as_deref().map(TaskRate::parse).transpose() {
            Ok(rate) => spec.rate = rate,
            Err(error) => self.report("rate", error.to_string(), None),
        }
        match Requires::parse(&written.requires) {
            Ok(requires) => spec.requires = requires,
            Err(error) => self.report("requires", error.to_string(), None),
        }
        match tenants(&written.tenants) {
            Ok(tenants) => spec.tenants = tenants,
            Err(message) => self.report("tenants", message, None),
        }
        spec.retry = written.retry.take().map(|retry| self.retry(retry));
        spec
    }

    pub(crate) fn report(&mut self, field: &str, message: String, hint: Option<&str>) {
        let place = self.root.at_path(field).place;
        self.reader.report(place, &Trail::ROOT.then(field), message, hint.map(str::to_owned));
    }

    fn duration(&mut self, field: &str, text: &str) -> Option<DurationMs> {
        let duration = DurationMs::parse(text).ok()?;
        if duration == DurationMs::ZERO {
            self.report(field, "a duration of zero leaves no time".to_owned(), Some("write one such as 30s"));
            return None;
        }
        Some(duration)
    }

    fn cache(&mut self, cache: &CacheFor) -> Option<CacheRule> {
        match cache {
            CacheFor::Switch(on) => on.then(CacheRule::default),
            CacheFor::Age(text) if DurationMs::parse(text) == Ok(DurationMs::ZERO) => {
                let message = "a duration of zero keeps no answer".to_owned();
                self.report("cache", message, Some("write `cache: false`"));
                None
            }
            CacheFor::Age(text) => DurationMs::parse(text).ok().map(|age| CacheRule { max_age: Some(age) }),
        }
    }

    fn retry(&mut self, written: RetryFile) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        policy.max_attempts = written.max_attempts.unwrap_or(policy.max_attempts);
        policy.multiplier = written.multiplier.unwrap_or(policy.multiplier);
        let delay = written.delay.and_then(|text| self.duration("retry.delay", &text));
        policy.delay = delay.unwrap_or(policy.delay);
        let most = written.max_delay.and_then(|text| self.duration("retry.max_delay", &text));
        policy.max_delay = most.unwrap_or(policy.max_delay);
        policy.jitter = written.jitter.unwrap_or_default();
        policy.on = written.on.map(Into::into);
        policy
    }

    fn schema(&mut self, field: &str, schema: Option<&serde_json::Value>) -> Option<Schema> {
        let compiled = Schema::compile(schema?);
        compiled.map_err(|error| self.report(field, format!("not a JSON Schema: {error}"), None)).ok()
    }

    fn template(&mut self, field: &str, text: &str) -> Option<Template> {
        match Template::compile(text) {
            Ok(template) => Some(template),
            Err((message, line)) => {
                let mut place = self.root.at_path(field).place;
                place.line += self.lines_below(place, text, line) as u32;
                let hint = "names of the input stand in {{ }}, such as {{ text }}".to_owned();
                self.reader.report(place, &Trail::ROOT.then(field), message, Some(hint));
                None
            }
        }
    }

    /// Returns how many lines below the position of a value line `line` of its text stands. The position of a block is
    /// its first line with text; the text also counts the empty ones before. For an empty block the position is its `|`
    /// or `>`.
    fn lines_below(&self, place: Place, text: &str, line: usize) -> usize {
        let rest = self.reader.source.get(place.byte as usize..).unwrap_or_default();
        let empty = text.bytes().take_while(|byte| *byte == b'\n').count();
        if rest.starts_with(['|', '>']) { line } else { line.saturating_sub(1 + empty) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "kind: prompt\nname: x\nprompt: Say {{ text }}\n";

    fn refused(text: &str) -> String {
        PromptDefinition::parse("x.yaml", text.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn defaults_hold_where_the_file_is_silent() {
        let definition = PromptDefinition::parse("x.yaml", GOOD.as_bytes()).unwrap();
        assert_eq!((definition.spec().queue.as_str(), definition.alias()), ("openai", "fast"));
        assert!(definition.offline().is_none() && definition.fallback);
    }

    #[test]
    fn every_field_reaches_the_spec() {
        let text = format!(
            "{GOOD}queue: ml\nslots: 2\nmax_cost: $0.05\ntimeout: 90s\noffline: summary\nfallback: false\nmodel: big\n\
             retry: {{ max_attempts: 5, delay: 2s, multiplier: 3, max_delay: 1m, jitter: none, on: [timeout] }}\n"
        );
        let definition = PromptDefinition::parse("x.yaml", text.as_bytes()).unwrap();
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
        let spec = |rest: &str| {
            PromptDefinition::parse("x.yaml", format!("{GOOD}{rest}\n").as_bytes()).unwrap().spec().clone()
        };
        let queue = KeyLimit { limit: 2, when_full: WhenFull::Queue };
        assert_eq!(spec("per_key: 2").per_key, Some(queue));
        let rule = spec("per_key: { limit: 1, when_full: cancel_running }").per_key;
        assert_eq!(rule, Some(KeyLimit { limit: 1, when_full: WhenFull::CancelRunning }));
        assert_eq!(spec("rate: 60/minute").rate, TaskRate::parse("60/m").ok());
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
            (
                GOOD.replace("prompt\n", "script\n"),
                "x.yaml:1:7: kind: `script` is not known here (write one of prompt)",
            ),
            (GOOD.replace("name: x", "name: 9"), "x.yaml:2:7: name: expected a name, found a whole number"),
            (format!("{GOOD}timeout: 60\n"), "x.yaml:4:10: timeout: `60` is not a duration"),
            (format!("{GOOD}timeout: 0s\n"), "x.yaml:4:10: timeout: a duration of zero"),
            (format!("{GOOD}max_cost: cheap\n"), "x.yaml:4:11: max_cost: `cheap` is not an amount"),
            (format!("{GOOD}slots: 0\n"), "x.yaml:4:8: slots: 0 is not between 1 and 10000"),
            (
                format!("{GOOD}slots: many\n"),
                "x.yaml:4:8: slots: expected a whole number between 1 and 10000, found text",
            ),
            (format!("{GOOD}per_key: 0\n"), "x.yaml:4:10: per_key: 0 is not between"),
            (format!("{GOOD}rate: 60\n"), "x.yaml:4:7: rate: `60` is not a rate; expected 1 to"),
            (format!("{GOOD}rate: 60 a minute\n"), "x.yaml:4:7: rate: `60 a minute` is not a rate; expected 1 to"),
            (format!("{GOOD}cache: often\n"), "x.yaml:4:8: cache: `often` is not a duration"),
            (
                format!("{GOOD}offline: magic\n"),
                "x.yaml:4:10: offline: `magic` is not known here (write one of language",
            ),
            (format!("{GOOD}fallback: no\n"), "x.yaml:4:11: fallback: expected true or false, found text (in YAML 1.2"),
            (format!("{GOOD}output: {{ type: strnig }}\n"), "x.yaml:4:9: output: not a JSON Schema"),
            (format!("{GOOD}system: |\n  one\n  {{% if %}}\n"), "x.yaml:6:"),
            (GOOD.replace("{{ text }}", "{{ text"), "x.yaml:3:"),
            (format!("{GOOD}ofline: summary\n"), "x.yaml:4:1: ofline: unknown key `ofline` (did you mean `offline`?)"),
            (
                format!("{GOOD}retries: 3\n"),
                "x.yaml:4:1: retries: unknown key `retries` (write `retry: { max_attempts: N }`",
            ),
            (format!("{GOOD}colour: red\n"), "(known here: kind, name"),
            ("kind: prompt\nname: x\n".to_owned(), "`prompt` is missing"),
            (format!("{GOOD}name: y\n"), "x.yaml:4:1: `name` is given twice (it is on line 2 already)"),
            (format!("{GOOD}input: &a [*a]\n"), "x.yaml:4:12: the alias stands inside of what it refers to"),
            (format!("{GOOD}input: {{ <<: {{}} }}\n"), "x.yaml:4:10: merge keys (`<<`) are not supported"),
            (format!("{GOOD}input: !!python/object x\n"), "the tag"),
            (format!("{GOOD}---\nkind: prompt\n"), "x.yaml:4:1: the file holds more than one document"),
            (format!("{GOOD}\tslots: 1\n"), "indent with spaces"),
            ("- a\n".to_owned(), "x.yaml:1:1: expected a map"),
            ("# nothing\n".to_owned(), "x.yaml: the file is empty (a worker file begins with `kind: prompt`)"),
            ("x".repeat(300 << 10), "the file has 300 KiB; a worker file has at most 256 KiB"),
        ] {
            let error = refused(&text);
            assert!(error.contains(part), "{error}");
        }
        assert!(PromptDefinition::parse("x", b"a: \xff").err().unwrap().to_string().contains("not UTF-8"));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let error = refused("kind: prompt\nname: x\nslots: 0\ntimeout: soon\nmodle: fast\nprompt: '{{ a'\noutput: 3\n");
        assert_eq!(error.lines().count(), 5, "{error}");
    }

    #[test]
    fn words_mean_what_they_mean_in_workflows() {
        let text = "\u{feff}kind: prompt\r\nname: x\r\nprompt: \"{{ c }}\"\r\ninput:\r\n  type: object\r\n  required: [x, y]\r\n  \
                    properties:\r\n    c: { enum: [no, se, dk], default: off }\r\n    n: { default: 1_000 }\r\n    \
                    o: { default: 012 }\r\n    t: { default: 12:30:45 }\r\n";
        let definition = PromptDefinition::parse("x.yaml", text.as_bytes()).unwrap();
        let schema = definition.spec().input.as_ref().unwrap();
        let properties = &schema["properties"];
        assert_eq!(schema["required"], serde_json::json!(["x", "y"]));
        assert_eq!(properties["c"], serde_json::json!({ "enum": ["no", "se", "dk"], "default": "off" }));
        assert_eq!((&properties["n"]["default"], &properties["o"]["default"]), (&"1_000".into(), &12.into()));
        assert_eq!(properties["t"]["default"], "12:30:45");
        let json = "{\n\t\"kind\": \"prompt\",\n\t\"name\": \"x\",\n\t\"prompt\": \"hi\"\n}";
        assert!(PromptDefinition::parse("x.yaml", json.as_bytes()).is_ok());
        let anchored = format!("{GOOD}input: &s {{ type: object }}\noutput: *s\n");
        let definition = PromptDefinition::parse("x.yaml", anchored.as_bytes()).unwrap();
        assert_eq!(definition.spec().input, definition.spec().output);
    }
}
