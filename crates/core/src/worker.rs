//! The contract of a worker: what it is called, how it is to be run, and one method that does the work.

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
    retry::RetryPolicy, tenants::Tenants, time::DurationMs,
};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A named ability. Implementations must not block the thread; dropping the future cancels the attempt.
pub trait Worker: Send + Sync + 'static {
    /// What is known of the worker without running it.
    fn spec(&self) -> &WorkerSpec;

    /// Does one attempt of one task.
    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>>;
}

/// What is known of a worker without running it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// The name that tasks ask for.
    pub name: Name,
    /// One line for people.
    pub description: String,
    /// The queue its tasks wait in unless the task says otherwise.
    pub queue: Name,
    /// How many of its tasks run at once in this process.
    pub slots: u32,
    /// The model alias it asks, when it asks one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// JSON Schema of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How long one attempt may take; none means the default of the engine.
    #[serde(default, rename = "timeout_ms", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// The retry rules unless the task says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// The most that one task may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// How many of its tasks with the same key may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<KeyLimit>,
    /// The labels that a host must have to be given its tasks.
    #[serde(default, skip_serializing_if = "Requires::is_empty")]
    pub requires: Requires,
    /// Whether an earlier answer to the same input is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRule>,
    /// What its definition says besides, as a hash: an answer is kept for one version of a worker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The tenants that it exists for.
    #[serde(default, skip_serializing_if = "Tenants::is_all")]
    pub tenants: Tenants,
}

impl WorkerSpec {
    /// A worker of that name on the default queue with 8 slots and no schemas.
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
            requires: Requires::default(),
            cache: None,
            version: String::new(),
            tenants: Tenants::All,
        }
    }
}

/// A flag that a worker may look at between two pieces of work.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Raises the flag.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the attempt is to end.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Called with the share done (0 to 1) and a line for people.
pub type ProgressFn = Arc<dyn Fn(f64, &str) + Send + Sync>;

/// Takes the text of an answer while it is being written, for those who watch. Called with each piece that comes: quick.
pub trait TextSink: Send + Sync {
    /// A text begins. What was said before it in this attempt does not count any more.
    fn begin(&self);

    /// It goes on with this.
    fn add(&self, piece: &str);

    /// Whether anybody could read it. Else an answer is asked for whole.
    fn is_read(&self) -> bool {
        true
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct NoText;

impl TextSink for NoText {
    fn begin(&self) {}

    fn add(&self, _piece: &str) {}

    fn is_read(&self) -> bool {
        false
    }
}

/// Where the files that tasks refer to are kept.
pub trait FileSource: Send + Sync {
    /// The path of the file with that SHA-256 (64 hex digits), when it is here.
    fn path(&self, sha256: &str) -> Option<PathBuf>;
}

/// No files at all.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn path(&self, _sha256: &str) -> Option<PathBuf> {
        None
    }
}

/// What an attempt knows about itself.
#[derive(Clone)]
pub struct TaskContext {
    /// The task's public id.
    pub task: String,
    /// Whose task it is.
    pub tenant: TenantId,
    /// Raised when an attempt ends with a bad answer: model calls recorded in an earlier epoch are not given again.
    pub replay_epoch: u64,
    /// Calls of models are answered from the record of the run that this one repeats, and by nobody else.
    pub recorded: bool,
    /// The run's public id, when the task is a step.
    pub run: Option<String>,
    /// The step's path within the run, when the task is a step.
    pub step: Option<String>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// No further attempt follows should this one fail.
    pub last_attempt: bool,
    /// How long the attempt may take before it is stopped from outside.
    pub timeout: Option<DurationMs>,
    /// Raised when the attempt is to end.
    pub cancel: CancelFlag,
    /// Where progress goes.
    pub progress: ProgressFn,
    /// Where the text of an answer goes while it is being written.
    pub text: Arc<dyn TextSink>,
    /// The files that inputs refer to by `{"$file": "sha256:..."}`.
    pub files: Arc<dyn FileSource>,
}

impl TaskContext {
    /// A context for calling a worker outside the engine, as `workers test` and tests do.
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

/// An answer and where it came from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// The answer, as the worker's output schema has it.
    pub value: Value,
    /// Who gave it, at which price, and whether it is less than was asked for.
    pub provenance: Provenance,
}

impl Output {
    /// A plain answer that no model had a part in.
    #[must_use]
    pub fn plain(value: Value) -> Output {
        Output { value, provenance: Provenance::default() }
    }
}

/// Who gave an answer, at which price, and whether it is less than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The provider of the configuration that answered (`openai`, `offline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's name of the model, or the offline method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why the answer is poorer than the one asked for, such as `no OPENAI_API_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// The answer of a declared stand-in, not of the worker itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stand_in: bool,
    /// The answer that the same worker gave to the same input before; nothing was run and nothing paid for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cached: bool,
    /// The input was cut to fit the worker's limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Calls of models were answered from the record of an earlier run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// The step of an earlier run whose answer was taken over.
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
    /// What it cost.
    #[serde(default, rename = "cost_nanousd")]
    pub cost: Money,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
