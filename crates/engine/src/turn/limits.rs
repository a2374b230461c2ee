//! How many tasks run at once in this process, by queue and by worker.

use std::collections::HashMap;

use kapelle_core::{
    Name, TaskId,
    limit::Limit,
    mutant::{Mutant, planted},
};
use kapelle_store::Lane;

use crate::{id_map::IdMap, options::Options};

/// The limits of this process and what is taken of them.
#[derive(Debug, Default)]
pub struct Limits {
    queues: HashMap<Name, Limit>,
    workers: HashMap<Name, Limit>,
    /// Who takes the slots.
    taken: IdMap<TaskId, Taken>,
    /// What the turn under way changed, so that a turn that was not committed can be forgotten.
    before: Vec<(TaskId, Option<Taken>)>,
    other_slots: u32,
}

/// A slot that is taken: by which attempt, in which queue, of which worker.
#[derive(Debug, Clone)]
struct Taken {
    epoch: u32,
    queue: Name,
    worker: Name,
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

    /// An attempt of a task of that lane starts.
    pub fn take(&mut self, task: TaskId, epoch: u32, lane: &Lane) {
        let taken = Taken { epoch, queue: lane.queue.clone(), worker: lane.worker.clone() };
        let before = self.set(task, Some(taken));
        self.before.push((task, before));
    }

    /// A task is no longer running here.
    pub fn give_back(&mut self, task: TaskId) {
        if self.taken.contains_key(&task) {
            let before = self.set(task, None);
            self.before.push((task, before));
        }
    }

    /// That attempt is over, whether or not it held its task to the end. A later attempt keeps its slot.
    pub fn give_back_attempt(&mut self, task: TaskId, epoch: u32) {
        if self.taken.get(&task).is_some_and(|taken| taken.epoch <= epoch) {
            self.give_back(task);
        }
    }

    /// The turn is committed: its slots stay as they are.
    pub fn committed(&mut self) {
        self.before.clear();
    }

    /// The turn is forgotten: its slots are as they were before it. The store cannot tell, as another server on it has
    /// running tasks of its own.
    pub fn forget(&mut self) {
        if planted(Mutant::SlotLeak) {
            self.before.clear();
        }
        while let Some((task, before)) = self.before.pop() {
            self.set(task, before);
        }
    }

    /// Sets who takes the slot of a task, with the counts; gives who took it before.
    fn set(&mut self, task: TaskId, taken: Option<Taken>) -> Option<Taken> {
        if let Some(taken) = &taken {
            self.queue(&taken.queue).taken += 1;
            if let Some(limit) = self.workers.get_mut(&taken.worker) {
                limit.taken += 1;
            }
        }
        let before = match taken {
            Some(taken) => self.taken.insert(task, taken),
            None => self.taken.remove(&task),
        };
        if let Some(before) = &before {
            self.queue(&before.queue).give_back();
            if let Some(limit) = self.workers.get_mut(&before.worker) {
                limit.give_back();
            }
        }
        before
    }

    /// Whether no task runs here.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.taken.is_empty()
    }
}
