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

pub(crate) static CONFIG: Table = Table {
    name: "kapelle.yaml",
    about: "The configuration of a project.",
    required: &[],
    keys: &[
        key("listen", Shape::Text, "The address of the server, such as 127.0.0.1:7863."),
        key("providers", Shape::Map(&Shape::Object(&PROVIDER)), "Providers of models, by name."),
        key("models", Shape::Map(&Shape::Object(&ALIAS)), "Aliases that workers name."),
        key("prices", Shape::Map(&Shape::Object(&PRICE)), "Prices that override the table, by `provider/model`."),
        key("fallback", Shape::Flag, "Whether a missing or refused key lets the next model of a chain answer."),
        key("budgets", Shape::Object(&BUDGETS), "Spending limits."),
        key("queues", Shape::Map(&Shape::Object(&QUEUE)), "Queues, with their slots."),
        key("ageing", Shape::DurationOrZero, "Waiting time that equals a point of priority."),
        key("retention", Shape::Object(&RETENTION), "Retention of ended work."),
        key("labels", Shape::Map(&Shape::Text), "Labels of this process."),
        key("lease", Shape::Duration, "Silence after which a worker host loses its tasks."),
        key("health", Shape::Object(&HEALTH), "Health checks of the server."),
        key("secrets", Shape::Map(&Shape::Object(&SECRET)), "Secrets that settings of workers name, by name."),
        key("log", Shape::Object(&LOG), "The log of the server, on standard error."),
        key("webhooks", Shape::Object(&WEBHOOKS), "Receivers of events that subscriptions may name."),
    ],
};

static PROVIDER: Table = Table {
    name: "provider",
    about: "A provider, with the source of its address and key.",
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
        key("pass", Shape::List(&Shape::Text), "Unknown request fields that are passed on."),
        key("limit_field", LIMIT_FIELD, "The field for the limit of an answer, when the caller sets none."),
        key("supports", Shape::Object(&SUPPORTS), "Features of the server."),
        key("limits", Shape::Object(&LIMITS), "Rate limits."),
    ],
};

const LIMIT_FIELD: Shape = Shape::OneOf(&["max_tokens", "max_completion_tokens", "none"]);
const KINDS: [&str; 8] = ["openai", "azure", "bedrock", "gemini", "vertex", "anthropic", "compatible", "offline"];

static SUPPORTS: Table = Table {
    name: "supports",
    about: "Features of a provider's server.",
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
    about: "Rate limits of a provider.",
    required: &[],
    keys: &[
        key("requests_per_minute", SLOTS, "Requests per minute."),
        key("tokens_per_minute", Shape::Whole { least: 0, most: 1 << 53 }, "Tokens per minute."),
    ],
};

static ALIAS: Table = Table {
    name: "alias",
    about: "A name for a chain of models, in order of preference.",
    required: &["chain"],
    keys: &[
        key("chain", Shape::List(&Shape::Text), "`provider/model`, or `offline`."),
        key("max_output_tokens", COUNT, "The default limit of an answer, in tokens."),
        key("limit_field", LIMIT_FIELD, "The field for that limit; by default the provider's."),
        key("weights", Shape::List(&SLOTS), "Weights with which each model comes first."),
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
        key("long_prompts", Shape::Object(&LONG), "The prices for long prompts."),
    ],
};

static LONG: Table = Table {
    name: "price",
    about: "Dollars for a million tokens of calls with a long prompt.",
    required: &["above", "input", "output"],
    keys: &[
        key("above", Shape::Whole { least: 0, most: 1 << 53 }, "Tokens above which a prompt is long."),
        key("input", Shape::Money, "For tokens sent."),
        key("output", Shape::Money, "For tokens received."),
        key("cached_input", Shape::Money, "For tokens read from the provider's cache."),
    ],
};

static BUDGETS: Table = Table {
    name: "budgets",
    about: "Spending limits.",
    required: &[],
    keys: &[
        key("day", Shape::Money, "Limit of all tenants together for one day."),
        key("tenant", Shape::Money, "Total limit of each tenant."),
        key("queues", Shape::Map(&Shape::Money), "Total limits of queues."),
        key("workers", Shape::Map(&Shape::Money), "Total limits of workers, including their processes."),
        key("tenants", Shape::Map(&Shape::Object(&TENANT)), "Limits of single tenants, by number."),
    ],
};

static TENANT: Table = Table {
    name: "budgets",
    about: "Spending limits of one tenant.",
    required: &[],
    keys: &[
        key("day", Shape::Money, "Limit for one day."),
        key("tenant", Shape::Money, "Total limit."),
        key("queues", Shape::Map(&Shape::Money), "Total limits of queues."),
        key("workers", Shape::Map(&Shape::Money), "Total limits of workers, including their processes."),
    ],
};

static QUEUE: Table = Table {
    name: "queue",
    about: "A queue.",
    required: &["slots"],
    keys: &[
        key("slots", SLOTS, "Tasks that run at once in one process."),
        key("per_key", Shape::Short(&SLOTS, &Shape::Object(&PER_KEY)), "Tasks of one concurrency key at once."),
    ],
};

static PER_KEY: Table = Table {
    name: "per_key",
    about: "Tasks of one concurrency key that run at once.",
    required: &["limit"],
    keys: &[
        key("limit", SLOTS, "Tasks that run at once."),
        key(
            "when_full",
            Shape::OneOf(&["queue", "cancel_running", "reject"]),
            "What happens to a task beyond the limit.",
        ),
    ],
};

static RETENTION: Table = Table {
    name: "retention",
    about: "Retention of ended work.",
    required: &[],
    keys: &[
        key("tasks", Shape::DurationOrZero, "Standalone tasks."),
        key("runs", Shape::DurationOrZero, "Runs with their steps."),
    ],
};

static HEALTH: Table = Table {
    name: "health",
    about: "Health checks of the server.",
    required: &[],
    keys: &[key("checks", Shape::List(&Shape::Object(&CHECK)), "Checks, in display order.")],
};

const MEASURES: [&str; 5] = ["active_runs", "queue_depth", "running_tasks", "failure_rate", "hosts"];

static CHECK: Table = Table {
    name: "check",
    about: "A measure with a bound.",
    required: &["name", "measure"],
    keys: &[
        key("name", Shape::Text, "Its name for display."),
        key("measure", Shape::OneOf(&MEASURES), "The measured quantity."),
        key("of", Shape::Text, "The measured queue or worker."),
        key("over", BOUND, "The upper bound."),
        key("under", BOUND, "The lower bound."),
        key("at_least", SLOTS, "Minimum number of tasks for a failure rate."),
        key("critical", Shape::Flag, "Whether a failure makes the server unhealthy."),
    ],
};

static SECRET: Table = Table {
    name: "secret",
    about: "The place of a secret: a variable or a file.",
    required: &[],
    keys: &[
        key("env", Shape::Text, "The variable that holds it."),
        key("file", Shape::Text, "The file that holds it."),
    ],
};

static WEBHOOKS: Table = Table {
    name: "webhooks",
    about: "Receivers of events that subscriptions may name.",
    required: &[],
    keys: &[
        key("hosts", Shape::List(&Shape::Text), "Public hosts: `any`, a name, `*.example.com`, or name:port."),
        key("private", Shape::List(&Shape::Text), "Hosts that may have private addresses, such as localhost:9000."),
        key("insecure", Shape::Flag, "Whether public hosts may be reached without TLS."),
    ],
};

static LOG: Table = Table {
    name: "log",
    about: "The log of the server, on standard error.",
    required: &[],
    keys: &[
        key("format", Shape::OneOf(&["text", "json"]), "The form of a line."),
        key("level", Shape::OneOf(&["error", "warn", "info", "debug"]), "The least important lines that are written."),
        key("access", Shape::Flag, "Whether requests are logged at the level `info` instead of `debug`."),
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

    /// Returns problems with the positions of the invalid values; without a position when the value is not in the file.
    #[must_use]
    pub fn placed(&self, found: &[ConfigProblem]) -> Problems {
        let places = yaml::document(self.text.as_bytes(), &self.name, FORM, |document| {
            let root = document.root;
            let place = |problem: &ConfigProblem| {
                let Some(root) = &root else { return yaml::Place::default() };
                let node = root.at_path(&problem.field);
                // Only the file as a whole was reached: the value is not in it.
                if std::ptr::eq(node, &raw const *root) { yaml::Place::default() } else { node.place }
            };
            Ok(found.iter().map(place).collect::<Vec<_>>())
        });
        let places = places.unwrap_or_default().into_iter().chain(std::iter::repeat(yaml::Place::default()));
        let mut problems = Problems::none(&self.name);
        for (problem, place) in found.iter().zip(places) {
            problems.push(Problem {
                line: place.line,
                column: place.column,
                field: problem.field.clone(),
                message: problem.message.clone(),
                hint: None,
            });
        }
        problems.sorted()
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
                    health: { checks: [{ name: n, measure: queue_depth, of: q, over: 1.5, at_least: 2, critical: true }, { name: m, measure: hosts, under: 1 }] }\r\n\
                    secrets: { a: { env: A }, b: { file: /run/b } }\r\n\
                    log: { format: json, level: debug, access: true }\r\n\
                    webhooks: { hosts: [any], private: ['localhost:9'], insecure: true }\r\n";
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
            ("secrets: { a: { env: A, file: b } }", "k:1:15: secrets.a: expected `env` or `file`, and not both"),
            ("secrets: { 'a}': { env: A } }", "secrets.a}: `a}` is not a name"),
            ("secrets: { a: { value: x } }", "put it into a variable (or `.env`) and write `env: VARIABLE`"),
            ("log: debug", "k:1:6: log: expected a map with the keys format, level, access, found text"),
            ("verbose: true", "(write `log: { level: debug }`"),
            ("models: { fast: { chain: [nobody/x] } }", "k:1:27: models.fast.chain[0]: there is no provider `nobody`"),
            ("models: { fast: { chain: [] } }", "models.fast.chain: the chain is empty"),
            ("listen: a\nlisten: b", "k:2:1: `listen` is given twice (it is on line 1 already)"),
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
