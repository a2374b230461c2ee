//! What can go wrong for a user of the library.

use kapelle_api::code;
use kapelle_core::{TaskError, definition::Problems};
use kapelle_engine::EngineError;
use kapelle_store::StoreError;

use crate::app_error::AppError;

/// What can go wrong for a user of the library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A workflow file is wrong. Each problem has its place.
    #[error("{0}")]
    Definition(Problems),
    /// A worker file or the configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// Inputs or settings do not fit what the worker or the workflow asks for.
    #[error("{0}")]
    Inputs(String),
    /// A task or run did not succeed.
    #[error("{what} failed: {error}")]
    Failed {
        /// Its id.
        what: String,
        /// Why.
        error: TaskError,
    },
    /// A task or run was cancelled.
    #[error("{what} was cancelled: {reason}")]
    Cancelled {
        /// Its id.
        what: String,
        /// By whom or why.
        reason: String,
    },
    /// A use case refused, for another reason than its inputs.
    #[error(transparent)]
    Refused(AppError),
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] kapelle_core::name::NameError),
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Error {
        match error.code {
            code::INVALID_INPUT | code::INVALID_REQUEST => Error::Inputs(error.to_string()),
            _ => Error::Refused(error),
        }
    }
}
