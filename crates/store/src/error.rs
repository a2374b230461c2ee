//! Errors of the store.

use std::path::PathBuf;

/// Error of a store.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum StoreError {
    /// Another process writes to this folder.
    #[error("{folder} is in use by {holder}", folder = .folder.display())]
    InUse {
        folder: PathBuf,
        /// The other process as far as it is known, and the next step.
        holder: String,
    },
    /// Other users could read or replace stored data.
    #[error("{path} is not safe from other users: {message}", path = .path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// The fault, and the next step.
        message: String,
    },
    /// The disk is full. Acknowledged changes are kept; the change that failed is not.
    #[error("the disk that holds {} is full: free some space, nothing that was acknowledged is lost", .0.display())]
    Full(PathBuf),
    /// The folder or a file in it cannot be read or written.
    #[error("{path}: {message}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Message of the system.
        message: String,
    },
    /// Stored data differs from what was written.
    #[error("{path} is damaged ({message}): run `kapelle doctor`, or restore a backup", path = .path.display())]
    Damaged { path: PathBuf, message: String },
    /// The folder was written by a newer version.
    #[error("{path} was written by a newer version of Kapelle (schema {found}, this one knows {known})", path = .path.display())]
    Newer {
        path: PathBuf,
        /// Schema of the folder.
        found: i64,
        /// Schema of this program.
        known: i64,
    },
    /// The linked SQLite has a known fault.
    #[error("SQLite {0} has a fault that can lose data; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// Any other fault of the database.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// Tells whether a repeated request may succeed later without a repair of the store.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Full(_))
    }
}
