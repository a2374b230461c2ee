//! Logs of a server: `log: { format, level, access }` in `kapelle.yaml`.

use serde::{Deserialize, Serialize};

/// The log of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Whether requests are logged at the level `info`; otherwise at `debug`.
    pub access: bool,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Time, level and message for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The least important lines that are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Faults that need a person.
    Error,
    /// And conditions that may need one.
    Warn,
    /// And changes of state.
    #[default]
    Info,
    /// And requests.
    Debug,
}
