//! The workers of a host: those that are written down, and scripts, which come, change and go while it runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use kapelle::{
    Worker, WorkerSpec,
    core::{Money, Name, TaskId, TenantId, worker::TaskContext},
    gateway::AttemptTokens,
    scripts::{Access, TokenSource, fleet::WorkerSink},
    workers::Catalogue,
};
use kapelle_api::ClaimedTask;
use tokio::sync::Semaphore;

/// The workers of a host, by name.
pub struct Hosted {
    written: Catalogue,
    workers: RwLock<BTreeMap<Name, Roomed>>,
}

/// A worker, and room for as many of its tasks as it works on at once.
type Roomed = (Arc<dyn Worker>, Arc<Semaphore>);

impl Hosted {
    /// Those that are written down.
    pub fn of(written: Catalogue) -> Hosted {
        let hosted = Hosted { written, workers: RwLock::default() };
        hosted.written.iter().for_each(|worker| hosted.insert(Arc::clone(worker)));
        hosted
    }

    fn insert(&self, worker: Arc<dyn Worker>) {
        let (name, slots) = (worker.spec().name.clone(), worker.spec().slots as usize);
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        // Who works at the moment counts as long as the slots are the same.
        let room = workers.get(&name).filter(|(known, _)| known.spec().slots as usize == slots);
        let room = room.map_or_else(|| Arc::new(Semaphore::new(slots.max(1))), |(_, room)| Arc::clone(room));
        workers.insert(name, (worker, room));
    }

    /// The worker of that name, and room for its tasks.
    pub fn worker(&self, name: &str) -> Option<(Arc<dyn Worker>, Arc<Semaphore>)> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).get(&Name::new(name)).cloned()
    }

    /// What is known of those that can work, by name.
    pub fn specs(&self) -> Vec<WorkerSpec> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.values().map(|(worker, _)| worker.spec().clone()).filter(|spec| spec.slots > 0).collect()
    }
}

impl WorkerSink for Hosted {
    fn put(&self, worker: Arc<dyn Worker>) {
        self.insert(worker);
    }

    fn take(&self, name: &Name) {
        match self.written.get(name.as_str()) {
            Some(worker) => self.insert(worker),
            None => drop(self.workers.write().unwrap_or_else(PoisonError::into_inner).remove(name)),
        }
    }

    // All tasks of a host are those of its key's tenant.
    fn get(&self, _tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>> {
        self.worker(name.as_str()).map(|(worker, _)| worker)
    }
}

/// The tokens that came with the tasks of the server, for their attempts.
pub struct Tokens {
    /// Where the gateway is, as this host reaches it.
    base_url: String,
    given: Mutex<HashMap<(String, u32), String>>,
    next: AtomicU64,
}

impl Tokens {
    /// None yet; the gateway is that of the server at this address.
    pub fn of(server: &str) -> Tokens {
        let base_url = format!("{}/v1", server.trim_end_matches('/'));
        Tokens { base_url, given: Mutex::default(), next: AtomicU64::new(1) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u32), String>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the gateway is.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Keeps the token of a task until its attempt is over.
    pub fn keep(&self, task: &ClaimedTask) {
        if let Some(token) = &task.gateway_token {
            self.lock().insert((task.id.clone(), task.attempt), token.clone());
        }
    }

    /// An attempt is over: the server ends its token by itself.
    pub fn forget(&self, task: &str, attempt: u32) {
        self.lock().remove(&(task.to_owned(), attempt));
    }
}

impl AttemptTokens for Tokens {
    fn token(&self, task: TaskId, attempt: u32) -> Option<String> {
        self.lock().get(&(task.to_string(), attempt)).cloned()
    }
}

impl TokenSource for Tokens {
    fn for_task(&self, _worker: &WorkerSpec, attempt: &TaskContext) -> Result<Option<Access>, String> {
        let token = self.lock().get(&(attempt.task.clone(), attempt.attempt)).cloned();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(token.map(|token| Access { id, token, base_url: self.base_url.clone() }))
    }

    fn for_process(&self, _worker: &Name, _process: &str, _budget: Option<Money>) -> Result<Option<Access>, String> {
        // Daemons are not for hosts.
        Ok(None)
    }

    fn revoke(&self, _id: u64) {}
}
