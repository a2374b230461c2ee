//! Refusals, common to all interfaces.

use std::fmt;

use kapelle_api::{ItemProblem, Problem, code};
use kapelle_core::task::Rejection;
use kapelle_engine::EngineError;
use kapelle_store::StoreError;

use crate::error::Error;

/// A refusal: its code for programs; field, fault and next step for people. Interfaces choose a status, an exit code or
/// an exception by the code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AppError {
    /// The kind, one of `kapelle_api::code`.
    pub code: &'static str,
    /// The invalid field of the request, such as `tasks[3].priority`.
    pub field: Option<String>,
    pub message: String,
    pub next: Option<&'static str>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
    /// The first wrong items of a batch, and the number of all.
    pub items: Vec<ItemProblem>,
    pub items_total: u64,
}

impl AppError {
    /// Makes a refusal with that code.
    pub fn new(code: &'static str, message: impl Into<String>) -> AppError {
        let message = message.into();
        AppError { code, field: None, message, next: None, retry_after: None, items: Vec::new(), items_total: 0 }
    }

    /// Refuses an impossible value of a field.
    pub fn input(field: impl Into<String>, message: impl fmt::Display) -> AppError {
        AppError { field: Some(field.into()), ..AppError::new(code::INVALID_INPUT, message.to_string()) }
    }

    /// Refuses an impossible request.
    pub fn unprocessable(message: impl Into<String>) -> AppError {
        AppError::new(code::INVALID_INPUT, message)
    }

    /// Refuses an invalid parameter.
    pub fn parameter(field: impl Into<String>, message: impl fmt::Display) -> AppError {
        AppError { field: Some(field.into()), ..AppError::new(code::INVALID_REQUEST, message.to_string()) }
    }

    /// Refuses a request that cannot be parsed.
    pub fn invalid(message: impl Into<String>) -> AppError {
        AppError::new(code::INVALID_REQUEST, message)
    }

    /// Refuses access to a missing thing, or to a thing of somebody else: the two are not distinguished.
    pub fn not_found(what: impl fmt::Display) -> AppError {
        AppError::new(code::NOT_FOUND, format!("{what} does not exist"))
    }

    /// Refuses because of the role or the key.
    pub fn forbidden(message: impl Into<String>) -> AppError {
        AppError::new(code::FORBIDDEN, message)
    }

    /// Refuses because of the state of the thing.
    pub fn conflict(message: impl Into<String>) -> AppError {
        AppError::new(code::CONFLICT, message)
    }

    /// Refuses a report for an attempt of another host, or one that is over.
    #[must_use]
    pub fn lease_lost() -> AppError {
        let message = "the lease is not valid: the task was given to another attempt, has ended, or never was yours; stop \
                       working on it";
        AppError::new(code::LEASE_LOST, message)
    }

    /// Refuses because the key was revoked or has expired while the request waited.
    #[must_use]
    pub fn revoked() -> AppError {
        AppError::new(code::UNAUTHORIZED, "the key was revoked or has expired while the request waited")
    }

    /// Refuses because the application is ending, or a part of it does not answer.
    pub fn unavailable(message: impl Into<String>) -> AppError {
        AppError { retry_after: Some(1), ..AppError::new(code::UNAVAILABLE, message) }
    }

    /// Reports a fault of the application itself.
    pub fn internal(message: impl Into<String>) -> AppError {
        AppError::new(code::INTERNAL, message)
    }

    /// Adds the next step.
    #[must_use]
    pub fn next(mut self, next: &'static str) -> AppError {
        self.next = Some(next);
        self
    }

    /// Puts the path of a part before the field: `tasks[3]`.
    #[must_use]
    pub fn within(mut self, place: &str) -> AppError {
        match &mut self.field {
            // The path and the field are read together: `tasks[3]: priority: ...`.
            Some(field) => *field = format!("{place}: {field}"),
            None => self.field = Some(place.to_owned()),
        }
        self
    }

    /// Says whether the application itself failed, so that a retry may succeed.
    #[must_use]
    pub fn is_own_fault(&self) -> bool {
        self.status() >= 500
    }

    /// Returns the HTTP status of the code.
    #[must_use]
    pub fn status(&self) -> u16 {
        code::status(self.code)
    }

    /// Returns the refusal as a problem of the API.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            title: self.code.replace('_', " "),
            status: self.status(),
            detail: self.to_string(),
            code: self.code.to_owned(),
            field: self.field.clone(),
            errors: self.items.clone(),
            errors_total: (self.items_total > 0).then_some(self.items_total),
        }
    }

    fn of_store(error: &StoreError) -> AppError {
        match error {
            StoreError::Full(_) => {
                AppError { retry_after: Some(5), ..AppError::new(code::STORAGE_FULL, error.to_string()) }
            }
            other => {
                // Paths and messages of the system are for the server's operator.
                tracing::error!(error = %other, "the store failed");
                AppError::internal("the store failed; the server's log says how")
            }
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        match self.next {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AppError {}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> AppError {
        AppError::of_store(&error)
    }
}

impl From<EngineError> for AppError {
    fn from(error: EngineError) -> AppError {
        match error {
            EngineError::Task(Rejection::LeaseLost(_)) => AppError::lease_lost(),
            EngineError::Task(_) | EngineError::Run(_) => AppError::conflict(error.to_string()),
            EngineError::KeyReused(_) => AppError::new(code::KEY_REUSED, error.to_string()),
            EngineError::UnknownWorker { .. } => AppError::new(code::UNKNOWN_WORKER, error.to_string()),
            EngineError::NoSuchTask(id) => AppError::not_found(id),
            EngineError::NoSuchRun(id) => AppError::not_found(id),
            EngineError::NoSuchSchedule(name) => AppError::not_found(format!("schedule {name}")),
            EngineError::ScheduleExists(_) | EngineError::ScheduleOfFile(..) | EngineError::SubscriptionExists(_) => {
                AppError::conflict(error.to_string())
            }
            EngineError::NoSuchSubscription(name) => AppError::not_found(format!("subscription {name}")),
            EngineError::NoSuchDelivery(id) => AppError::not_found(id),
            EngineError::Store(error) => AppError::of_store(&error),
            EngineError::Stopped => AppError::unavailable("the server is stopping"),
            other => AppError::unprocessable(other.to_string()),
        }
    }
}

impl From<Error> for AppError {
    fn from(error: Error) -> AppError {
        match error {
            Error::Engine(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Refused(error) => error,
            other => AppError::unprocessable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_field_fault_and_next_step() {
        let error = AppError::input("priority", "101 is not within -100 and 100").within("tasks[3]").next("lower it");
        assert_eq!(error.to_string(), "tasks[3]: priority: 101 is not within -100 and 100; lower it");
        assert_eq!((error.code, error.status()), (code::INVALID_INPUT, 422));
        assert!(!error.is_own_fault() && AppError::unavailable("x").is_own_fault());
    }
}
