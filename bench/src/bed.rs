//! A Kapelle over a fresh folder, with no-op workers.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kapelle::{
    Config, Kapelle, QueueConfig, TaskError, TaskId, WorkerSpec,
    core::{Name, TenantId, task::StateKind},
    engine::{NewPayload, SubmitTask, command},
    serde_json::{Value, json},
    store::{GateKind, Page, TaskFilter},
};
use tokio::sync::Notify;

use crate::measure::Plan;

/// Slots where throughput is measured. A no-op worker is never waited for, so eight slots would only measure the size
/// of a turn.
pub const MANY_SLOTS: u32 = 2_048;

static RUNNING: LazyLock<TaskFilter> =
    LazyLock::new(|| TaskFilter { state: Some(StateKind::Running), steps: true, ..TaskFilter::default() });
const ONE: Page = Page { before: None, most: 1 };

/// A Kapelle over a folder, with the worker `noop`, which returns its input.
pub struct Bed {
    /// Library under measurement.
    pub kapelle: Arc<Kapelle>,
    folder: PathBuf,
    ended: Arc<Ended>,
}

/// Number of ended attempts.
#[derive(Default)]
struct Ended {
    count: AtomicUsize,
    target: AtomicUsize,
    reached: Notify,
}

impl Ended {
    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= self.target.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }
}

impl Bed {
    /// Opens a fresh folder of that name.
    pub async fn fresh(plan: &Plan, name: &str, slots: u32) -> anyhow::Result<Bed> {
        let folder = plan.folder.join(format!("{name}-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        Bed::open(&folder, slots).await
    }

    /// Opens that folder unchanged.
    pub async fn open(folder: &Path, slots: u32) -> anyhow::Result<Bed> {
        let mut config = Config::default();
        config.queues.insert("default".to_owned(), QueueConfig::of(slots));
        let environment = |_: &str| None;
        let kapelle = Kapelle::builder(folder).config(config).environment(environment).open().await?;
        let ended = Arc::new(Ended::default());
        let counted = Arc::clone(&ended);
        let noop = move |input: Value| {
            let ended = Arc::clone(&counted);
            async move {
                ended.add();
                Ok::<Value, TaskError>(input)
            }
        };
        kapelle.register_spec(WorkerSpec { slots, ..WorkerSpec::named("noop") }, noop);
        Ok(Bed { kapelle: Arc::new(kapelle), folder: folder.to_owned(), ended })
    }

    /// Makes a task for a worker without checking its registration.
    pub fn task(worker: &str, number: usize, priority: i16) -> SubmitTask {
        let input = NewPayload::Bytes(Arc::from(json!({ "n": number }).to_string().into_bytes()));
        SubmitTask { priority, ..SubmitTask::new(Name::new(worker), input) }
    }

    /// Submits that many tasks in batches.
    pub async fn submit_batches(
        &self,
        tasks: usize,
        batch: usize,
        make: impl Fn(usize) -> SubmitTask,
    ) -> anyhow::Result<()> {
        for first in (0..tasks).step_by(batch) {
            let batch: Vec<SubmitTask> = (first..tasks.min(first + batch)).map(&make).collect();
            self.kapelle.engine().submit(TenantId::DEFAULT, batch, None).await?;
        }
        Ok(())
    }

    /// Waits until that many attempts have been made since the bed was opened.
    pub async fn attempted(&self, tasks: usize) {
        self.ended.target.store(tasks, Ordering::Relaxed);
        while self.ended.count.load(Ordering::Relaxed) < tasks {
            let _ = tokio::time::timeout(Duration::from_millis(100), self.ended.reached.notified()).await;
        }
    }

    /// Waits until that many attempts have been made since the bed was opened and every task of `noop` has ended,
    /// according to the store.
    pub async fn completed(&self, tasks: usize) -> anyhow::Result<()> {
        self.attempted(tasks).await;
        let name = Name::new("noop");
        loop {
            let open = self.kapelle.engine().reader().open_tasks(TenantId::DEFAULT)?;
            if open.iter().all(|lane| lane.worker != name) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Counts the attempts since the bed was opened.
    pub fn attempts(&self) -> usize {
        self.ended.count.load(Ordering::Relaxed)
    }

    /// Waits until no task runs.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        while !self.kapelle.engine().reader().tasks(TenantId::DEFAULT, &RUNNING, ONE)?.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Submits urgent tasks in batches and returns their ids.
    pub async fn submit_urgent(&self, tasks: usize, batch: usize) -> anyhow::Result<Vec<TaskId>> {
        let mut ids = Vec::with_capacity(tasks);
        for first in (0..tasks).step_by(batch) {
            let made: Vec<SubmitTask> =
                (first..tasks.min(first + batch)).map(|number| Bed::task("noop", number, 100)).collect();
            let count = made.len() as i64;
            let first = self.kapelle.engine().submit(TenantId::DEFAULT, made, None).await?;
            ids.extend((0..count).map(|number| TaskId(first.0 + number)));
        }
        Ok(ids)
    }

    /// Waits until all of them have ended.
    pub async fn ended(&self, tasks: &[TaskId]) -> anyhow::Result<()> {
        for id in tasks.iter().rev() {
            self.kapelle.engine().wait(TenantId::DEFAULT, *id).await?;
        }
        Ok(())
    }

    /// Registers a worker that never ends.
    pub fn register_hang(&self) {
        let hang = |_: Value| std::future::pending::<Result<Value, TaskError>>();
        self.kapelle.register_spec(WorkerSpec { slots: MANY_SLOTS, ..WorkerSpec::named("hang") }, hang);
    }

    /// Pauses or resumes the queue.
    pub async fn pause(&self, paused: bool) -> anyhow::Result<()> {
        let command = command::Pause {
            tenant: TenantId::DEFAULT,
            kind: GateKind::Queue,
            name: Name::new("default"),
            paused,
            reason: "measured".into(),
        };
        self.kapelle.engine().ask(command).await?;
        Ok(())
    }

    /// Closes it and keeps the folder.
    pub async fn close(self) -> PathBuf {
        self.kapelle.close().await;
        self.folder
    }

    /// Closes it and removes the folder.
    pub async fn remove(self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(self.close().await)?)
    }
}
