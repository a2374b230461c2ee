//! The pool that evaluates expressions over stored values.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

use kapelle_core::{Category, Payload, PayloadId, TaskError, TaskId, TenantId, expr::Shared, task::TaskState};
use kapelle_store::Reader;

use crate::{
    evaluate::{Evaluated, Evaluation, Resolve, TaskValue},
    runner::Inbox,
};

/// Values of payloads that are kept for the next evaluation.
const KEPT: usize = 32;

/// The pool's entrance. Dropping it ends the pool once its queue is empty.
pub(crate) struct Evaluator {
    queue: Sender<Box<Evaluation>>,
}

impl Evaluator {
    /// Starts the threads.
    pub(crate) fn start(threads: usize, reader: &Arc<dyn Reader>, inbox: &Inbox) -> std::io::Result<Evaluator> {
        let (queue, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let (reader, inbox, waiting) = (Arc::clone(reader), inbox.clone(), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("kapelle-eval-{number}"))
                .spawn(move || work(&waiting, reader, &inbox))?;
        }
        Ok(Evaluator { queue })
    }

    pub(crate) fn evaluate(&self, evaluation: Box<Evaluation>) {
        // The pool outlives the loop; were it gone, the step would be evaluated again after the next start.
        let _ = self.queue.send(evaluation);
    }
}

fn work(waiting: &Mutex<Receiver<Box<Evaluation>>>, reader: Arc<dyn Reader>, inbox: &Inbox) {
    let stored = Stored { reader, kept: Mutex::default() };
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

/// Values from the store, the latest kept: the steps of a run tend to refer to the same ones.
struct Stored {
    reader: Arc<dyn Reader>,
    kept: Mutex<HashMap<PayloadId, Shared>>,
}

fn unreadable(error: &dyn std::fmt::Display) -> TaskError {
    TaskError::new(Category::Internal, format!("a stored value cannot be read: {error}"))
}

impl Resolve for Stored {
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>> {
        let task = match self.reader.task(tenant, id) {
            Ok(found) => found?,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        Some(match &task.state {
            TaskState::Succeeded { output, .. } => self.payload(output)?.map(|output| TaskValue::of(&task, output)),
            _ => Ok(TaskValue::of(&task, Shared::null())),
        })
    }

    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>> {
        let id = match payload {
            Payload::Row(id) => *id,
            other => return Some(Shared::from_json_bytes(other.inline()?).map_err(|error| unreadable(&error))),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.get(&id) {
            return Some(Ok(value.clone()));
        }
        let bytes = match self.reader.payload(id) {
            Ok(found) => found?,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        let value = match Shared::from_json_bytes(&bytes) {
            Ok(value) => value,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, value.clone());
        Some(Ok(value))
    }
}
