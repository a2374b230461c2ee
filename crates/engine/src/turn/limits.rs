//! How many tasks run at once in this process, by queue and by worker.

use std::collections::HashMap;

use kapelle_core::{Name, TaskId, limit::Limit};
use kapelle_store::Lane;

use crate::options::Options;

/// The limits of this process and what is taken of them.
#[derive(Debug, Default)]
pub struct Limits {
    queues: HashMap<Name, Limit>,
    workers: HashMap<Name, Limit>,
    /// Who takes the slots. Counts follow from it, so that a turn that was not committed can be forgotten.
    taken: HashMap<TaskId, (Name, Name)>,
    other_slots: u32,
}

impl Limits {
    /// The limits that the options set.
    #[must_use]
    pub fn new(options: &Options) -> Limits {
        let queues = options.queues.iter().map(|(name, queue)| (name.clone(), Limit::of(queue.slots)));
        Limits { queues: queues.collect(), other_slots: options.other_slots, ..Limits::default() }
    }

    /// The limit of a queue.
    pub fn queue(&mut self, name: &Name) -> &mut Limit {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), Limit::of(self.other_slots));
        }
        self.queues.entry(name.clone()).or_insert(Limit::of(0))
    }

    /// Sets how many tasks of a worker run at once.
    pub fn worker(&mut self, name: &Name, slots: u32) {
        self.workers.entry(name.clone()).or_insert(Limit::of(slots)).slots = slots;
    }

    /// Whether a task of that lane could start.
    #[must_use]
    pub fn room(&self, lane: &Lane) -> bool {
        let free = |limit: Option<&Limit>| limit.is_none_or(|limit| limit.room().is_ok());
        free(self.queues.get(&lane.queue)) && free(self.workers.get(&lane.worker))
    }

    /// A task of that lane starts.
    pub fn take(&mut self, task: TaskId, lane: &Lane) {
        let before = self.taken.insert(task, (lane.queue.clone(), lane.worker.clone()));
        if before.is_none() {
            self.queue(&lane.queue).taken += 1;
            if let Some(limit) = self.workers.get_mut(&lane.worker) {
                limit.taken += 1;
            }
        }
    }

    /// A task is no longer running here.
    pub fn give_back(&mut self, task: TaskId) {
        let Some((queue, worker)) = self.taken.remove(&task) else { return };
        self.queue(&queue).give_back();
        if let Some(limit) = self.workers.get_mut(&worker) {
            limit.give_back();
        }
    }

    /// Whether no task runs here.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.taken.is_empty()
    }

    /// Whether a task takes a slot here.
    #[must_use]
    pub fn runs_here(&self, task: TaskId) -> bool {
        self.taken.contains_key(&task)
    }
}
