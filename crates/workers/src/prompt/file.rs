//! The keys of a worker file, and the values as they are written.

use kapelle_core::{
    Category,
    limit::WhenFull,
    retry::Jitter,
    yaml::{Form, Key, Shape, Table, key},
};
use serde::Deserialize;
use serde_json::Value;

use crate::offline::Method;

/// The shape of worker files.
pub(crate) const FORM: Form = Form {
    name: "a worker file",
    most: 256 << 10,
    empty: "a worker file begins with `kind: prompt`",
    split: "a worker file holds one prompt with its schemas",
};

pub(crate) const SLOTS: Shape = Shape::Whole { least: 1, most: 10_000 };
const TOKENS: Shape = Shape::Whole { least: 1, most: 1_000_000_000 };

/// The keys of a prompt worker.
pub(crate) static WORKER: Table = Table {
    name: "worker",
    about: "A prompt worker.",
    required: &["kind", "name", "prompt"],
    keys: &[
        key("kind", Shape::OneOf(&["prompt"]), "`prompt`: a model answers a prompt."),
        key("name", Shape::Name, "The name by which steps call it."),
        key("description", Shape::Text, "One line for people."),
        key("queue", Shape::Name, "The queue in which its tasks wait; default openai."),
        key("slots", SLOTS, "Tasks that run at once."),
        key("model", Shape::Text, "The model alias; default fast."),
        key("offline", Shape::OneOf(&METHODS), "The classical method that answers when no model can."),
        key("fallback", Shape::Flag, "Whether later models of the chain may answer."),
        key("max_cost", Shape::Money, "The most that one task may spend."),
        key("timeout", Shape::Duration, "Time limit of one attempt."),
        key("retry", Shape::Object(&RETRY), "Rules for retries of a failed attempt."),
        key("per_key", PER_KEY, "Tasks of one concurrency key that run at once."),
        key("rate", Shape::Text, "The most attempts that begin within a time, such as 60/minute."),
        key("requires", Shape::List(&Shape::Text), "The labels that a host must have."),
        key("cache", Shape::FlagOr(&Shape::Duration), "Whether an earlier answer may be reused, and up to what age."),
        key("temperature", Shape::Number { least: 0.0, most: 2.0 }, "Randomness of the answers."),
        key("max_output_tokens", TOKENS, "The longest answer, in tokens."),
        key("input", Shape::Json, "JSON Schema of the input."),
        key("max_input_tokens", TOKENS, "The longest input, in tokens; a longer one is shortened."),
        key("system", Shape::Text, "The system prompt."),
        key("prompt", Shape::Text, "The prompt; `{{ name }}` stands for an input."),
        key("output", Shape::Json, "JSON Schema of the answer."),
        key("tenants", Shape::List(&Shape::Text), "Other tenants that may use it: all, or numbers."),
    ],
};

/// The classical methods by name.
const METHODS: [&str; 8] =
    ["language", "sentiment", "keywords", "summary", "category", "questions", "analysis", "none"];

pub(crate) static RETRY: Table = Table {
    name: "retry",
    about: "Rules for retries of a failed attempt.",
    required: &[],
    keys: &[
        key("max_attempts", Shape::Whole { least: 1, most: 1_000 }, "Attempts in all, the first included."),
        key("delay", Shape::Duration, "The wait before the second attempt."),
        key("multiplier", Shape::Number { least: 1.0, most: 100.0 }, "Factor between one wait and the next."),
        key("max_delay", Shape::Duration, "The longest wait."),
        key("jitter", Shape::OneOf(&["none", "full", "equal"]), "Randomness of waits."),
        key("on", Shape::List(&Shape::OneOf(&CATEGORIES)), "Only these categories of failure are retried."),
    ],
};

const CATEGORIES: [&str; Category::ALL.len()] = {
    let mut words = [""; Category::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Category::ALL[at].as_str();
        at += 1;
    }
    words
};

/// Either `per_key: 1`, or `per_key: { limit: 1, when_full: reject }`.
pub(crate) const PER_KEY: Shape = Shape::Short(&SLOTS, &Shape::Object(&PER_KEY_RULE));

static PER_KEY_RULE: Table = Table {
    name: "per_key",
    about: "Tasks of one concurrency key that run at once.",
    required: &["limit"],
    keys: PER_KEY_KEYS,
};

const PER_KEY_KEYS: &[Key] = &[
    key("limit", SLOTS, "Tasks of one key that run at once."),
    key("when_full", Shape::OneOf(&["queue", "cancel_running", "reject"]), "What happens to a task beyond the limit."),
];

/// The values of a worker file. Missing or invalid ones have been reported and are left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PromptFile {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) queue: Option<String>,
    pub(crate) slots: Option<u32>,
    pub(crate) model: Option<String>,
    pub(crate) offline: Option<Method>,
    pub(crate) fallback: Option<bool>,
    pub(crate) max_cost: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) retry: Option<RetryFile>,
    pub(crate) per_key: Option<PerKey>,
    pub(crate) rate: Option<String>,
    pub(crate) requires: Vec<String>,
    pub(crate) cache: Option<CacheFor>,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) input: Option<Value>,
    pub(crate) max_input_tokens: Option<u64>,
    pub(crate) system: Option<String>,
    pub(crate) prompt: String,
    pub(crate) output: Option<Value>,
    pub(crate) tenants: Vec<String>,
}

/// The rule for tasks with one concurrency key.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum PerKey {
    Limit(u32),
    Rule {
        limit: u32,
        #[serde(default)]
        when_full: WhenFull,
    },
}

/// Either `cache: true`, or `cache: 1h`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum CacheFor {
    Switch(bool),
    Age(String),
}

/// The retry rules as they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RetryFile {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) delay: Option<String>,
    pub(crate) multiplier: Option<f64>,
    pub(crate) max_delay: Option<String>,
    pub(crate) jitter: Option<Jitter>,
    pub(crate) on: Option<Vec<Category>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_tables_is_one_that_is_read() {
        for word in METHODS {
            assert!(serde_json::from_value::<Method>(word.into()).is_ok_and(|method| method.to_string() == word));
        }
        for word in ["queue", "cancel_running", "reject"] {
            assert!(serde_json::from_value::<WhenFull>(word.into()).is_ok(), "{word}");
        }
    }
}
