//! Commands to the loop: plain data, one type for each command, each with its own type of reply.
//!
//! A command is serialised as JSON without loss, so that turns can be recorded, replayed and decided by another host
//! than this process. [`Command`] is any of them. A type that is added to the list in `all.rs` does not compile before
//! it declares its reply ([`Ask`]) and its decision (`Decide`, beside the rules of its noun).

mod all;
mod host;
mod ledger;
mod run;
mod schedule;
mod settings;
mod source;
mod subscription;
mod task;

pub(super) use all::Decide;
pub use all::{Ask, Audited, Command, Input, Reply, Ticket};
pub use host::{Claim, Evict, Heartbeat, Report};
pub use ledger::{
    AnswerRecord, CallOrder, CallOver, Keep, LimitBy, Record, Reserve, Reserved, SetLimit, Settle, Short, Spend, Taken,
};
pub use run::{
    Approve, BeginStep, CancelRun, CloseScope, DeleteVersion, FinishRun, NewRun, PauseRun, ResumeRun, Signal, StartRun,
    Started, StoreVersion,
};
pub use schedule::{ApplyFiles, Backfill, DeleteSchedule, FireSchedule, Fired, PauseSchedule, PutSchedule};
pub use settings::{
    Access, Expire, ForgetWorker, Give, GiveAgain, KeepMemos, LimitQueue, Note, Pause, Serve, SessionWritten, Tick,
    WorkersChanged,
};
pub use source::VersionRef;
pub use subscription::{
    Announce, DeleteSubscription, Delivered, DeliveryOutcome, PauseSubscription, PutSubscription, ReplayDelivery,
    RotateSecret, TestSubscription,
};
pub use task::{Cancel, Discard, Made, Reported, RetryByHand, Submit, SubmitTask};
