//! Faults of SQLite in the store's words.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::StoreError;

/// A fault before its file is known.
#[derive(Debug)]
pub(super) enum Trouble {
    /// SQLite refused.
    Sqlite(Error),
    /// A row holds a value that was never written.
    Damaged(String),
    /// The caller passed a value that cannot be stored.
    Refused(String),
}

/// Result of the functions of this module.
pub(super) type Sql<T> = Result<T, Trouble>;

/// Returns whether a new row could be written; false when it exists already.
pub(super) fn written(result: Sql<()>) -> Sql<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(trouble) if trouble.is_taken() => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Sqlite(error)
    }
}

impl Trouble {
    /// Tells whether the row exists already.
    pub fn is_taken(&self) -> bool {
        let Trouble::Sqlite(Error::SqliteFailure(error, _)) = self else { return false };
        matches!(error.extended_code, ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE)
            || error.extended_code == ffi::SQLITE_CONSTRAINT_ROWID
    }

    /// Tells whether another row has the same position: the step of a run, or a number.
    pub fn is_taken_twice(&self) -> bool {
        matches!(self, Trouble::Sqlite(Error::SqliteFailure(error, _))
            if error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
    }

    /// Tells whether the disk failed, so that nothing may be written any more.
    pub fn is_fatal(&self) -> bool {
        match self {
            Trouble::Sqlite(Error::SqliteFailure(error, _)) => matches!(
                error.code,
                ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
            ),
            _ => false,
        }
    }

    /// Converts to an error for the caller, with its file.
    pub fn explain(self, file: &Path) -> StoreError {
        let path = file.to_owned();
        match self {
            Trouble::Damaged(message) => StoreError::Damaged { path, message },
            Trouble::Refused(message) => StoreError::Database(message),
            Trouble::Sqlite(Error::SqliteFailure(error, message)) => {
                let message = message.unwrap_or_else(|| error.to_string());
                match error.code {
                    ErrorCode::DiskFull => StoreError::Full(file.parent().unwrap_or(file).to_owned()),
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged { path, message },
                    ErrorCode::OperationInterrupted => StoreError::Database(
                        "the query looked at too many rows: narrow it by state, queue or worker".to_owned(),
                    ),
                    ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
                    | ErrorCode::PermissionDenied => {
                        let message = format!("{message} (SQLite code {})", error.extended_code);
                        StoreError::Io { path, message }
                    }
                    _ => StoreError::Database(message),
                }
            }
            Trouble::Sqlite(error) => StoreError::Damaged { path, message: error.to_string() },
        }
    }
}
