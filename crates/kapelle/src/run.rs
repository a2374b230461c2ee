//! One execution of a workflow, as its starter holds it.

use std::sync::Arc;

use kapelle_core::{RunId, TenantId, run::RunStatus};
use kapelle_engine::{Engine, EngineError, Event};
use kapelle_store::RunRow;
use serde_json::Value;

use crate::error::Error;

/// One execution of a workflow, as its starter holds it.
#[derive(Clone)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) engine: Engine,
}

/// What came of a run that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// What the definition's `outputs` gave; null when it names none.
    pub outputs: Value,
}

impl Run {
    /// Its id, such as `run_3`.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed or was cancelled, or the engine stops.
    pub async fn wait(&self) -> Result<RunResult, Error> {
        let row = self.engine.wait_run(TenantId::DEFAULT, self.id).await?;
        let what = self.id.to_string();
        match row.status {
            RunStatus::Succeeded { outputs, .. } => Ok(RunResult { outputs: self.engine.value(&outputs)? }),
            RunStatus::Failed { error, .. } => Err(Error::Failed { what, error: (*error).clone() }),
            RunStatus::Cancelled { reason, .. } => Err(Error::Cancelled { what, reason: reason.to_string() }),
            RunStatus::Running | RunStatus::Cancelling { .. } => Err(EngineError::Stopped.into()),
        }
    }

    /// Where it stands now.
    ///
    /// # Errors
    /// When the store fails.
    pub fn state(&self) -> Result<RunRow, Error> {
        let row = self.engine.reader().run(TenantId::DEFAULT, self.id)?;
        row.ok_or_else(|| EngineError::NoSuchRun(self.id).into())
    }

    /// The events of all runs from now on; those of this one carry its id.
    #[must_use]
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<Event> {
        self.engine.watch()
    }

    /// Ends it: open tasks are cancelled, no step starts.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, reason: &str) -> Result<(), Error> {
        self.engine.ask(kapelle_engine::Command::CancelRun { run: self.id, reason: Arc::from(reason) }).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.id).finish()
    }
}
