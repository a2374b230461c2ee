//! The shell around the rules: one loop, turn by turn, and the duties that feed it.
//!
//! [`turn`] is the heart: synchronous, single-threaded, without a clock of its own, so that a simulation can drive it.
//! [`Engine`] runs it on a thread and performs its effects: it executes workers, evaluates steps, keeps timers and
//! informs waiters. Nothing is sent before the turn that decided it is committed.

mod claims;
mod clock;
mod credit;
mod dispatcher;
mod ended_tasks;
mod engine;
mod error;
mod evaluate;
mod evaluator;
mod events;
mod id_map;
mod input_memory;
mod live_output;
mod long_poll;
mod options;
mod payloads;
pub mod question;
mod random;
mod registry;
mod run_rows;
mod runner;
pub mod turn;
mod waiters;
mod weak_engine;

pub use waiters::{Listener, Observer, SessionObserver};

pub use credit::{Credit, TaskStream};
pub use ended_tasks::EndedTasks;

pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::{Engine, Parts};
pub use error::EngineError;
pub use evaluate::{Evaluated, Evaluation, Items, List, Resolve, Show, TaskValue};
pub use events::{Event, EventKind};
pub use live_output::{Excerpt, LiveOutput, LiveOutputs, Place, SingleTexts};
pub use options::{Options, QueueOptions};
pub use registry::{Admit, Calls, Registry};
pub use run_rows::RunRows;
pub use turn::{
    Admission, AnswerRecord, Ask, Audited, BudgetChange, CallChange, CallOrder, CallOver, Changes, ClaimFilter,
    ClaimedTask, Command, GateChange, Key, LimitBy, Logged, Made, NO_LIMIT, NewPayload, NewRun, Notice, NoticeFlags,
    OpenedCall, Prepaid, RateWaits, Recovered, Reply, Reported, Reserved, RunChange, Started, SubmitTask, Taken,
    TaskChange, VersionRef, command,
};
pub use weak_engine::WeakEngine;
