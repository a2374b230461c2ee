//! What a face says about itself when it begins to serve.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use kapelle_core::{Labels, Name};

use crate::health_config::HealthCheck;

/// Slots of a queue that nobody set up.
pub(crate) const OTHER_SLOTS: u32 = 8;

/// What a face says about itself when it begins to serve. The defaults are those of a library user.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder with the workflows of the project.
    pub workflows: Option<PathBuf>,
    /// Slots of the queues in this process, by name.
    pub queues: HashMap<Name, u32>,
    /// What sets this process apart.
    pub labels: Labels,
    /// What the user calls unhealthy.
    pub checks: Vec<HealthCheck>,
    /// How long a worker host may be silent before its tasks go to others; the engine has the same.
    pub lease: Duration,
    /// How long a claimed task may go unacknowledged by a host that promised to acknowledge.
    pub ack: Duration,
    /// Bytes of inputs, outputs and questions in one page of a list or one claim, about: the row that reaches it is the last.
    pub page_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workflows: None,
            queues: HashMap::new(),
            labels: Labels::new(),
            checks: Vec::new(),
            lease: Duration::from_secs(15),
            ack: Duration::from_millis(1_500),
            page_bytes: 16 << 20,
        }
    }
}

impl Settings {
    /// How many tasks of a queue run at once in this process.
    pub(crate) fn slots(&self, queue: &Name) -> u32 {
        self.queues.get(queue).copied().unwrap_or(OTHER_SLOTS)
    }
}
