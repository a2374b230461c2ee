//! Types of the HTTP interface of a Kapelle server, and a client for it.
//!
//! These types are separate from those of the core on purpose: stored data may change without changing the interface.
//! Times are RFC 3339, durations end in `_ms`, money in `_nanousd`, ids look like `task_12`.

mod access;
mod artifact;
mod bulk;
mod catalog;
#[cfg(feature = "client")]
mod client;
mod client_error;
mod counts;
mod estimate;
mod explanation;
mod flat;
mod from_core;
mod graph;
mod health;
mod host;
mod host_stream;
mod inspection;
mod interface;
#[cfg(feature = "client")]
mod line_stream;
mod live;
mod live_frame;
mod money;
mod problem;
mod query;
mod queue;
#[cfg(feature = "client")]
mod request_path;
mod results;
mod run;
mod schedule;
mod script;
mod series;
mod session;
mod state;
#[cfg(feature = "client")]
mod stream;
mod subscription;
mod task;
mod waiting;
mod worker;
mod workflow;

pub use access::{AuditCheck, AuditEntry, AuditPage, Key, KeyCreated, KeyList, NewKey, Ticket, TokenRotated};
pub use artifact::{Artifact, ArtifactPage};
pub use bulk::{
    BulkDead, BulkRefusal, BulkResult, BulkRuns, BulkTasks, DeadAct, DeadGroup, DeadGroups, RunAct, TaskAct,
};
pub use catalog::{
    CallAnswered, Catalog, CatalogEntry, CatalogRun, CheckSource, Checked, CircuitState, ModelAlias, ModelLink,
    Provider, ProviderError, ProviderModel, ProviderReport, SearchHit, SearchQuery, SearchReport, SourceProblem,
};
#[cfg(feature = "client")]
pub use client::Client;
pub use client_error::ClientError;
pub use counts::{Counts, OpenRuns, PausedThing, SlotTotals, SpentToday, Unserved, WorkerTotals};
pub use estimate::{
    ActualUse, Estimate, EstimateCase, EstimateSource, EstimatedStep, EstimatedStop, ExpectedUse, Range,
};
pub use explanation::{Explanation, StepReason};
pub use graph::{
    BlockKind, BranchTaken, Graph, GraphBlock, GraphChild, GraphForEach, GraphRepeat, GraphRun, GraphStep, ItemPage,
    StateCounts, StepKind, StepOnError, StepPlace, StepRunIf,
};
pub use health::{Alive, CheckResult, HostCounts, OpenTasks, ServerHealth, WorkerCounts};
pub use host::{
    Ack, Acknowledged, Beat, BeatAnswer, BeatTask, Claim, Claimed, ClaimedTask, HostLeft, Outcome, Register,
    Registered, Report, ReportAnswer, ReportResult, Reports, Served, SingleReport,
};
pub use host_stream::{Frame, FrameAnswer, FrameLine, HostLine, OpenHostStream, StreamEnd};
pub use inspection::{ConfigReport, DoctorCheck, DoctorReport, DoctorState, Setting};
pub use interface::{Api, Asked};
#[cfg(feature = "client")]
pub use line_stream::{LineSender, LineStream, NotOpened};
pub use live::LiveEvent;
pub use live_frame::{
    BudgetDelta, CallDelta, GateDelta, LiveFrame, LiveRates, LiveRequest, LiveStats, RefusedTopic, RunDelta, TaskDelta,
    TextDelta,
};
pub use money::{
    Budget, BudgetList, BudgetReset, CallPage, Cost, CostOfPeriod, CostReport, ModelCall, ResetBudget, SetBudget,
};
pub use problem::{ItemProblem, Problem, code};
pub use query::{
    AuditQuery, CallQuery, CostQuery, DeadQuery, DiffQuery, ItemQuery, JournalQuery, LogQuery, Paging, RunQuery,
    StepQuery, TaskQuery,
};
pub use queue::{Paused, Queue, QueueList};
pub use results::{ChangeResults, OpenResults, OpenedResults, ResultLine};
pub use run::{
    Answer, Approval, ApprovalList, JournalEntry, JournalPage, LinkAnswer, LinkAnswered, Rerun, Run, RunCounts,
    RunPage, RunParent, Signal, StartRun, StartedRun, StepList,
};
pub use schedule::{
    BackfillRange, Backfilled, Fire, NewSchedule, NextFires, NextQuery, Schedule, ScheduleDeleted, SchedulePage,
};
pub use script::{LogLine, LogLines, Restarted, Scale, Script, ScriptExit, ScriptList, ScriptProcess};
pub use series::{
    DiskUse, MachineUse, ProcessUse, ScriptUse, Series, SeriesMark, SeriesQuery, SeriesReport, SeriesUnit, SystemReport,
};
pub use session::{Me, OpenSession, SessionCode, SessionEnded, SessionStarted};
pub use state::{
    BodyFormat, CallState, CatchUp, DeliveryState, FireKind, FireState, HealthStatus, LiveKind, Overlap, ProcessState,
    Right, Role, RunState, ScriptMode, ScriptStanding, TaskState, WorkerSource, WorkerState,
};
#[cfg(feature = "client")]
pub use stream::{EventStream, Told};
pub use subscription::{
    ChangeSubscription, Delivery, DeliveryPage, DeliveryQuery, NewSubscription, RotateSecret, Subscription,
    SubscriptionCreated, SubscriptionDeleted, SubscriptionList,
};
pub use task::{
    AskAgain, Attempt, BatchSubmitted, Cache, Progress, Provenance, Reason, Retry, SubmitBatch, SubmitTask, Submitted,
    Task, TaskError, TaskPage,
};
pub use waiting::Waiting;
pub use worker::{Forgotten, Health, HostInfo, PerKey, WhenFull, Worker, WorkerList, WorkersStatus};
pub use workflow::{Publish, Rollback, Version, VersionDeleted, VersionDiff, VersionPage, VersionSource};
