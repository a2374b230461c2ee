//! The workers, workflows and strategies of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use kapelle_core::{
    Name, TaskError, TaskId,
    definition::Definition,
    run::StepOrder,
    worker::{Worker, WorkerSpec},
};
use serde_json::Value;

use crate::turn::{Admission, Directory, VersionRef};

/// Checks the inputs of a workflow and fills in defaults.
pub type Admit = Arc<dyn Fn(&Definition, Value) -> Result<Value, TaskError> + Send + Sync>;

/// Knows how many calls providers take.
pub trait Calls: Send + Sync {
    /// As [`Directory::admit_call`], on a clock of its own.
    fn admit(&self, model: &Name, task: TaskId) -> Admission;

    /// As [`Directory::end_call`].
    fn end(&self, task: TaskId);
}

/// The workers, workflows and strategies of this process, by name. Changing it takes effect with the next turn.
#[derive(Default)]
pub struct Registry {
    workers: RwLock<BTreeMap<Name, Entry>>,
    workflows: RwLock<BTreeMap<Name, VersionRef>>,
    orders: RwLock<BTreeMap<Name, Arc<dyn StepOrder>>>,
    admit: RwLock<Option<Admit>>,
    calls: OnceLock<Arc<dyn Calls>>,
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

/// Workflows and strategies.
impl Registry {
    /// Adds a workflow that steps can start by its name, or puts it in the place of the one of the same name.
    pub fn insert_workflow(&self, name: Name, version: VersionRef) {
        self.workflows.write().unwrap_or_else(PoisonError::into_inner).insert(name, version);
    }

    /// Takes a workflow away. Its stored versions stay, and the newest of them is what steps start then.
    pub fn remove_workflow(&self, name: &Name) {
        self.workflows.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Adds a strategy that definitions can name.
    pub fn insert_order(&self, name: Name, order: Arc<dyn StepOrder>) {
        self.orders.write().unwrap_or_else(PoisonError::into_inner).insert(name, order);
    }

    /// The names of the strategies that were added.
    #[must_use]
    pub fn orders(&self) -> Vec<Name> {
        self.orders.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Sets how inputs of workflows that steps start are checked.
    pub fn check_inputs_with(&self, admit: Admit) {
        *self.admit.write().unwrap_or_else(PoisonError::into_inner) = Some(admit);
    }
}

impl Registry {
    /// Sets who knows how many calls providers take. Only the first is kept.
    pub fn admit_calls_with(&self, calls: Arc<dyn Calls>) {
        let _ = self.calls.set(calls);
    }
}

impl Directory for Registry {
    fn admit_call(&self, model: &Name, task: TaskId, _steady_ms: u64) -> Admission {
        self.calls.get().map_or(Admission::Free, |calls| calls.admit(model, task))
    }

    fn end_call(&self, task: TaskId) {
        if let Some(calls) = self.calls.get() {
            calls.end(task);
        }
    }

    fn workflow(&self, name: &Name) -> Option<VersionRef> {
        self.workflows.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn order(&self, name: &Name) -> Option<Arc<dyn StepOrder>> {
        self.orders.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn triggered(&self, workflow: &Name) -> Vec<Arc<Definition>> {
        let workflows = self.workflows.read().unwrap_or_else(PoisonError::into_inner);
        let wants = |definition: &&Arc<Definition>| {
            definition.on_completed.as_ref().is_some_and(|completed| completed.workflow == *workflow)
        };
        let definitions = workflows.values().filter_map(|version| match version {
            VersionRef::Source { definition, .. } => Some(definition),
            VersionRef::Stored(_) => None,
        });
        definitions.filter(wants).cloned().collect()
    }

    fn admit(&self, workflow: &Name, inputs: Value) -> Result<Value, TaskError> {
        let check = self.admit.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (self.workflow(workflow), check) {
            (Some(VersionRef::Source { definition, .. }), Some(check)) => check(&definition, inputs),
            _ => Ok(inputs),
        }
    }

    fn local(&self, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.spec(name)
    }
}
