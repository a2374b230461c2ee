//! What travels between a Kapelle server and those who speak to it, and a client for it.
//!
//! These types are apart from the ones of the core on purpose: what is stored may change without changing what is
//! promised on the wire. Times are RFC 3339, durations end in `_ms`, money in `_nanousd`, ids look like `task_12`.

mod access;
mod artifact;
#[cfg(feature = "client")]
mod client;
mod flat;
mod from_core;
mod host;
mod money;
mod problem;
mod queue;
mod run;
mod script;
#[cfg(feature = "client")]
mod stream;
mod task;
mod worker;
mod workflow;

pub use access::{AuditEntry, AuditPage, Key, KeyCreated, KeyList, NewKey, Ticket};
pub use artifact::{Artifact, ArtifactPage};
#[cfg(feature = "client")]
pub use client::{Client, ClientError};
pub use host::{
    Ack, Beat, BeatAnswer, BeatTask, Claim, Claimed, ClaimedTask, Outcome, Register, Registered, Report, ReportAnswer,
    ReportResult, Reports, Served, SingleReport,
};
pub use money::{Budget, BudgetList, CallPage, Cost, CostReport, ModelCall, SetBudget};
pub use problem::{Problem, code};
pub use queue::{Queue, QueueList};
pub use run::{
    Answer, Approval, ApprovalList, JournalPage, LinkAnswer, LinkAnswered, Rerun, Run, RunPage, Signal, StartRun,
    StartedRun, StepList,
};
pub use script::{LogLine, LogLines, Restarted, Scale, Script, ScriptExit, ScriptList, ScriptProcess};
#[cfg(feature = "client")]
pub use stream::{EventStream, Told};
pub use task::{
    AskAgain, BatchSubmitted, Progress, Provenance, Reason, Retry, SubmitBatch, SubmitTask, Submitted, Task, TaskError,
    TaskPage,
};
pub use worker::{Health, HostInfo, Worker, WorkerList, WorkersStatus};
pub use workflow::{Publish, Rollback, Version, VersionDiff, VersionPage, VersionSource};
