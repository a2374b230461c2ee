//! The configuration of a server, and the checks of its machine.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setting {
    /// The path, such as `queues.ml.slots`, or the name of a variable.
    pub path: String,
    /// The value. The key of a provider is only `set` or `not set`.
    pub value: Value,
    /// The origin: `default`, a file, or `environment` or `.env` with the variable.
    pub origin: String,
}

/// The configuration in force, with origins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigReport {
    /// Settings by path, then variables, then destinations of keys (`sends.PROVIDER`).
    pub settings: Vec<Setting>,
}

/// The state of a check of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DoctorState {
    /// Works.
    Ok,
    /// Works, and should be looked at.
    Warn,
    /// Broken.
    Fail,
}

/// A check of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorCheck {
    /// The name; several checks may share one, such as `script`.
    pub name: String,
    /// The state.
    pub state: DoctorState,
    /// The finding, in words.
    pub found: String,
    /// The next step, in words; missing without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
    /// The command that shows more.
    pub command: String,
}

/// The checks of the machine of a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorReport {
    /// Whether no check failed.
    pub ok: bool,
    /// The checks, in the order of `kapelle doctor`.
    pub checks: Vec<DoctorCheck>,
}
