//! Settings of an interface when it begins to serve.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use kapelle_core::{Labels, Name};

use crate::health_config::HealthCheck;

/// Slots of a queue without configuration.
pub(crate) const OTHER_SLOTS: u32 = 8;

/// Settings of an interface when it begins to serve. The defaults are those of a library user.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder with the workflows of the project.
    pub workflows: Option<PathBuf>,
    /// Slots of the queues in this process, by name.
    pub queues: HashMap<Name, u32>,
    /// Labels of this process.
    pub labels: Labels,
    /// Health checks of the user.
    pub checks: Vec<HealthCheck>,
    /// Silence after which a worker host loses its tasks; the engine has the same value.
    pub lease: Duration,
    /// Time that a claimed task may go unacknowledged by a host that promised to acknowledge.
    pub ack: Duration,
    /// Approximate bytes of inputs, outputs and questions in one page of a list or one claim: the row that reaches the
    /// limit is the last.
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
    /// Returns how many tasks of a queue run at once in this process.
    pub(crate) fn slots(&self, queue: &Name) -> u32 {
        self.queues.get(queue).copied().unwrap_or(OTHER_SLOTS)
    }
}
