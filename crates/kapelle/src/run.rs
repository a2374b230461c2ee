//! One execution of a workflow, as its starter holds it.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_app::{App, Error};
use kapelle_core::{RunId, TenantId, run::RunStatus};
use kapelle_engine::EngineError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    kapelle::{owner, reason},
    run_events::RunEvents,
    task::parse,
};

/// One execution of a workflow, as its starter holds it.
#[derive(Clone)]
pub struct Run {
    pub(crate) id: RunId,
    pub(crate) app: Arc<App>,
}

/// The result of a run that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// The values of the definition's `outputs`; null when it names none.
    pub outputs: Value,
}

impl RunResult {
    /// Reads the outputs as a type.
    ///
    /// # Errors
    /// When they have another shape.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, Error> {
        parse("outputs", self.outputs)
    }
}

impl Run {
    /// Returns its id, such as `run_3`.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed or was cancelled, or the engine stops.
    pub async fn wait(&self) -> Result<RunResult, Error> {
        let row = self.app.engine().wait_run(TenantId::DEFAULT, self.id).await?;
        let what = self.id.to_string();
        match row.status {
            RunStatus::Succeeded { outputs, .. } => Ok(RunResult { outputs: self.app.engine().value(&outputs)? }),
            RunStatus::Failed { error, .. } => Err(Error::Failed { what, error: (*error).clone() }),
            RunStatus::Cancelled { reason, .. } => Err(Error::Cancelled { what, reason: reason.to_string() }),
            RunStatus::Running | RunStatus::Cancelling { .. } | RunStatus::Failing { .. } => {
                Err(EngineError::Stopped.into())
            }
        }
    }

    /// Returns its current state, with cost and tokens, as HTTP answers it.
    ///
    /// # Errors
    /// When it does not exist, or the store fails.
    pub async fn state(&self) -> Result<api::Run, Error> {
        Ok(self.app.run(owner(), self.id, None).await?.0)
    }

    /// Returns its live events from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the engine has closed.
    pub fn events(&self) -> Result<RunEvents, Error> {
        Ok(RunEvents::new(self.clone(), self.app.listen(owner(), None)?))
    }

    /// Pauses it: nothing further begins until it is resumed; running steps continue.
    ///
    /// # Errors
    /// When it is paused already, or has ended.
    pub async fn pause(&self) -> Result<(), Error> {
        self.app.pause_run(owner(), self.id).await?;
        Ok(())
    }

    /// Resumes it.
    ///
    /// # Errors
    /// When it is not paused, or has ended.
    pub async fn resume(&self) -> Result<(), Error> {
        self.app.resume_run(owner(), self.id).await?;
        Ok(())
    }

    /// Sends it a signal, which goes to the step that has waited for it the longest, or to the first that will.
    ///
    /// # Errors
    /// When it has ended, or keeps too many signals that no step waited for.
    pub async fn signal(&self, name: &str, payload: Value) -> Result<(), Error> {
        self.app.signal(owner(), self.id, (name, api::Signal { payload }), None).await?;
        Ok(())
    }

    /// Starts a new run of the same version on the same inputs that reuses the results of this run's steps that
    /// succeeded on equal inputs. With `from`, that step of the outermost block and everything that depends on it run
    /// again.
    ///
    /// # Errors
    /// When this run has not ended, the step does not exist, or the store fails.
    pub async fn rerun(&self, from: Option<&str>) -> Result<Run, Error> {
        self.again(from, false).await
    }

    /// Starts a rerun whose steps run again, with their model calls answered from the recording of this run: no
    /// provider is asked, and nothing is paid. With `from`, results before that step are reused. A call without a
    /// recorded answer fails its step.
    ///
    /// # Errors
    /// As [`Run::rerun`].
    pub async fn rerun_recorded(&self, from: Option<&str>) -> Result<Run, Error> {
        self.again(from, true).await
    }

    async fn again(&self, from: Option<&str>, recorded: bool) -> Result<Run, Error> {
        let request = api::Rerun { from: from.map(str::to_owned), recorded };
        let id = self.app.rerun(owner(), self.id, request, None).await?;
        Ok(Run { id, app: Arc::clone(&self.app) })
    }

    /// Cancels it: open tasks are cancelled, then the handler that its definition has for a cancel runs. A second call
    /// cancels the handler as well.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, why: &str) -> Result<(), Error> {
        self.app.cancel_run(owner(), self.id, reason(why)).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.id).finish()
    }
}
