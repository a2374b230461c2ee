//! The heart: commands in, a committed change out.
//!
//! A turn takes the waiting commands, lets the rules decide each of them, follows their effects (a step that ended
//! makes others ready, a ready task is claimed when there is a slot), and commits all of it at once. Only then are
//! replies given and effects performed. When the store reports that a row had changed meanwhile, the turn's changes in
//! memory are rolled back and the commands are decided again on the stored rows.

mod advance;
mod audited;
mod cache;
mod calls;
mod changes;
mod children;
mod claim;
mod claim_filter;
pub mod command;
mod commit;
mod control;
mod definitions;
mod directory;
mod due;
mod effect;
mod expire;
mod fires;
mod host_workers;
mod key_limits;
mod lanes;
mod leases;
mod ledger;
mod limits;
mod memos;
mod notice;
mod outbox;
mod outside;
mod part;
mod payload;
mod prepaid;
mod prepay;
mod rate_admission;
mod recover;
mod rerun;
mod result_cache;
mod retry_budget;
mod rows;
mod runs;
mod schedules;
mod session;
mod settings;
mod state;
mod steps;
mod subscriptions;
mod take;
mod tasks;
mod timers;
mod watchdog;
mod worker_rates;

pub use cache::Key;
pub use changes::{BudgetChange, CallChange, Changes, GateChange, OpenedCall, RunChange, TaskChange};
pub use claim_filter::{ClaimFilter, ClaimedTask};
pub use command::{
    AnswerRecord, Ask, Audited, CallOrder, CallOver, Command, Input, LimitBy, Made, NewRun, Reply, Reported, Reserved,
    Started, SubmitTask, Taken, Ticket, VersionRef,
};
pub use definitions::DEFINITIONS_MAX;
pub use directory::{Admission, Directory};
pub use effect::{Dispatch, Effect};
pub use kapelle_core::spending::NO_LIMIT;
pub use limits::{KeyGroup, Limits};
pub use notice::{Notice, NoticeFlags};
pub use outside::Learnt;
pub use payload::NewPayload;
pub use prepaid::Prepaid;
pub use recover::Recovered;
pub(crate) use rows::Rows;
pub(crate) use runs::run_from_row;
pub use session::Logged;
pub use state::{CHILDREN_MAX, LoopState};
pub(crate) use steps::step_error;
pub use take::Turned;
pub use watchdog::Place;
pub use worker_rates::RateWaits;
