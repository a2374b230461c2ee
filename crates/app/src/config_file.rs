//! The text of a `kapelle.yaml`: its keys, and the positions of its values.

use kapelle_core::yaml::{self, Form, Problem, Problems, Reader, Shape, Table, Trail, key};
use serde_json::{Value, json};

use crate::config::ConfigProblem;

/// The shape of files of the configuration.
const FORM: Form = Form { name: "a configuration", most: 1 << 20, empty: "", split: "shorten it" };

const MOST: u64 = u32::MAX as u64;
const COUNT: Shape = Shape::Whole { least: 1, most: MOST };
const SLOTS: Shape = Shape::Whole { least: 0, most: MOST };
const BOUND: Shape = Shape::Number { least: 0.0, most: f64::MAX };

static CONFIG: Table = Table {
    name: "kapelle.yaml",
    about: "What a project says about itself.",
    required: &[],
    keys: &[
        key("listen", Shape::Text, "Where the server listens, such as 127.0.0.1:7863."),
        key("providers", Shape::Map(&Shape::Object(&PROVIDER)), "Who can be asked, by name."),
        key("models", Shape::Map(&Shape::Object(&ALIAS)), "The aliases that workers name."),
        key("prices", Shape::Map(&Shape::Object(&PRICE)), "Prices that override the table, by `provider/model`."),
        key("fallback", Shape::Flag, "Whether a missing or refused key lets the next link of a chain answer."),
        key("budgets", Shape::Object(&BUDGETS), "What may be spent, by whom."),
        key("queues", Shape::Map(&Shape::Object(&QUEUE)), "The queues and how many of their tasks run at once."),
        key("ageing", Shape::DurationOrZero, "What a point of priority is worth in waiting time."),
        key("retention", Shape::Object(&RETENTION), "How long what has ended is kept."),
        key("labels", Shape::Map(&Shape::Text), "What sets this process apart."),
        key("lease", Shape::Duration, "How long a worker host may be silent."),
        key("health", Shape::Object(&HEALTH), "What the server is to call unhealthy."),
    ],
};

static PROVIDER: Table = Table {
    name: "provider",
    about: "A provider and where its address and key come from.",
    required: &["kind"],
    keys: &[
        key("kind", Shape::OneOf(&KINDS), "The wire format."),
        key("base_url", Shape::Text, "The address, such as http://localhost:11434/v1."),
        key("base_url_env", Shape::Text, "The variable that overrides the address."),
        key("api_key_env", Shape::Text, "The variable that holds the key."),
        key("api_key_file", Shape::Text, "A file that holds the key."),
        key("insecure", Shape::Flag, "Whether the address may be plain http on another machine."),
        key("resource", Shape::Text, "The resource of `azure`."),
        key("region", Shape::Text, "The region of `bedrock`."),
        key("project", Shape::Text, "The project of `vertex`."),
        key("location", Shape::Text, "The location of `vertex`."),
        key("pass", Shape::List(&Shape::Text), "Fields of requests that are passed on although they are not known."),
        key("limit_field", LIMIT_FIELD, "The field that bounds an answer where the caller gave none."),
        key("supports", Shape::Object(&SUPPORTS), "What the server can or cannot do."),
        key("limits", Shape::Object(&LIMITS), "How much it may be asked in a minute."),
    ],
};

const LIMIT_FIELD: Shape = Shape::OneOf(&["max_tokens", "max_completion_tokens", "none"]);
const KINDS: [&str; 8] = ["openai", "azure", "bedrock", "gemini", "vertex", "anthropic", "compatible", "offline"];

static SUPPORTS: Table = Table {
    name: "supports",
    about: "What the server of a provider can or cannot do.",
    required: &[],
    keys: &[
        key("chat", Shape::Flag, "`chat/completions`."),
        key("responses", Shape::Flag, "`responses`."),
        key("embeddings", Shape::Flag, "`embeddings`."),
        key("tools", Shape::Flag, "Functions that the model may call."),
        key("json_schema", Shape::Flag, "Answers that fit a JSON Schema."),
        key("json_object", Shape::Flag, "Answers that are some JSON object."),
        key("images", Shape::Flag, "Pictures in messages."),
        key("audio", Shape::Flag, "Recordings in messages or answers."),
        key("many_choices", Shape::Flag, "More than one answer at once."),
        key("logprobs", Shape::Flag, "Probabilities of tokens."),
        key("stream_usage", Shape::Flag, "Token counts at the end of a stream."),
    ],
};

static LIMITS: Table = Table {
    name: "provider_limits",
    about: "How much a provider may be asked in a minute.",
    required: &[],
    keys: &[
        key("requests_per_minute", SLOTS, "Requests in any minute."),
        key("tokens_per_minute", Shape::Whole { least: 0, most: 1 << 53 }, "Tokens in any minute."),
    ],
};

static ALIAS: Table = Table {
    name: "alias",
    about: "A name for models in order of preference.",
    required: &["chain"],
    keys: &[
        key("chain", Shape::List(&Shape::Text), "`provider/model`, or `offline`."),
        key("max_output_tokens", COUNT, "The longest answer when the caller names no limit."),
        key("limit_field", LIMIT_FIELD, "The field for that limit; without it, the one of the provider."),
        key("weights", Shape::List(&SLOTS), "How often each link comes first."),
    ],
};

static PRICE: Table = Table {
    name: "price",
    about: "Dollars for a million tokens.",
    required: &["input", "output"],
    keys: &[
        key("input", Shape::Money, "For tokens sent, such as $0.15."),
        key("output", Shape::Money, "For tokens received."),
        key("cached_input", Shape::Money, "For tokens read from the provider's cache."),
        key("long_prompts", Shape::Object(&LONG), "What all of them cost when the prompt is long."),
    ],
};

static LONG: Table = Table {
    name: "price",
    about: "Dollars for a million tokens of calls with a long prompt.",
    required: &["above", "input", "output"],
    keys: &[
        key("above", Shape::Whole { least: 0, most: 1 << 53 }, "A prompt of more tokens than this is long."),
        key("input", Shape::Money, "For tokens sent."),
        key("output", Shape::Money, "For tokens received."),
        key("cached_input", Shape::Money, "For tokens read from the provider's cache."),
    ],
};

static BUDGETS: Table = Table {
    name: "budgets",
    about: "What may be spent, by whom.",
    required: &[],
    keys: &[
        key("day", Shape::Money, "By everybody on one day."),
        key("tenant", Shape::Money, "By everybody in all."),
        key("queues", Shape::Map(&Shape::Money), "By the tasks of a queue in all."),
        key("workers", Shape::Map(&Shape::Money), "By the tasks and processes of a worker in all."),
        key("tenants", Shape::Map(&Shape::Object(&TENANT)), "Of single tenants, by their numbers."),
    ],
};

static TENANT: Table = Table {
    name: "budgets",
    about: "What one tenant may spend.",
    required: &[],
    keys: &[
        key("day", Shape::Money, "On one day."),
        key("tenant", Shape::Money, "In all."),
        key("queues", Shape::Map(&Shape::Money), "By the tasks of a queue in all."),
        key("workers", Shape::Map(&Shape::Money), "By the tasks and processes of a worker in all."),
    ],
};

static QUEUE: Table = Table {
    name: "queue",
    about: "A queue.",
    required: &["slots"],
    keys: &[
        key("slots", SLOTS, "How many of its tasks run at once in one process."),
        key("per_key", Shape::Short(&SLOTS, &Shape::Object(&PER_KEY)), "How many with the same key run at once."),
    ],
};

static PER_KEY: Table = Table {
    name: "per_key",
    about: "How many tasks with the same key run at once.",
    required: &["limit"],
    keys: &[
        key("limit", SLOTS, "This many at once."),
        key("when_full", Shape::OneOf(&["queue", "cancel_running", "reject"]), "What happens to one more."),
    ],
};

static RETENTION: Table = Table {
    name: "retention",
    about: "How long what has ended is kept.",
    required: &[],
    keys: &[
        key("tasks", Shape::DurationOrZero, "Tasks of their own."),
        key("runs", Shape::DurationOrZero, "Runs with their steps."),
    ],
};

static HEALTH: Table = Table {
    name: "health",
    about: "What the server is to call unhealthy.",
    required: &[],
    keys: &[key("checks", Shape::List(&Shape::Object(&CHECK)), "In the order in which they are shown.")],
};

const MEASURES: [&str; 5] = ["active_runs", "queue_depth", "running_tasks", "failure_rate", "hosts"];

static CHECK: Table = Table {
    name: "check",
    about: "A measure with a bound.",
    required: &["name", "measure"],
    keys: &[
        key("name", Shape::Text, "What it is called where it is shown."),
        key("measure", Shape::OneOf(&MEASURES), "What is measured."),
        key("of", Shape::Text, "The queue or worker that is measured."),
        key("over", BOUND, "It fails above this."),
        key("under", BOUND, "It fails below this."),
        key("at_least", SLOTS, "A failure rate is not judged by fewer tasks than this."),
        key("critical", Shape::Flag, "While it fails the server calls itself unhealthy."),
    ],
};

/// A configuration file: its values and their positions.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    name: String,
    text: String,
    said: Value,
}

impl ConfigFile {
    /// Reads a file. `name` is its name in messages.
    ///
    /// # Errors
    /// Every problem, with file, line, column, field and what to do.
    pub fn read(bytes: &[u8], name: &str) -> Result<ConfigFile, Problems> {
        let said = yaml::document(bytes, name, FORM, |document| {
            let Some(root) = document.root else { return Ok(json!({})) };
            let mut reader = Reader { source: document.source, problems: document.problems };
            let said = reader.object(&root, &Trail::ROOT, &CONFIG);
            match said.filter(|_| reader.problems.is_empty()) {
                Some(mut said) => {
                    write_out(&mut said);
                    Ok(said)
                }
                None => Err(reader.problems.sorted()),
            }
        })?;
        let text = String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned();
        Ok(ConfigFile { name: name.to_owned(), text, said })
    }

    /// Returns its name for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its values as JSON: amounts and durations are text as written.
    #[must_use]
    pub fn said(&self) -> &Value {
        &self.said
    }

    /// Returns the text of the file, for messages that show the line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns a problem with the position of the invalid value; without a position when the value is not in the file.
    #[must_use]
    pub fn placed(&self, problem: &ConfigProblem) -> Problems {
        let place = yaml::document(self.text.as_bytes(), &self.name, FORM, |document| {
            let place = document.root.map(|root| {
                let node = root.at_path(&problem.field);
                // Only the file as a whole was reached: the value is not in it.
                if std::ptr::eq(node, &raw const root) { yaml::Place::default() } else { node.place }
            });
            Ok(place.unwrap_or_default())
        });
        let place = place.unwrap_or_default();
        let mut problems = Problems::none(&self.name);
        problems.push(Problem {
            line: place.line,
            column: place.column,
            field: problem.field.clone(),
            message: problem.message.clone(),
            hint: None,
        });
        problems
    }
}

/// Expands short forms: `per_key: 2` becomes `per_key: { limit: 2 }`.
fn write_out(said: &mut Value) {
    let queues = said.get_mut("queues").and_then(Value::as_object_mut);
    for queue in queues.into_iter().flat_map(|queues| queues.values_mut()) {
        if let Some(rule) = queue.get_mut("per_key").filter(|rule| rule.is_number()) {
            *rule = json!({ "limit": rule });
        }
    }
}

#[cfg(test)]
mod tests {
    use kapelle_gateway::config::Kind;

    use super::*;
    use crate::{Config, Measure};

    #[test]
    fn every_key_of_the_tables_is_read_into_the_configuration() {
        let text = "\u{feff}listen: 127.0.0.1:0\r\nproviders:\r\n  p: { kind: compatible, base_url: http://h/v1, base_url_env: A, api_key_env: B, \
                    api_key_file: f, resource: r, region: 1, project: p, location: l, supports: { chat: true, responses: false, \
                    embeddings: true, tools: true, json_schema: true, json_object: true, images: true, audio: true, \
                    many_choices: true, logprobs: true, stream_usage: true }, pass: [documents], limit_field: none, insecure: true, limits: { requests_per_minute: 1, tokens_per_minute: 2 } }\r\n\
                    models: { fast: { chain: [p/m], max_output_tokens: 5, limit_field: max_tokens, weights: [1] } }\r\n\
                    prices: { p/m: { input: 0.15, output: $0.60, cached_input: 0.1, long_prompts: { above: 9, input: 1, output: 2, cached_input: 1 } } }\r\n\
                    fallback: false\r\nbudgets: { day: 10, tenant: 0.000000001, queues: { q: 1.10 }, workers: { w: $3 }, tenants: { 2: { day: 1, tenant: 2, queues: { q: 1 }, workers: { w: 1 } } } }\r\n\
                    queues: { q: { slots: 2, per_key: 3 }, r: { slots: 1, per_key: { limit: 1, when_full: reject } } }\r\n\
                    ageing: 0\r\nretention: { tasks: 0, runs: 1d }\r\nlabels: { gpu: on }\r\nlease: 20s\r\n\
                    health: { checks: [{ name: n, measure: queue_depth, of: q, over: 1.5, at_least: 2, critical: true }, { name: m, measure: hosts, under: 1 }] }\r\n";
        let config = Config::parse(text, "kapelle.yaml").unwrap();
        assert_eq!(config.prices["p/m"].input, "0.15");
        assert_eq!((config.budgets.day.as_deref(), config.budgets.queues["q"].as_str()), (Some("10"), "1.10"));
        assert!(config.budgets.limits().unwrap().iter().any(|(_, _, money)| *money == kapelle_core::Money(1)));
        assert_eq!((config.queues["q"].per_key.unwrap().limit, config.labels["gpu"].as_str()), (3, "on"));
        assert_eq!(config.providers["p"].region.as_deref(), Some("1"));
        assert_eq!(config.providers["p"].supports.len(), SUPPORTS.keys.len());
        assert!(KINDS.iter().all(|word| serde_json::from_value::<Kind>((*word).into()).is_ok()));
        assert!(MEASURES.iter().all(|word| serde_json::from_value::<Measure>((*word).into()).is_ok()));
        // Every serialized key is one that the file may have.
        assert!(ConfigFile::read(serde_json::to_string(&config).unwrap().as_bytes(), "x").is_ok());
    }

    #[test]
    fn sections_without_content_are_left_out() {
        for text in ["", "# nothing\n", "---\n", "providers:\nmodels: ~\nbudgets:\n  queues:\nqueues: null\n", "{}"] {
            assert_eq!(Config::parse(text, "k").unwrap(), Config::default(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_placed_and_says_what_to_do() {
        for (text, part) in [
            (
                "prices:\n  p/m: { input: cheap, output: 1 }",
                "k:2:17: prices.p/m.input: `cheap` is not an amount of money",
            ),
            ("prices:\n  p/m: { input: -1, output: 1e3 }", "k:2:29: prices.p/m.output: `1e3` is not an amount"),
            (
                "prices: { p/m: { input: 1 } }",
                "k:1:16: prices.p/m: `output` is missing (add `output:`. For tokens received.)",
            ),
            ("prices: { p/m: { input: 0.0001, output: 1 } }", "k:1:25: prices.p/m.input: the smallest price is $0.001"),
            ("budgets: { day: [] }", "k:1:17: budgets.day: expected an amount in dollars such as $2.50, found a list"),
            ("budgets: { daily: 10 }", "k:1:12: budgets.daily: unknown key `daily` (write `day: $10`)"),
            ("queues: { q: 5 }", "k:1:14: queues.q: expected a map with the keys slots, per_key, found a whole number"),
            ("queues: { q: { slots: -1 } }", "k:1:23: queues.q.slots: -1 is not between 0 and"),
            ("queues: { q: { slots: 1, per_key: 0 } }", "k:1:35: queues.q.per_key.limit: 0 lets no task"),
            ("queues: { 9q: { slots: 1 } }", "queues.9q: `9q` is not a name"),
            ("lease: 15", "k:1:8: lease: `15` is not a duration"),
            ("lease: 1h", "k:1:8: lease: 1h is not between 1s and 10m"),
            ("fallback: yes", "k:1:11: fallback: expected true or false, found text (in YAML 1.2"),
            (
                "providers: { p: { kind: opnai } }",
                "providers.p.kind: `opnai` is not known here (did you mean `openai`?)",
            ),
            (
                "providers: { p: { kind: openai, api_key: sk-1 } }",
                "put it into a variable (or `.env`) and write `api_key_env: VARIABLE`",
            ),
            ("modles: {}", "k:1:1: modles: unknown key `modles` (did you mean `models`?)"),
            ("log: debug", "(set the variable KAPELLE_LOG"),
            ("models: { fast: { chain: [nobody/x] } }", "k:1:27: models.fast.chain[0]: there is no provider `nobody`"),
            ("models: { fast: { chain: [] } }", "models.fast.chain: the chain is empty"),
            ("listen: a\nlisten: b", "k:2:1: `listen` is given twice (it stands on line 1 already)"),
            ("listen: [", "k:"),
            ("- a", "k:1:1: expected a map, found a list"),
            ("a: 1\n---\nb: 2", "k:2:1: the file holds more than one document"),
        ] {
            let error = Config::parse(text, "k").unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let many = Config::parse("lease: 1\nfallback: no\nquues: {}\n", "k").unwrap_err();
        assert_eq!(many.problems.len(), 3, "{many}");
        let secret = "providers: { p: { kind: openai,\n  api_key: sk-1 } }";
        let shown = Config::parse(secret, "k").unwrap_err().render(secret);
        assert!(shown.contains("api_key:") && !shown.contains("sk-1"), "{shown}");
    }
}
