//! The task: one piece of work, durable from the moment it is acknowledged.
//!
//! | from \ command | claim | succeed | fail, may retry | fail, over | release, void | cancel | wake (due) | expire | hold | lift | park | resolve |
//! |---|---|---|---|---|---|---|---|---|---|---|---|---|
//! | Scheduled | - | - | - | - | - | Cancelled | Ready | Failed | - | - | - | - |
//! | Ready | Running | - | - | - | - | Cancelled | - | Failed | Held | - | Parked | - |
//! | Running | - | Succeeded | Retrying | Failed | Ready | Cancelled | - | Failed | - | - | Parked | - |
//! | Retrying | - | - | - | - | - | Cancelled | Ready | Failed | - | - | - | - |
//! | Held | - | - | - | - | - | Cancelled | - | Failed | - | Ready | - | - |
//! | Parked | - | - | - | - | - | Cancelled | - | Failed | - | Ready | - | - |
//! | Waiting | - | - | - | - | - | Cancelled | Succeeded or Failed | Failed | - | - | - | Succeeded or Failed |
//! | Succeeded, Failed, Cancelled, Skipped, Discarded | - | - | - | - | - | - | - | - | - | - | - | - |
//!
//! A report (succeed, fail, release) carries its lease, and counts only while that lease is the recorded one: any other
//! report is `lease_lost` and changes nothing. Only a failed task may be retried by hand, which makes it Ready, or
//! discarded by hand, which makes it Discarded for good. A step that waits for the steps inside of it, another run, a
//! time, a signal or a person is Waiting: never claimed.

mod cancel;
mod claim;
mod discard;
mod event;
mod expire;
mod fail;
mod hold;
mod model;
mod rank;
mod reason;
mod refuse;
mod release;
mod resolve;
mod submit;
mod succeed;
mod wait;
mod wake;

pub use cancel::Cancel;
pub use claim::Claim;
#[cfg(test)]
pub(crate) use claim::tests::running as running_for_tests;
pub use discard::Discard;
pub use event::{Attempt, TaskEvent};
pub use expire::Expire;
pub use fail::{CRASHES_MAX, Fail};
pub use hold::{Hold, Lift, Park};
pub use model::{Lease, Origin, Policy, Rejection, Report, StateKind, Task, TaskState};
pub use rank::{Ageing, Rank};
pub use reason::HoldReason;
pub use refuse::Refuse;
pub use release::{Release, Void};
pub use resolve::{Elapse, Resolve};
pub use submit::{NewTask, Submit};
pub use succeed::Succeed;
pub use wait::WaitFor;
pub use wake::{RetryByHand, Wake};
