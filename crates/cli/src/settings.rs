//! The configuration in layers: environment, `.env`, `kapelle.yaml`, the user's file, defaults; and the origin of each
//! value. The verbs apply flags on top.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kapelle::{Config, ConfigFile, ConfigProblem, core::yaml::Problems, scripts::environment::sounds_secret};
use serde_json::Value;

use crate::{
    dotenv,
    failure::Failure,
    project::{CONFIG_FILE, Project},
};

/// The prefix of variables for Kapelle's own settings: `KAPELLE_QUEUES__OPENAI__SLOTS=4`.
const PREFIX: &str = "KAPELLE_";
/// Variables with that prefix that are not settings of the configuration.
const OTHERS: [&str; 10] = [
    "KAPELLE_DATA",
    "KAPELLE_TOKEN",
    // Variables for scripts; a script may call this program.
    "KAPELLE_MARK",
    "KAPELLE_WORKER",
    "KAPELLE_WORKER_ID",
    "KAPELLE_INSTANCE",
    "KAPELLE_MODE",
    "KAPELLE_TASK",
    "KAPELLE_ATTEMPT",
    "KAPELLE_URL",
];

/// The configuration, and the origin of its values.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Settings {
    pub config: Config,
    /// The origin of each value, by its path. Missing paths are defaults.
    pub origins: BTreeMap<String, String>,
    /// Variables of the process and of `.env`.
    pub environment: Environment,
    /// Unknown variables with the prefix of settings.
    pub unknown: Vec<String>,
    /// The project's file, as origins name it.
    project_file: Option<String>,
}

/// Variables: those of the process, then those of `.env`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    file: BTreeMap<String, String>,
    warnings: Vec<String>,
    process: BTreeMap<String, String>,
}

impl Environment {
    /// Loads the variables of the process and of a project.
    #[must_use]
    pub fn load(folder: &Path) -> Environment {
        let process: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = dotenv::read(folder, &|name| process.get(name).cloned());
        Environment { file: file.values, warnings: file.warnings, process }
    }

    /// Returns the warnings about lines of `.env`.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the value of a variable. A set but empty one hides that of `.env` and counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.process.get(name).or_else(|| self.file.get(name))?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// Returns the values of variables whose names sound like a secret. Short values are left out, because they could
    /// be anything.
    pub fn secrets(&self) -> Vec<String> {
        let all = self.process.iter().chain(&self.file);
        all.filter(|(name, value)| sounds_secret(name) && value.len() >= 12).map(|(_, value)| value.clone()).collect()
    }

    /// Returns the folder for the user's own configuration. Only the process sets it: a project's `.env` cannot name
    /// another.
    pub fn user_folder(&self) -> Option<PathBuf> {
        let of = |name: &str| self.process.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = of("XDG_CONFIG_HOME").or_else(|| Some(of("HOME")?.join(".config")))?;
        Some(base.join("kapelle"))
    }

    /// Returns where a variable is set.
    pub fn origin(&self, name: &str) -> &'static str {
        if self.process.contains_key(name) { "environment" } else { ".env" }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.process.keys().chain(self.file.keys().filter(|name| !self.process.contains_key(*name)))
    }
}

impl Settings {
    /// Reads every layer.
    ///
    /// # Errors
    /// With file, line and column, or the name of the variable.
    pub fn load(project: &Project) -> Result<Settings, Failure> {
        let environment = Environment::load(&project.root);
        let mut layers = Layers { merged: to_json(&Config::default()), origins: BTreeMap::new(), files: Vec::new() };
        let user = user_file(&environment).filter(|path| path.is_file());
        for path in [user, project.config.clone()].into_iter().flatten() {
            layers.add(read_layer(&path)?);
        }
        let unknown = layers.variables(&environment)?;
        let config = layers.config()?;
        let project_file = project.config.as_deref().map(Project::shown);
        Ok(Settings { config, origins: layers.origins, environment, unknown, project_file })
    }

    /// Returns every value with its path and its origin.
    pub fn values(&self) -> Vec<(String, Value, String)> {
        let mut leaves = Vec::new();
        flatten(&to_json(&self.config), String::new(), &mut leaves);
        let origin = |path: &str| {
            let known = self.origins.iter().filter(|(place, _)| {
                path.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            known
                .max_by_key(|(place, _)| place.len())
                .map_or_else(|| "default".to_owned(), |(_, origin)| origin.clone())
        };
        leaves
            .into_iter()
            .map(|(path, value)| {
                let origin = origin(&path);
                (path, value, origin)
            })
            .collect()
    }

    /// Says whether the project's own files set a value: its `kapelle.yaml` or its `.env`.
    pub fn is_of_project(&self, path: &str) -> bool {
        let above = |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let known = self.origins.iter().filter(|(place, _)| above(place)).max_by_key(|(place, _)| place.len());
        known.is_some_and(|(_, origin)| origin.starts_with(".env ") || self.project_file.as_ref() == Some(origin))
    }

    /// Returns the variables that hold keys of providers.
    pub fn key_variables(&self) -> Vec<&str> {
        self.config.providers.values().filter_map(kapelle::gateway::config::Provider::key_variable).collect()
    }
}

/// Returns the user's own file, which applies to all projects.
fn user_file(environment: &Environment) -> Option<PathBuf> {
    Some(environment.user_folder()?.join(CONFIG_FILE))
}

fn read_layer(path: &Path) -> Result<ConfigFile, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io(path, &error))?;
    ConfigFile::read(&bytes, &Project::shown(path)).map_err(|problems| refuse(&problems, &bytes))
}

fn refuse(problems: &Problems, bytes: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(bytes);
    Failure::usage(problems.to_string()).rendered(problems.render(text.trim_start_matches('\u{feff}')))
}

/// The layers while they are merged.
struct Layers {
    merged: Value,
    origins: BTreeMap<String, String>,
    files: Vec<ConfigFile>,
}

impl Layers {
    fn add(&mut self, file: ConfigFile) {
        overlay(&mut self.merged, file.said().clone(), &mut self.origins, file.name());
        self.files.push(file);
    }

    /// Applies variables. Returns unknown names with the prefix of settings.
    fn variables(&mut self, environment: &Environment) -> Result<Vec<String>, Failure> {
        let mut unknown = Vec::new();
        for name in environment.names() {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !OTHERS.contains(&name.as_str())) else { continue };
            let Some(value) = environment.get(name) else { continue };
            let place: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            if !set(&mut self.merged, &place, value, name)? {
                unknown.push(name.clone());
                continue;
            }
            if let Err(error) = serde_json::from_value::<Config>(self.merged.clone()) {
                return Err(Failure::usage(format!("{name}={value}: {error}")));
            }
            self.origins.insert(place.join("."), format!("{} {name}", environment.origin(name)));
        }
        Ok(unknown)
    }

    /// Returns the configuration, when it is valid as a whole; problems are reported with the place that sets the
    /// value.
    fn config(&self) -> Result<Config, Failure> {
        let config: Config = serde_json::from_value(self.merged.clone())
            .map_err(|error| Failure::usage(format!("the configuration: {error}")))?;
        let problems = config.problems();
        if problems.is_empty() {
            return Ok(config);
        }
        // Each problem is shown in the file that sets the value.
        let mut by_file: BTreeMap<Option<&str>, Vec<ConfigProblem>> = BTreeMap::new();
        let mut elsewhere = Vec::new();
        for problem in problems {
            let origin = self.origin(&problem.field);
            match self.files.iter().find(|file| Some(file.name()) == origin) {
                Some(file) => by_file.entry(Some(file.name())).or_default().push(problem),
                None => elsewhere.push(origin.map_or_else(|| problem.to_string(), |at| format!("{at}: {problem}"))),
            }
        }
        let placed = self.files.iter().filter_map(|file| {
            let found = by_file.get(&Some(file.name()))?;
            Some(refuse(&file.placed(found), file.text().as_bytes()))
        });
        let mut failures: Vec<Failure> = placed.collect();
        failures.extend(elsewhere.into_iter().map(Failure::usage));
        Err(joined(failures))
    }

    /// Returns the place that sets a value; `None` for a default.
    fn origin(&self, field: &str) -> Option<&str> {
        let said = self.origins.iter().filter(|(place, _)| {
            field.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        said.max_by_key(|(place, _)| place.len()).map(|(_, origin)| origin.as_str())
    }
}

/// Joins the failures of several places into one.
fn joined(failures: Vec<Failure>) -> Failure {
    let lines: Vec<&str> = failures.iter().map(|failure| failure.message.as_str()).collect();
    let shown = |failure: &Failure| failure.rendered.clone().unwrap_or_else(|| format!("error: {}\n", failure.message));
    let rendered: String = failures.iter().map(shown).collect();
    Failure::usage(lines.join("\n")).rendered(rendered)
}

/// Merges a file over the layers below. A provider, model, price or queue replaces the one below as a whole.
fn overlay(below: &mut Value, layer: Value, origins: &mut BTreeMap<String, String>, file: &str) {
    let (Some(below), Value::Object(layer)) = (below.as_object_mut(), layer) else { return };
    for (key, value) in layer {
        match (below.get_mut(&key).and_then(Value::as_object_mut), value) {
            (Some(entries), Value::Object(given)) => {
                for (name, entry) in given {
                    origins.insert(format!("{key}.{name}"), file.to_owned());
                    entries.insert(name, entry);
                }
            }
            (_, value) => {
                origins.insert(key.clone(), file.to_owned());
                below.insert(key, value);
            }
        }
    }
}

/// Sets one value from a variable. Returns false when the setting is unknown.
fn set(config: &mut Value, place: &[String], text: &str, variable: &str) -> Result<bool, Failure> {
    let mut at = config;
    for part in place {
        let Some(next) = at.get_mut(part.as_str()) else { return Ok(false) };
        at = next;
    }
    let bad = |wanted: &str| Failure::usage(format!("{variable}={text}: expected {wanted}"));
    *at = match at {
        Value::Number(_) => Value::from(text.parse::<u64>().map_err(|_| bad("a whole number"))?),
        Value::Bool(_) => match text {
            "true" | "1" | "yes" => Value::Bool(true),
            "false" | "0" | "no" => Value::Bool(false),
            _ => return Err(bad("true or false")),
        },
        Value::Array(_) => text.split(',').map(|item| Value::from(item.trim())).collect(),
        Value::Object(_) => return Ok(false),
        Value::String(_) | Value::Null => Value::from(text),
    };
    Ok(true)
}

fn flatten(value: &Value, path: String, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, path, leaves);
            }
        }
        other => leaves.push((path, other.clone())),
    }
}

fn to_json(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_replaces_entries_and_keeps_the_others() {
        let mut below = to_json(&Config::default());
        let mut origins = BTreeMap::new();
        overlay(&mut below, json!({ "queues": { "openai": { "slots": 2 } }, "ageing": "5s" }), &mut origins, "f");
        assert_eq!((&below["queues"]["openai"]["slots"], &below["queues"]["default"]["slots"]), (&json!(2), &json!(8)));
        assert_eq!(origins["queues.openai"], "f");
    }

    #[test]
    fn a_variable_sets_one_value_of_the_right_kind() {
        let mut config = to_json(&Config::default());
        let place = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(set(&mut config, &place("queues.ml.slots"), "3", "V").unwrap());
        assert!(set(&mut config, &place("models.fast.chain"), "offline", "V").unwrap());
        assert_eq!(
            (&config["queues"]["ml"]["slots"], &config["models"]["fast"]["chain"]),
            (&json!(3), &json!(["offline"]))
        );
        assert!(!set(&mut config, &place("queues.none.slots"), "3", "V").unwrap());
        assert!(set(&mut config, &place("queues.ml.slots"), "many", "V").unwrap_err().message.contains("whole number"));
    }
}
