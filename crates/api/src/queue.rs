//! Queues.

use serde::{Deserialize, Serialize};

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// Name, as requests give it.
    pub name: String,
    /// Number of its tasks that run at once in the server's own process.
    pub slots: u32,
    /// Whether it is paused: nothing new starts.
    pub paused: bool,
    /// The reason of the pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// Open tasks by state.
    #[serde(default)]
    pub tasks: std::collections::BTreeMap<String, u64>,
    /// Tasks that wait for a slot.
    pub ready: u64,
    /// Running tasks.
    pub running: u64,
    /// Tasks that wait for something else: a time, a retry, money, a limit.
    pub waiting: u64,
    /// The number of takers: worker hosts that are alive, and the server's own process when it has slots for it.
    #[serde(default)]
    pub listeners: u32,
    /// Reasons why its tasks wait, such as a worker that is not served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The queues.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueList {
    /// By name.
    pub queues: Vec<Queue>,
}

/// A queue or worker was paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Paused {
    /// Name, as requests give it.
    pub name: String,
    /// Whether it is paused: nothing new starts.
    pub paused: bool,
}
