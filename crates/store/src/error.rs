//! What can go wrong with the store.

use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes to this folder.
    #[error("{folder} is in use by {holder}", folder = .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// What is known of the other process, and what to do.
        holder: String,
    },
    /// Other users could read or replace what is stored.
    #[error("{path} is not safe from other users: {message}", path = .path.display())]
    Exposed {
        /// Which file or folder.
        path: PathBuf,
        /// The fault, and the next step.
        message: String,
    },
    /// The disk is full. What was acknowledged is kept; the change that met this is not.
    #[error("the disk that holds {} is full: free some space, nothing that was acknowledged is lost", .0.display())]
    Full(PathBuf),
    /// The folder or a file in it cannot be read or written.
    #[error("{path}: {message}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// What is stored is not what was written.
    #[error("{path} is damaged ({message}): run `kapelle doctor`, or restore a backup", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was noticed.
        message: String,
    },
    /// The folder was written by a newer version.
    #[error("{path} was written by a newer version of Kapelle (schema {found}, this one knows {known})", path = .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema of this program.
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
    /// Whether the same request may succeed later without anybody mending the store itself.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Full(_))
    }
}
