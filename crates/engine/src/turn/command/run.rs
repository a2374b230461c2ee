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

/// Order for a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct NewRun {
    pub version: VersionRef,
    /// Inputs, already checked against the definition.
    pub inputs: NewPayload,
    /// Order in which ready steps start. `None`: that of the definition.
    pub strategy: Option<Strategy>,
    /// Earlier run whose results it reuses.
    pub rerun: Option<Rerun>,
    /// Key that starts it. `None`: the owner of the folder.
    pub by: Option<Arc<str>>,
}

/// Start of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StartRun {
    pub tenant: TenantId,
    pub run: NewRun,
    pub key: Option<Key>,
}

/// A started run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Started {
    pub run: RunId,
    pub repeated: bool,
}

/// Cancel of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CancelRun {
    pub run: RunId,
    pub reason: Arc<str>,
}

/// Pause of a run: nothing of it begins until it is resumed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PauseRun {
    pub run: RunId,
}

/// Resumption of a paused run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ResumeRun {
    pub run: RunId,
}

/// Signal to a run: to the step that waits for it, or to the first that will.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Signal {
    pub run: RunId,
    pub name: Name,
    pub payload: NewPayload,
    /// Idempotency key, with its tenant.
    #[serde(default)]
    pub key: Option<(TenantId, Key)>,
}

/// Answer to a step that waits for an approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Approve {
    pub task: TaskId,
    pub approved: bool,
    /// Output of the step after a yes.
    pub answer: NewPayload,
    /// Reason of the failure after a no.
    pub why: Arc<str>,
}

/// Evaluated condition and input of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BeginStep {
    pub run: RunId,
    pub scope: ScopeId,
    pub slot: Slot,
    pub evaluated: Evaluated,
}

/// Evaluated output of a finished scope.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CloseScope {
    pub run: RunId,
    pub scope: ScopeId,
    pub evaluated: Evaluated,
}

/// Evaluated outputs of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct FinishRun {
    pub run: RunId,
    pub evaluated: Evaluated,
}

/// Storing of a version of a workflow, unless the newest has the same text. Answered with the key of the version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StoreVersion {
    pub tenant: TenantId,
    pub version: VersionRef,
}

/// Deletion of a version that no run uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DeleteVersion {
    pub tenant: TenantId,
    pub workflow: Name,
    pub number: u32,
}
