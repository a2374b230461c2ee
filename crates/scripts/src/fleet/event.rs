//! Events of scripts and their processes.

use kapelle_supervisor::machine::Exit;
use serde::Serialize;

/// An event of a script or of one of its processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetEvent {
    /// Time in milliseconds since 1970.
    pub at_ms: i64,
    /// The worker's id.
    pub id: String,
    /// The worker's name.
    pub worker: String,
    /// Number of the process; `None` for the whole script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// The new state: `starting`, `running`, `stopping`, `waiting`, `stopped`, `finished`, `crashed`, `parked`; of a
    /// script `found`, `changed`, `gone`, `cannot_start`.
    pub what: &'static str,
    /// Description for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Exit of the process, when it just ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}
