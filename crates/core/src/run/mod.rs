//! The run: one execution of a workflow, as a machine that knows steps, but no queues, leases or attempts.
//!
//! | from \ input | begin step | task ended | all done | cancel | out of time, failed fast | last open task ended |
//! |---|---|---|---|---|---|---|
//! | Running | Running | Running | end part, then Succeeded or Failed | Cancelling | Failing | - |
//! | Failing | end part only | Failing | - | Cancelling | ignored | end part, then Failed |
//! | Cancelling | end part only | Cancelling | - | once more: also the end part | ignored | end part, then Cancelled |
//! | Succeeded, Failed, Cancelled | refused | ignored | - | refused | ignored | - |
//!
//! A run is a tree of scopes ([`Scope`]). A slot of a scope is a step, an item of a list or a turn of a loop. A step is
//! Pending until every step it needs has ended, then Queued, then it is begun (a row exists) or skipped, and it ends
//! once. A step that holds others has a row that waits until its inner scope is done. The end part is the run's
//! `on_error` or `on_cancel`, then its `finally`. The rows of the run's steps hold everything but the status, so that
//! recovery reads those ([`Run::rebuild`]); the journal is for people and for the checks of tests.

mod begin;
mod cancel;
mod close;
mod ended;
mod event;
mod evolve;
mod finish;
mod model;
mod order;
mod path;
mod pause;
mod ready;
mod rebuild;
mod scope;
mod slot_kind;
mod stuck;
mod teardown;
mod timeout_clock;
mod verdict;

pub use begin::{BeginStep, Beginning, StepStart};
pub use cancel::CancelRun;
pub use close::Closed;
pub use ended::TaskEnded;
pub use event::{Outcome, RunEvent};
pub use finish::{Completion, FinishRun, OpenTail};
pub use model::{Parent, Rerun, Run, RunRejection, RunStatus, StatusKind};
pub use order::{Parallel, Priority, Reaction, Sequential, StepOrder, built_in};
pub use pause::{PauseRun, ResumeRun};
pub use ready::NextStep;
pub use rebuild::StepRow;
pub use scope::{BlockScope, ItemsScope, Opening, Phase, Scope, ScopeId, ScopeKind, Slot, SlotState, TurnsScope};
pub use slot_kind::SlotKind;
pub use stuck::{Abandon, STUCK};
pub use teardown::TimeOut;
pub use verdict::{SkipReason, Verdict};
