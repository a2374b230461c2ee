//! The worker hosts: their identity, their workers, and whether they are alive. In memory only: a host that meets a new
//! server registers again, and its leases live on in the store.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use kapelle_api::StreamEnd;
use kapelle_core::{Labels, Name, TenantId, task::Report, worker::WorkerSpec};
use kapelle_store::HostWorkerRow;

use crate::{caller::Caller, host_stream::StreamSlot, keyring::Identity};

/// Time for which a silent host and its workers are remembered, in milliseconds.
const REMEMBERED_MS: u64 = 600_000;
/// The most hosts of one tenant, and the most names of their workers.
const HOSTS_MAX: usize = 10_000;

/// A worker host.
#[derive(Debug)]
pub struct Host {
    pub id: u32,
    /// Random: a host's id cannot be guessed.
    mark: String,
    pub tenant: TenantId,
    /// The key that it belongs to.
    pub key: Arc<Identity>,
    pub name: String,
    pub slots: u32,
    pub workers: Arc<[Name]>,
    pub queues: Arc<[Name]>,
    pub labels: Arc<Labels>,
    /// Whether it acknowledges claimed tasks.
    pub ack: bool,
    /// Silence for which it counts as alive, in milliseconds.
    alive_ms: u64,
    /// Whether it is counted among the alive hosts.
    pub present: AtomicBool,
    heard_ms: AtomicU64,
    /// Waiting polls: a host with one is alive.
    polls: AtomicU32,
    pub claimed: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    /// Tasks claimed and not acknowledged yet.
    unacked: Mutex<HashSet<Report>>,
    /// Its stream of tasks, the last one that it opened.
    pub stream: StreamSlot,
}

/// A host's description of itself, with its key.
pub struct Introduction {
    pub key: Arc<Identity>,
    pub mark: String,
    pub name: String,
    pub slots: u32,
    pub queues: Arc<[Name]>,
    pub labels: Labels,
    pub ack: bool,
    pub specs: Vec<Arc<WorkerSpec>>,
}

/// A waiting poll; the host is alive as long as it lasts.
pub struct Polling(Arc<Host>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.polls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Host {
    /// Returns its id for the API.
    pub fn shown_id(&self) -> String {
        format!("host_{}_{}", self.id, self.mark)
    }

    /// Records a sign of life.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Returns how long it has been silent, in milliseconds.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        if self.polls.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed))
    }

    /// Says whether a sign of life came within a lease.
    pub fn is_alive(&self, now_ms: u64) -> bool {
        self.silent_ms(now_ms) <= self.alive_ms
    }

    /// Records that it waits for work.
    pub fn polling(self: &Arc<Self>) -> Polling {
        self.polls.fetch_add(1, Ordering::Relaxed);
        Polling(Arc::clone(self))
    }

    fn unacked(&self) -> std::sync::MutexGuard<'_, HashSet<Report>> {
        self.unacked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records tasks that were sent to it.
    pub fn sent(&self, leases: &[Report]) {
        self.unacked().extend(leases);
    }

    /// Says whether a task was sent to it and has not arrived.
    pub fn awaits_any(&self, leases: &[Report]) -> bool {
        let unacked = self.unacked();
        leases.iter().any(|lease| unacked.contains(lease))
    }

    /// Records tasks that have arrived.
    pub fn arrived<'a>(&self, leases: impl Iterator<Item = &'a Report>) {
        if !self.ack {
            return;
        }
        let mut unacked = self.unacked();
        leases.for_each(|lease| {
            unacked.remove(lease);
        });
    }

    /// Returns the tasks that have not arrived; they count as lost from now on.
    pub fn lost(&self, leases: &[Report]) -> Vec<Report> {
        let mut unacked = self.unacked();
        leases.iter().filter(|lease| unacked.remove(lease)).copied().collect()
    }
}

/// The worker hosts.
#[derive(Debug, Default)]
pub struct Hosts {
    by_id: RwLock<HashMap<u32, Arc<Host>>>,
    /// Descriptions of workers by the last host that registered them. They stay known without a connected host.
    known: RwLock<BTreeMap<(TenantId, Name), Arc<WorkerSpec>>>,
    alive_ms: AtomicU64,
}

impl Hosts {
    /// Makes an empty registry with the workers that earlier hosts described.
    pub fn new(served: Vec<HostWorkerRow>) -> Hosts {
        let known = served.into_iter().map(|row| ((row.tenant, row.spec.name.clone()), row.spec)).collect();
        Hosts { known: RwLock::new(known), ..Hosts::default() }
    }

    /// Sets the silence for which hosts that register from now on count as alive.
    pub fn set_lease(&self, lease: std::time::Duration) {
        self.alive_ms.store(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the silence for which a host counts as alive and keeps its tasks, in milliseconds.
    pub fn alive_ms(&self) -> u64 {
        self.alive_ms.load(Ordering::Relaxed)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<(TenantId, Name), Arc<WorkerSpec>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the tenant has reached its maximum of known names, with those in `more`.
    pub fn is_full(&self, tenant: TenantId, more: &[Arc<WorkerSpec>]) -> bool {
        let known = self.known();
        let fresh = more.iter().filter(|spec| !known.contains_key(&(tenant, spec.name.clone()))).count();
        fresh > 0 && known.keys().filter(|(of, _)| *of == tenant).count() + fresh > HOSTS_MAX
    }

    /// Removes a worker.
    pub fn forget(&self, tenant: TenantId, worker: &Name) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, worker.clone()));
    }

    /// Returns the id of a tenant's host for the API; `None` for one that is not known any more.
    pub fn shown_id(&self, tenant: TenantId, number: u32) -> Option<String> {
        self.all().get(&number).filter(|host| host.tenant == tenant).map(|host| host.shown_id())
    }

    fn all(&self) -> std::sync::RwLockReadGuard<'_, HashMap<u32, Arc<Host>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a host; `None` when its tenant has too many.
    pub fn register(&self, introduction: Introduction, number: u32, now_ms: u64) -> Option<Arc<Host>> {
        let Introduction { key, mark, name, slots, queues, labels, ack, specs } = introduction;
        let tenant = key.tenant;
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|_, host| host.silent_ms(now_ms) <= REMEMBERED_MS);
        if by_id.values().filter(|host| host.tenant == tenant).count() >= HOSTS_MAX {
            return None;
        }
        let host = Arc::new(Host {
            id: number,
            mark,
            tenant,
            key,
            name,
            slots,
            workers: specs.iter().map(|spec| spec.name.clone()).collect(),
            queues,
            labels: Arc::new(labels),
            ack,
            alive_ms: self.alive_ms(),
            present: AtomicBool::new(true),
            heard_ms: AtomicU64::new(now_ms),
            polls: AtomicU32::new(0),
            claimed: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unacked: Mutex::default(),
            stream: StreamSlot::default(),
        });
        by_id.insert(host.id, Arc::clone(&host));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(specs.into_iter().map(|spec| ((tenant, spec.name.clone()), spec)));
        Some(host)
    }

    /// Finds the host of that id and records a sign of life. Hosts of other keys do not exist.
    pub fn find(&self, key: &Caller, id: &str, now_ms: u64) -> Option<Arc<Host>> {
        let (number, mark) = id.strip_prefix("host_")?.split_once('_')?;
        let number: u32 = number.parse().ok()?;
        let own = |host: &&Arc<Host>| host.mark == mark && host.tenant == key.tenant && host.key.actor == key.actor;
        let host = self.all().get(&number).filter(own).cloned()?;
        host.heard(now_ms);
        Some(host)
    }

    /// Tells a host that the lease of an attempt was revoked. Called by the loop: must be quick.
    pub fn revoked(&self, id: u32, lease: Report) {
        if let Some(host) = self.all().get(&id) {
            host.stream.revoke(lease);
        }
    }

    /// Removes a host, and ends its stream.
    pub fn remove(&self, id: u32, why: StreamEnd) {
        let removed = self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(host) = removed {
            host.stream.end(why);
        }
    }

    /// Returns the hosts of a tenant, by id.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<Host>> {
        let mut hosts: Vec<Arc<Host>> = self.all().values().filter(|host| host.tenant == tenant).cloned().collect();
        hosts.sort_by_key(|host| host.id);
        hosts
    }

    /// Returns every host.
    pub fn every(&self) -> Vec<Arc<Host>> {
        self.all().values().cloned().collect()
    }

    /// Returns how many are alive.
    pub fn alive(&self, now_ms: u64) -> u64 {
        self.all().values().filter(|host| host.is_alive(now_ms)).count() as u64
    }

    /// Returns the description of a worker by the last host that registered it.
    pub fn spec(&self, tenant: TenantId, worker: &Name) -> Option<Arc<WorkerSpec>> {
        self.known().get(&(tenant, worker.clone())).cloned()
    }

    /// Returns the description of every worker that hosts of a tenant serve or served.
    pub fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        self.known().iter().filter(|((of, _), _)| *of == tenant).map(|(_, spec)| Arc::clone(spec)).collect()
    }

    /// Returns the hosts of a tenant that are alive.
    pub fn present(&self, tenant: TenantId, now_ms: u64) -> Vec<Arc<Host>> {
        let all = self.all();
        all.values().filter(|host| host.tenant == tenant && host.is_alive(now_ms)).cloned().collect()
    }
}
