//! The state of a server at one moment.

use kapelle_api::{Client, Queue, QueueList, WorkersStatus};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// The state of a server at one moment.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Snapshot {
    /// Its health, and the checks that its user set up.
    pub health: Value,
    pub queues: Vec<Queue>,
    /// Workers and hosts.
    pub workers: WorkersStatus,
    /// Running tasks, newest first.
    pub tasks: Vec<Value>,
    /// Runs that have not ended, newest first.
    pub runs: Vec<Value>,
}

impl Snapshot {
    /// Asks the server.
    ///
    /// # Errors
    /// When it refuses, or cannot be reached.
    pub async fn take(client: &Client) -> Result<Snapshot, Failure> {
        let queues: QueueList = client.get("/api/v1/queues").await?;
        let workers: WorkersStatus = client.get("/api/v1/workers/status").await?;
        let tasks: Value = client.get("/api/v1/tasks?state=running&steps=true&limit=50").await?;
        let runs: Value = client.get("/api/v1/runs?open=true&limit=50").await?;
        // An unhealthy server answers 503 with the full body; its important part is shown.
        let health = match client.get::<Value>("/health").await {
            Ok(health) => health,
            Err(error) => serde_json::json!({ "status": "critical", "detail": error.to_string() }),
        };
        let rows = |page: &Value, name: &str| page[name].as_array().cloned().unwrap_or_default();
        Ok(Snapshot { health, queues: queues.queues, workers, tasks: rows(&tasks, "tasks"), runs: rows(&runs, "runs") })
    }

    /// Returns the tasks that ended since the server was started: succeeded, and not.
    pub fn ended(&self) -> (u64, u64) {
        let add = |(done, failed): (u64, u64), worker: &kapelle_api::Health| {
            (done + worker.succeeded, failed + worker.failed)
        };
        self.workers.workers.iter().fold((0, 0), add)
    }
}
