//! The settings file of a script, and its checks.

use std::collections::BTreeMap;

use kapelle_core::{
    DurationMs, Money, Name,
    schedule::Schedule,
    yaml::{Node, Problems, Reader, Shape, Table, Trail, key},
};
use kapelle_supervisor::{
    helper_process::Allowance,
    machine::{Policy, Restart},
};
use kapelle_workers::{schema::Schema, tenants::tenants};
use serde::Deserialize;
use serde_json::Value;

use super::settings::{Fallback, Mode, Ready, Settings};

/// The keys of the settings of a script.
pub(super) static SETTINGS: Table = Table {
    name: "settings",
    about: "The settings of a script.",
    required: &[],
    keys: &[
        key("name", Shape::Name, "The worker's name, if it differs from the file's."),
        key("description", Shape::Text, "One line for people."),
        key(
            "mode",
            Shape::OneOf(&["daemon", "task", "pool"]),
            "The mode: a daemon, a process for each task, or a pool of processes.",
        ),
        key("start", Shape::Flag, "Whether it is started, independent of its imports."),
        key("queue", Shape::Name, "The queue in which its tasks wait."),
        key("slots", Shape::Whole { least: 1, most: 1_000 }, "Tasks at once."),
        key("instances", Shape::Whole { least: 1, most: 64 }, "Number of processes."),
        key("schedule", Shape::Text, "The time of the next start after a normal exit."),
        key("environment", Shape::Variables, "Variables of its environment."),
        key("limits", Shape::Object(&LIMITS), "Limits of each process."),
        key("timeout", Shape::Duration, "Time limit of one task."),
        key("start_timeout", Shape::Duration, "Time limit for getting ready."),
        key("stop_timeout", Shape::Duration, "Time limit for ending."),
        key("ready", READY, "The sign that it is ready."),
        key("restart", RESTART, "Rules for restarts."),
        key("fallback", Shape::Name, "`wait`, or the worker that answers instead while it cannot work."),
        key("model", Shape::Text, "The default model alias."),
        key("max_cost", Shape::Money, "The most that one task, or one process, may spend."),
        key("interpreter", Shape::Text, "The program that runs it."),
        key("args", Shape::List(&Shape::Text), "Arguments after its file."),
        key("input", Shape::Json, "JSON Schema of the input."),
        key("output", Shape::Json, "JSON Schema of the output."),
        key("tenants", Shape::List(&Shape::Text), "Other tenants that may use it: all, or numbers."),
    ],
};

static LIMITS: Table = Table {
    name: "limits",
    about: "Limits of each process.",
    required: &[],
    keys: &[
        key("memory", Shape::Text, "A size such as 512MiB, or `none`."),
        key("processes", Shape::Whole { least: 1, most: 10_000 }, "Processes that it may have."),
        key("log", Shape::Text, "Bytes of its logs that are kept."),
    ],
};

const READY: Shape = Shape::Short(&Shape::OneOf(&["message"]), &Shape::Object(&READY_RULE));
const RESTART: Shape = Shape::Short(&WHEN, &Shape::Object(&RESTART_RULE));
const WHEN: Shape = Shape::OneOf(&["never", "on_failure", "always"]);

static READY_RULE: Table = Table {
    name: "ready",
    about: "How it tells that it is ready: exactly one of line and http.",
    required: &[],
    keys: &[
        key("line", Shape::Text, "The process writes a line that contains this text."),
        key("http", Shape::Text, "This address of this machine answers with 2xx."),
    ],
};

static RESTART_RULE: Table = Table {
    name: "restart",
    about: "Rules for restarts.",
    required: &[],
    keys: &[
        key("when", WHEN, "The exits after which it is restarted."),
        key("tries", Shape::Whole { least: 0, most: 1_000 }, "Restarts in a row after failures."),
        key("delay", Shape::Duration, "The wait before the first restart."),
        key("multiplier", Shape::Whole { least: 1, most: 100 }, "Factor between one wait and the next."),
        key("max_delay", Shape::Duration, "The longest wait."),
        key("stable", Shape::Duration, "Running time after which the count of failures returns to 0."),
    ],
};

/// The values. Invalid ones have been reported and are left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    name: Option<String>,
    description: String,
    mode: Option<Mode>,
    start: Option<bool>,
    queue: Option<String>,
    slots: Option<u32>,
    instances: Option<u32>,
    schedule: Option<String>,
    environment: BTreeMap<String, Option<String>>,
    limits: Limits,
    timeout: Option<String>,
    start_timeout: Option<String>,
    stop_timeout: Option<String>,
    ready: Option<ReadyFile>,
    restart: Option<RestartFile>,
    fallback: Option<String>,
    model: Option<String>,
    max_cost: Option<String>,
    interpreter: Option<String>,
    args: Vec<String>,
    input: Option<Value>,
    output: Option<Value>,
    tenants: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Limits {
    memory: Option<String>,
    processes: Option<u32>,
    log: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ReadyFile {
    Word(ReadyWord),
    Rule { line: Option<String>, http: Option<String> },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadyWord {
    Message,
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
#[serde(default)]
struct RestartRule {
    when: Option<When>,
    tries: Option<u32>,
    delay: Option<String>,
    multiplier: Option<u32>,
    max_delay: Option<String>,
    stable: Option<String>,
}

/// Checks what tables of keys cannot express. Invalid values are reported and left out.
pub(super) struct Checker<'a, 'n> {
    pub(super) reader: Reader<'a>,
    pub(super) root: &'n Node<'n>,
}

impl Checker<'_, '_> {
    /// Returns the settings, when all of them are valid.
    pub(super) fn settings(mut self) -> Result<Settings, Problems> {
        let json = self.reader.object(self.root, &Trail::ROOT, &SETTINGS).unwrap_or_default();
        let settings = self.check(serde_json::from_value(json).unwrap_or_default());
        if self.reader.problems.is_empty() { Ok(settings) } else { Err(self.reader.problems.sorted()) }
    }

    fn check(&mut self, written: Written) -> Settings {
        let mut settings = Settings {
            name: written.name.as_deref().map(Name::new),
            description: written.description,
            mode: written.mode,
            start: written.start,
            model: written.model,
            interpreter: written.interpreter,
            args: written.args,
            ..Settings::default()
        };
        if let Some(queue) = &written.queue {
            settings.queue = Name::new(queue);
        }
        settings.slots = written.slots.unwrap_or(1);
        settings.instances = written.instances.unwrap_or(1);
        settings.allowance = self.allowance(&written.limits);
        if let Some(log) = written.limits.log.and_then(|text| self.bytes("limits.log", &text)) {
            settings.log_max = log.max(64 << 10);
        }
        settings.timeout = self.duration("timeout", written.timeout.as_deref());
        settings.fallback = match &written.fallback {
            Some(name) if name != "wait" => Fallback::Worker(Name::new(name)),
            _ => Fallback::Wait,
        };
        settings.max_cost = written.max_cost.and_then(|text| Money::parse(&text).ok());
        self.environment(written.environment, &mut settings);
        settings.ready = self.ready(written.ready, settings.mode);
        settings.policy.tells_ready = settings.ready != Ready::AtOnce;
        policy(written.restart, &mut settings.policy);
        if let Some(time) = self.duration("start_timeout", written.start_timeout.as_deref()) {
            settings.policy.start_ms = time.0;
        }
        if let Some(time) = self.duration("stop_timeout", written.stop_timeout.as_deref()) {
            settings.policy.stop_ms = time.0;
        }
        settings.schedule = written.schedule.and_then(|text| self.schedule(&text, settings.mode));
        if let Some(Schedule::Every(every)) = &settings.schedule {
            settings.policy.every_ms = Some(every.0);
        }
        settings.input = self.schema("input", written.input);
        settings.output = self.schema("output", written.output);
        match tenants(&written.tenants) {
            Ok(tenants) => settings.tenants = tenants,
            Err(message) => self.report("tenants", message, ""),
        }
        settings
    }

    fn report(&mut self, field: &str, message: impl Into<String>, hint: &str) {
        let place = self.root.at_path(field).place;
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        self.reader.report(place, &Trail::ROOT.then(field), message, hint);
    }

    fn duration(&mut self, field: &str, text: Option<&str>) -> Option<DurationMs> {
        let duration = DurationMs::parse(text?).ok()?;
        if duration == DurationMs::ZERO {
            self.report(field, "a duration of zero leaves no time", "write one such as 30s");
            return None;
        }
        Some(duration)
    }

    fn bytes(&mut self, field: &str, text: &str) -> Option<u64> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let shift = match text[digits..].trim() {
            "KiB" | "K" => Some(10),
            "MiB" | "M" => Some(20),
            "GiB" | "G" => Some(30),
            _ => None,
        };
        let number = text[..digits].parse::<u64>().ok().filter(|number| (1..1 << 30).contains(number));
        let size = number.zip(shift).map(|(number, shift)| number << shift);
        if size.is_none() {
            let hint = "write a whole number and a unit, such as 512MiB or 2GiB";
            self.report(field, format!("`{text}` is not a size"), hint);
        }
        size
    }

    fn allowance(&mut self, limits: &Limits) -> Allowance {
        let mut allowance = Allowance::default();
        match limits.memory.as_deref() {
            Some("none") => allowance.memory = None,
            Some(text) => allowance.memory = self.bytes("limits.memory", text).or(allowance.memory),
            None => {}
        }
        allowance.processes = limits.processes.unwrap_or(allowance.processes);
        allowance
    }

    fn environment(&mut self, written: BTreeMap<String, Option<String>>, settings: &mut Settings) {
        for (name, value) in written {
            if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("KAPELLE_") {
                let message = format!("`{name}` cannot be set");
                let hint = "KAPELLE_... are given by Kapelle itself; other names hold no `=`";
                self.report(&format!("environment.{name}"), message, hint);
                continue;
            }
            match value {
                Some(text) => drop(settings.environment.insert(name, text)),
                None => settings.passed.push(name),
            }
        }
    }

    fn ready(&mut self, written: Option<ReadyFile>, mode: Option<Mode>) -> Ready {
        let Some(written) = written else { return Ready::AtOnce };
        let help = "write `message`, `{ line: text }` or `{ http: \"http://127.0.0.1:PORT/path\" }`";
        let wrong = match written {
            _ if mode == Some(Mode::Task) => "a script of mode `task` is ready when it is started".to_owned(),
            ReadyFile::Word(ReadyWord::Message) => return Ready::Message,
            ReadyFile::Rule { line: Some(line), http: None } if !line.is_empty() => return Ready::Line(line),
            ReadyFile::Rule { line: None, http: Some(url) } if super::fleet::is_local_url(&url) => {
                return Ready::Http(url);
            }
            ReadyFile::Rule { line: None, http: Some(url) } => format!("`{url}` is not an address of this machine"),
            ReadyFile::Rule { line: Some(_), http: None } => "the line is empty".to_owned(),
            ReadyFile::Rule { .. } => "expected exactly one of `line` and `http`".to_owned(),
        };
        self.report("ready", wrong, help);
        Ready::AtOnce
    }

    fn schedule(&mut self, text: &str, mode: Option<Mode>) -> Option<Schedule> {
        if !matches!(mode, None | Some(Mode::Daemon)) {
            self.report(
                "schedule",
                "only a script of mode `daemon` has a schedule",
                "`kapelle schedules create NAME --cron '0 3 * * *' --worker NAME` gives it tasks at set times; or write \
                 `mode: daemon`",
            );
            return None;
        }
        let help = "write a span such as 15m, or a line of cron such as `0 3 * * *` (UTC)";
        Schedule::parse(text).map_err(|error| self.report("schedule", error.to_string(), help)).ok()
    }

    fn schema(&mut self, field: &str, schema: Option<Value>) -> Option<Value> {
        let schema = schema?;
        match Schema::compile(&schema) {
            Ok(_) => Some(schema),
            Err(error) => {
                self.report(field, format!("not a JSON Schema: {error}"), "");
                None
            }
        }
    }
}

fn policy(written: Option<RestartFile>, policy: &mut Policy) {
    let rule = match written {
        None => return,
        Some(RestartFile::Word(when)) => RestartRule { when: Some(when), ..RestartRule::default() },
        Some(RestartFile::Rule(rule)) => rule,
    };
    policy.restart = match rule.when {
        None | Some(When::OnFailure) => Restart::OnFailure,
        Some(When::Never) => Restart::Never,
        Some(When::Always) => Restart::Always,
    };
    policy.tries = rule.tries.unwrap_or(policy.tries);
    policy.multiplier = rule.multiplier.unwrap_or(policy.multiplier);
    let times = [
        (rule.delay, &mut policy.delay_ms),
        (rule.max_delay, &mut policy.max_delay_ms),
        (rule.stable, &mut policy.stable_ms),
    ];
    for (text, field) in times {
        if let Some(time) = text.and_then(|text| DurationMs::parse(&text).ok()) {
            *field = time.0;
        }
    }
}
