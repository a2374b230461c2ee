//! Queues and workers, paused and resumed.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_api as api;
use kapelle_core::{Name, RunId, TenantId, task::StateKind};
use kapelle_engine::command;
use kapelle_store::{GateKind, Reader};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    error::Error,
};

/// Characters of a reason.
const REASON_MAX: usize = 500;

/// The status of a queue or a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct QueueStatus {
    pub name: Name,
    /// The reason of the pause, when it is paused.
    pub paused: Option<Arc<str>>,
    /// Its open tasks by state.
    pub tasks: BTreeMap<StateKind, u64>,
    /// For a queue: workers of waiting tasks that this process does not serve. For a worker: its own name in that case.
    pub unserved: Vec<Name>,
}

impl App {
    /// Pauses a queue: no further task of it starts, here and on worker hosts, until it is resumed, also after a
    /// restart. Running tasks continue.
    ///
    /// # Errors
    /// When the name is invalid.
    pub async fn pause_queue(&self, by: &Caller, queue: &str, given: api::Reason) -> Result<api::Paused, AppError> {
        by.allow_server(Permission::Operate)?;
        self.gate(by, (GateKind::Queue, queue), true, given).await
    }

    /// Resumes a queue.
    ///
    /// # Errors
    /// When the name is invalid.
    pub async fn resume_queue(&self, by: &Caller, queue: &str, given: api::Reason) -> Result<api::Paused, AppError> {
        by.allow_server(Permission::Operate)?;
        self.gate(by, (GateKind::Queue, queue), false, given).await
    }

    /// Pauses a worker: no further task of it starts, here and on worker hosts, until it is resumed, also after a
    /// restart.
    ///
    /// # Errors
    /// When the name is invalid.
    pub async fn pause_worker(&self, by: &Caller, worker: &str, given: api::Reason) -> Result<api::Paused, AppError> {
        by.allow(Permission::Operate)?;
        self.gate(by, (GateKind::Worker, worker), true, given).await
    }

    /// Resumes a worker.
    ///
    /// # Errors
    /// When the name is invalid.
    pub async fn resume_worker(&self, by: &Caller, worker: &str, given: api::Reason) -> Result<api::Paused, AppError> {
        by.allow(Permission::Operate)?;
        self.gate(by, (GateKind::Worker, worker), false, given).await
    }

    async fn gate(
        &self,
        by: &Caller,
        (kind, name): (GateKind, &str),
        paused: bool,
        given: api::Reason,
    ) -> Result<api::Paused, AppError> {
        let name = Name::parse(name).map_err(|error| AppError::unprocessable(error.to_string()))?;
        let reason = match given.reason.filter(|reason| !reason.trim().is_empty()) {
            Some(reason) => by.signed(reason.chars().take(REASON_MAX).collect()),
            None => format!("by {}", by.actor),
        };
        let reason = Arc::from(reason);
        let command = command::Pause { tenant: by.tenant, kind, name: name.clone(), paused, reason };
        let action = format!("{}.{}", kind.as_str(), if paused { "pause" } else { "resume" });
        self.act(by, &action, name.as_str(), command).await?;
        Ok(api::Paused { name: name.to_string(), paused })
    }

    /// Returns every queue, or every worker, that has open tasks or is paused, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub fn queue_status(&self, kind: GateKind) -> Result<Vec<QueueStatus>, Error> {
        let served = |worker: &Name| self.engine.has_worker(worker);
        queue_status(self.reader(), kind, served)
    }

    /// Notifies the middleware of every run that ends from now on.
    pub(crate) fn notify_middleware(&self) {
        let middleware = Arc::clone(&self.middleware);
        if middleware.is_empty() {
            return;
        }
        let mut events = self.engine.watch();
        // Ends with the engine, which closes the stream of events.
        drop(tokio::runtime::Handle::current().spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => tell(&middleware, &event),
                    // The middleware is notified of the remaining events; the rows have the rest.
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "middleware missed some events");
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
            }
        }));
    }
}

fn tell(middleware: &[Arc<dyn kapelle_core::middleware::Middleware>], event: &kapelle_engine::Event) {
    let kapelle_engine::EventKind::RunEnded { status } = &event.kind else { return };
    let run: RunId = event.run;
    middleware.iter().rev().for_each(|outer| outer.run_ended(run, status.as_str()));
}

/// Returns the status of queues or workers, from the store. `served` says whether a worker is known.
///
/// # Errors
/// When the store fails.
pub fn queue_status(
    reader: &dyn Reader,
    kind: GateKind,
    served: impl Fn(&Name) -> bool,
) -> Result<Vec<QueueStatus>, Error> {
    let mut all: BTreeMap<Name, QueueStatus> = BTreeMap::new();
    let fresh =
        |name: &Name| QueueStatus { name: name.clone(), paused: None, tasks: BTreeMap::new(), unserved: Vec::new() };
    for lane in reader.open_tasks(TenantId::DEFAULT)? {
        let name = if kind == GateKind::Queue { &lane.queue } else { &lane.worker };
        let status = all.entry(name.clone()).or_insert_with(|| fresh(name));
        *status.tasks.entry(lane.state).or_default() += lane.tasks;
        if !served(&lane.worker) && !status.unserved.contains(&lane.worker) {
            status.unserved.push(lane.worker);
        }
    }
    for gate in reader.gates(TenantId::DEFAULT)?.into_iter().filter(|gate| gate.kind == kind && gate.paused) {
        all.entry(gate.name.clone()).or_insert_with(|| fresh(&gate.name)).paused = Some(gate.reason);
    }
    Ok(all.into_values().collect())
}
