//! What happens to scripts and their processes, for those who watch.

use kapelle_supervisor::machine::Exit;
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetEvent {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The worker's id.
    pub id: String,
    /// The worker's name.
    pub worker: String,
    /// Which of its processes, when it happened to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// Its state now: `starting`, `running`, `stopping`, `waiting`, `stopped`, `finished`, `crashed`; of a script
    /// `found`, `changed`, `gone`, `cannot_start`.
    pub what: &'static str,
    /// In words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How its process ended, when it just did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}
