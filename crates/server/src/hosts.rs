//! The worker hosts: who they are, what they serve, whether they are alive. In memory only: a host that meets a new
//! server registers again, and its leases live on in the store.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use kapelle::{
    WorkerSpec,
    core::{Name, TenantId, task::Report},
};

/// How long a host counts as alive without being heard of.
pub const ALIVE_MS: u64 = 15_000;
/// How long a silent host is remembered, and with it the workers it serves.
pub const REMEMBERED_MS: u64 = 600_000;
/// Hosts of one tenant.
const HOSTS_MAX: usize = 10_000;

/// A worker host.
#[derive(Debug)]
pub struct Host {
    pub id: u32,
    pub tenant: TenantId,
    pub name: String,
    pub slots: u32,
    pub workers: Arc<[Name]>,
    pub queues: Arc<[Name]>,
    pub labels: BTreeMap<String, String>,
    /// It acknowledges what it claims.
    pub ack: bool,
    specs: Vec<Arc<WorkerSpec>>,
    heard_ms: AtomicU64,
    /// Polls that wait: who waits here is alive.
    polls: AtomicU32,
    pub claimed: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    /// Claimed and not acknowledged yet.
    unacked: Mutex<HashSet<Report>>,
}

/// What a host says of itself.
pub struct Introduction {
    pub tenant: TenantId,
    pub name: String,
    pub slots: u32,
    pub queues: Arc<[Name]>,
    pub labels: BTreeMap<String, String>,
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
        self.silent_ms(now_ms) <= ALIVE_MS
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
#[derive(Debug)]
pub struct Hosts {
    next: AtomicU32,
    by_id: RwLock<HashMap<u32, Arc<Host>>>,
}

impl Hosts {
    fn all(&self) -> std::sync::RwLockReadGuard<'_, HashMap<u32, Arc<Host>>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// None yet. Their numbers begin behind those that others had before a restart.
    pub fn behind(numbers: u32) -> Hosts {
        Hosts { next: AtomicU32::new(numbers), by_id: RwLock::default() }
    }

    /// A host is known from now on; none when its tenant has too many.
    pub fn register(&self, introduction: Introduction, now_ms: u64) -> Option<Arc<Host>> {
        let Introduction { tenant, name, slots, queues, labels, ack, specs } = introduction;
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|_, host| host.silent_ms(now_ms) <= REMEMBERED_MS);
        if by_id.values().filter(|host| host.tenant == tenant).count() >= HOSTS_MAX {
            return None;
        }
        let host = Arc::new(Host {
            id: self.next.fetch_add(1, Ordering::Relaxed) + 1,
            tenant,
            name,
            slots,
            workers: specs.iter().map(|spec| spec.name.clone()).collect(),
            queues,
            labels,
            ack,
            specs,
            heard_ms: AtomicU64::new(now_ms),
            polls: AtomicU32::new(0),
            claimed: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unacked: Mutex::default(),
        });
        by_id.insert(host.id, Arc::clone(&host));
        Some(host)
    }

    /// A host of a tenant, which is heard of by that.
    pub fn get(&self, tenant: TenantId, id: u32, now_ms: u64) -> Option<Arc<Host>> {
        let host = self.all().get(&id).filter(|host| host.tenant == tenant).cloned()?;
        host.heard(now_ms);
        Some(host)
    }

    /// A host is gone.
    pub fn remove(&self, tenant: TenantId, id: u32) -> bool {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let there = by_id.get(&id).is_some_and(|host| host.tenant == tenant);
        if there {
            by_id.remove(&id);
        }
        there
    }

    /// The hosts of a tenant, by id.
    pub fn of(&self, tenant: TenantId) -> Vec<Arc<Host>> {
        let mut hosts: Vec<Arc<Host>> = self.all().values().filter(|host| host.tenant == tenant).cloned().collect();
        hosts.sort_by_key(|host| host.id);
        hosts
    }

    /// How many are alive.
    pub fn alive(&self, now_ms: u64) -> u64 {
        self.all().values().filter(|host| host.is_alive(now_ms)).count() as u64
    }

    /// What the newest host that serves a worker said of it.
    pub fn spec(&self, tenant: TenantId, worker: &Name) -> Option<Arc<WorkerSpec>> {
        let by_id = self.all();
        let serving = by_id.values().filter(|host| host.tenant == tenant && host.workers.contains(worker));
        let newest = serving.max_by_key(|host| host.id)?;
        newest.specs.iter().find(|spec| spec.name == *worker).cloned()
    }

    /// What is known of every worker that hosts of a tenant serve.
    pub fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        let mut specs: BTreeMap<Name, Arc<WorkerSpec>> = BTreeMap::new();
        for host in self.of(tenant) {
            specs.extend(host.specs.iter().map(|spec| (spec.name.clone(), Arc::clone(spec))));
        }
        specs.into_values().collect()
    }

    /// What is known of every worker that any host serves.
    pub fn serving(&self) -> Vec<(TenantId, Arc<WorkerSpec>)> {
        let mut hosts: Vec<Arc<Host>> = self.all().values().cloned().collect();
        hosts.sort_by_key(|host| host.id);
        hosts.iter().flat_map(|host| host.specs.iter().map(|spec| (host.tenant, Arc::clone(spec)))).collect()
    }

    /// Whether a host that is alive takes the tasks of a worker in a queue.
    pub fn serve(&self, tenant: TenantId, worker: &Name, queue: &Name, now_ms: u64) -> bool {
        let takes = |host: &Arc<Host>| {
            host.tenant == tenant
                && host.workers.contains(worker)
                && (host.queues.is_empty() || host.queues.contains(queue))
        };
        self.all().values().any(|host| takes(host) && host.is_alive(now_ms))
    }
}
