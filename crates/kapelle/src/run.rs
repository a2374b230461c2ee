//! One execution of a workflow, as its starter holds it.

use std::sync::Arc;

use kapelle_core::{
    Name, Payload, RunId, TenantId,
    definition::{Definition, nearest},
    run::{Rerun, RunStatus},
};
use kapelle_engine::{Engine, EngineError, Event, NewPayload, NewRun, VersionRef, command};
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
            RunStatus::Running | RunStatus::Cancelling { .. } | RunStatus::Failing { .. } => {
                Err(EngineError::Stopped.into())
            }
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

    /// Begins nothing further until it is resumed; what runs goes on.
    ///
    /// # Errors
    /// When it is paused already, or has ended.
    pub async fn pause(&self) -> Result<(), Error> {
        self.engine.ask(command::PauseRun { run: self.id }).await?;
        Ok(())
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// When it is not paused, or has ended.
    pub async fn resume(&self) -> Result<(), Error> {
        self.engine.ask(command::ResumeRun { run: self.id }).await?;
        Ok(())
    }

    /// Sends it a signal, which goes to the step that has waited for it the longest, or to the first that will.
    ///
    /// # Errors
    /// When it has ended, or keeps too many signals that no step waited for.
    pub async fn signal(&self, name: &str, payload: Value) -> Result<(), Error> {
        let name = Name::parse(name)?;
        let payload = self.engine.payload(&payload)?;
        self.engine.ask(command::Signal { run: self.id, name, payload }).await?;
        Ok(())
    }

    /// Starts a new run of the same version on the same inputs that takes over the results of steps of this one that
    /// succeeded on the same input. With `from`, that step of the outermost block and everything that waits for it is
    /// done again.
    ///
    /// # Errors
    /// When this one has not ended, there is no such step, or the store fails.
    pub async fn rerun(&self, from: Option<&str>) -> Result<Run, Error> {
        self.again(from, false).await
    }

    /// The same, but its steps are done again and their calls of models answered from what was recorded of this run: no
    /// provider is asked, and nothing is paid. With `from`, results before that step are taken over. A call to which no
    /// answer was recorded fails its step.
    ///
    /// # Errors
    /// As [`Run::rerun`].
    pub async fn rerun_recorded(&self, from: Option<&str>) -> Result<Run, Error> {
        self.again(from, true).await
    }

    async fn again(&self, from: Option<&str>, recorded: bool) -> Result<Run, Error> {
        let row = self.state()?;
        if !row.status.kind().is_terminal() {
            let what = format!("{} is {}: it can be run again once it has ended", self.id, row.status.kind().as_str());
            return Err(Error::Config(what));
        }
        let from = from.map(Name::parse).transpose()?;
        if let Some(step) = &from {
            self.check_step(&row, step)?;
        }
        let inputs = match &row.inputs {
            Payload::None => NewPayload::None,
            _ => self.engine.payload(&self.engine.value(&row.inputs)?)?,
        };
        let version = VersionRef::Stored(row.version);
        let rerun = Some(Rerun { of: self.id, from, recorded });
        let new = NewRun { version, inputs, strategy: Some(row.strategy), rerun, by: None };
        let id = self.engine.start_run(TenantId::DEFAULT, new, None).await?;
        Ok(Run { id, engine: self.engine.clone() })
    }

    fn check_step(&self, row: &RunRow, step: &Name) -> Result<(), Error> {
        let Some(version) = self.engine.reader().version(TenantId::DEFAULT, row.version)? else { return Ok(()) };
        let Ok(definition) = Definition::parse(&version.source, &version.file) else { return Ok(()) };
        let root = definition.block(definition.root);
        if root.find(step.as_str()).is_some() {
            return Ok(());
        }
        let names = root.steps.iter().map(|step| step.name.as_str());
        let hint = match nearest(step.as_str(), names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        Err(Error::Config(format!("{} has no step `{step}`: {hint}", self.id)))
    }

    /// Ends it: open tasks are cancelled, then what its definition wants done on a cancel runs. Asked for again, that is
    /// ended as well.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, reason: &str) -> Result<(), Error> {
        self.engine.ask(command::CancelRun { run: self.id, reason: Arc::from(reason) }).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.id).finish()
    }
}
