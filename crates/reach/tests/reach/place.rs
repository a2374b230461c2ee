//! A folder with one worker of a file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kapelle_core::{
    TaskError,
    worker::{TaskContext, Worker},
};
use kapelle_reach::{OwnHealth, Reach, SecretSource, Secrets};
use kapelle_workers::configured::configured;
use serde_json::Value;

/// The value of the secret `token`.
pub(crate) const CANARY: &str = "canary-5f1c9e";

/// The time of all workers, in seconds.
pub(crate) const NOW_S: i64 = 1_796_083_200;

pub(crate) struct Place(pub(crate) tempfile::TempDir);

struct Well;

impl OwnHealth for Well {
    fn failing(&self) -> Option<Vec<(String, String)>> {
        Some(vec![("disk".to_owned(), "full".to_owned())])
    }
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        Place(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes the worker of a file, as a start of the process does, where it is 2026-12-01, 00:00 UTC.
    pub(crate) fn worker(&self, text: &str) -> Result<Arc<dyn Worker>, String> {
        let sources = BTreeMap::from([
            ("token".to_owned(), SecretSource::Variable("TOKEN".to_owned())),
            ("unset".to_owned(), SecretSource::Variable("UNSET".to_owned())),
        ]);
        let lookup = Arc::new(|name: &str| (name == "TOKEN").then(|| CANARY.to_owned()));
        let reach = Reach {
            secrets: Secrets::new(sources, lookup),
            own_health: Arc::new(Well),
            now: Arc::new(|| NOW_S * 1_000),
        };
        let kinds = reach.kinds(&self.path().join("state"));
        let kind = kinds.iter().find(|kind| text.contains(&format!("kind: {}\n", kind.name()))).unwrap();
        configured("w.yaml", text.as_bytes(), &**kind, self.path()).map_err(|problems| problems.to_string())
    }
}

/// Runs one attempt of a task.
pub(crate) async fn attempt(
    worker: &Arc<dyn Worker>,
    task: &str,
    number: u32,
    input: Value,
) -> Result<Value, TaskError> {
    let context = TaskContext { attempt: number, ..TaskContext::detached(task) };
    worker.execute(&context, input).await.map(|output| output.value)
}

/// Runs a task.
pub(crate) async fn run(worker: &Arc<dyn Worker>, input: Value) -> Result<Value, TaskError> {
    attempt(worker, "task_1", 1, input).await
}
