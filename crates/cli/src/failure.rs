//! Failures of the program: an exit code, the problem, and what to do.

use kapelle::{Category, Error, TaskError, engine::EngineError, store::StoreError};
use kapelle_api::ClientError;
use serde_json::{Value, json};

/// Exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Refused = 4,
    Conflict = 5,
    Unavailable = 69,
    Temporary = 75,
    /// A task waits for money.
    Parked = 79,
    Timeout = 124,
    Interrupted = 130,
    Terminated = 143,
}

/// The reason why the program fails.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub help: Option<String>,
    /// Problems in their final format, shown instead of the message.
    pub rendered: Option<String>,
    /// Whether everything has been reported already.
    pub silent: bool,
    /// Whether the JSON has been printed on standard output already.
    pub json_told: bool,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), help: None, rendered: None, silent: false, json_told: false }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(Code::NotFound, message)
    }

    /// Makes a failure with that code and without a message.
    pub fn silent(code: Code) -> Failure {
        Failure { silent: true, ..Failure::new(code, "") }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn rendered(mut self, text: String) -> Failure {
        self.rendered = Some(text);
        self
    }

    /// Marks that the JSON of this failure has been printed.
    #[must_use]
    pub fn json_told(mut self) -> Failure {
        self.json_told = true;
        self
    }

    /// Makes the failure of a file that cannot be read or written.
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Failure {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            std::io::ErrorKind::StorageFull => Code::Temporary,
            _ => Code::Failed,
        };
        Failure::new(code, format!("{}: {error}", path.display()))
    }

    pub fn json(&self) -> Value {
        json!({ "error": { "exit_code": self.code as u8, "message": self.message, "help": self.help } })
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let failure = Failure::new(store_code(&error), error.to_string());
        match error {
            StoreError::InUse { .. } => {
                failure.help("reading verbs such as `kapelle status` work while it runs; to write, let it end first")
            }
            StoreError::Newer { .. } => failure.help("install the newer version, or use another folder with --data"),
            StoreError::Io { .. } => failure.help("`kapelle doctor` checks whether the folder can be written"),
            _ => failure,
        }
    }
}

fn store_code(error: &StoreError) -> Code {
    match error {
        StoreError::InUse { .. } => Code::Conflict,
        StoreError::Full(_) => Code::Temporary,
        _ => Code::Failed,
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let code = match &error {
            EngineError::UnknownWorker { .. }
            | EngineError::NoSuchTask(_)
            | EngineError::NoSuchRun(_)
            | EngineError::NoSuchSchedule(_)
            | EngineError::NoSuchSubscription(_)
            | EngineError::NoSuchDelivery(_) => Code::NotFound,
            EngineError::Task(_)
            | EngineError::Run(_)
            | EngineError::KeyReused(_)
            | EngineError::Busy(_)
            | EngineError::ScheduleExists(_)
            | EngineError::ScheduleOfFile(..)
            | EngineError::SubscriptionExists(_) => Code::Conflict,
            EngineError::Unsupported(_) | EngineError::InvalidInput(_) => Code::Usage,
            EngineError::Store(error) => store_code(error),
            EngineError::Stopped => Code::Unavailable,
            EngineError::Definition { .. } => Code::Failed,
        };
        let failure = Failure::new(code, error.to_string());
        match error {
            EngineError::UnknownWorker { .. } => failure.help("`kapelle workers list` shows them all"),
            _ => failure,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Engine(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Refused(error) => ClientError::from(error).into(),
            Error::Failed { error: ref why, .. } => {
                let help = advice(why);
                Failure::new(task_code(why.category), error.to_string()).help(help)
            }
            Error::Cancelled { .. } => Failure::new(Code::Failed, error.to_string()),
            other => Failure::usage(other.to_string()),
        }
    }
}

/// Returns the exit code for a task that failed.
pub fn task_code(category: Category) -> Code {
    match category {
        Category::Timeout => Code::Timeout,
        Category::Unavailable | Category::ModelRequired => Code::Unavailable,
        _ => Code::Failed,
    }
}

/// Returns advice for a failed task.
pub fn advice(error: &TaskError) -> &'static str {
    advice_for(error.category)
}

/// Returns advice for a task that failed with an error of that category.
pub fn advice_for(category: Category) -> &'static str {
    match category {
        Category::InvalidInput => "correct what the step is given, then run it again",
        Category::InvalidOutput => "run it again, or name a stronger model in `models:` of kapelle.yaml",
        Category::RateLimited => "wait and run it again, or lower the slots of the queue",
        Category::Timeout => "give it more time with `timeout:`, or less to do",
        Category::Unavailable => "check its requirements (`kapelle doctor`), then run it again",
        Category::ModelRequired => {
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own; with `on_error: continue` a run \
             continues without it"
        }
        Category::Provider => "see what the provider says; `kapelle doctor` shows which keys and models are in use",
        Category::Budget => "raise `max_cost` of the worker",
        Category::Cancelled => "start it again if it is needed",
        Category::Crashed | Category::LeaseLost | Category::Internal => {
            "run it again; if it fails again, `kapelle logs` shows every attempt"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_code() {
        let folder = std::path::PathBuf::from("/data");
        let in_use = StoreError::InUse { folder: folder.clone(), holder: "4".to_owned() };
        assert_eq!(Failure::from(in_use).code, Code::Conflict);
        assert_eq!(Failure::from(StoreError::Full(folder)).code, Code::Temporary);
        assert_eq!(Failure::from(EngineError::NoSuchRun(kapelle::RunId(7))).code, Code::NotFound);
        assert_eq!(task_code(Category::Timeout), Code::Timeout);
    }
}
