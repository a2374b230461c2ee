//! The pool that evaluates expressions over stored values.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

use kapelle_core::{
    Category, Name, Payload, PayloadId, RunId, TaskError, TaskId, TenantId, definition::Definition, expr::Shared,
    run::ScopeId, task::TaskState,
};
use kapelle_store::{Page, Reader};

use crate::{
    dispatcher::Spill,
    evaluate::{BYTES_MAX, Evaluated, Evaluation, Resolve, Show, TaskValue},
    runner::Inbox,
    turn::{Directory, NewPayload},
};

/// Payload values that are cached for the next evaluation, and their total size limit as JSON text. The latest is kept
/// whatever its length: the items of a long list all read it.
const KEPT: usize = 32;
const KEPT_BYTES: usize = 1 << 20;

/// Access to values: reading, checking and writing.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) spill: Spill,
}

/// Rows of a scope that are read at once.
const PAGE: u32 = 1_000;

/// Queue of the pool. Dropping it ends the pool once the queue is empty.
pub(crate) struct Evaluator {
    queue: Sender<Box<Evaluation>>,
}

impl Evaluator {
    /// Starts the threads.
    pub(crate) fn start(threads: usize, sources: &Sources, inbox: &Inbox) -> std::io::Result<Evaluator> {
        let (queue, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let (sources, inbox, waiting) = (sources.clone(), inbox.clone(), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("kapelle-eval-{number}"))
                .spawn(move || work(&waiting, sources, &inbox))?;
        }
        Ok(Evaluator { queue })
    }

    pub(crate) fn evaluate(&self, evaluation: Box<Evaluation>) {
        // The pool outlives the loop; if it were gone, the step would be evaluated again after the next start.
        let _ = self.queue.send(evaluation);
    }
}

/// Reads the text of a stored version and keeps the definition for the loop, which then need not read it.
pub(crate) fn hand_over(reader: &dyn Reader, directory: &dyn Directory, tenant: TenantId, version: i64) {
    if directory.definition(version).is_some() {
        return;
    }
    if let Ok(Some(row)) = reader.version(tenant, version)
        && let Ok(definition) = Definition::parse(&row.source, &row.file)
    {
        directory.keep_definition(version, Arc::new(definition));
    }
}

fn work(waiting: &Mutex<Receiver<Box<Evaluation>>>, sources: Sources, inbox: &Inbox) {
    let stored = Stored { sources, kept: Mutex::default() };
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(evaluation) = next else { return };
        let evaluated = evaluation.evaluate(&stored).unwrap_or_else(|| {
            let error = TaskError::new(Category::Internal, "a value that the step refers to is no longer stored");
            Evaluated::Invalid(Arc::new(error))
        });
        inbox.send(evaluation.command(evaluated));
    }
}

/// Values from the store, the latest cached: steps of a run tend to refer to common ones.
struct Stored {
    sources: Sources,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    values: HashMap<PayloadId, Shared>,
    bytes: usize,
}

fn unreadable(error: &dyn std::fmt::Display) -> TaskError {
    TaskError::new(Category::Internal, format!("a stored value cannot be read: {error}"))
}

impl Resolve for Stored {
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>> {
        let task = match self.sources.reader.task(tenant, id) {
            Ok(found) => found?,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        Some(match &task.state {
            TaskState::Succeeded { output, .. } => self.payload(output)?.map(|output| TaskValue::of(&task, output)),
            _ => Ok(TaskValue::of(&task, Shared::null())),
        })
    }

    fn input(&self, tenant: TenantId, id: TaskId) -> Option<Result<Shared, TaskError>> {
        match self.sources.reader.task(tenant, id) {
            Ok(found) => self.payload(&found?.input),
            Err(error) => Some(Err(unreadable(&error))),
        }
    }

    fn scope(&self, run: RunId, scope: ScopeId, show: &mut Show<'_>) -> Option<Result<(), TaskError>> {
        let mut after = None;
        loop {
            let page = match self.sources.reader.scope(run, scope, after, PAGE) {
                Ok(page) => page,
                Err(error) => return Some(Err(unreadable(&error))),
            };
            for task in &page {
                after = task.origin.as_ref().map(|origin| origin.slot);
                let output = match &task.state {
                    TaskState::Succeeded { output: Payload::Row(id), .. } => match self.sources.reader.payload(*id) {
                        Ok(found) => found?,
                        Err(error) => return Some(Err(unreadable(&error))),
                    },
                    TaskState::Succeeded { output, .. } => output.inline()?.to_vec(),
                    _ => Vec::new(),
                };
                if let Err(error) = show(task, &output) {
                    return Some(Err(error));
                }
            }
            if page.len() < PAGE as usize {
                return Some(Ok(()));
            }
        }
    }

    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>> {
        if json.len() <= BYTES_MAX {
            return Some(Ok(NewPayload::Bytes(Arc::from(json))));
        }
        let bytes = json.len() as u64;
        let kept = (self.sources.spill)(&json).map(|sha256| NewPayload::File { sha256, bytes });
        Some(kept.map_err(|message| TaskError::new(Category::Internal, message)))
    }

    fn admit(
        &self,
        tenant: TenantId,
        workflow: &Name,
        inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>> {
        let Sources { reader, directory, .. } = &self.sources;
        // The loop starts the run with what is read here.
        if directory.workflow(tenant, workflow).is_none()
            && let Ok(newest) = reader.versions(tenant, Some(workflow), Page { before: None, most: 1 })
            && let Some(row) = newest.first()
        {
            hand_over(&**reader, &**directory, tenant, row.id);
        }
        Some(directory.admit(tenant, workflow, inputs))
    }

    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>> {
        let id = match payload {
            Payload::Row(id) => *id,
            other => return Some(Shared::from_json_bytes(other.inline()?).map_err(|error| unreadable(&error))),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.values.get(&id) {
            return Some(Ok(value.clone()));
        }
        let bytes = match self.sources.reader.payload(id) {
            Ok(found) => found?,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        let value = match Shared::from_json_bytes(&bytes) {
            Ok(value) => value,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        if kept.values.len() >= KEPT || kept.bytes + bytes.len() > KEPT_BYTES {
            *kept = Kept::default();
        }
        kept.bytes += bytes.len();
        kept.values.insert(id, value.clone());
        Some(Ok(value))
    }
}
