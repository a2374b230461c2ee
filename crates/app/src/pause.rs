//! Queues and workers, paused and resumed.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Name, RunId};
use kapelle_engine::command;
use kapelle_store::GateKind;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
};

/// Characters of a reason.
const REASON_MAX: usize = 500;

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
