//! The settings of a script as they are written, and how they are checked.

use std::collections::BTreeMap;

use kapelle_core::{DurationMs, Money, Name, schedule::Schedule};
use kapelle_supervisor::{
    keeping::Allowance,
    machine::{Policy, Restart},
};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::settings::{Fallback, Mode, Ready, Settings};
use crate::{prompt::DefinitionError, schema::Schema};

/// The settings as they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    name: Option<Spanned<String>>,
    description: String,
    mode: Option<Mode>,
    start: Option<bool>,
    queue: Option<Spanned<String>>,
    slots: Option<Spanned<u32>>,
    instances: Option<Spanned<u32>>,
    schedule: Option<Spanned<String>>,
    environment: Option<Spanned<Variables>>,
    limits: Limits,
    timeout: Option<Spanned<String>>,
    start_timeout: Option<Spanned<String>>,
    stop_timeout: Option<Spanned<String>>,
    ready: Option<Spanned<ReadyFile>>,
    restart: Option<Spanned<RestartFile>>,
    fallback: Option<Spanned<String>>,
    model: Option<String>,
    max_cost: Option<Spanned<String>>,
    interpreter: Option<String>,
    args: Vec<String>,
    input: Option<Spanned<Value>>,
    output: Option<Spanned<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    memory: Option<Spanned<String>>,
    processes: Option<Spanned<u32>>,
    log: Option<Spanned<String>>,
}

/// `[NAME, ...]`, or `{ NAME: value, OTHER: null }`; what has no value is passed on as it is here.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Variables {
    Names(Vec<String>),
    Values(BTreeMap<String, Option<Value>>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ReadyFile {
    Word(String),
    Rule(ReadyRule),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ReadyRule {
    Line(String),
    Http(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RestartFile {
    Word(When),
    Rule(RestartRule),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Never,
    OnFailure,
    Always,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RestartRule {
    when: Option<When>,
    tries: Option<u32>,
    delay: Option<String>,
    multiplier: Option<u32>,
    max_delay: Option<String>,
    stable: Option<String>,
}

/// Checks what is written in a file.
pub(super) struct Checker<'a>(pub(super) &'a str);

type Checked<T> = Result<T, DefinitionError>;

impl Checker<'_> {
    /// The settings, when all of them make sense.
    pub(super) fn check(&self, written: Written) -> Checked<Settings> {
        let mut settings = Settings {
            description: written.description,
            mode: written.mode,
            start: written.start,
            model: written.model,
            interpreter: written.interpreter,
            args: written.args,
            ..Settings::default()
        };
        settings.name = written.name.as_ref().map(|name| self.name(name)).transpose()?;
        if let Some(queue) = &written.queue {
            settings.queue = self.name(queue)?;
        }
        settings.slots = self.count(written.slots.as_ref(), "slots", 1_000)?.unwrap_or(1);
        settings.instances = self.count(written.instances.as_ref(), "instances", 64)?.unwrap_or(1);
        settings.allowance = self.allowance(&written.limits)?;
        if let Some(log) = &written.limits.log {
            settings.log_max = self.bytes(log)?.max(64 << 10);
        }
        settings.timeout = written.timeout.as_ref().map(|text| self.duration(text)).transpose()?;
        settings.fallback = match &written.fallback {
            None => Fallback::Wait,
            Some(word) if word.value == "wait" => Fallback::Wait,
            Some(name) => Fallback::Worker(self.name(name)?),
        };
        if let Some(cost) = &written.max_cost {
            let cost = Money::parse(&cost.value).map_err(|error| self.at(cost, error.to_string()))?;
            settings.max_cost = Some(cost);
        }
        self.environment(written.environment, &mut settings)?;
        settings.ready = self.ready(written.ready, settings.mode)?;
        settings.policy.tells_ready = settings.ready != Ready::AtOnce;
        self.policy(written.restart, &mut settings.policy)?;
        if let Some(text) = &written.start_timeout {
            settings.policy.start_ms = self.duration(text)?.0;
        }
        if let Some(text) = &written.stop_timeout {
            settings.policy.stop_ms = self.duration(text)?.0;
        }
        if let Some(text) = &written.schedule {
            if !matches!(settings.mode, None | Some(Mode::Daemon)) {
                return Err(self.at(text, "only a script of mode `daemon` has a schedule"));
            }
            let help = "write a span such as 15m, or a line of cron such as `0 3 * * *` (UTC)";
            let schedule = Schedule::parse(&text.value).map_err(|error| self.at(text, error.to_string()).help(help))?;
            if let Schedule::Every(every) = &schedule {
                settings.policy.every_ms = Some(every.0);
            }
            settings.schedule = Some(schedule);
        }
        settings.input = self.schema(written.input)?;
        settings.output = self.schema(written.output)?;
        Ok(settings)
    }

    fn at<T>(&self, field: &Spanned<T>, message: impl Into<String>) -> DefinitionError {
        DefinitionError::at(self.0, field.referenced, message)
    }

    fn name(&self, field: &Spanned<String>) -> Checked<Name> {
        Name::parse(&field.value).map_err(|error| self.at(field, error.to_string()))
    }

    fn duration(&self, field: &Spanned<String>) -> Checked<DurationMs> {
        match DurationMs::parse(&field.value) {
            Ok(DurationMs::ZERO) => Err(self.at(field, "a duration of zero leaves no time")),
            Ok(duration) => Ok(duration),
            Err(error) => Err(self.at(field, error.to_string())),
        }
    }

    fn count(&self, field: Option<&Spanned<u32>>, what: &str, most: u32) -> Checked<Option<u32>> {
        match field {
            Some(field) if !(1..=most).contains(&field.value) => {
                Err(self.at(field, format!("{what} must be between 1 and {most}")))
            }
            other => Ok(other.map(|field| field.value)),
        }
    }

    fn bytes(&self, field: &Spanned<String>) -> Checked<u64> {
        let text = field.value.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let shift = match text[digits..].trim() {
            "KiB" | "K" => Some(10),
            "MiB" | "M" => Some(20),
            "GiB" | "G" => Some(30),
            _ => None,
        };
        let number = text[..digits].parse::<u64>().ok().filter(|number| (1..1 << 30).contains(number));
        number.zip(shift).map(|(number, shift)| number << shift).ok_or_else(|| {
            self.at(field, format!("`{text}` is not a size"))
                .help("write a whole number and a unit, such as 512MiB or 2GiB")
        })
    }

    fn allowance(&self, limits: &Limits) -> Checked<Allowance> {
        let mut allowance = Allowance::default();
        if let Some(memory) = &limits.memory {
            allowance.memory = if memory.value == "none" { None } else { Some(self.bytes(memory)?) };
        }
        if let Some(processes) = self.count(limits.processes.as_ref(), "processes", 10_000)? {
            allowance.processes = processes;
        }
        Ok(allowance)
    }

    fn environment(&self, written: Option<Spanned<Variables>>, settings: &mut Settings) -> Checked<()> {
        let Some(written) = written else { return Ok(()) };
        let place = written.referenced;
        match written.value {
            Variables::Names(names) => settings.passed = names,
            Variables::Values(values) => {
                for (name, value) in values {
                    match value {
                        None | Some(Value::Null) => settings.passed.push(name),
                        Some(Value::String(text)) => drop(settings.environment.insert(name, text)),
                        Some(other) => drop(settings.environment.insert(name, other.to_string())),
                    }
                }
            }
        }
        let names = settings.environment.keys().chain(&settings.passed);
        let wrong = |name: &&String| name.is_empty() || name.contains(['=', '\0']) || name.starts_with("KAPELLE_");
        match names.into_iter().find(wrong) {
            None => Ok(()),
            Some(name) => {
                let message =
                    format!("`{name}` is not a variable that can be set: KAPELLE_... are given by Kapelle itself");
                Err(DefinitionError::at(self.0, place, message))
            }
        }
    }

    fn ready(&self, written: Option<Spanned<ReadyFile>>, mode: Option<Mode>) -> Checked<Ready> {
        let Some(written) = written else { return Ok(Ready::AtOnce) };
        let help = "write `message`, `{ line: text }` or `{ http: \"http://127.0.0.1:PORT/path\" }`";
        let wrong = |message: String| Err(self.at(&written, message).help(help));
        if mode == Some(Mode::Task) {
            return wrong("a script of mode `task` is ready when it is started".to_owned());
        }
        match &written.value {
            ReadyFile::Word(word) if word == "message" => Ok(Ready::Message),
            ReadyFile::Word(word) => wrong(format!("`{word}` is no way of being ready")),
            ReadyFile::Rule(ReadyRule::Line(line)) if line.is_empty() => {
                wrong("an empty line tells nothing".to_owned())
            }
            ReadyFile::Rule(ReadyRule::Line(line)) => Ok(Ready::Line(line.clone())),
            ReadyFile::Rule(ReadyRule::Http(url)) if super::fleet::is_local_url(url) => Ok(Ready::Http(url.clone())),
            ReadyFile::Rule(ReadyRule::Http(url)) => wrong(format!("`{url}` is no address of this machine")),
        }
    }

    fn policy(&self, written: Option<Spanned<RestartFile>>, policy: &mut Policy) -> Checked<()> {
        let Some(written) = written else { return Ok(()) };
        let rule = match &written.value {
            RestartFile::Word(when) => &RestartRule { when: Some(*when), ..RestartRule::default() },
            RestartFile::Rule(rule) => rule,
        };
        policy.restart = match rule.when {
            None | Some(When::OnFailure) => Restart::OnFailure,
            Some(When::Never) => Restart::Never,
            Some(When::Always) => Restart::Always,
        };
        policy.tries = rule.tries.unwrap_or(policy.tries);
        policy.multiplier = rule.multiplier.unwrap_or(policy.multiplier);
        if policy.tries > 1_000 || !(1..=100).contains(&policy.multiplier) {
            return Err(self.at(&written, "tries is at most 1000, and multiplier between 1 and 100"));
        }
        let times = [
            (&rule.delay, &mut policy.delay_ms),
            (&rule.max_delay, &mut policy.max_delay_ms),
            (&rule.stable, &mut policy.stable_ms),
        ];
        for (text, field) in times {
            if let Some(text) = text {
                *field = DurationMs::parse(text).map_err(|error| self.at(&written, error.to_string()))?.0;
            }
        }
        Ok(())
    }

    fn schema(&self, field: Option<Spanned<Value>>) -> Checked<Option<Value>> {
        let Some(field) = field else { return Ok(None) };
        match Schema::compile(&field.value) {
            Ok(_) => Ok(Some(field.value)),
            Err(error) => Err(self.at(&field, format!("not a JSON Schema: {error}"))),
        }
    }
}
