//! Events of a process, and the actions that follow from them.

use super::Exit;

/// Events of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Event {
    /// It is to run.
    Start,
    /// It is to end.
    Stop,
    /// It is to end and run again.
    Restart,
    /// It is to end for good: later requests do not restart it.
    Close,
    /// It runs.
    Spawned { pid: i32 },
    /// It could not be started.
    Refused(String),
    /// It reported that it is ready.
    Ready,
    /// It has ended.
    Exited(Exit),
    /// It has ended because its money is used up.
    Broke(Exit),
    /// The helper is gone, and the process with it.
    Lost,
    /// Time has passed.
    Time,
}

/// Action to perform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start the process.
    Spawn,
    /// Request its end.
    Terminate,
    /// Kill it with all its descendants.
    Kill,
}
