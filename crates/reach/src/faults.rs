//! Errors of the workers of this crate: each names the field, the problem and the next step.

use std::error::Error;

use kapelle_core::{Category, TaskError};

/// An input that can never succeed.
pub(crate) fn invalid(message: impl Into<String>) -> TaskError {
    TaskError::new(Category::InvalidInput, message).permanent()
}

/// A service that does not answer at the moment.
pub(crate) fn unavailable(message: impl Into<String>) -> TaskError {
    TaskError::new(Category::Unavailable, message)
}

/// Something that the owner has to set right first.
pub(crate) fn unsettled(message: impl Into<String>) -> TaskError {
    TaskError::new(Category::Unavailable, message).permanent()
}

/// A fault of this machine: a file that cannot be written, a thread that ended.
pub(crate) fn internal(message: impl Into<String>) -> TaskError {
    TaskError::new(Category::Internal, message)
}

/// Runs blocking work on its own thread.
///
/// # Errors
/// The error of the work; `internal` when its thread ended.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TaskError> + Send + 'static,
) -> Result<T, TaskError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| internal(format!("a thread ended: {error}")))?
}

/// Formats an error and its causes.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = inner.source();
    }
    text
}
