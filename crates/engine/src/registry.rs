//! The workers, workflows and strategies of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use kapelle_core::{
    DurationMs, Name, TaskError, TaskId,
    definition::Definition,
    run::StepOrder,
    worker::{Worker, WorkerSpec},
};
use serde_json::Value;

use crate::turn::{Directory, VersionRef};

/// Checks the inputs of a workflow and fills in defaults.
pub type Admit = Arc<dyn Fn(&Definition, Value) -> Result<Value, TaskError> + Send + Sync>;

/// Gives the right to call the provider of a worker's model, or says how long to wait.
pub type ProviderWait = Arc<dyn Fn(&WorkerSpec, TaskId) -> Option<DurationMs> + Send + Sync>;

/// The workers, workflows and strategies of this process, by name. Changing it takes effect with the next turn.
#[derive(Default)]
pub struct Registry {
    workers: RwLock<BTreeMap<Name, Entry>>,
    workflows: RwLock<BTreeMap<Name, VersionRef>>,
    orders: RwLock<BTreeMap<Name, Arc<dyn StepOrder>>>,
    admit: RwLock<Option<Admit>>,
    provider_wait: RwLock<Option<ProviderWait>>,
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
    /// Sets who says how long a task must wait for the provider of its worker's model.
    pub fn wait_for_providers_with(&self, wait: ProviderWait) {
        *self.provider_wait.write().unwrap_or_else(PoisonError::into_inner) = Some(wait);
    }
}

impl Directory for Registry {
    fn provider_wait(&self, spec: &WorkerSpec, task: TaskId) -> Option<DurationMs> {
        spec.model.as_ref()?;
        let wait = self.provider_wait.read().unwrap_or_else(PoisonError::into_inner);
        wait.as_ref().and_then(|wait| wait(spec, task))
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
