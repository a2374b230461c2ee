//! The loop's state: its parts, and their life cycle.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicBool},
};

use kapelle_core::{RunId, TaskId, Timestamp, subscription::Occurrence};
use kapelle_store::{Store, StoreError};

use super::{
    claim,
    claim_filter::ClaimFilter,
    command::Taken,
    commit,
    definitions::Definitions,
    directory::Directory,
    host_workers::HostWorkers,
    key_limits::{self, Freed},
    lanes::Lanes,
    leases::RemoteLeases,
    ledger::Ledger,
    limits::Limits,
    notice::NoticeFlags,
    outside::{Learnt, Outside},
    part::{Due, Part, Undo},
    rate_admission::RateAdmission,
    recover::Recovered,
    retry_budget::RetryBudgets,
    rows::Rows,
    schedules::Schedules,
    session::SessionNumbers,
    subscriptions::Subscriptions,
    timers::Timers,
    watchdog::Evaluations,
    worker_rates::{RateWaits, WorkerRates},
};
use crate::options::Options;

/// Limit of steps of one run that a turn makes, cancels or skips: a run of a hundred thousand steps shares the loop.
pub const CHILDREN_MAX: usize = 512;

/// The loop's state: the rows, and parts that own what else is in memory. Each part is named by its noun and lives as
/// [`Part`] says; the rest is the turn's own ([`Scratch`]) and gone with it.
pub struct LoopState {
    pub(crate) rows: Rows,
    pub(super) ledger: Ledger,
    /// Limits, running tasks and pauses.
    pub(super) limits: Limits,
    pub(super) host_workers: HostWorkers,
    pub(super) lanes: Lanes,
    pub(super) leases: RemoteLeases,
    pub(super) retry_budgets: RetryBudgets,
    pub(super) rate_admission: RateAdmission,
    pub(super) worker_rates: WorkerRates,
    pub(super) definitions: Definitions,
    pub(super) evaluations: Evaluations,
    pub(super) session: SessionNumbers,
    pub(super) timers: Timers,
    pub(super) schedules: Schedules,
    pub(super) subscriptions: Subscriptions,
    /// Resumed runs of which steps may still be held.
    pub(super) pauses: Undo<BTreeSet<RunId>>,
    pub(super) scratch: Scratch,
    /// Whether the parts have read their data.
    primed: bool,
    /// Whether no new task starts here.
    pub(super) draining: bool,
    pub(super) broken: bool,
    pub(crate) recovered: Recovered,
}

/// Data that one turn collects besides rows and effects.
#[derive(Default)]
pub(super) struct Scratch {
    /// Runs to be advanced before the turn ends.
    pub(super) touched: BTreeSet<RunId>,
    /// Runs that were advanced.
    pub(super) advanced: BTreeSet<RunId>,
    /// Runs with more work than one turn may do.
    pub(super) more: BTreeSet<RunId>,
    /// Whether more tasks are due than one turn takes.
    pub(super) more_due: bool,
    /// Number of steps held because their runs are paused.
    pub(super) paused: usize,
    /// Whether the memory was found to be older than the store.
    pub(super) stale: bool,
    /// Keys of which places may have become free.
    pub(super) freed: Vec<Freed>,
    /// Keys of which more tasks are to be lifted than one turn may.
    pub(super) unlifted: Vec<Freed>,
    /// Tasks that were held for their key.
    pub(super) held: Vec<TaskId>,
    /// Whether more tasks are to be held than one turn may.
    pub(super) more_held: bool,
    /// Whether every key with held tasks is to be checked.
    pub(super) sweep: bool,
    /// Events that are no change of a row.
    pub(super) told: Vec<Arc<Occurrence>>,
    /// Notes for the session log besides ended tasks.
    pub(super) notes: Vec<Arc<str>>,
}

impl Part for Undo<BTreeSet<RunId>> {
    fn forget(&mut self, _rows: &mut Rows) {
        Undo::forget(self);
    }

    fn committed(&mut self) {
        Undo::committed(self);
    }
}

impl LoopState {
    /// Makes a loop over a store. [`LoopState::recover`] comes first.
    #[must_use]
    pub fn new(
        store: Box<dyn Store>,
        options: Options,
        directory: Arc<dyn Directory>,
        random: Box<dyn FnMut() -> u64 + Send>,
    ) -> LoopState {
        LoopState {
            ledger: Ledger::default(),
            limits: Limits::new(&options),
            host_workers: HostWorkers::default(),
            lanes: Lanes::new(options.window),
            leases: RemoteLeases::default(),
            retry_budgets: RetryBudgets::default(),
            rate_admission: RateAdmission::default(),
            worker_rates: WorkerRates::default(),
            definitions: Definitions::default(),
            evaluations: Evaluations::default(),
            session: SessionNumbers::default(),
            timers: Timers::default(),
            schedules: Schedules::default(),
            subscriptions: Subscriptions::default(),
            pauses: Undo::default(),
            rows: Rows::new(store, options, directory, random),
            scratch: Scratch::default(),
            primed: false,
            draining: false,
            broken: false,
            recovered: Recovered::default(),
        }
    }

    /// Returns the parts in the order in which they are called, and the rows.
    fn parts(&mut self) -> ([&mut dyn Part; 15], &mut Rows) {
        let parts: [&mut dyn Part; 15] = [
            &mut self.ledger,
            &mut self.lanes,
            &mut self.limits,
            &mut self.host_workers,
            &mut self.leases,
            &mut self.retry_budgets,
            &mut self.rate_admission,
            &mut self.worker_rates,
            &mut self.definitions,
            &mut self.evaluations,
            &mut self.session,
            &mut self.timers,
            &mut self.schedules,
            &mut self.subscriptions,
            &mut self.pauses,
        ];
        (parts, &mut self.rows)
    }

    /// Lets every part read its data: before the first turn, and after a rollback.
    pub(super) fn prime(&mut self) -> Result<(), StoreError> {
        if self.primed {
            return Ok(());
        }
        let (parts, rows) = self.parts();
        parts.into_iter().try_for_each(|part| part.prime(rows))?;
        self.ledger.clear_gone(&mut self.rows)?;
        key_limits::sweep_keys(self)?;
        self.primed = true;
        Ok(())
    }

    /// Rolls back the turn's changes in memory: the store is the truth.
    pub(super) fn forget(&mut self) {
        self.rows.forget();
        let (parts, rows) = self.parts();
        parts.into_iter().for_each(|part| part.forget(rows));
        self.primed = false;
    }

    /// Lets every part keep the changes of the turn: it is stored.
    pub(super) fn committed(&mut self) {
        let (parts, _) = self.parts();
        parts.into_iter().for_each(|part| part.committed());
    }

    fn due(&self) -> Due {
        let parts: [&dyn Part; 6] =
            [&self.timers, &self.schedules, &self.retry_budgets, &self.ledger, &self.leases, &self.rate_admission];
        parts.into_iter().fold(Due::default(), |due, part| due.or(part.next_due()))
    }

    /// Returns the next time at which something happens by itself, on the wall clock.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due().wall
    }

    /// Returns the time of the next event without a command, on the monotonic clock: a remote lease ends, a provider that
    /// was at its rate limit is asked again, or a prepaid amount is released.
    #[must_use]
    pub fn next_steady(&self) -> Option<u64> {
        self.due().steady
    }

    /// Sets the calls that the former process had sent on its prepaid amounts. Must be called before
    /// [`LoopState::recover`]; otherwise each amount is charged.
    pub fn taken(&mut self, taken: Taken) {
        self.ledger.left_taken = taken;
    }

    /// Records the answers from outside. Besides them, a turn depends on the rows, its commands, the clocks and the
    /// random numbers.
    pub fn record_outside(&mut self) {
        self.rows.outside = Outside::Recorded(Vec::new());
    }

    /// Gives the next turn, or the recovery, recorded answers instead of asking.
    pub fn replay_outside(&mut self, learnt: Vec<Learnt>) {
        self.rows.outside = Outside::Replayed(learnt.into(), false);
    }

    /// Tells whether the replayed turn asked other questions than were recorded.
    #[must_use]
    pub fn outside_differs(&self) -> bool {
        self.rows.outside.differs()
    }

    /// Stops new starts in this process.
    pub fn drain(&mut self) {
        self.draining = true;
        self.schedules.stopped = true;
    }

    /// Tells whether no task runs in this process.
    #[must_use]
    pub fn idle_here(&self) -> bool {
        self.limits.idle()
    }

    /// Releases every prepaid amount that is not taken: the end.
    pub(crate) fn give_back_all(&mut self) -> Result<(), StoreError> {
        if self.ledger.give_back_all(&mut self.rows)? {
            commit::commit(self)?;
        }
        Ok(())
    }

    /// Prepares the store for the end.
    pub(crate) fn close(&mut self) {
        self.rows.store.close();
    }

    /// Counts the ready tasks that a worker host could get, at most `most`. `taken` counts, by lane, the tasks that
    /// others were promised before it.
    pub(crate) fn on_offer(&self, wanted: &ClaimFilter, most: u32, taken: &mut HashMap<usize, usize>) -> usize {
        claim::on_offer(self, wanted, most, taken)
    }

    /// Returns the flag that turns [`super::Effect::Notify`] on: events without watchers cost nothing.
    #[must_use]
    pub fn watch_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.rows.watched)
    }

    /// Returns the flags that turn notices of leases and of changed rows on.
    #[must_use]
    pub fn notice_flags(&self) -> NoticeFlags {
        self.rows.flags.clone()
    }

    /// Returns the waits of workers at their rate.
    #[must_use]
    pub fn rate_waits(&self) -> RateWaits {
        self.worker_rates.waits.clone()
    }

    /// Counts the ready tasks in memory.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.lanes.in_memory()
    }

    /// Counts the lanes in memory.
    #[must_use]
    pub fn lanes_len(&self) -> usize {
        self.lanes.len()
    }

    /// Counts the definitions in memory.
    #[must_use]
    pub fn definitions_len(&self) -> usize {
        self.definitions.len()
    }
}
