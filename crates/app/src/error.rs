//! Errors for users of the library.

use kapelle_api::code;
use kapelle_core::{TaskError, definition::Problems};
use kapelle_engine::EngineError;
use kapelle_store::StoreError;

use crate::app_error::AppError;

/// An error for a user of the library.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A workflow file is invalid. Each problem has its position.
    #[error("{0}")]
    Definition(Problems),
    /// A worker file or the configuration is invalid.
    #[error("{0}")]
    Config(String),
    /// Inputs or settings do not fit the worker or the workflow.
    #[error("{0}")]
    Inputs(String),
    /// A value has another shape than the type it is read as, or no form in JSON.
    #[error("{field}: {error}")]
    Shape { field: String, error: serde_json::Error },
    /// A task or run did not succeed.
    #[error("{what} failed: {error}")]
    Failed { what: String, error: TaskError },
    /// A task or run was cancelled.
    #[error("{what} was cancelled: {reason}")]
    Cancelled {
        what: String,
        /// The person or reason.
        reason: String,
    },
    /// A use case refused the request, for another reason than its inputs.
    #[error(transparent)]
    Refused(AppError),
    /// A backup cannot be made or restored.
    #[error("{0}")]
    Backup(String),
    /// A name is invalid.
    #[error(transparent)]
    Name(#[from] kapelle_core::name::NameError),
}

impl Error {
    /// Returns the code of the error, as HTTP answers it (`unknown_worker`, `not_found`): for programs to match on.
    /// `None` for errors that HTTP does not have, such as a folder in use.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Error::Refused(error) => Some(error.code),
            Error::Inputs(_) | Error::Name(_) | Error::Shape { .. } => Some(code::INVALID_INPUT),
            _ => None,
        }
    }
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Error {
        match error.code {
            code::INVALID_INPUT | code::INVALID_REQUEST => Error::Inputs(error.to_string()),
            _ => Error::Refused(error),
        }
    }
}
