//! What can be asked of the loop, and what it answers.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Money, Name, Requires, RunId, TaskError, TaskId, TenantId, Timestamp,
    cache::Cacheable,
    definition::{Definition, Strategy},
    retry::RetryPolicy,
    run::{Rerun, ScopeId, Slot},
    task::Report,
    worker::{Provenance, WorkerSpec},
};
use kapelle_store::{AccessWrite, Act, ArtifactRow, Deletion, GateKind, GivenRow};

use super::{
    claim_filter::{ClaimFilter, ClaimedTask},
    ledger_command::{LedgerCommand, Reserved},
    payload::NewPayload,
};
use crate::evaluate::Evaluated;

/// Matches a reply with its question.
pub type Ticket = u64;

/// A command and the ticket under which its reply is given.
#[derive(Debug, Clone)]
pub struct Input {
    /// The ticket.
    pub ticket: Ticket,
    /// What is asked.
    pub command: Command,
}

/// A task that somebody wants done.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitTask {
    /// The worker it is for.
    pub worker: Name,
    /// The queue; that of the worker when none is named.
    pub queue: Option<Name>,
    /// What the worker gets.
    pub input: NewPayload,
    /// Higher first; -100 to 100.
    pub priority: i16,
    /// What concurrency limits group it by.
    pub key: Option<Name>,
    /// Not before that long from now.
    pub delay: DurationMs,
    /// When it fails whatever it is doing.
    pub deadline: Option<Timestamp>,
    /// When it fails unless its first attempt has begun.
    pub ttl: Option<DurationMs>,
    /// How long an attempt may take; the worker's own limit when none is given.
    pub timeout: Option<DurationMs>,
    /// When it is tried again; the worker's own rules when none are given.
    pub retry: Option<RetryPolicy>,
    /// The most it may cost.
    pub max_cost: Option<Money>,
    /// The labels that a host must have to be given it, besides those that the worker requires.
    pub requires: Requires,
    /// The question it is, when an earlier answer will do. Read at submission; a delayed task is always run.
    pub cache: Option<Cacheable>,
}

impl SubmitTask {
    /// A task for a worker, all else as the worker has it.
    #[must_use]
    pub fn new(worker: Name, input: NewPayload) -> SubmitTask {
        SubmitTask {
            worker,
            queue: None,
            input,
            priority: 0,
            key: None,
            delay: DurationMs::ZERO,
            deadline: None,
            ttl: None,
            timeout: None,
            retry: None,
            max_cost: None,
            requires: Requires::default(),
            cache: None,
        }
    }
}

/// The definition that a run is to execute.
#[derive(Debug, Clone)]
pub enum VersionRef {
    /// One that is stored.
    Stored(i64),
    /// One that is stored unless the newest version of the workflow has the same text.
    Source {
        /// The definition, read and checked.
        definition: Arc<Definition>,
        /// Its text.
        source: Arc<[u8]>,
        /// SHA-256 of the text.
        sha256: [u8; 32],
        /// The name of the file it came from.
        file: Arc<str>,
    },
}

/// A run that somebody wants started.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What to execute.
    pub version: VersionRef,
    /// Its inputs, already checked against the definition.
    pub inputs: NewPayload,
    /// In which order its ready steps start; as the definition says when none is given.
    pub strategy: Option<Strategy>,
    /// The earlier run whose results it takes over.
    pub rerun: Option<Rerun>,
    /// The key that starts it; `None` means the owner of the folder.
    pub by: Option<Arc<str>>,
}

/// What a worker reports of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Reported {
    /// The answer.
    Succeed {
        /// The answer itself.
        output: NewPayload,
        /// Where it came from.
        provenance: Arc<Provenance>,
    },
    /// It failed.
    Fail {
        /// Why.
        error: TaskError,
    },
    /// The task is given back.
    Release,
}

/// What can be asked of the loop.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make tasks, all or none.
    Submit {
        /// Whose they are.
        tenant: TenantId,
        /// What they are.
        tasks: Arc<[SubmitTask]>,
        /// Makes the request repeatable.
        key: Option<super::Key>,
    },
    /// Start a run.
    StartRun {
        /// Its tenant.
        tenant: TenantId,
        /// What it is.
        run: NewRun,
        /// Makes the request repeatable.
        key: Option<super::Key>,
    },
    /// An attempt has ended.
    Report {
        /// Whose task it is. To any other tenant the lease is lost.
        tenant: TenantId,
        /// The lease.
        report: Report,
        /// How.
        reported: Reported,
    },
    /// A worker host has slots.
    Claim {
        /// Who it is; never 0.
        host: u32,
        /// What it takes.
        wanted: ClaimFilter,
        /// How many tasks at most.
        most: u32,
    },
    /// Worker hosts may work no more: their tasks go to others.
    Evict {
        /// Which.
        hosts: Arc<[u32]>,
    },
    /// A worker host is alive.
    Heartbeat {
        /// Whose tasks they are. To any other tenant the leases are lost.
        tenant: TenantId,
        /// The attempts it works on.
        reports: Arc<[Report]>,
    },
    /// End a task.
    Cancel {
        /// Which.
        task: TaskId,
        /// By whom or why.
        reason: Arc<str>,
    },
    /// End a run.
    CancelRun {
        /// Which.
        run: RunId,
        /// By whom or why.
        reason: Arc<str>,
    },
    /// Put a failed task back.
    RetryByHand {
        /// Which.
        task: TaskId,
    },
    /// The condition and input of a step have been evaluated.
    BeginStep {
        /// The run.
        run: RunId,
        /// Where.
        scope: ScopeId,
        /// Which step.
        slot: Slot,
        /// What came out.
        evaluated: Evaluated,
    },
    /// The output of a scope that is done has been put together.
    CloseScope {
        /// The run.
        run: RunId,
        /// Which scope.
        scope: ScopeId,
        /// What came out.
        evaluated: Evaluated,
    },
    /// Begin nothing of a run until it is resumed.
    PauseRun {
        /// Which.
        run: RunId,
    },
    /// Go on with a run that was paused.
    ResumeRun {
        /// Which.
        run: RunId,
    },
    /// Send a signal to a run: to the step that waits for it, or to the first that will.
    Signal {
        /// Which.
        run: RunId,
        /// The name of the signal.
        name: Name,
        /// What it carries.
        payload: NewPayload,
    },
    /// Store a version of a workflow, unless the newest has the same text.
    StoreVersion {
        /// Its tenant.
        tenant: TenantId,
        /// Which.
        version: VersionRef,
    },
    /// Delete a version that no run stays on.
    DeleteVersion {
        /// Its tenant.
        tenant: TenantId,
        /// The workflow.
        workflow: Name,
        /// The number of the version.
        number: u32,
    },
    /// Answer a step that waits for a person.
    Approve {
        /// Which.
        task: TaskId,
        /// Yes or no.
        approved: bool,
        /// The output of the step when the answer is yes.
        answer: NewPayload,
        /// Why the step fails when the answer is no.
        why: Arc<str>,
    },
    /// The outputs of a run have been evaluated.
    FinishRun {
        /// The run.
        run: RunId,
        /// What came out.
        evaluated: Evaluated,
    },
    /// Mark a failed task as dealt with.
    Discard {
        /// Which.
        task: TaskId,
        /// By whom or why.
        reason: Arc<str>,
    },
    /// Change how many tasks of a queue run in this process, until it ends.
    LimitQueue {
        /// Which.
        queue: Name,
        /// How many.
        slots: u32,
    },
    /// Pause or resume a queue or worker, here and on worker hosts, until it is changed again.
    Pause {
        /// Whose tasks are meant.
        tenant: TenantId,
        /// A queue or a worker.
        kind: GateKind,
        /// Its name.
        name: Name,
        /// Whether nothing new starts.
        paused: bool,
        /// By whom or why.
        reason: Arc<str>,
    },
    /// Change the keys that let people and hosts in.
    Access {
        /// How.
        write: AccessWrite,
    },
    /// Do something for somebody, and write down who did what in the same commit. What is refused or changes
    /// nothing is not written down.
    Audited {
        /// Who does what.
        act: Act,
        /// What is to be done.
        command: Box<Command>,
    },
    /// A worker host says what it serves. It is known from now on, also when the host is away.
    Serve {
        /// Whose host it is.
        tenant: TenantId,
        /// What it says of its workers.
        specs: Arc<[Arc<WorkerSpec>]>,
    },
    /// A worker that hosts served is not known any more.
    ForgetWorker {
        /// Its tenant.
        tenant: TenantId,
        /// Its name.
        worker: Name,
    },
    /// An attempt on a worker host is about to be given a recorded answer once more. Refused when another is under way.
    GiveAgain {
        /// Which attempt, to what request, and how many answers to it that makes.
        row: GivenRow,
    },
    /// A tenant has given a file, whose bytes are in their place.
    Give {
        /// The file.
        artifact: ArtifactRow,
    },
    /// Something for the session log besides the ends of tasks.
    Note {
        /// A JSON object.
        note: Arc<str>,
    },
    /// Everything up to that number stands in the session log.
    SessionWritten {
        /// The number.
        seq: u64,
    },
    /// Something about money and calls of models.
    Ledger(LedgerCommand),
    /// Time has passed: wake what is due, take back what was lost.
    Tick,
    /// The workers of this process have changed.
    WorkersChanged,
}

/// What the loop answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// That many tasks were made, or had been made for the same key, with consecutive ids from this one.
    Tasks {
        /// The first.
        first: TaskId,
        /// How many.
        count: u32,
        /// They had been made for the same key before.
        repeated: bool,
    },
    /// A run was started, or had been for the same key.
    Run {
        /// Which.
        run: RunId,
        /// It had been started for the same key before.
        repeated: bool,
    },
    /// The key of a version, which was stored or had been.
    Version(i64),
    /// How deleting a version went.
    Deleted(Deletion),
    /// Tasks for a worker host, perhaps none.
    Claimed(Vec<ClaimedTask>),
    /// For each report of a heartbeat whether the attempt is still wanted.
    Alive(Vec<bool>),
    /// What came of a reservation.
    Reserved(Reserved),
    /// Done.
    Done,
}
