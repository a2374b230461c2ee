//! Commands to runs and to versions of workflows.

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, TaskId, TenantId,
    definition::Strategy,
    run::{Rerun, ScopeId, Slot},
};
use serde::{Deserialize, Serialize};

use super::VersionRef;
use crate::{
    evaluate::Evaluated,
    turn::{Key, NewPayload},
};

/// A run that somebody wants started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewRun {
    /// What to execute.
    pub version: VersionRef,
    /// Its inputs, already checked against the definition.
    pub inputs: NewPayload,
    /// In which order its ready steps start; as the definition says when none is given.
    pub strategy: Option<Strategy>,
    /// The earlier run whose results it takes over.
    pub rerun: Option<Rerun>,
    /// The key that starts it; `None` means the owner of the folder.
    pub by: Option<Arc<str>>,
}

/// Start a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartRun {
    /// Its tenant.
    pub tenant: TenantId,
    /// What it is.
    pub run: NewRun,
    /// Makes the request repeatable.
    pub key: Option<Key>,
}

/// The run that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Which.
    pub run: RunId,
    /// It had been started for the same key before.
    pub repeated: bool,
}

/// End a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelRun {
    /// Which.
    pub run: RunId,
    /// By whom or why.
    pub reason: Arc<str>,
}

/// Begin nothing of a run until it is resumed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PauseRun {
    /// Which.
    pub run: RunId,
}

/// Go on with a run that was paused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResumeRun {
    /// Which.
    pub run: RunId,
}

/// Send a signal to a run: to the step that waits for it, or to the first that will.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signal {
    /// Which.
    pub run: RunId,
    /// The name of the signal.
    pub name: Name,
    /// What it carries.
    pub payload: NewPayload,
}

/// Answer a step that waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approve {
    /// Which.
    pub task: TaskId,
    /// Yes or no.
    pub approved: bool,
    /// The output of the step when the answer is yes.
    pub answer: NewPayload,
    /// Why the step fails when the answer is no.
    pub why: Arc<str>,
}

/// The condition and input of a step have been evaluated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginStep {
    /// The run.
    pub run: RunId,
    /// Where.
    pub scope: ScopeId,
    /// Which step.
    pub slot: Slot,
    /// What came out.
    pub evaluated: Evaluated,
}

/// The output of a scope that is done has been put together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseScope {
    /// The run.
    pub run: RunId,
    /// Which scope.
    pub scope: ScopeId,
    /// What came out.
    pub evaluated: Evaluated,
}

/// The outputs of a run have been evaluated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinishRun {
    /// The run.
    pub run: RunId,
    /// What came out.
    pub evaluated: Evaluated,
}

/// Store a version of a workflow, unless the newest has the same text. Answered with the key of the version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreVersion {
    /// Its tenant.
    pub tenant: TenantId,
    /// Which.
    pub version: VersionRef,
}

/// Delete a version that no run stays on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteVersion {
    /// Its tenant.
    pub tenant: TenantId,
    /// The workflow.
    pub workflow: Name,
    /// The number of the version.
    pub number: u32,
}
