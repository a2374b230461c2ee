//! The worker hosts: who they are, what they serve, whether they are alive. In memory only: a host that meets a new
//! server registers again, and its leases live on in the store.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use kapelle_core::{Labels, Name, TenantId, task::Report, worker::WorkerSpec};
use kapelle_store::HostWorkerRow;

use crate::{caller::Caller, keyring::Identity};

/// How long a silent host is remembered, and with it the workers it serves.
const REMEMBERED_MS: u64 = 600_000;
/// Hosts of one tenant, and names of workers that they may have served.
const HOSTS_MAX: usize = 10_000;

/// A worker host.
#[derive(Debug)]
pub struct Host {
    pub id: u32,
    /// Random: nobody can name a host that it does not know.
    mark: String,
    pub tenant: TenantId,
    /// The key that it belongs to.
    pub key: Arc<Identity>,
    pub name: String,
    pub slots: u32,
    pub workers: Arc<[Name]>,
    pub queues: Arc<[Name]>,
    pub labels: Arc<Labels>,
    /// It acknowledges what it claims.
    pub ack: bool,
    /// How long it counts as alive without being heard of.
    alive_ms: u64,
    /// It is counted among those that are alive.
    pub present: AtomicBool,
    heard_ms: AtomicU64,
    /// Polls that wait: who waits here is alive.
    polls: AtomicU32,
    pub claimed: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    /// Claimed and not acknowledged yet.
    unacked: Mutex<HashSet<Report>>,
}

/// What a host says of itself, and the key that it comes with.
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

/// A poll that waits; the host is alive as long as it does.
pub struct Polling(Arc<Host>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.polls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Host {
    /// Its id as it travels.
    pub fn shown_id(&self) -> String {
        format!("host_{}_{}", self.id, self.mark)
    }

    /// It was heard of.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// How long it has been silent.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        if self.polls.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed))
    }

    /// Whether it was heard of within a lease.
    pub fn is_alive(&self, now_ms: u64) -> bool {
        self.silent_ms(now_ms) <= self.alive_ms
    }

    /// It waits for work.
    pub fn polling(self: &Arc<Self>) -> Polling {
        self.polls.fetch_add(1, Ordering::Relaxed);
        Polling(Arc::clone(self))
    }

    fn unacked(&self) -> std::sync::MutexGuard<'_, HashSet<Report>> {
        self.unacked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These were sent to it.
    pub fn sent(&self, leases: &[Report]) {
        self.unacked().extend(leases);
    }

    /// These have arrived.
    pub fn arrived<'a>(&self, leases: impl Iterator<Item = &'a Report>) {
        if !self.ack {
            return;
        }
        let mut unacked = self.unacked();
        leases.for_each(|lease| {
            unacked.remove(lease);
        });
    }

    /// Those that have not arrived; they count as lost from now on.
    pub fn lost(&self, leases: &[Report]) -> Vec<Report> {
        let mut unacked = self.unacked();
        leases.iter().filter(|lease| unacked.remove(lease)).copied().collect()
    }
}

/// The worker hosts.
#[derive(Debug, Default)]
pub struct Hosts {
    by_id: RwLock<HashMap<u32, Arc<Host>>>,
    /// What the last host that registered a worker said of it. It stays known while no host is there.
    known: RwLock<BTreeMap<(TenantId, Name), Arc<WorkerSpec>>>,
    alive_ms: AtomicU64,
}

impl Hosts {
    /// No hosts yet, but what earlier ones said of their workers.
    pub fn new(served: Vec<HostWorkerRow>) -> Hosts {
        let known = served.into_iter().map(|row| ((row.tenant, row.spec.name.clone()), row.spec)).collect();
        Hosts { known: RwLock::new(known), ..Hosts::default() }
    }

    /// Sets how long hosts that register from now on count as alive without being heard of.
    pub fn set_lease(&self, lease: std::time::Duration) {
        self.alive_ms.store(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long a host counts as alive without being heard of, and a task stays its own.
    pub fn alive_ms(&self) -> u64 {
        self.alive_ms.load(Ordering::Relaxed)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<(TenantId, Name), Arc<WorkerSpec>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether as many names are known of a tenant as may be, with those besides.
    pub fn is_full(&self, tenant: TenantId, more: &[Arc<WorkerSpec>]) -> bool {
        let known = self.known();
        let fresh = more.iter().filter(|spec| !known.contains_key(&(tenant, spec.name.clone()))).count();
        fresh > 0 && known.keys().filter(|(of, _)| *of == tenant).count() + fresh > HOSTS_MAX
    }

    /// A worker is not known any more.
    pub fn forget(&self, tenant: TenantId, worker: &Name) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, worker.clone()));
    }

    fn all(&self) -> std::sync::RwLockReadGuard<'_, HashMap<u32, Arc<Host>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host is known from now on; none when its tenant has too many.
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
        });
        by_id.insert(host.id, Arc::clone(&host));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(specs.into_iter().map(|spec| ((tenant, spec.name.clone()), spec)));
        Some(host)
    }

    /// The host of that id, which is heard of by that. Those of other keys do not exist.
    pub fn find(&self, key: &Caller, id: &str, now_ms: u64) -> Option<Arc<Host>> {
        let (number, mark) = id.strip_prefix("host_")?.split_once('_')?;
        let number: u32 = number.parse().ok()?;
        let own = |host: &&Arc<Host>| host.mark == mark && host.tenant == key.tenant && host.key.actor == key.actor;
        let host = self.all().get(&number).filter(own).cloned()?;
        host.heard(now_ms);
        Some(host)
    }

    /// A host is gone.
    pub fn remove(&self, id: u32) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// The hosts of a tenant, by id.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<Host>> {
        let mut hosts: Vec<Arc<Host>> = self.all().values().filter(|host| host.tenant == tenant).cloned().collect();
        hosts.sort_by_key(|host| host.id);
        hosts
    }

    /// Every host.
    pub fn every(&self) -> Vec<Arc<Host>> {
        self.all().values().cloned().collect()
    }

    /// How many are alive.
    pub fn alive(&self, now_ms: u64) -> u64 {
        self.all().values().filter(|host| host.is_alive(now_ms)).count() as u64
    }

    /// What the last host that registered a worker said of it.
    pub fn spec(&self, tenant: TenantId, worker: &Name) -> Option<Arc<WorkerSpec>> {
        self.known().get(&(tenant, worker.clone())).cloned()
    }

    /// What is known of every worker that hosts of a tenant serve or served.
    pub fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        self.known().iter().filter(|((of, _), _)| *of == tenant).map(|(_, spec)| Arc::clone(spec)).collect()
    }

    /// The hosts of a tenant that are alive.
    pub fn present(&self, tenant: TenantId, now_ms: u64) -> Vec<Arc<Host>> {
        let all = self.all();
        all.values().filter(|host| host.tenant == tenant && host.is_alive(now_ms)).cloned().collect()
    }
}
