//! The error of a worker function, which `?` makes of any other error.

use std::fmt;

use kapelle_core::{Category, TaskError};

/// The failure of an attempt. `?` converts every [`std::error::Error`] into one.
///
/// A [`TaskError`] keeps its category, its retry rule and its cost. An [`std::io::Error`] of a timeout or a lost
/// connection becomes `timeout` or `unavailable`; JSON that does not fit becomes `invalid_input`. Any other error is
/// `internal`, and is retried. The message is the error with its sources.
///
/// Like `anyhow::Error`, the type does not implement [`std::error::Error`] itself.
pub struct WorkerError(TaskError);

/// The result of a worker function.
pub type WorkerResult<T> = Result<T, WorkerError>;

impl WorkerError {
    /// Makes a failure of a category, retried when the category usually is.
    #[must_use]
    pub fn new(category: Category, message: impl Into<String>) -> WorkerError {
        WorkerError(TaskError::new(category, message))
    }

    /// Makes a failure that no retry can mend.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> WorkerError {
        WorkerError(TaskError::new(Category::InvalidInput, message).permanent())
    }

    /// Returns the failure as the engine records it.
    #[must_use]
    pub fn into_inner(self) -> TaskError {
        self.0
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for WorkerError {
    fn from(error: E) -> WorkerError {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        match error.downcast::<TaskError>() {
            Ok(own) => WorkerError(*own),
            Err(other) => WorkerError(TaskError::new(category(other.as_ref()), with_sources(other.as_ref()))),
        }
    }
}

fn category(error: &(dyn std::error::Error + 'static)) -> Category {
    if let Some(error) = error.downcast_ref::<kapelle_app::Error>() {
        return of_engine(error);
    }
    if error.is::<serde_json::Error>() {
        return Category::InvalidInput;
    }
    let Some(error) = error.downcast_ref::<std::io::Error>() else { return Category::Internal };
    match error.kind() {
        std::io::ErrorKind::TimedOut => Category::Timeout,
        std::io::ErrorKind::ConnectionRefused
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::ConnectionAborted
        | std::io::ErrorKind::NotConnected
        | std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::HostUnreachable
        | std::io::ErrorKind::NetworkUnreachable => Category::Unavailable,
        _ => Category::Internal,
    }
}

/// Returns the category of a failure of the engine. A child task that failed hands its category on.
fn of_engine(error: &kapelle_app::Error) -> Category {
    match error {
        kapelle_app::Error::Failed { error, .. } => error.category,
        kapelle_app::Error::Cancelled { .. } => Category::Cancelled,
        kapelle_app::Error::Inputs(_) | kapelle_app::Error::Definition(_) | kapelle_app::Error::Name(_) => {
            Category::InvalidInput
        }
        _ => Category::Internal,
    }
}

/// Formats an error and its sources, each once.
fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn of(error: impl std::error::Error + Send + Sync + 'static) -> TaskError {
        WorkerError::from(error).into_inner()
    }

    #[test]
    fn a_task_error_keeps_everything() {
        let given = TaskError::new(Category::RateLimited, "slow down").permanent();
        assert_eq!(of(given.clone()), given);
    }

    #[test]
    fn the_category_follows_the_kind_of_error() {
        let json = serde_json::from_str::<u32>("\"x\"").unwrap_err();
        assert_eq!(of(json).category, Category::InvalidInput);
        assert_eq!(of(io::Error::from(io::ErrorKind::TimedOut)).category, Category::Timeout);
        assert_eq!(of(io::Error::from(io::ErrorKind::ConnectionRefused)).category, Category::Unavailable);
        assert_eq!(of(io::Error::from(io::ErrorKind::NotFound)).category, Category::Internal);
        assert_eq!(of("x".parse::<u32>().unwrap_err()).category, Category::Internal);
    }

    #[test]
    fn the_failure_of_a_child_hands_its_category_on() {
        let error = TaskError::new(Category::Budget, "day is used up");
        let failed = kapelle_app::Error::Failed { what: "task_1".to_owned(), error };
        let error = of(failed);
        assert_eq!((error.category, error.retryable), (Category::Budget, false));
        assert_eq!(error.message, "task_1 failed: budget: day is used up");
    }

    #[test]
    fn sources_are_part_of_the_message() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("cannot read the letter")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = of(Outer(io::Error::other("the drive is gone")));
        assert_eq!(error.message, "cannot read the letter: the drive is gone");
    }
}
