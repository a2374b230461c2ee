//! What a script says about itself, in front of its code or in `name.worker.yaml` beside it.

use std::collections::BTreeMap;

use kapelle_core::{DurationMs, Money, Name};
use kapelle_supervisor::{
    helper::Allowance,
    machine::{Policy, Restart},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::{
    prompt::{DefinitionError, file},
    schema::Schema,
};

/// How a script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A loop of its own, only supervised.
    #[default]
    Daemon,
    /// A process for each task: its input on standard input, its answer on standard output.
    Task,
    /// A process that stays and takes one task after the other, line by line.
    Pool,
}

impl Mode {
    /// The word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Daemon => "daemon",
            Mode::Task => "task",
            Mode::Pool => "pool",
        }
    }
}

/// How a process tells that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ready {
    /// It does not: it is once it runs.
    #[default]
    AtOnce,
    /// It writes a line with this in it.
    Line(String),
    /// It writes a message of the worker protocol that registers it.
    Message,
    /// This address of this machine answers with 2xx.
    Http(String),
}

/// What happens to tasks while a script cannot work on them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fallback {
    /// They wait.
    #[default]
    Wait,
    /// This worker answers in its place, and the answer says so.
    Worker(Name),
}

/// What a script says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Its name, when it is not that of its file.
    pub name: Option<Name>,
    /// One line for people.
    pub description: String,
    /// How it is run; nothing: as a daemon, when it is recognised.
    pub mode: Option<Mode>,
    /// Whether it is started, whatever it uses.
    pub start: Option<bool>,
    /// The queue its tasks wait in.
    pub queue: Name,
    /// Tasks at once: of the worker in mode `task`, of one process in mode `pool`.
    pub slots: u32,
    /// Processes.
    pub instances: u32,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Variables that it is given as they are here.
    pub passed: Vec<String>,
    /// What each process may use.
    pub allowance: Allowance,
    /// Bytes of its logs that are kept.
    pub log_max: u64,
    /// The rules of its processes.
    pub policy: Policy,
    /// How it tells that it is ready.
    pub ready: Ready,
    /// How long one task may take.
    pub timeout: Option<DurationMs>,
    /// What happens to tasks while it cannot work.
    pub fallback: Fallback,
    /// The model alias it is told of.
    pub model: Option<String>,
    /// The most that one task, or one process, may spend.
    pub max_cost: Option<Money>,
    /// The program that runs it, instead of the one that is found.
    pub interpreter: Option<String>,
    /// Arguments behind its file.
    pub args: Vec<String>,
    /// JSON Schema of the input.
    pub input: Option<Value>,
    /// JSON Schema of the output.
    pub output: Option<Value>,
}

/// Bytes of logs that are kept when the file does not say.
const LOG_MAX: u64 = 10 << 20;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: None,
            description: String::new(),
            mode: None,
            start: None,
            queue: Name::new("default"),
            slots: 1,
            instances: 1,
            environment: BTreeMap::new(),
            passed: Vec::new(),
            allowance: Allowance::default(),
            log_max: LOG_MAX,
            policy: Policy::default(),
            ready: Ready::AtOnce,
            timeout: None,
            fallback: Fallback::Wait,
            model: None,
            max_cost: None,
            interpreter: None,
            args: Vec::new(),
            input: None,
            output: None,
        }
    }
}

/// The settings as they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
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

impl Settings {
    /// Reads settings. `file` is their name, for messages; `from` the line of it that they begin in.
    ///
    /// # Errors
    /// [`DefinitionError`] with file, line, column and what to do.
    pub fn parse(file: &str, text: &str, from: usize) -> Result<Settings, DefinitionError> {
        let plain = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let written = if plain { Ok(Written::default()) } else { file::parse::<Written>(file, text) };
        let settings = written.and_then(|written| Checker(file).check(written));
        settings.map_err(|mut error| {
            error.line += if error.line > 0 { from.saturating_sub(1) as u64 } else { 0 };
            error
        })
    }
}

struct Checker<'a>(&'a str);

type Checked<T> = Result<T, DefinitionError>;

impl Checker<'_> {
    fn check(&self, written: Written) -> Checked<Settings> {
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
            let words = text.value.trim().trim_start_matches("every").trim();
            let every = DurationMs::parse(words).ok().filter(|every| every.0 >= 1_000);
            let message = format!("`{}` is not a schedule", text.value);
            let help =
                "write an interval of a second or more, such as 15m: it is started anew so long after each start";
            settings.policy.every_ms = Some(every.ok_or_else(|| self.at(text, message).help(help))?.0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        Settings::parse("a.js", text, 1).unwrap()
    }

    fn refused(text: &str) -> String {
        Settings::parse("a.js", text, 3).unwrap_err().to_string()
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "name: other\nmode: pool\nqueue: ml\nslots: 4\ninstances: 2\nlimits: { memory: 64MiB, processes: 9, log: 1MiB }\n\
             environment: { LEVEL: 3, HOME: null }\ntimeout: 90s\nstart_timeout: 2s\nstop_timeout: 3s\nready: message\n\
             restart: { tries: 5, delay: 1s, multiplier: 3, max_delay: 1m, stable: 10s }\nfallback: summarizer\n\
             model: fast\nmax_cost: $0.10\nargs: [a]\ninput: { type: object }\n",
        );
        assert_eq!((settings.mode, settings.queue.as_str(), settings.slots), (Some(Mode::Pool), "ml", 4));
        assert_eq!(settings.allowance, Allowance { memory: Some(64 << 20), processes: 9 });
        assert_eq!((&settings.environment["LEVEL"], &settings.passed), (&"3".to_owned(), &vec!["HOME".to_owned()]));
        let Policy { tries, delay_ms, start_ms, stop_ms, stable_ms, tells_ready, .. } = settings.policy;
        assert_eq!(
            (tries, delay_ms, start_ms, stop_ms, stable_ms, tells_ready),
            (5, 1_000, 2_000, 3_000, 10_000, true)
        );
        assert_eq!(settings.fallback, Fallback::Worker(Name::new("summarizer")));
        assert_eq!(read("schedule: 15m\nfallback: wait\nrestart: never\n").policy.every_ms, Some(900_000));
        assert_eq!(read("environment: [PATH]").passed, ["PATH"]);
        assert_eq!(read("# nothing\n"), Settings::default());
    }

    #[test]
    fn what_is_wrong_is_placed_and_says_what_to_do() {
        for (text, part) in [
            ("mdoe: pool", "a.js:3:1: unknown key `mdoe`\n  help: did you mean `mode`?"),
            ("mode: pol", "a.js:3:7: `pol` is not known here\n  help: one of: daemon, task, pool"),
            ("queue: ml\nslots: 0", "a.js:4:8: slots must be between 1 and 1000"),
            ("limits: { memory: 12 }", "`12` is not a size"),
            ("schedule: '*/5 * * * *'", "is not a schedule"),
            ("mode: task\nschedule: 5m", "only a script of mode `daemon`"),
            ("environment: { KAPELLE_TOKEN: x }", "given by Kapelle itself"),
            ("ready: { http: 'http://example.com/' }", "no address of this machine"),
            ("ready: later", "no way of being ready"),
            ("timeout: 5", "is not a duration"),
            ("restart: { tries: 5000 }", "tries is at most 1000"),
            ("input: { type: strnig }", "not a JSON Schema"),
        ] {
            let error = refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
