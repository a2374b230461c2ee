//! The run: one execution of a workflow, as a machine that knows of steps and nothing of queues, leases or attempts.
//!
//! | from \ input | begin step | task ended | last step ended | cancel | last open task ended |
//! |---|---|---|---|---|---|
//! | Running | Running | Running | Succeeded or Failed | Cancelling | - |
//! | Cancelling | refused | Cancelling | - | refused | Cancelled |
//! | Succeeded, Failed, Cancelled | refused | ignored | - | refused | - |
//!
//! A run is a tree of scopes. A scope has slots: the steps of a block. A slot is Pending until every step it needs has
//! ended, then Queued, then it is begun (a task exists) or skipped, and it ends once. A scope is done when its count of
//! unfinished slots reaches zero. Everything but the status is told by the rows of the run's tasks, so that recovery
//! reads those ([`Run::rebuild`]) and the journal is there to be read by people and checked by tests.

mod begin;
mod cancel;
mod event;
mod finish;
mod model;
mod ready;
mod rebuild;
mod task_ended;
mod verdict;

pub use begin::{BeginStep, Beginning, StepStart};
pub use cancel::CancelRun;
pub use event::{Outcome, RunEvent};
pub use finish::{Completion, FinishRun};
pub use model::{Phase, Run, RunRejection, RunStatus, Scope, ScopeId, Slot, SlotState, StatusKind};
pub use ready::NextStep;
pub use rebuild::StepRow;
pub use task_ended::TaskEnded;
pub use verdict::{SkipReason, Verdict};
