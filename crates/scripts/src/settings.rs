//! The settings of a script, in front of its code or in `name.worker.yaml` beside it.

use std::collections::BTreeMap;

use kapelle_core::{
    DurationMs, Money, Name, Tenants,
    schedule::Schedule,
    yaml::{self, Form, Problems, Reader},
};
use kapelle_supervisor::{helper_process::Allowance, machine::Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings_file::Checker;

/// The mode of a script.
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
    /// Returns the word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Daemon => "daemon",
            Mode::Task => "task",
            Mode::Pool => "pool",
        }
    }
}

/// The sign that a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ready {
    /// No sign: the process is ready once it runs.
    #[default]
    AtOnce,
    /// The process writes a line that contains this text.
    Line(String),
    /// The process writes a message of the worker protocol that registers it.
    Message,
    /// This address of this machine answers with 2xx.
    Http(String),
}

/// The fate of tasks while a script cannot work on them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fallback {
    /// Tasks wait.
    #[default]
    Wait,
    /// This worker answers instead, and the answer says so.
    Worker(Name),
}

impl Fallback {
    /// Returns the worker that answers instead.
    #[must_use]
    pub fn worker(&self) -> Option<&Name> {
        match self {
            Fallback::Wait => None,
            Fallback::Worker(name) => Some(name),
        }
    }
}

/// The settings of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Its name, when that differs from the file's.
    pub name: Option<Name>,
    /// One line for people.
    pub description: String,
    /// Its mode; `None` is a daemon, when the script is recognised.
    pub mode: Option<Mode>,
    /// Whether it is started, whatever it uses.
    pub start: Option<bool>,
    /// The queue in which its tasks wait.
    pub queue: Name,
    /// Tasks at once: of the worker in mode `task`, of one process in mode `pool`.
    pub slots: u32,
    /// Number of processes.
    pub instances: u32,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Variables that it inherits.
    pub passed: Vec<String>,
    /// Limits of each process.
    pub allowance: Allowance,
    /// Bytes of its logs that are kept.
    pub log_max: u64,
    /// The rules of its processes.
    pub policy: Policy,
    /// Time of the next start after a normal exit; an interval is in `policy` too.
    pub schedule: Option<Schedule>,
    /// The sign that it is ready.
    pub ready: Ready,
    /// Time limit of one task.
    pub timeout: Option<DurationMs>,
    /// Its fallback while it cannot work.
    pub fallback: Fallback,
    /// Default model alias.
    pub model: Option<String>,
    /// Spending limit of one task, or of one process.
    pub max_cost: Option<Money>,
    /// The program that runs it, instead of the detected one.
    pub interpreter: Option<String>,
    /// Arguments after its file.
    pub args: Vec<String>,
    /// JSON Schema of the input.
    pub input: Option<Value>,
    /// JSON Schema of the output.
    pub output: Option<Value>,
    /// The tenants that may use it.
    pub tenants: Tenants,
}

impl Settings {
    /// Returns the times of its starts in words; `None` without a schedule.
    #[must_use]
    pub fn schedule_in_words(&self) -> Option<String> {
        Some(match self.schedule.as_ref()? {
            Schedule::Every(every) => format!("every {} s", every.0 / 1_000),
            Schedule::At(_) => "at the times of its line of cron (UTC)".to_owned(),
        })
    }
}

/// Bytes of logs that are kept by default.
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
            schedule: None,
            ready: Ready::AtOnce,
            timeout: None,
            fallback: Fallback::Wait,
            model: None,
            max_cost: None,
            interpreter: None,
            args: Vec::new(),
            input: None,
            output: None,
            tenants: Tenants::owner(),
        }
    }
}

/// The shape of files of settings.
const FORM: Form = Form { name: "a file of settings", most: 256 << 10, empty: "", split: "shorten it" };

impl Settings {
    /// Reads settings. `file` is their name in messages.
    ///
    /// # Errors
    /// Every problem, with file, line, column, field and what to do.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Settings, Problems> {
        yaml::document(bytes, file, FORM, |document| match document.root {
            None => Ok(Settings::default()),
            Some(root) => {
                let reader = Reader { source: document.source, problems: document.problems };
                Checker { reader, root: &root }.settings()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        Settings::parse("a.js", text.as_bytes()).unwrap()
    }

    fn refused(text: &str) -> String {
        Settings::parse("a.js", text.as_bytes()).unwrap_err().to_string()
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
        assert_eq!(read("schedule: every 15m\nfallback: wait\nrestart: never\n").policy.every_ms, Some(900_000));
        let nightly = read("schedule: '0 3 * * *'");
        assert!(nightly.policy.every_ms.is_none() && matches!(nightly.schedule, Some(Schedule::At(_))));
        assert_eq!(read("environment: [PATH]").passed, ["PATH"]);
        let text = "environment: { A: 1.10, B: 012, C: on, D: 0x1F, E: true, F: '', G: ~, H: 1_000, I: .inf, J: 1e3, K: 12:30:00 }";
        let settings = read(text);
        let values: Vec<&str> = settings.environment.values().map(String::as_str).collect();
        assert_eq!(values, ["1.10", "012", "on", "0x1F", "true", "", "1_000", ".inf", "1e3", "12:30:00"]);
        assert_eq!(settings.passed, ["G"]);
        assert_eq!(read("\u{feff}mode: task\r\nargs: [no, 1.0]\r\n").args, ["no", "1.0"]);
        assert_eq!(read("---\n# nothing\n"), Settings::default());
        assert_eq!(read("# nothing\n"), Settings::default());
    }

    #[test]
    fn what_is_wrong_is_placed_and_says_what_to_do() {
        for (text, part) in [
            ("mdoe: pool", "a.js:1:1: mdoe: unknown key `mdoe` (did you mean `mode`?)"),
            ("mode: pol", "a.js:1:7: mode: `pol` is not known here (did you mean `pool`?)"),
            ("queue: ml\nslots: 0", "a.js:2:8: slots: 0 is not between 1 and 1000"),
            ("limits: { memory: 12 }", "`12` is not a size"),
            ("schedule: '*/5 * * *'", "is not a schedule (write a span such as 15m, or a line of cron"),
            ("schedule: '61 * * * *'", "`61` is not a minute"),
            ("schedule: 10ms", "less than a second"),
            ("mode: task\nschedule: 5m", "kapelle schedules create"),
            ("environment: { KAPELLE_TOKEN: x }", "given by Kapelle itself"),
            ("ready: { http: 'http://example.com/' }", "not an address of this machine"),
            ("ready: later", "ready: `later` is not known here"),
            ("timeout: 5", "is not a duration"),
            ("restart: { tries: 5000 }", "restart.tries: 5000 is not between 0 and 1000"),
            ("input: { type: strnig }", "not a JSON Schema"),
            ("environment: { A: [1] }", "a.js:1:19: environment.A: expected text, found a list"),
            ("environment: text", "environment: expected a map such as"),
            ("ready: { line: a, http: b }", "exactly one of"),
            ("start: yes", "in YAML 1.2 yes, no, on and off are text: write true or false"),
            ("replicas: 2", "(write `instances: N`: how many processes)"),
        ] {
            let error = refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
