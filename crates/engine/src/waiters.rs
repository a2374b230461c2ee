//! Waiters for the end of a task or a run.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use kapelle_core::{RunId, TaskId, task::Task};
use tokio::sync::oneshot;

use crate::{
    ended_tasks::EndedTasks,
    id_map::IdMap,
    turn::{Logged, Notice},
};

/// Informed of the end of every task, on the thread of the loop: it must be quick.
pub type Observer = Box<dyn Fn(&Arc<Task>) + Send + Sync>;

/// Informed of what the session log is to have, on the thread of the loop: it must be quick.
pub type SessionObserver = Box<dyn Fn(&Arc<Logged>) + Send + Sync>;
/// Informed of money and leases, on the thread of the loop: it must be quick.
pub type Listener = Box<dyn Fn(&Notice) + Send + Sync>;

/// Waiter for the end of a task.
pub(crate) enum Waiter {
    /// Waits for one task.
    One(oneshot::Sender<Arc<Task>>),
    /// Waits for many.
    Many(Arc<EndedTasks>),
}

impl Waiter {
    fn is_closed(&self) -> bool {
        match self {
            Waiter::One(sender) => sender.is_closed(),
            Waiter::Many(ended) => ended.is_closed(),
        }
    }

    fn is(&self, other: &Arc<EndedTasks>) -> bool {
        matches!(self, Waiter::Many(ended) if Arc::ptr_eq(ended, other))
    }
}

/// Waiters for the end of a task or a run. Register first, then read the store: an end is never missed.
#[derive(Default)]
pub(crate) struct Waiters {
    observer: OnceLock<Observer>,
    session: OnceLock<SessionObserver>,
    listeners: RwLock<Vec<Listener>>,
    tasks: Mutex<IdMap<TaskId, Vec<Waiter>>>,
    runs: Mutex<IdMap<RunId, Vec<oneshot::Sender<()>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiters {
    pub(crate) fn task(&self, id: TaskId) -> oneshot::Receiver<Arc<Task>> {
        let (sender, receiver) = oneshot::channel();
        self.add(id, Waiter::One(sender));
        receiver
    }

    fn add(&self, id: TaskId, waiter: Waiter) {
        let mut tasks = lock(&self.tasks);
        let waiting = tasks.entry(id).or_default();
        waiting.retain(|other| !other.is_closed());
        waiting.push(waiter);
    }

    /// Adds a waiter for tasks that were just made.
    pub(crate) fn add_made(&self, made: impl Iterator<Item = TaskId>, waiter: Waiter) {
        match waiter {
            Waiter::One(sender) => {
                let mut made = made;
                if let Some(id) = made.next() {
                    self.add(id, Waiter::One(sender));
                }
            }
            Waiter::Many(ended) => made.for_each(|id| self.add_many(id, &ended)),
        }
    }

    /// Adds one of the tasks that many are waited for together.
    pub(crate) fn add_many(&self, id: TaskId, ended: &Arc<EndedTasks>) {
        if ended.expect(id) {
            self.add(id, Waiter::Many(Arc::clone(ended)));
        }
    }

    /// Removes a waiter for many tasks from some of them.
    pub(crate) fn remove(&self, ids: impl Iterator<Item = TaskId>, ended: &Arc<EndedTasks>) {
        let mut tasks = lock(&self.tasks);
        for id in ids {
            if let Some(waiting) = tasks.get_mut(&id) {
                waiting.retain(|other| !other.is(ended) && !other.is_closed());
                if waiting.is_empty() {
                    tasks.remove(&id);
                }
            }
        }
    }

    pub(crate) fn run(&self, id: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut runs = lock(&self.runs);
        let waiting = runs.entry(id).or_default();
        waiting.retain(|other| !other.is_closed());
        waiting.push(sender);
        receiver
    }

    /// Sets who is informed of every end; the first one stays.
    pub(crate) fn observe(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    /// Sets the observer of session log entries; the first one stays.
    pub(crate) fn observe_session(&self, observer: SessionObserver) {
        let _ = self.session.set(observer);
    }

    pub(crate) fn logged(&self, logged: &Arc<Logged>) {
        if let Some(observer) = self.session.get() {
            observer(logged);
        }
    }

    /// Adds somebody who is informed of money and leases.
    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|listener| listener(notice));
    }

    pub(crate) fn task_ended(&self, task: &Arc<Task>) {
        if let Some(observer) = self.observer.get() {
            observer(task);
        }
        let waiting = lock(&self.tasks).remove(&task.id);
        for waiter in waiting.into_iter().flatten() {
            match waiter {
                Waiter::One(sender) => drop(sender.send(Arc::clone(task))),
                Waiter::Many(ended) => ended.add(task),
            }
        }
    }

    pub(crate) fn run_ended(&self, id: RunId) {
        let waiting = lock(&self.runs).remove(&id);
        for sender in waiting.into_iter().flatten() {
            let _ = sender.send(());
        }
    }

    /// Ends all waits.
    pub(crate) fn close(&self) {
        lock(&self.tasks).clear();
        lock(&self.runs).clear();
    }
}
