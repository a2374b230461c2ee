//! The loop's state, and one turn of it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicBool},
};

use kapelle_core::{
    Name, RunId, TaskId, TenantId, Timestamp,
    definition::Definition,
    task::{Task, TaskState},
};
use kapelle_store::{Act, AuditRow, Store, StoreError};

use super::{
    cache::Cache,
    command::{Input, Reply, Taken, Ticket},
    directory::Directory,
    effect::Effect,
    host_workers::HostWorkers,
    key_limits::Freed,
    lanes::Lanes,
    leases::RemoteLease,
    ledger::Ledger,
    limits::Limits,
    rate_admission::RateAdmission,
    retry_budget::WorkerRetries,
    watchdog::{Place, Sent},
};
use crate::{error::EngineError, id_map::IdMap, options::Options};

/// No turn makes, cancels or skips more steps of one run than this: a run of a hundred thousand steps shares the loop.
pub const CHILDREN_MAX: usize = 512;

/// So many conflicts in a row mean that the two sides do not make progress.
const CONFLICTS_MAX: u32 = 1_000;

/// The loop's state.
pub struct LoopState {
    pub(super) store: Box<dyn Store>,
    pub(super) cache: Cache,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    pub(super) limits: Limits,
    pub(super) rate_admission: RateAdmission,
    pub(super) options: Options,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) random: Box<dyn FnMut() -> u64 + Send>,
    /// Definitions that runs in memory stay on, by the key of their version.
    pub(super) definitions: HashMap<i64, Arc<Definition>>,
    /// Remote attempts by their task.
    pub(super) leases: IdMap<TaskId, RemoteLease>,
    /// What worker hosts said of their workers.
    pub(super) host_workers: HostWorkers,
    /// The newest number of what the session log has to write, once it was looked up.
    pub(super) session_last: Option<u64>,
    pub(super) next_due: Option<Timestamp>,
    pub(super) left_taken: Taken,
    /// Runs that go on after a pause, some of whose steps may still be held.
    pub(super) lifting: BTreeSet<RunId>,
    /// Workers that fail, and how many retries they get.
    pub(super) retry_budgets: HashMap<(TenantId, Name), WorkerRetries>,
    /// What limits count and what is paused has been read from the store.
    primed: bool,
    pub(super) scratch: Scratch,
    pub(super) watched: Arc<AtomicBool>,
    pub(super) leases_watched: Arc<AtomicBool>,
    /// What of runs is being evaluated on the pool.
    pub(super) evaluating: Sent,
    /// Nothing new starts here.
    pub(super) draining: bool,
    broken: bool,
}

/// What one turn gathers.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) now: Timestamp,
    pub(super) steady_ms: u64,
    pub(super) effects: Vec<Effect>,
    /// Runs to be looked at before the turn ends.
    pub(super) touched: BTreeSet<RunId>,
    /// Runs that were looked at.
    pub(super) advanced: BTreeSet<RunId>,
    /// What of runs is evaluated on the pool from this turn on, and what came back from there.
    pub(super) sent: Sent,
    pub(super) back: Vec<(RunId, Place)>,
    /// Runs that have more to do than one turn may.
    pub(super) more: BTreeSet<RunId>,
    /// More tasks are due than one turn takes.
    pub(super) more_due: bool,
    pub(super) due_changed: bool,
    /// Rows that were read from the store, which most often need not stay in memory.
    pub(super) loaded: Vec<TaskId>,
    /// Runs that were read from the store.
    pub(super) loaded_runs: Vec<RunId>,
    /// Steps that were held because their runs are paused.
    pub(super) paused: usize,
    /// Something in memory was found to be behind the store.
    pub(super) stale: bool,
    /// Places of keys that may have become free.
    pub(super) freed: Vec<Freed>,
    /// Keys of which more tasks are to be lifted than one turn may.
    pub(super) unlifted: Vec<Freed>,
    /// Tasks that were held for their key.
    pub(super) held: Vec<TaskId>,
    /// More tasks are to be held than one turn may.
    pub(super) more_held: bool,
    /// Every key under which tasks are held is to be looked at.
    pub(super) sweep: bool,
    /// What the session log is to be told besides ended tasks.
    pub(super) notes: Vec<Arc<str>>,
}

/// What came of a turn.
#[derive(Debug, Default)]
pub struct Turned {
    /// The replies.
    pub replies: Vec<(Ticket, Result<Reply, EngineError>)>,
    /// What has to happen outside.
    pub effects: Vec<Effect>,
    /// There is more to do: turn again, with or without commands.
    pub more: bool,
    /// The store failed for good: nothing further can be committed.
    pub broken: bool,
}

impl LoopState {
    /// A loop over a store. [`LoopState::recover`] comes first.
    #[must_use]
    pub fn new(
        store: Box<dyn Store>,
        options: Options,
        directory: Arc<dyn Directory>,
        random: Box<dyn FnMut() -> u64 + Send>,
    ) -> LoopState {
        LoopState {
            store,
            cache: Cache::default(),
            ledger: Ledger::default(),
            lanes: Lanes::new(options.window),
            limits: Limits::new(&options),
            rate_admission: RateAdmission::default(),
            options,
            directory,
            random,
            definitions: HashMap::new(),
            leases: IdMap::default(),
            host_workers: HostWorkers::default(),
            session_last: None,
            next_due: None,
            left_taken: Taken::Unknown,
            lifting: BTreeSet::new(),
            retry_budgets: HashMap::new(),
            primed: false,
            scratch: Scratch::default(),
            watched: Arc::default(),
            leases_watched: Arc::default(),
            evaluating: Sent::default(),
            draining: false,
            broken: false,
        }
    }

    /// One turn: decides the commands, follows up, commits, and only then answers.
    pub fn turn(&mut self, inputs: &[Input], now: Timestamp, steady_ms: u64) -> Turned {
        let unfinished = std::mem::take(&mut self.scratch.more);
        let due_before = std::mem::take(&mut self.scratch.more_due);
        let unlifted = std::mem::take(&mut self.scratch.unlifted);
        for tried in 0..CONFLICTS_MAX {
            if self.broken {
                break;
            }
            let (touched, freed) = (unfinished.clone(), unlifted.clone());
            self.scratch = Scratch { now, steady_ms, touched, freed, ..Scratch::default() };
            match self.attempt(inputs, due_before, tried > 0) {
                Ok(Some(turned)) => return turned,
                Ok(None) => self.forget(),
                Err(error) => {
                    self.forget();
                    self.scratch = Scratch { more: unfinished, unlifted, ..Scratch::default() };
                    self.broken = !error.is_temporary();
                    return self.failed(inputs, &EngineError::from(error));
                }
            }
        }
        self.failed(inputs, &EngineError::Stopped)
    }

    /// Everything of a turn up to its commit; none when it met a conflict. `fresh` says that nothing was in memory
    /// before.
    fn attempt(&mut self, inputs: &[Input], due: bool, fresh: bool) -> Result<Option<Turned>, StoreError> {
        let mut replies = Vec::with_capacity(inputs.len());
        self.prime()?;
        if due {
            self.wake_due()?;
        }
        for input in inputs {
            replies.push((input.ticket, self.apply(&input.command)?));
        }
        self.lift_retries()?;
        self.roll_day();
        self.end_waits();
        if std::mem::take(&mut self.scratch.sweep) {
            self.sweep_keys()?;
        }
        // Who starts may push another out, which ends a step or makes place for the next of its key.
        loop {
            self.advance_runs()?;
            self.lift_keys()?;
            self.lift_parked()?;
            self.fill_slots()?;
            if self.scratch.touched.is_empty() && self.scratch.freed.is_empty() && !self.end_stuck()? {
                break;
            }
        }
        if (self.scratch.stale && !fresh) || !self.commit()? {
            return Ok(None);
        }
        self.keep_evaluations();
        let scratch = &mut self.scratch;
        let more = !scratch.more.is_empty() || scratch.more_due || scratch.more_held || !scratch.unlifted.is_empty();
        Ok(Some(Turned { replies, effects: std::mem::take(&mut scratch.effects), more, broken: false }))
    }

    /// Adds an act to the trail.
    pub(super) fn write_down(&mut self, act: &Act) -> Result<(), StoreError> {
        let head = match self.cache.audit.last() {
            Some(last) => Some(last.head()),
            None => self.store.audit_head()?,
        };
        self.cache.audit.push(AuditRow::after(head, self.scratch.now, act.clone()));
        Ok(())
    }

    fn failed(&self, inputs: &[Input], error: &EngineError) -> Turned {
        let replies = inputs.iter().map(|input| (input.ticket, Err(error.clone()))).collect();
        Turned { replies, broken: self.broken, ..Turned::default() }
    }

    /// Drops what the turn did in memory: what is stored is the truth.
    fn forget(&mut self) {
        self.cache.forget();
        self.ledger.forget();
        self.lanes.forget();
        self.limits.forget();
        self.forget_rights();
        self.session_last = None;
        self.primed = false;
        if let Ok(lanes) = self.store.lanes() {
            for lane in &lanes {
                self.lanes.stored(lane);
            }
        }
        self.next_due = self.store.next_due().ok().flatten();
    }

    /// Reads, before the first turn and after one that was forgotten, what is paused, which remote attempts count for their key, and what is held.
    fn prime(&mut self) -> Result<(), StoreError> {
        if self.primed {
            return Ok(());
        }
        self.prime_ledger()?;
        self.clear_gone()?;
        let gates = self.store.gates()?;
        self.limits.gates(&gates);
        self.prime_host_workers()?;
        let mut after = TaskId(0);
        loop {
            let running = self.store.running(after, CHILDREN_MAX as u32)?;
            let Some(last) = running.last() else { break };
            after = last.id;
            let remote = |task: &&Task| matches!(task.state, TaskState::Running(lease) if lease.host != 0);
            running.iter().filter(remote).for_each(|task| self.limits.take(task, task.epoch, false));
        }
        self.prime_retry_budgets(self.scratch.now)?;
        self.sweep_keys()?;
        self.primed = true;
        Ok(())
    }

    /// When something must next happen by itself, on the wall clock.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        [self.next_due, self.next_retry_lift(), self.ledger.day_ends].into_iter().flatten().min()
    }

    /// When something must next happen by itself, on the steady clock: a remote lease ends, a provider that was at its
    /// rate is asked again, or a block is given back.
    #[must_use]
    pub fn next_steady(&self) -> Option<u64> {
        let lease = self.leases.values().map(|lease| lease.end).min();
        [lease, self.rate_admission.next(), self.ledger.prepaid.next()].into_iter().flatten().min()
    }

    /// Starts nothing new in this process from now on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no task runs in this process.
    #[must_use]
    pub fn idle_here(&self) -> bool {
        self.limits.idle()
    }
}
