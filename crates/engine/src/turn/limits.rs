//! Limits of running tasks: in this process by queue and by worker, everywhere by key; and pauses.

use std::collections::{BTreeSet, HashMap, HashSet};

use kapelle_core::{
    Name, TaskId, TenantId,
    limit::Limit,
    mutant::{Mutant, planted},
    task::{Task, TaskState},
    worker::WorkerSpec,
};
use kapelle_store::{Gate, GateKind, Lane, StoreError};

use super::{lanes::lane_of, part::Part, rows::Rows};
use crate::{id_map::IdMap, options::Options};

/// Running tasks read at a time.
const RUNNING_READ: u32 = 512;

/// Limits of this process and their used slots.
#[derive(Debug, Default)]
pub struct Limits {
    queues: HashMap<Name, Limit>,
    /// Limits by name: of workers for everybody, and of others, which may hide one of the same name.
    workers: [HashMap<Name, Limit>; 2],
    /// Tenants for which a name means a worker that is not for everybody.
    own: HashSet<(TenantId, Name)>,
    /// Tasks that occupy slots.
    taken: IdMap<TaskId, Taken>,
    /// Changes of the current turn, for a rollback.
    before: Vec<(TaskId, Option<Taken>)>,
    /// Queues whose slots the current turn changed, with the earlier number.
    slots_before: Vec<(Name, u32)>,
    other_slots: u32,
    /// Running tasks of each key, including those of worker hosts.
    keys: HashMap<KeyGroup, BTreeSet<TaskId>>,
    paused: HashSet<(TenantId, GateKind, Name)>,
}

/// Tasks that a key limit counts together: those with one key of one worker, or in one queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyGroup {
    /// Tenant of the tasks.
    pub tenant: TenantId,
    /// Kind: worker or queue.
    pub kind: GateKind,
    /// Name of the worker or queue.
    pub name: Name,
    /// Concurrency key.
    pub key: Name,
}

/// Resources of an attempt: slots in this process, and its place among those of its key.
#[derive(Debug, Clone)]
struct Taken {
    epoch: u32,
    lane: Lane,
    key: Option<Name>,
    /// Whether it runs in this process.
    here: bool,
    /// Whether its worker is not for everybody.
    own: bool,
}

impl Taken {
    /// Returns the groups that it counts for, if it has a key.
    fn groups(&self) -> Option<[KeyGroup; 2]> {
        let key = self.key.as_ref()?;
        let Lane { tenant, queue, worker, .. } = &self.lane;
        let group = |kind, name: &Name| KeyGroup { tenant: *tenant, kind, name: name.clone(), key: key.clone() };
        Some([group(GateKind::Worker, worker), group(GateKind::Queue, queue)])
    }
}

impl Part for Limits {
    /// Reads the pauses, and the attempts on worker hosts that count for their key.
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        self.gates(&rows.store.gates()?);
        let mut after = TaskId(0);
        loop {
            let running = rows.store.running(after, RUNNING_READ)?;
            let Some(last) = running.last() else { return Ok(()) };
            after = last.id;
            let remote = |task: &&Task| matches!(task.state, TaskState::Running(lease) if lease.host != 0);
            running.iter().filter(remote).for_each(|task| self.take(task, task.epoch, false));
        }
    }

    /// Restores the slots from before the turn. The store cannot tell them, as another server on it has running tasks
    /// of its own.
    fn forget(&mut self, _rows: &mut Rows) {
        if planted(Mutant::SlotLeak) {
            self.before.clear();
        }
        while let Some((task, before)) = self.before.pop() {
            self.set(task, before);
        }
        while let Some((queue, slots)) = self.slots_before.pop() {
            self.queue(&queue).slots = slots;
        }
    }

    fn committed(&mut self) {
        self.before.clear();
        self.slots_before.clear();
    }
}

impl Limits {
    /// Makes the limits of the options.
    #[must_use]
    pub fn new(options: &Options) -> Limits {
        let queues = options.queues.iter().map(|(name, queue)| (name.clone(), Limit::of(queue.slots)));
        Limits { queues: queues.collect(), other_slots: options.other_slots, ..Limits::default() }
    }

    /// Returns the limit of a queue.
    pub fn queue(&mut self, name: &Name) -> &mut Limit {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), Limit::of(self.other_slots));
        }
        self.queues.entry(name.clone()).or_insert(Limit::of(0))
    }

    /// Sets the limit of running tasks of a queue.
    pub fn set_slots(&mut self, name: &Name, slots: u32) {
        let before = std::mem::replace(&mut self.queue(name).slots, slots);
        self.slots_before.push((name.clone(), before));
    }

    /// Sets the limit of running tasks of the worker that a name means for a tenant.
    pub fn worker(&mut self, tenant: TenantId, spec: &WorkerSpec) {
        let own = !spec.tenants.is_all();
        if own != self.is_own(tenant, &spec.name) {
            let place = (tenant, spec.name.clone());
            let _ = if own { self.own.insert(place) } else { self.own.remove(&place) };
        }
        self.workers[usize::from(own)].entry(spec.name.clone()).or_insert(Limit::of(spec.slots)).slots = spec.slots;
    }

    fn is_own(&self, tenant: TenantId, name: &Name) -> bool {
        !self.own.is_empty() && self.own.contains(&(tenant, name.clone()))
    }

    /// Tells whether a task of that lane could start.
    #[must_use]
    pub fn room(&self, lane: &Lane) -> bool {
        let free = |limit: Option<&Limit>| limit.is_none_or(|limit| limit.room().is_ok());
        let own = usize::from(self.is_own(lane.tenant, &lane.worker));
        free(self.queues.get(&lane.queue)) && free(self.workers[own].get(&lane.worker)) && !self.is_paused(lane)
    }

    /// Tells whether the queue or the worker of a lane is paused.
    #[must_use]
    pub fn is_paused(&self, lane: &Lane) -> bool {
        !self.paused.is_empty()
            && (self.paused.contains(&(lane.tenant, GateKind::Queue, lane.queue.clone()))
                || self.paused.contains(&(lane.tenant, GateKind::Worker, lane.worker.clone())))
    }

    /// Tells whether a queue or a worker is paused.
    #[must_use]
    pub fn pauses(&self, tenant: TenantId, kind: GateKind, name: &Name) -> bool {
        self.paused.contains(&(tenant, kind, name.clone()))
    }

    /// Records a pause or resume.
    pub fn gate(&mut self, gate: &Gate) {
        let place = (gate.tenant, gate.kind, gate.name.clone());
        if gate.paused {
            self.paused.insert(place);
        } else {
            self.paused.remove(&place);
        }
    }

    /// Sets the pauses from the store.
    pub fn gates(&mut self, gates: &[Gate]) {
        self.paused.clear();
        if !planted(Mutant::PauseForgotten) {
            gates.iter().for_each(|gate| self.gate(gate));
        }
    }

    /// Returns the running tasks of a key.
    pub fn running_of(&self, group: &KeyGroup) -> impl ExactSizeIterator<Item = TaskId> {
        static NONE: BTreeSet<TaskId> = BTreeSet::new();
        self.keys.get(group).unwrap_or(&NONE).iter().copied()
    }

    /// Reserves slots for an attempt in this process or on a worker host. Of the latter only those with a key count.
    pub fn take(&mut self, task: &Task, epoch: u32, here: bool) {
        if !here && task.key.is_none() {
            return;
        }
        let own = self.is_own(task.tenant, &task.worker);
        let taken = Taken { epoch, lane: lane_of(task), key: task.key.clone(), here, own };
        let before = self.set(task.id, Some(taken));
        self.before.push((task.id, before));
    }

    /// Releases the slots of a task that is no longer running.
    pub fn give_back(&mut self, task: TaskId) {
        if self.taken.contains_key(&task) {
            let before = self.set(task, None);
            self.before.push((task, before));
        }
    }

    /// Releases the slots of an attempt that is over, whether or not it held its task to the end. A later attempt keeps
    /// its slot.
    pub fn give_back_attempt(&mut self, task: TaskId, epoch: u32) {
        if self.taken.get(&task).is_some_and(|taken| taken.epoch <= epoch) {
            self.give_back(task);
        }
    }

    /// Sets the attempt in the slot of a task, with the counts. Returns the earlier one.
    fn set(&mut self, task: TaskId, taken: Option<Taken>) -> Option<Taken> {
        if let Some(taken) = taken.as_ref().filter(|taken| taken.here) {
            self.queue(&taken.lane.queue).taken += 1;
            if let Some(limit) = self.workers[usize::from(taken.own)].get_mut(&taken.lane.worker) {
                limit.taken += 1;
            }
        }
        // Most tasks have no key, so nothing is copied for them.
        let next = taken.as_ref().filter(|taken| taken.key.is_some()).cloned();
        let before = match taken {
            Some(taken) => self.taken.insert(task, taken),
            None => self.taken.remove(&task),
        };
        if let Some(before) = &before {
            if before.here {
                self.queue(&before.lane.queue).give_back();
                if let Some(limit) = self.workers[usize::from(before.own)].get_mut(&before.lane.worker) {
                    limit.give_back();
                }
            }
            for group in before.groups().into_iter().flatten() {
                let running = self.keys.entry(group.clone()).or_default();
                running.remove(&task);
                if running.is_empty() {
                    self.keys.remove(&group);
                }
            }
        }
        for group in next.iter().filter_map(Taken::groups).flatten() {
            self.keys.entry(group).or_default().insert(task);
        }
        before
    }

    /// Tells whether no task runs here.
    #[must_use]
    pub fn idle(&self) -> bool {
        !self.taken.values().any(|taken| taken.here)
    }
}
