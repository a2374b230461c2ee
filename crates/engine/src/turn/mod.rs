//! The heart: commands in, a committed change out.
//!
//! A turn takes the commands that are waiting, lets the rules decide each of them, follows up what they cause (a step
//! that ended makes others ready, a task that became ready is claimed when there is a slot), and commits all of it at
//! once. Only then are replies given and effects performed. When the store answers that a row had changed meanwhile,
//! everything the turn did in memory is forgotten and the same commands are decided again on what is stored now.

mod answers;
mod audited;
mod block;
mod blocks;
mod books;
mod cache;
mod calls;
mod children;
mod claim;
mod command;
mod commit;
mod control;
mod directory;
mod due;
mod effect;
mod keys;
mod lanes;
mod leases;
mod limits;
mod money;
mod payload;
mod rates;
mod recover;
mod rerun;
mod runs;
mod served;
mod session;
mod settle;
mod shares;
mod standing;
mod steps;
mod tasks;
mod turns;
mod views;
mod wanted;
mod watchdog;

pub use block::Block;
pub use books::NO_LIMIT;
pub use cache::Key;
pub use command::{Command, Input, NewRun, Reply, Reported, SubmitTask, Ticket, VersionRef};
pub use directory::{Admission, Directory};
pub use effect::{Dispatch, Effect};
pub use limits::{KeyGroup, Limits};
pub use money::{AnswerRecord, BookCommand, CallOrder, CallOver, LimitBy, Notice, Reserved, Taken};
pub use payload::NewPayload;
pub use session::Logged;
pub(crate) use steps::step_error;
pub use turns::{CHILDREN_MAX, Turned, Turns};
pub use wanted::{ClaimedTask, Wanted};
pub use watchdog::Place;
