//! Decisions of a seed before the first event.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    DurationMs, Name, TaskId, TenantId,
    limit::{KeyLimit, WhenFull},
    retry::{Jitter, RetryPolicy},
    task::Ageing,
    worker::WorkerSpec,
};
use kapelle_engine::{
    Options, QueueOptions,
    turn::{Admission, Directory},
};

use crate::rng::Rng;

/// Default timeout of an attempt.
pub const TIMEOUT_MS: u64 = 2_000;

/// Lease of a remote worker. Short, so that leases run out within a seed.
pub const LEASE_MS: u64 = 3_000;

/// Rates of faults, per thousand occasions.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A server dies between two turns.
    pub crash: u32,
    /// A server dies at a commit, before it is written.
    pub crash_before: u32,
    /// A server dies at a commit, after it is written, without learning the result.
    pub crash_after: u32,
    /// The disk is full for one commit.
    pub full: u32,
    /// A commit meets a false conflict.
    pub conflict: u32,
    /// A message between a host or client and a server is lost.
    pub drop: u32,
    /// It arrives twice.
    pub duplicate: u32,
    /// It is delayed.
    pub delay: u32,
    /// Its answer is lost.
    pub deaf: u32,
    /// The wall clock jumps by an hour.
    pub jump: u32,
    /// A due tick is skipped.
    pub late_tick: u32,
    /// A host stops for longer than its leases last.
    pub pause: u32,
    /// A stopped attempt reports nevertheless.
    pub zombie: u32,
    /// An evaluation is performed twice.
    pub evaluate_twice: u32,
}

/// Rates of the ends of attempts, per thousand.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Manners {
    /// Fails with a category that may be retried.
    pub fail: u32,
    /// Fails permanently.
    pub fatal: u32,
    pub panic: u32,
    /// Never answers.
    pub hang: u32,
    /// Releases the task.
    pub release: u32,
}

/// Decisions of a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Options of the servers.
    pub options: Options,
    /// Number of servers on the one disk.
    pub servers: usize,
    /// Number of worker hosts.
    pub hosts: usize,
    /// Number of steps of the first phase.
    pub steps: u32,
    /// Usual time between two steps, in milliseconds.
    pub pace_ms: u64,
    /// Faults.
    pub faults: Faults,
    /// Behaviour of workers.
    pub manners: Manners,
    /// Workers of the servers' own processes.
    pub directory: Arc<Workers>,
    /// First number of drawn definitions.
    pub first_flow: u64,
    /// Rate of client actions, per thousand steps.
    pub busy: u32,
}

/// Workers of the servers. `here` runs in servers alone, `mixed` there and on hosts, `remote` on hosts alone. Some call
/// a model of a provider with a rate limit.
#[derive(Debug)]
pub struct Workers {
    specs: Vec<Arc<WorkerSpec>>,
    provider: Mutex<Provider>,
}

/// A provider as the process of one server knows it.
#[derive(Debug, Clone, Default)]
struct Provider {
    /// Limit of calls in a span of that many milliseconds. `None`: not known.
    most: Option<(usize, u64)>,
    given: VecDeque<u64>,
    rights: BTreeSet<TaskId>,
}

impl Workers {
    /// Copies the workers for a process that has just begun.
    #[must_use]
    pub fn fresh(&self) -> Workers {
        let most = self.lock().most;
        Workers { specs: self.specs.clone(), provider: Mutex::new(Provider { most, ..Provider::default() }) }
    }

    /// Copies the workers for a process that knows no limits of the provider.
    #[must_use]
    pub fn without_provider(&self) -> Workers {
        Workers { specs: self.specs.clone(), provider: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Provider> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether an attempt of that task may call its model, if it calls any.
    #[must_use]
    pub fn may_call(&self, task: TaskId, worker: &Name) -> bool {
        let provider = self.lock();
        let asks = self.local(TenantId::DEFAULT, worker).is_some_and(|spec| spec.model.is_some());
        !asks || provider.most.is_none() || provider.rights.contains(&task)
    }

    /// Returns the tasks with a promised call.
    #[must_use]
    pub fn rights(&self) -> Vec<TaskId> {
        self.lock().rights.iter().copied().collect()
    }
}

impl Directory for Workers {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.specs.iter().find(|spec| spec.name == *name).cloned()
    }

    fn admit_call(&self, _model: &Name, task: TaskId, steady_ms: u64) -> Admission {
        let mut provider = self.lock();
        let Some((most, span)) = provider.most else { return Admission::Free };
        if provider.rights.contains(&task) {
            return Admission::Right;
        }
        while provider.given.front().is_some_and(|at| at + span <= steady_ms) {
            provider.given.pop_front();
        }
        if let Some(first) = provider.given.front().filter(|_| provider.given.len() >= most) {
            return Admission::Wait(DurationMs(first + span - steady_ms));
        }
        provider.given.push_back(steady_ms);
        provider.rights.insert(task);
        Admission::Right
    }

    fn end_call(&self, task: TaskId) {
        self.lock().rights.remove(&task);
    }
}

/// Names of the workers.
pub const WORKERS: [&str; 3] = ["here", "mixed", "remote"];
/// Workers that hosts have.
pub const ON_HOSTS: [&str; 2] = ["mixed", "remote"];

impl Plan {
    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Plan {
        let servers = if rng.chance(200) { 2 } else { 1 };
        let faults = if rng.chance(100) { Faults::default() } else { faults(rng) };
        Plan {
            options: options(rng),
            servers,
            hosts: rng.place(4),
            steps: 40 + rng.below(60) as u32,
            pace_ms: [20, 150, 400, 1_200][rng.place(4)],
            faults,
            manners: Manners {
                fail: rng.weight(400),
                fatal: rng.weight(100),
                panic: rng.weight(200),
                hang: rng.weight(150),
                release: rng.weight(150),
            },
            directory: Arc::new(workers(rng, servers == 1)),
            first_flow: 3 * rng.below(300),
            busy: [100, 300, 600][rng.place(3)],
        }
    }
}

fn faults(rng: &mut Rng) -> Faults {
    Faults {
        crash: rng.weight(30),
        crash_before: rng.weight(40),
        crash_after: rng.weight(40),
        full: rng.weight(60),
        conflict: rng.weight(150),
        drop: rng.weight(200),
        duplicate: rng.weight(200),
        delay: rng.weight(300),
        deaf: rng.weight(150),
        jump: rng.weight(30),
        late_tick: rng.weight(500),
        pause: rng.weight(60),
        zombie: rng.weight(500),
        evaluate_twice: rng.weight(300),
    }
}

fn options(rng: &mut Rng) -> Options {
    let slots = |rng: &mut Rng| QueueOptions::of(1 + rng.below(3) as u32);
    let queues: BTreeMap<Name, QueueOptions> =
        [(Name::new("default"), slots(rng)), (Name::new("ml"), QueueOptions::of(1))].into();
    Options {
        queues,
        other_slots: 1 + rng.below(3) as u32,
        ageing: [Ageing::OFF, Ageing::default(), Ageing(DurationMs(100))][rng.place(3)],
        default_timeout: DurationMs(TIMEOUT_MS),
        lease: DurationMs(LEASE_MS),
        window: [2, 3, 5, 64][rng.place(4)],
        key_retention: DurationMs([600_000, 7 * 86_400_000][rng.place(2)]),
        ..Options::default()
    }
}

/// Draws the workers. One server counts the limits of keys, so several servers have no such limits.
fn workers(rng: &mut Rng, alone: bool) -> Workers {
    let mut specs = Vec::new();
    for name in &WORKERS[..2] {
        let mut spec = WorkerSpec::named(name);
        spec.slots = 1 + rng.below(4) as u32;
        if rng.chance(300) {
            spec.queue = Name::new("ml");
        }
        let limit = 1 + rng.below(2) as u32;
        spec.per_key = (rng.chance(600) && alone).then_some(KeyLimit { limit, when_full: WhenFull::Queue });
        spec.retry = rng.chance(700).then(|| retry(rng));
        spec.model = rng.chance(500).then(|| Name::new("fast"));
        specs.push(Arc::new(spec));
    }
    let most = rng.chance(500).then(|| (1 + rng.place(3), 200 + rng.below(3_000)));
    Workers { specs, provider: Mutex::new(Provider { most, ..Provider::default() }) }
}

/// Draws retry rules with short waits.
pub fn retry(rng: &mut Rng) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 1 + rng.below(3) as u32,
        delay: DurationMs([0, 50, 1_000][rng.place(3)]),
        jitter: [Jitter::None, Jitter::Full, Jitter::Equal][rng.place(3)],
        ..RetryPolicy::default()
    }
}
