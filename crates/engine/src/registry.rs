//! The workers of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use kapelle_core::{
    Name,
    worker::{Worker, WorkerSpec},
};

use crate::turn::Directory;

/// The workers of this process, by name. Changing it takes effect with the next turn.
#[derive(Default)]
pub struct Registry {
    workers: RwLock<BTreeMap<Name, Entry>>,
}

#[derive(Clone)]
struct Entry {
    spec: Arc<WorkerSpec>,
    worker: Arc<dyn Worker>,
}

impl Registry {
    /// Adds a worker, or puts it in the place of the one of the same name.
    pub fn insert(&self, worker: Arc<dyn Worker>) {
        let spec = Arc::new(worker.spec().clone());
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        workers.insert(spec.name.clone(), Entry { spec, worker });
    }

    /// Takes a worker away. Attempts that run are not disturbed.
    pub fn remove(&self, name: &Name) {
        self.workers.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The worker of that name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<Arc<dyn Worker>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.get(name).map(|entry| Arc::clone(&entry.worker))
    }

    /// What is known of the worker of that name.
    #[must_use]
    pub fn spec(&self, name: &Name) -> Option<Arc<WorkerSpec>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.get(name).map(|entry| Arc::clone(&entry.spec))
    }

    /// What is known of every worker, by name.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<WorkerSpec>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.values().map(|entry| Arc::clone(&entry.spec)).collect()
    }
}

impl Directory for Registry {
    fn local(&self, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.spec(name)
    }
}
