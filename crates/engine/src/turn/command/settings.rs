//! Commands that change what holds from now on: limits, what is paused, keys, what hosts serve.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, worker::WorkerSpec};
use kapelle_store::{AccessWrite, ArtifactRow, GateKind, GivenRow};
use serde::{Deserialize, Serialize};

/// Change how many tasks of a queue run in this process, until it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitQueue {
    /// Which.
    pub queue: Name,
    /// How many.
    pub slots: u32,
}

/// Pause or resume a queue or worker, here and on worker hosts, until it is changed again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pause {
    /// Whose tasks are meant.
    pub tenant: TenantId,
    /// A queue or a worker.
    pub kind: GateKind,
    /// Its name.
    pub name: Name,
    /// Whether nothing new starts.
    pub paused: bool,
    /// By whom or why.
    pub reason: Arc<str>,
}

/// Change the keys that let people and hosts in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    /// How.
    pub write: AccessWrite,
}

/// A worker host says what it serves. It is known from now on, also when the host is away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serve {
    /// Whose host it is.
    pub tenant: TenantId,
    /// What it says of its workers.
    pub specs: Arc<[Arc<WorkerSpec>]>,
}

/// A worker that hosts served is not known any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetWorker {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub worker: Name,
}

/// An attempt on a worker host is about to be given a recorded answer once more. Refused when another is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GiveAgain {
    /// Which attempt, to what request, and how many answers to it that makes.
    pub row: GivenRow,
}

/// A tenant has given a file, whose bytes are in their place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Give {
    /// The file.
    pub artifact: ArtifactRow,
}

/// Something for the session log besides the ends of tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    /// A JSON object.
    pub note: Arc<str>,
}

/// Everything up to that number stands in the session log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionWritten {
    /// The number.
    pub seq: u64,
}

/// Time has passed: wake what is due, take back what was lost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tick;

/// The workers of this process have changed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct WorkersChanged;
