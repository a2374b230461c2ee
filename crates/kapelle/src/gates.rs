//! Queues and workers, paused and resumed; and tasks that were given up.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{
    Name, RunId, TaskId, TenantId,
    task::{StateKind, Task},
};
use kapelle_engine::command;
use kapelle_store::{GateKind, Page, TaskFilter};

use crate::{error::Error, kapelle::Kapelle};

/// How a queue or a worker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: Name,
    /// Why nothing starts, when it is paused.
    pub paused: Option<Arc<str>>,
    /// Its open tasks by state.
    pub tasks: BTreeMap<StateKind, u64>,
    /// Of a queue: workers of which tasks wait here and that nobody in this process serves. Of a worker: its own name
    /// in that case.
    pub unserved: Vec<Name>,
}

impl Kapelle {
    /// Starts no further task of a queue, here and on worker hosts, until it is resumed: also after a restart. What
    /// runs is not disturbed.
    ///
    /// # Errors
    /// When the name is not one, or the store fails.
    pub async fn pause_queue(&self, queue: &str, reason: &str) -> Result<(), Error> {
        self.gate(GateKind::Queue, queue, true, reason).await
    }

    /// Lets the tasks of a queue start again.
    ///
    /// # Errors
    /// When the name is not one, or the store fails.
    pub async fn resume_queue(&self, queue: &str, reason: &str) -> Result<(), Error> {
        self.gate(GateKind::Queue, queue, false, reason).await
    }

    /// Starts no further task of a worker, here and on worker hosts, until it is resumed: also after a restart.
    ///
    /// # Errors
    /// When the name is not one, or the store fails.
    pub async fn pause_worker(&self, worker: &str, reason: &str) -> Result<(), Error> {
        self.gate(GateKind::Worker, worker, true, reason).await
    }

    /// Lets the tasks of a worker start again.
    ///
    /// # Errors
    /// When the name is not one, or the store fails.
    pub async fn resume_worker(&self, worker: &str, reason: &str) -> Result<(), Error> {
        self.gate(GateKind::Worker, worker, false, reason).await
    }

    async fn gate(&self, kind: GateKind, name: &str, paused: bool, reason: &str) -> Result<(), Error> {
        let (name, reason) = (Name::parse(name)?, Arc::from(reason));
        self.engine.ask(command::Pause { tenant: TenantId::DEFAULT, kind, name, paused, reason }).await?;
        Ok(())
    }

    /// Every queue, or every worker, that has open tasks or is paused, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub fn standings(&self, kind: GateKind) -> Result<Vec<Standing>, Error> {
        let served = |worker: &Name| self.engine.has_worker(worker);
        standings(&**self.engine.reader(), kind, served)
    }

    /// Tasks of their own that were given up and not dealt with yet, newest first; those of one worker when it is named.
    ///
    /// # Errors
    /// When the store fails.
    pub fn dead_letters(&self, worker: Option<&str>, page: Page) -> Result<Vec<Task>, Error> {
        let worker = worker.map(Name::parse).transpose()?;
        let filter = TaskFilter { state: Some(StateKind::Failed), worker, ..TaskFilter::default() };
        Ok(self.engine.reader().tasks(TenantId::DEFAULT, &filter, page)?)
    }

    /// Puts a task that was given up back, its counts at zero.
    ///
    /// # Errors
    /// When it has not failed, or is a step of a run.
    pub async fn retry_dead(&self, task: TaskId) -> Result<(), Error> {
        self.engine.ask(command::RetryByHand { task }).await?;
        Ok(())
    }

    /// Marks a task that was given up as dealt with. Nothing of it is deleted before its retention is over.
    ///
    /// # Errors
    /// When it has not failed, or is a step of a run.
    pub async fn discard_dead(&self, task: TaskId, reason: &str) -> Result<(), Error> {
        self.engine.ask(command::Discard { task, reason: Arc::from(reason) }).await?;
        Ok(())
    }

    /// Tells the layers of every run that ends from now on.
    pub(crate) fn tell_layers(&self) {
        let layers = Arc::clone(&self.layers);
        if layers.is_empty() {
            return;
        }
        let mut events = self.engine.watch();
        // Ends with the engine, which closes the stream of events.
        drop(tokio::runtime::Handle::current().spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => tell(&layers, &event),
                    // The layers are told of what is left; the rows know the rest.
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "layers were not told of some events");
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
            }
        }));
    }
}

fn tell(layers: &[Arc<dyn kapelle_core::middleware::Middleware>], event: &kapelle_engine::Event) {
    let kapelle_engine::EventKind::RunEnded { status } = &event.kind else { return };
    let run: RunId = event.run;
    layers.iter().rev().for_each(|layer| layer.run_ended(run, status.as_str()));
}

/// How queues or workers stand, by what is stored. `served` says whether a worker is there.
///
/// # Errors
/// When the store fails.
pub fn standings(
    reader: &dyn kapelle_store::Reader,
    kind: GateKind,
    served: impl Fn(&Name) -> bool,
) -> Result<Vec<Standing>, Error> {
    let mut all: BTreeMap<Name, Standing> = BTreeMap::new();
    let fresh =
        |name: &Name| Standing { name: name.clone(), paused: None, tasks: BTreeMap::new(), unserved: Vec::new() };
    for lane in reader.open_tasks(TenantId::DEFAULT)? {
        let name = if kind == GateKind::Queue { &lane.queue } else { &lane.worker };
        let standing = all.entry(name.clone()).or_insert_with(|| fresh(name));
        *standing.tasks.entry(lane.state).or_default() += lane.tasks;
        if !served(&lane.worker) && !standing.unserved.contains(&lane.worker) {
            standing.unserved.push(lane.worker);
        }
    }
    for gate in reader.gates(TenantId::DEFAULT)?.into_iter().filter(|gate| gate.kind == kind && gate.paused) {
        all.entry(gate.name.clone()).or_insert_with(|| fresh(&gate.name)).paused = Some(gate.reason);
    }
    Ok(all.into_values().collect())
}
