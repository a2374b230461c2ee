//! The contract of a worker: its name, its settings, and one method that does the work.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cache::CacheRule, failure::TaskError, id::TenantId, label::Requires, limit::KeyLimit, money::Money, name::Name,
    retry::RetryPolicy, task_rate::TaskRate, tenants::Tenants, time::DurationMs,
};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A named ability. Implementations must not block the thread; dropping the future cancels the attempt.
pub trait Worker: Send + Sync + 'static {
    /// Returns the specification, without running the worker.
    fn spec(&self) -> &WorkerSpec;

    /// Runs one attempt of one task.
    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>>;
}

/// Specification of a worker, known without running it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// Name that tasks use.
    pub name: Name,
    /// One line for people.
    pub description: String,
    /// Queue of its tasks unless a task names another.
    pub queue: Name,
    /// Limit of its running tasks in this process.
    pub slots: u32,
    /// Model alias that it calls, if it calls one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// JSON Schema of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Timeout of one attempt. `None`: the engine's default.
    #[serde(default, rename = "timeout_ms", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// Retry rules unless a task has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Cost limit of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// Concurrency limit of tasks with one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<KeyLimit>,
    /// Limit of its attempts that begin within a time, wherever they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<TaskRate>,
    /// Labels that a host needs to be assigned its tasks.
    #[serde(default, skip_serializing_if = "Requires::is_empty")]
    pub requires: Requires,
    /// Rule for reusing an earlier answer to the same input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRule>,
    /// Hash of the rest of its definition: an answer is reused for one version of a worker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Tenants that may use it.
    #[serde(default, skip_serializing_if = "Tenants::is_all")]
    pub tenants: Tenants,
    /// Changes outside of Kapelle that it makes. Empty for a worker that only computes, and for one that does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
}

/// A kind of change outside of Kapelle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It sends requests over the network.
    Network,
    /// It writes or deletes files or objects.
    Files,
    /// It sends mail.
    Mail,
    /// It starts a program.
    Process,
    /// It submits tasks.
    Tasks,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Effect; 5] = [Effect::Network, Effect::Files, Effect::Mail, Effect::Process, Effect::Tasks];

    /// Returns the effect of that word; `None` for another word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Effect> {
        Effect::ALL.into_iter().find(|effect| effect.as_str() == word)
    }

    /// Returns the word used in files and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Network => "network",
            Effect::Files => "files",
            Effect::Mail => "mail",
            Effect::Process => "process",
            Effect::Tasks => "tasks",
        }
    }
}

impl WorkerSpec {
    /// Makes a worker of that name on the default queue with 8 slots and no schemas.
    #[must_use]
    pub fn named(name: &str) -> WorkerSpec {
        WorkerSpec {
            name: Name::new(name),
            description: String::new(),
            queue: Name::new("default"),
            slots: 8,
            model: None,
            input: None,
            output: None,
            timeout: None,
            retry: None,
            max_cost: None,
            per_key: None,
            rate: None,
            requires: Requires::default(),
            cache: None,
            version: String::new(),
            tenants: Tenants::All,
            effects: Vec::new(),
        }
    }
}

/// A flag that a worker may read between two pieces of work.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Raises the flag.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Tells whether the attempt is to end.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Function called with the share done (0 to 1) and a line for people.
pub type ProgressFn = Arc<dyn Fn(f64, &str) + Send + Sync>;

/// Receives the text of an answer while it is being written, for watchers. It is called with each piece, so it must be
/// fast.
pub trait TextSink: Send + Sync {
    /// Begins a text. Earlier text of this attempt no longer counts.
    fn begin(&self);

    /// Appends a piece.
    fn add(&self, piece: &str);

    /// Tells whether anybody can read it. Otherwise an answer is requested whole.
    fn is_read(&self) -> bool {
        true
    }
}

/// A sink without watchers.
#[derive(Debug, Clone, Copy)]
pub struct NoText;

impl TextSink for NoText {
    fn begin(&self) {}

    fn add(&self, _piece: &str) {}

    fn is_read(&self) -> bool {
        false
    }
}

/// Storage of the files that tasks refer to.
pub trait FileSource: Send + Sync {
    /// Returns the path of the file with that SHA-256 (64 hex digits), if it is stored here.
    fn path(&self, sha256: &str) -> Option<PathBuf>;
}

/// Storage without files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn path(&self, _sha256: &str) -> Option<PathBuf> {
        None
    }
}

/// Context of an attempt.
#[derive(Clone)]
pub struct TaskContext {
    /// Public id of the task.
    pub task: String,
    /// Tenant of the task.
    pub tenant: TenantId,
    /// Number raised when an attempt ends with a bad answer: model calls recorded in an earlier epoch are not replayed.
    pub replay_epoch: u64,
    /// Whether model calls are answered only from the record of the run that this one repeats.
    pub recorded: bool,
    /// Public id of the run, when the task is a step.
    pub run: Option<String>,
    /// Path of the step within the run, when the task is a step.
    pub step: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Whether no further attempt follows a failure.
    pub last_attempt: bool,
    /// Time after which the attempt is stopped from outside.
    pub timeout: Option<DurationMs>,
    /// Flag that is raised when the attempt is to end.
    pub cancel: CancelFlag,
    /// Sink for progress.
    pub progress: ProgressFn,
    /// Sink for the text of an answer while it is being written.
    pub text: Arc<dyn TextSink>,
    /// Files that inputs refer to by `{"$file": "sha256:..."}`.
    pub files: Arc<dyn FileSource>,
}

impl TaskContext {
    /// Makes a context for calling a worker outside the engine, as `workers test` and tests do.
    #[must_use]
    pub fn detached(task: &str) -> TaskContext {
        TaskContext {
            task: task.to_owned(),
            tenant: TenantId::DEFAULT,
            replay_epoch: 0,
            recorded: false,
            run: None,
            step: None,
            attempt: 1,
            last_attempt: true,
            timeout: None,
            cancel: CancelFlag::default(),
            progress: Arc::new(|_, _| ()),
            text: Arc::new(NoText),
            files: Arc::new(NoFiles),
        }
    }
}

/// An answer and its origin.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// The answer, matching the worker's output schema.
    pub value: Value,
    /// Provider, cost, and reasons why it is less than requested.
    pub provenance: Provenance,
}

impl Output {
    /// Makes an answer without model calls.
    #[must_use]
    pub fn plain(value: Value) -> Output {
        Output { value, provenance: Provenance::default() }
    }
}

/// Origin of an answer: provider, cost, and reasons why it is less than requested.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Configured provider that answered (`openai`, `offline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Provider's name of the model, or the offline method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Reason why the answer is poorer than requested, such as `no OPENAI_API_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// Whether a declared stand-in answered instead of the worker.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stand_in: bool,
    /// Whether it was reused from an earlier task with the same input, without running the worker.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cached: bool,
    /// Whether the input was cut to the worker's limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Whether model calls were answered from the record of an earlier run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// Step of an earlier run whose answer was reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<String>,
    /// Requests sent to model providers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls: u64,
    /// Tokens sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Tokens received.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Cost in total.
    #[serde(default, rename = "cost_nanousd")]
    pub cost: Money,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
