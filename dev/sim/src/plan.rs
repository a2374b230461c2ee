//! What a seed decides before anything happens.

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

/// What an attempt may take when nobody says otherwise.
pub const TIMEOUT_MS: u64 = 2_000;

/// How long a remote worker may be silent. Short, so that leases run out within a seed.
pub const LEASE_MS: u64 = 3_000;

/// How often each fault happens, in a thousand of its occasions.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A server dies between two turns.
    pub crash: u32,
    /// A server dies at a commit, before it is written.
    pub crash_before: u32,
    /// A server dies at a commit, after it is written; it never hears of it.
    pub crash_after: u32,
    /// The disk is full for one commit.
    pub full: u32,
    /// A commit meets a conflict that is not there.
    pub conflict: u32,
    /// A message between a host or client and a server is lost.
    pub drop: u32,
    /// It arrives twice.
    pub duplicate: u32,
    /// It takes long.
    pub delay: u32,
    /// The answer to it is lost.
    pub deaf: u32,
    /// The wall clock jumps by an hour.
    pub jump: u32,
    /// A tick that is due is left out.
    pub late_tick: u32,
    /// A host stops for longer than its leases last.
    pub pause: u32,
    /// An attempt that was stopped reports all the same.
    pub zombie: u32,
    /// An evaluation is performed twice.
    pub evaluate_twice: u32,
}

/// How attempts end, in a thousand.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Fails with a category that may be tried again.
    pub fail: u32,
    /// Fails for good.
    pub fatal: u32,
    /// The worker dies.
    pub panic: u32,
    /// Never answers.
    pub hang: u32,
    /// Gives the task back.
    pub release: u32,
}

/// Everything a seed decides beforehand.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How the servers are set up.
    pub options: Options,
    /// Servers on the one disk.
    pub servers: usize,
    /// Worker hosts.
    pub hosts: usize,
    /// Steps of the first phase.
    pub steps: u32,
    /// The usual time between two steps.
    pub pace_ms: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// How workers behave.
    pub manners: Manners,
    /// The workers of the servers' own processes.
    pub directory: Arc<Workers>,
    /// Definitions are drawn from that many numbers, from this one on.
    pub first_flow: u64,
    /// How often clients do something, in a thousand steps.
    pub busy: u32,
}

/// The workers that servers have. `here` runs in servers alone, `mixed` there and on hosts, `remote` on hosts alone. Some ask a
/// model of a provider that takes only so many calls.
#[derive(Debug)]
pub struct Workers {
    specs: Vec<Arc<WorkerSpec>>,
    provider: Mutex<Provider>,
}

/// The provider as the process of one server knows it.
#[derive(Debug, Clone, Default)]
struct Provider {
    /// Calls that it takes in a span of that many milliseconds; none when it does not say.
    most: Option<(usize, u64)>,
    given: VecDeque<u64>,
    rights: BTreeSet<TaskId>,
}

impl Workers {
    /// The same in a process that has only just begun.
    #[must_use]
    pub fn fresh(&self) -> Workers {
        let most = self.lock().most;
        Workers { specs: self.specs.clone(), provider: Mutex::new(Provider { most, ..Provider::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Provider> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an attempt of that task may call its model, when it calls any.
    #[must_use]
    pub fn may_call(&self, task: TaskId, worker: &Name) -> bool {
        let provider = self.lock();
        let asks = self.local(TenantId::DEFAULT, worker).is_some_and(|spec| spec.model.is_some());
        !asks || provider.most.is_none() || provider.rights.contains(&task)
    }

    /// Those who have the right to a call.
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

/// The names of the workers.
pub const WORKERS: [&str; 3] = ["here", "mixed", "remote"];
/// Those that hosts have.
pub const ON_HOSTS: [&str; 2] = ["mixed", "remote"];

impl Plan {
    /// The plan of a seed.
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

/// Limits for each key are counted by one server, so several have none.
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

/// Retry rules with short waits.
pub fn retry(rng: &mut Rng) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 1 + rng.below(3) as u32,
        delay: DurationMs([0, 50, 1_000][rng.place(3)]),
        jitter: [Jitter::None, Jitter::Full, Jitter::Equal][rng.place(3)],
        ..RetryPolicy::default()
    }
}
