//! The ends of many tasks, for one receiver that waits for all of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{TaskId, TenantId, task::Task};
use tokio::sync::{Notify, oneshot};

use crate::{
    engine::Engine,
    error::EngineError,
    id_map::IdMap,
    runner::{Answer, Message},
    turn::{Key, Made, Reply, SubmitTask, command},
    waiters::Waiter,
};

/// The ends of tasks that one receiver waits for. Each end is told once.
#[derive(Debug, Default)]
pub struct EndedTasks {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: IdMap<TaskId, ()>,
    ended: VecDeque<Arc<Task>>,
    closed: bool,
}

impl EndedTasks {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task too. Returns false when it does so already, or is closed.
    pub(crate) fn expect(&self, id: TaskId) -> bool {
        let mut state = self.lock();
        !state.closed && state.open.insert(id, ()).is_none()
    }

    pub(crate) fn add(&self, task: &Arc<Task>) {
        let mut state = self.lock();
        if state.open.remove(&task.id).is_some() {
            state.ended.push_back(Arc::clone(task));
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Counts the tasks that are waited for or whose end was not taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.open.len() + state.ended.len()
    }

    /// Says whether it waits for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the next tasks that have ended, at least one. Dropping the future loses nothing.
    pub async fn next(&self) -> VecDeque<Arc<Task>> {
        loop {
            let changed = self.changed.notified();
            let ended = std::mem::take(&mut self.lock().ended);
            if !ended.is_empty() {
                return ended;
            }
            changed.await;
        }
    }
}

impl Engine {
    /// Submits tasks, all or none, and waits for their ends in `ended`.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_into(
        &self,
        tenant: TenantId,
        tasks: Vec<SubmitTask>,
        key: Option<Key>,
        ended: &Arc<EndedTasks>,
    ) -> Result<TaskId, EngineError> {
        let (reply, replied) = oneshot::channel();
        let command = command::Submit { tenant, tasks: Arc::from(tasks), key };
        let answer = Answer::Watch(reply, Waiter::Many(Arc::clone(ended)));
        self.post(Message::Command(Box::new(command.into()), answer))?;
        let Reply::Submit(Made { first, count, repeated }) = replied.await.unwrap_or(Err(EngineError::Stopped))? else {
            return Err(EngineError::Stopped);
        };
        if repeated {
            let made: Vec<TaskId> = (first.0..first.0 + i64::from(count)).map(TaskId).collect();
            self.wait_into(tenant, &made, ended)?;
        }
        Ok(first)
    }

    /// Waits for the ends of tasks in `ended`. Returns those that the tenant does not have.
    ///
    /// # Errors
    /// When the store fails.
    pub fn wait_into(
        &self,
        tenant: TenantId,
        ids: &[TaskId],
        ended: &Arc<EndedTasks>,
    ) -> Result<Vec<TaskId>, EngineError> {
        let mut missing = Vec::new();
        for &id in ids {
            // First this, then the store: an end is never missed.
            self.waiters().add_many(id, ended);
            match self.reader().task(tenant, id)? {
                Some(task) if task.state.kind().is_terminal() => {
                    self.waiters().remove([id].into_iter(), ended);
                    ended.add(&Arc::new(task));
                }
                Some(_) => {}
                None => {
                    self.no_longer_wait(&[id], ended);
                    missing.push(id);
                }
            }
        }
        Ok(missing)
    }

    /// Waits for some tasks no longer.
    pub fn no_longer_wait(&self, ids: &[TaskId], ended: &Arc<EndedTasks>) {
        self.waiters().remove(ids.iter().copied(), ended);
        let mut state = ended.lock();
        for id in ids {
            state.open.remove(id);
        }
        let gone: IdMap<TaskId, ()> = ids.iter().map(|id| (*id, ())).collect();
        state.ended.retain(|task| !gone.contains_key(&task.id));
    }

    /// Ends all waits of a receiver.
    pub fn close_waits(&self, ended: &Arc<EndedTasks>) {
        let open: Vec<TaskId> = {
            let mut state = ended.lock();
            state.closed = true;
            state.ended.clear();
            state.open.drain().map(|(id, ())| id).collect()
        };
        self.waiters().remove(open.into_iter(), ended);
    }
}
