//! What went wrong below, said in the store's own words.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::StoreError;

/// A fault on the way, before it is known which file to name.
#[derive(Debug)]
pub(super) enum Trouble {
    /// SQLite refused.
    Sqlite(Error),
    /// A row holds what was never written.
    Damaged(String),
    /// The caller asked for what cannot be stored.
    Refused(String),
}

/// What the functions of this module give.
pub(super) type Sql<T> = Result<T, Trouble>;

/// Whether a new row could be written: not when there is one already.
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
    /// The row exists already.
    pub fn is_taken(&self) -> bool {
        let Trouble::Sqlite(Error::SqliteFailure(error, _)) = self else { return false };
        matches!(error.extended_code, ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE)
            || error.extended_code == ffi::SQLITE_CONSTRAINT_ROWID
    }

    /// Another row has the same place: the step of a run, or a number.
    pub fn is_taken_twice(&self) -> bool {
        matches!(self, Trouble::Sqlite(Error::SqliteFailure(error, _))
            if error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
    }

    /// The disk or what lies between did not do as told: nothing may be written any more.
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

    /// For the caller: with the file that it is about.
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
