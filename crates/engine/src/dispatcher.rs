//! Attempts of workers of this process: start, time limit, stop, report.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use kapelle_core::{
    Category, Payload, TaskError, TaskId, TenantId,
    middleware::{Call, Metadata, Middleware, Next},
    task::{Attempt, Report},
    worker::{CancelFlag, FileSource, NoText, Output, TaskContext, TextSink, WorkerSpec},
};
use kapelle_store::Reader;
use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    error::EngineError,
    id_map::IdMap,
    input_memory::InputMemory,
    live_output::{LiveOutputs, Speaker},
    registry::Registry,
    runner::Inbox,
    turn::{Dispatch, NewPayload, Reported, command},
};

/// Stores a value that is too large for a row as a file. Returns its hash.
pub type Spill = Arc<dyn Fn(&[u8]) -> Result<String, String> + Send + Sync>;

/// Runs the attempts.
pub(crate) struct Dispatcher {
    pub(crate) runtime: Handle,
    pub(crate) registry: Arc<Registry>,
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) files: Arc<dyn FileSource>,
    pub(crate) spill: Spill,
    pub(crate) inbox: Inbox,
    pub(crate) running: Arc<Running>,
    pub(crate) memory: InputMemory,
    /// Middleware around every attempt, outermost first.
    pub(crate) middleware: Arc<[Arc<dyn Middleware>]>,
    /// Text that models are writing.
    pub(crate) live_output: Arc<LiveOutputs>,
}

/// Attempts in progress.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<IdMap<TaskId, UnderWay>>);

/// One attempt in progress.
#[derive(Debug)]
struct UnderWay {
    epoch: u32,
    flag: CancelFlag,
    abort: Option<AbortHandle>,
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, IdMap<TaskId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, id: TaskId, epoch: u32) {
        let mut running = self.lock();
        if running.get(&id).is_some_and(|attempt| attempt.epoch == epoch) {
            running.remove(&id);
        }
    }

    /// Stops an attempt: raises its flag and drops its future.
    pub(crate) fn stop(&self, id: TaskId) {
        let Some(attempt) = self.lock().remove(&id) else { return };
        attempt.flag.raise();
        if let Some(abort) = attempt.abort {
            abort.abort();
        }
    }

    /// Stops every attempt.
    pub(crate) fn stop_all(&self) {
        let ids: Vec<TaskId> = self.lock().keys().copied().collect();
        ids.into_iter().for_each(|id| self.stop(id));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

/// The files of one tenant. A hash in a definition does not prove that its tenant may read the file.
struct Theirs {
    tenant: TenantId,
    reader: Arc<dyn Reader>,
    files: Arc<dyn FileSource>,
}

impl FileSource for Theirs {
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let given = self.reader.artifact(self.tenant, sha256).is_ok_and(|row| row.is_some());
        given.then(|| self.files.path(sha256)).flatten()
    }
}

impl Dispatcher {
    /// Returns the files that a tenant may read. The first tenant is the folder's: it may read every file there.
    fn files_of(&self, tenant: TenantId) -> Arc<dyn FileSource> {
        if tenant == TenantId::DEFAULT {
            return Arc::clone(&self.files);
        }
        Arc::new(Theirs { tenant, reader: Arc::clone(&self.reader), files: Arc::clone(&self.files) })
    }

    /// Begins an attempt.
    pub(crate) fn dispatch(&self, dispatch: Dispatch) {
        let report = Report { task: dispatch.task, epoch: dispatch.lease.epoch, nonce: dispatch.lease.nonce };
        let Some(worker) = self.registry.get(dispatch.tenant, &dispatch.worker) else {
            // Removed between the claim and now: the task waits until it is registered again.
            self.inbox.send(command::Report { tenant: dispatch.tenant, report, reported: Reported::Release });
            return;
        };
        let flag = CancelFlag::default();
        // An attempt whose epoch cannot be read begins with new answers.
        let replay_epoch = replay_epoch(&*self.reader, dispatch.task, report.epoch).unwrap_or(u64::from(report.epoch));
        let context = TaskContext {
            task: dispatch.task.to_string(),
            tenant: dispatch.tenant,
            replay_epoch,
            recorded: dispatch.recorded,
            run: dispatch.step.as_ref().map(|(run, _)| run.to_string()),
            step: dispatch.step.as_ref().map(|(_, path)| path.clone()),
            attempt: dispatch.lease.epoch,
            last_attempt: dispatch.last_attempt,
            timeout: Some(dispatch.timeout),
            cancel: flag.clone(),
            progress: Arc::new(|_, _| ()),
            text: self.sink(&dispatch),
            files: self.files_of(dispatch.tenant),
        };
        let (inbox, reader, spill) = (self.inbox.clone(), Arc::clone(&self.reader), Arc::clone(&self.spill));
        let (running, middleware, memory) =
            (Arc::clone(&self.running), Arc::clone(&self.middleware), self.memory.clone());
        running.lock().insert(dispatch.task, UnderWay { epoch: report.epoch, flag, abort: None });
        let task = dispatch.task;
        let attempt = async move {
            let reported = match perform(
                Next::new(&middleware, worker.as_ref()),
                worker.spec(),
                &context,
                &dispatch,
                (&*reader, &memory),
            )
            .await
            {
                Ok(output) => succeed(output, &spill),
                Err(error) => Reported::Fail { error },
            };
            running.ended(report.task, report.epoch);
            inbox.send(command::Report { tenant: dispatch.tenant, report, reported });
        };
        let abort = self.runtime.spawn(attempt).abort_handle();
        if let Some(attempt) = self.running.lock().get_mut(&task).filter(|attempt| attempt.epoch == report.epoch) {
            attempt.abort = Some(abort);
        }
    }
}

impl Dispatcher {
    /// Returns the sink of an attempt's model text: of a step of a run, and of another task while somebody listens.
    fn sink(&self, dispatch: &Dispatch) -> Arc<dyn TextSink> {
        let step = dispatch.step.as_ref().map(|(run, path)| (*run, path.as_str()));
        if step.is_none() && !self.live_output.takes_single() {
            return Arc::new(NoText);
        }
        Arc::new(Speaker::new(&self.live_output, (dispatch.task, dispatch.lease.epoch), step))
    }
}

/// Counts the attempts before one that ended with a bad answer, or with an error that asks for new answers.
pub(crate) fn replay_epoch(reader: &dyn Reader, task: TaskId, attempt: u32) -> Result<u64, EngineError> {
    if attempt <= 1 {
        return Ok(0);
    }
    let bad = |ended: &Attempt| ended.epoch < attempt && ended.error.fresh;
    Ok(reader.attempts(task)?.iter().filter(|ended| bad(ended)).count() as u64)
}

/// Runs one attempt: reads the input, runs middleware and worker within the time limit, and catches their panics.
async fn perform(
    next: Next<'_>,
    spec: &WorkerSpec,
    context: &TaskContext,
    dispatch: &Dispatch,
    (reader, memory): (&dyn Reader, &InputMemory),
) -> Result<Output, TaskError> {
    let internal = |message: String| TaskError::new(Category::Internal, message);
    let mut held = None;
    let input = match &dispatch.input {
        Payload::Row(id) => match reader.payload(*id) {
            Ok(Some(bytes)) => {
                held = memory.hold(&bytes).await;
                serde_json::from_slice(&bytes)
            }
            Ok(None) => return Err(internal("the input is no longer stored".to_owned()).permanent()),
            Err(error) => return Err(internal(error.to_string())),
        },
        other => serde_json::from_slice(other.inline().unwrap_or(b"null")),
    };
    let input = input.map_err(|error| internal(format!("the stored input is not JSON: {error}")).permanent())?;
    let limit = Duration::from_millis(dispatch.timeout.0);
    let metadata = Metadata::default();
    let call = Call { context, spec, metadata: &metadata };
    // Created inside, so that a panic before the first wait is caught too.
    let attempt = unpanicked(async move { next.run(call, input).await });
    let result = match tokio::time::timeout(limit, attempt).await {
        Ok(Ok(result)) => result,
        Ok(Err(message)) => Err(TaskError::new(Category::Crashed, format!("the worker panicked: {message}"))),
        Err(_) => {
            context.cancel.raise();
            Err(TaskError::new(Category::Timeout, format!("the attempt took longer than {} ms", limit.as_millis())))
        }
    };
    drop(held);
    result
}

fn succeed(output: Output, spill: &Spill) -> Reported {
    let bytes = match serde_json::to_vec(&output.value) {
        Ok(bytes) => bytes,
        Err(error) => {
            let error = TaskError::new(Category::InvalidOutput, format!("the output is not JSON: {error}")).permanent();
            return Reported::Fail { error };
        }
    };
    let output_payload = if bytes == b"null" {
        NewPayload::None
    } else if bytes.len() <= crate::evaluate::BYTES_MAX {
        NewPayload::Bytes(Arc::from(bytes))
    } else {
        match spill(&bytes) {
            Ok(sha256) => NewPayload::File { sha256, bytes: bytes.len() as u64 },
            Err(message) => return Reported::Fail { error: TaskError::new(Category::Internal, message) },
        }
    };
    Reported::Succeed { output: output_payload, provenance: Arc::new(output.provenance) }
}

/// Runs a future. Returns the message of its panic if it panics.
async fn unpanicked<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::as_mut(&mut future).poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Poll::Ready(Err(text.unwrap_or_else(|| "no message".to_owned())))
            }
        }
    })
    .await
}
