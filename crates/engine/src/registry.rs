//! The workers, workflows and strategies of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use kapelle_core::{
    Name, TaskError, TaskId, TenantId, Tenants,
    definition::Definition,
    run::StepOrder,
    worker::{Worker, WorkerSpec},
};
use serde_json::Value;

use crate::turn::{Admission, DEFINITIONS_MAX, Directory, VersionRef};

/// Checks the inputs of a workflow and fills in defaults.
pub type Admit = Arc<dyn Fn(&Definition, Value) -> Result<Value, TaskError> + Send + Sync>;

/// Rate limits of providers.
pub trait Calls: Send + Sync {
    /// Asks for a call as [`Directory::admit_call`] does, with a clock of its own.
    fn admit(&self, model: &Name, task: TaskId) -> Admission;

    /// Ends a call as [`Directory::end_call`] does.
    fn end(&self, task: TaskId);
}

/// Workers, workflows and strategies of this process, by name. A change takes effect with the next turn.
#[derive(Default)]
pub struct Registry {
    workers: RwLock<Workers>,
    workflows: RwLock<BTreeMap<Name, VersionRef>>,
    orders: RwLock<BTreeMap<Name, Arc<dyn StepOrder>>>,
    admit: RwLock<Option<Admit>>,
    calls: OnceLock<Arc<dyn Calls>>,
    /// Definitions of stored versions on their way to the loop, by version.
    definitions: RwLock<BTreeMap<i64, Arc<Definition>>>,
}

/// Workers in two layers. A worker of the folder hides one that is for everybody, but only from the tenants that it is for.
#[derive(Default)]
struct Workers {
    shared: BTreeMap<Name, Entry>,
    own: BTreeMap<Name, Entry>,
}

impl Workers {
    fn find(&self, tenant: TenantId, name: &Name) -> Option<&Entry> {
        let own = self.own.get(name).filter(|entry| entry.spec.tenants.admits(tenant));
        own.or_else(|| self.shared.get(name))
    }
}

#[derive(Clone)]
struct Entry {
    spec: Arc<WorkerSpec>,
    worker: Arc<dyn Worker>,
}

impl Entry {
    fn of(worker: Arc<dyn Worker>) -> Entry {
        Entry { spec: Arc::new(worker.spec().clone()), worker }
    }
}

impl Registry {
    /// Adds a worker, or replaces the one of its name. A worker that is not for every tenant hides one that is.
    pub fn insert(&self, worker: Arc<dyn Worker>) {
        let entry = Entry::of(worker);
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let name = entry.spec.name.clone();
        if entry.spec.tenants == Tenants::All {
            workers.own.remove(&name);
            workers.shared.insert(name, entry);
        } else {
            workers.own.insert(name, entry);
        }
    }

    /// Replaces the worker of the folder with that name. `shipped` is the built-in worker of the name: it stays for the
    /// tenants that the folder's is not for.
    pub fn replace(&self, worker: Arc<dyn Worker>, shipped: Option<Arc<dyn Worker>>) {
        let entry = Entry::of(worker);
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let name = entry.spec.name.clone();
        workers.own.remove(&name);
        workers.shared.remove(&name);
        if entry.spec.tenants == Tenants::All {
            workers.shared.insert(name, entry);
            return;
        }
        if let Some(shipped) = shipped {
            workers.shared.insert(name.clone(), Entry::of(shipped));
        }
        workers.own.insert(name, entry);
    }

    /// Removes a worker of the folder; the built-in one of its name is in effect again. Running attempts are not
    /// affected.
    pub fn remove(&self, name: &Name, shipped: Option<Arc<dyn Worker>>) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        workers.own.remove(name);
        match shipped {
            Some(shipped) => drop(workers.shared.insert(name.clone(), Entry::of(shipped))),
            None => drop(workers.shared.remove(name)),
        }
    }

    /// Returns the worker that a name means for a tenant. Returns `None` when the tenant has no such worker.
    #[must_use]
    pub fn get(&self, tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.find(tenant, name).map(|entry| Arc::clone(&entry.worker))
    }

    /// Returns the specification of the worker that a name means for a tenant.
    #[must_use]
    pub fn spec(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.find(tenant, name).map(|entry| Arc::clone(&entry.spec))
    }

    /// Returns the specifications of a tenant's workers, by name.
    #[must_use]
    pub fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        let own = workers.own.values().filter(|entry| entry.spec.tenants.admits(tenant));
        let mut found: BTreeMap<&Name, &Entry> = workers.shared.iter().collect();
        found.extend(own.map(|entry| (&entry.spec.name, entry)));
        found.into_values().map(|entry| Arc::clone(&entry.spec)).collect()
    }
}

/// Workflows and strategies.
impl Registry {
    /// Adds a workflow that steps can start by its name, or replaces the one of its name.
    pub fn insert_workflow(&self, name: Name, version: VersionRef) {
        self.workflows.write().unwrap_or_else(PoisonError::into_inner).insert(name, version);
    }

    /// Removes a workflow. Its stored versions stay, and steps then start the newest of them.
    pub fn remove_workflow(&self, name: &Name) {
        self.workflows.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Returns the added workflows, by name.
    #[must_use]
    pub fn workflows(&self) -> Vec<VersionRef> {
        self.workflows.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a strategy that definitions can name.
    pub fn insert_order(&self, name: Name, order: Arc<dyn StepOrder>) {
        self.orders.write().unwrap_or_else(PoisonError::into_inner).insert(name, order);
    }

    /// Returns the names of the added strategies.
    #[must_use]
    pub fn orders(&self) -> Vec<Name> {
        self.orders.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Sets the check of inputs of workflows that steps start.
    pub fn check_inputs_with(&self, admit: Admit) {
        *self.admit.write().unwrap_or_else(PoisonError::into_inner) = Some(admit);
    }
}

impl Registry {
    /// Sets the rate limits of providers. Only the first is kept.
    pub fn admit_calls_with(&self, calls: Arc<dyn Calls>) {
        let _ = self.calls.set(calls);
    }
}

impl Directory for Registry {
    fn definition(&self, version: i64) -> Option<Arc<Definition>> {
        self.definitions.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    fn keep_definition(&self, version: i64, definition: Arc<Definition>) {
        let mut definitions = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        // The loop takes a definition in the turn it is read for: the oldest are no longer needed here.
        while definitions.len() >= DEFINITIONS_MAX && definitions.pop_first().is_some() {}
        definitions.insert(version, definition);
    }

    fn admit_call(&self, model: &Name, task: TaskId, _steady_ms: u64) -> Admission {
        self.calls.get().map_or(Admission::Free, |calls| calls.admit(model, task))
    }

    fn end_call(&self, task: TaskId) {
        if let Some(calls) = self.calls.get() {
            calls.end(task);
        }
    }

    // Workflows of the folder belong to its tenant; other tenants publish their own.
    fn workflow(&self, tenant: TenantId, name: &Name) -> Option<VersionRef> {
        if tenant != TenantId::DEFAULT {
            return None;
        }
        self.workflows.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn order(&self, name: &Name) -> Option<Arc<dyn StepOrder>> {
        self.orders.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn triggered(&self, tenant: TenantId, workflow: &Name) -> Vec<Arc<Definition>> {
        if tenant != TenantId::DEFAULT {
            return Vec::new();
        }
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

    fn admit(&self, tenant: TenantId, workflow: &Name, inputs: Value) -> Result<Value, TaskError> {
        let check = self.admit.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (self.workflow(tenant, workflow), check) {
            (Some(VersionRef::Source { definition, .. }), Some(check)) => check(&definition, inputs),
            _ => Ok(inputs),
        }
    }

    fn check_inputs(&self, definition: &Definition, inputs: Value) -> Result<Value, TaskError> {
        let check = self.admit.read().unwrap_or_else(PoisonError::into_inner).clone();
        match check {
            Some(check) => check(definition, inputs),
            None => Ok(inputs),
        }
    }

    fn local(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.spec(tenant, name)
    }
}
