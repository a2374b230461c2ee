//! Queues.

use serde::{Deserialize, Serialize};

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// Name, as requests give it.
    pub name: String,
    /// How many of its tasks run at once in the server's own process.
    pub slots: u32,
    /// Nothing new starts.
    pub paused: bool,
    /// Tasks that wait for a slot.
    pub ready: u64,
    /// Tasks under way.
    pub running: u64,
    /// Tasks that wait for something else: a time, a retry, money, a limit.
    pub waiting: u64,
    /// Who takes its tasks at the moment: worker hosts that are alive, and the server's own process when it has slots.
    #[serde(default)]
    pub listeners: u32,
    /// What keeps its tasks from being worked on, such as a worker that nobody serves.
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
    /// Nothing new starts.
    pub paused: bool,
}
