//! The reference of `kapelle.yaml`: every key that the reader accepts, with its type, its default, and whether a change
//! takes effect while the server runs.

use std::fmt::Write as _;

use kapelle_core::{
    limit::KeyLimit,
    yaml::{Shape, Table},
};
use kapelle_gateway::config::{Alias, PricePerMillion, Provider};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    config::{Config, QueueConfig, RELOADED},
    config_file::CONFIG,
    health_config::HealthCheck,
};

/// One key of `kapelle.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ConfigKey {
    /// Its path; `NAME` stands for a name that the user chooses.
    pub key: String,
    /// The type of its value.
    pub kind: String,
    pub default: String,
    /// Whether a change takes effect within a second; otherwise at the next start.
    pub reloaded: bool,
    pub about: &'static str,
}

/// Returns every key, in the order of the reader's tables.
#[must_use]
pub fn config_keys() -> Vec<ConfigKey> {
    let mut keys = Vec::new();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    walk(&CONFIG, "", &defaults, &mut keys);
    keys
}

fn walk(table: &Table, prefix: &str, defaults: &Value, keys: &mut Vec<ConfigKey>) {
    for key in table.keys {
        let path = format!("{prefix}{}", key.name);
        let top = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let value = defaults.get(key.name);
        let default = match value {
            _ if table.required.contains(&key.name) => "required".to_owned(),
            Some(value) => shown(value),
            None => "-".to_owned(),
        };
        let reloaded = RELOADED.contains(&top.as_str());
        keys.push(ConfigKey { key: path.clone(), kind: kind(&key.shape), default, reloaded, about: key.about });
        if let Some((inner, between)) = inner(&key.shape) {
            let sample = sample(inner).or_else(|| value.cloned()).unwrap_or_default();
            walk(inner, &format!("{path}{between}"), &sample, keys);
        }
    }
}

/// Returns the table of the maps inside a value, and the text between the path of the value and that of their keys.
fn inner(shape: &Shape) -> Option<(&'static Table, &'static str)> {
    match shape {
        Shape::Object(table) => Some((table, ".")),
        Shape::Map(Shape::Object(table)) => Some((table, ".NAME.")),
        Shape::List(Shape::Object(table)) => Some((table, "[].")),
        Shape::Short(_, long) => inner(long),
        _ => None,
    }
}

/// Returns the values that an entry has when the file gives only what is required.
fn sample(table: &Table) -> Option<Value> {
    fn of<T: Serialize + DeserializeOwned>(least: Value) -> Option<Value> {
        serde_json::to_value(serde_json::from_value::<T>(least).ok()?).ok()
    }
    match table.name {
        "provider" => of::<Provider>(json!({ "kind": "openai" })),
        "alias" => of::<Alias>(json!({ "chain": [] })),
        "price" => of::<PricePerMillion>(json!({ "input": "1", "output": "1" })),
        "queue" => of::<QueueConfig>(json!({ "slots": 1 })),
        "per_key" => of::<KeyLimit>(json!({ "limit": 1 })),
        "check" => {
            let mut sample = of::<HealthCheck>(json!({ "name": "x", "measure": "hosts", "over": 1 }))?;
            // One bound is needed for the sample, and neither has a default.
            sample.as_object_mut().and_then(|fields| fields.remove("over"));
            Some(sample)
        }
        _ => None,
    }
}

/// Formats a default.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Object(entries) if entries.is_empty() || entries.values().all(|value| shown(value) == "-") => {
            "-".to_owned()
        }
        Value::Object(entries) if entries.values().all(Value::is_object) => {
            let names: Vec<String> = entries.keys().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
        Value::Object(_) => "as below".to_owned(),
        other => format!("`{other}`"),
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Name => "name".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Duration => "duration (`30s`)".to_owned(),
        Shape::DurationOrZero => "duration (`30s`), or `0`".to_owned(),
        Shape::Money => "dollars (`$2.50`)".to_owned(),
        Shape::Whole { least, .. } => format!("whole number from {least}"),
        Shape::Number { least, .. } => format!("number from {least}"),
        Shape::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::Json => "any value".to_owned(),
        Shape::List(of) => format!("list of: {}", kind(of)),
        Shape::Map(Shape::Object(_)) => "map from names to maps".to_owned(),
        Shape::Map(of) => format!("map from names to: {}", kind(of)),
        Shape::Variables => "map or list of variables".to_owned(),
        Shape::Object(_) => "map".to_owned(),
        Shape::Short(short, long) => format!("{}; or {}", kind(short), kind(long)),
        Shape::FlagOr(of) => format!("`true`, `false`; or {}", kind(of)),
    }
}

/// Formats the reference as Markdown.
#[must_use]
pub fn config_reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for row in config_keys() {
        let reload = if row.reloaded { "yes" } else { "restart" };
        let (kind, about) = (row.kind.replace('|', "\\|"), row.about.replace('|', "\\|"));
        let _ = writeln!(text, "| `{}` | {kind} | {} | {reload} | {about} |", row.key, row.default);
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

`kapelle.yaml` configures a project. The file is optional, and so is every key unless the table says `required`. It is
YAML 1.2. `kapelle config check` reports every fault with its line, column and field, and exits with code 2 when there is
one. This page is generated: `kapelle config reference` prints it.

Values come from five layers; the first that has a value wins: flags of a verb, the environment, `.env` beside
`kapelle.yaml`, `kapelle.yaml`, and the user's own `~/.config/kapelle/kapelle.yaml`. A variable is named after the path of
its key: `KAPELLE_QUEUES__OPENAI__SLOTS=4` sets `queues.openai.slots`. `kapelle config show --origin` shows every value
and its layer. A provider, model, price or queue replaces the one of the layer below as a whole.

A server looks at `kapelle.yaml` and `.env` once a second. Keys with `yes` under *reload* take effect then; the others at
the next start, and the log says which of them changed.

| key | type | default | reload | meaning |
|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_configuration_is_in_the_reference() {
        let keys = config_keys();
        let known: Vec<&str> = keys.iter().map(|row| row.key.as_str()).collect();
        // Every value of the defaults has its key, so that no field of the configuration is left out.
        let defaults = serde_json::to_value(Config::default()).unwrap();
        for (name, value) in defaults.as_object().unwrap() {
            assert!(known.contains(&name.as_str()), "{name}");
            let inner = value
                .as_object()
                .filter(|_| !["providers", "models", "prices", "queues", "labels"].contains(&name.as_str()));
            for field in inner.into_iter().flat_map(|inner| inner.keys()) {
                assert!(known.contains(&format!("{name}.{field}").as_str()), "{name}.{field}");
            }
        }
        let row = |key: &str| keys.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}")).clone();
        assert_eq!((row("listen").default.as_str(), row("listen").reloaded), ("`127.0.0.1:7863`", false));
        assert_eq!((row("queues.NAME.slots").default.as_str(), row("budgets.day").reloaded), ("required", true));
        assert_eq!(row("health.checks[].at_least").default, "`10`");
        assert_eq!(row("queues").default, "`default`, `ml`, `openai`");
        assert!(RELOADED.iter().all(|key| known.contains(key)));
    }

    #[test]
    fn a_change_of_each_other_key_needs_a_restart() {
        let text = "listen: 127.0.0.1:1\nqueues: { q: { slots: 1 } }\nageing: 1s\nretention: { tasks: 1d }\n\
                    labels: { a: b }\nlease: 20s\nhealth: { checks: [{ name: n, measure: hosts, over: 1 }] }\n\
                    secrets: { a: { env: A } }\nlog: { format: json }\nwebhooks: { insecure: true }\nfallback: false\nbudgets: { day: 1 }\n";
        let mut changed = Config::default().restart_keys(&Config::parse(text, "k").unwrap());
        let mut all: Vec<&str> = CONFIG.names().filter(|name| !RELOADED.contains(name)).collect();
        changed.sort_unstable();
        all.sort_unstable();
        assert_eq!(changed, all);
    }

    #[test]
    fn all_faults_of_a_configuration_are_told_at_once() {
        let text = "queues: { 9q: { slots: 1 }, r: { slots: 1, per_key: 0 } }\nlease: 1h\n\
                    models: { fast: { chain: [] }, smart: { chain: [nobody/x] } }\n\
                    prices: { p/m: { input: 0.0001, output: 1 } }\n";
        let faults = Config::parse(text, "k").unwrap_err();
        assert_eq!(faults.problems.len(), 6, "{faults}");
    }

    #[test]
    fn a_budget_of_nobody_is_told_with_the_near_name() {
        let budgets = Config::parse("budgets: { workers: { inboxx: 1, far: 1 } }", "k").unwrap().budgets;
        let problems = budgets.unknown_workers(&["inbox".to_owned()]);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            told[1]
                .starts_with("budgets.workers.inboxx: no worker or script is called `inboxx`; did you mean `inbox`?"),
            "{told:?}"
        );
        assert!(told[0].contains("`far`; a worker host"), "{told:?}");
    }
}
