//! The workers of a host: those that were given to it, and scripts, which come, change and go while it runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kapelle_core::{
    Name,
    worker::{Worker, WorkerSpec},
};
use tokio::sync::Semaphore;

/// The workers of a host, by name.
#[derive(Default)]
pub struct WorkerSet(RwLock<Members>);

#[derive(Default)]
struct Members {
    /// Those that were given to the host; a script of the same name stands before one as long as it is there.
    given: BTreeMap<Name, Arc<dyn Worker>>,
    working: BTreeMap<Name, Member>,
}

/// A worker, with room for as many of its tasks as it works on at once.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) room: Arc<Semaphore>,
}

impl Members {
    fn insert(&mut self, worker: Arc<dyn Worker>) {
        let (name, slots) = (worker.spec().name.clone(), worker.spec().slots as usize);
        // Attempts under way count on as long as the slots stay as they are.
        let room = self.working.get(&name).filter(|known| known.worker.spec().slots as usize == slots);
        let room = room.map_or_else(|| Arc::new(Semaphore::new(slots.max(1))), |known| Arc::clone(&known.room));
        self.working.insert(name, Member { worker, room });
    }
}

impl WorkerSet {
    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Members> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a worker, or puts it in the place of the one of its name.
    pub fn add(&self, worker: Arc<dyn Worker>) {
        let mut members = self.write();
        members.given.insert(worker.spec().name.clone(), Arc::clone(&worker));
        members.insert(worker);
    }

    /// Returns the worker of that name.
    pub(crate) fn member(&self, name: &str) -> Option<Member> {
        self.read().working.get(&Name::new(name)).cloned()
    }

    /// The descriptions of the workers that can take tasks, by name.
    #[must_use]
    pub fn specs(&self) -> Vec<WorkerSpec> {
        let members = self.read();
        let specs = members.working.values().map(|member| member.worker.spec());
        specs.filter(|spec| spec.slots > 0).cloned().collect()
    }
}

#[cfg(feature = "scripts")]
impl kapelle_scripts::fleet::WorkerSink for WorkerSet {
    fn put(&self, worker: Arc<dyn Worker>) {
        self.write().insert(worker);
    }

    fn take(&self, name: &Name) {
        let mut members = self.write();
        match members.given.get(name).cloned() {
            Some(worker) => members.insert(worker),
            None => drop(members.working.remove(name)),
        }
    }

    // All tasks of a host are those of its key's tenant.
    fn get(&self, _tenant: kapelle_core::TenantId, name: &Name) -> Option<Arc<dyn Worker>> {
        self.member(name.as_str()).map(|member| member.worker)
    }
}
