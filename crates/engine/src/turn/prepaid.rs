//! Prepaid amounts: money that is drawn for a payer's next calls before they are made.
//!
//! A prepaid amount is a row that is committed before its payer learns of it, and it covers one call. A payer that has
//! one sends its call at once, and the row of the call is written with its end instead of before a commit. The money of
//! a sent call is set aside in the store in every case: by its row, or by the prepaid amount.
//!
//! A prepaid amount is spent by its payer or released by the loop, whichever comes first; both try one atomic. The loop
//! releases amounts that stay unused for a while, that block another payer's call or a new limit, and those of attempts
//! that are over.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use kapelle_core::{
    Account, CallId, Money, TaskId, Timestamp,
    account::{day_of, end_of},
    task::{Lease, TaskState},
};
use kapelle_store::PrepaidRow;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
const GONE: u8 = 2;

/// Money reserved for one call of a payer.
#[derive(Debug)]
pub struct Prepaid {
    pub(super) row: PrepaidRow,
    purse: u64,
    day_ends: Timestamp,
    state: AtomicU8,
}

impl PartialEq for Prepaid {
    fn eq(&self, other: &Prepaid) -> bool {
        self.row == other.row
    }
}

impl Prepaid {
    /// Time after which an unused amount is released, in milliseconds. A payer that calls less often has no use for one.
    pub const IDLE_MS: u64 = kapelle_core::spending::IDLE_MS;

    /// Makes an amount that may be used.
    pub(super) fn free(row: PrepaidRow, purse: u64) -> Arc<Prepaid> {
        Prepaid::new(row, purse, FREE)
    }

    /// Makes an amount that is withdrawn.
    pub(super) fn gone(row: PrepaidRow) -> Arc<Prepaid> {
        Prepaid::new(row, 0, GONE)
    }

    fn new(row: PrepaidRow, purse: u64, state: u8) -> Arc<Prepaid> {
        let day_ends = end_of(day_of(row.at));
        Arc::new(Prepaid { row, purse, day_ends, state: AtomicU8::new(state) })
    }

    /// Returns the id that the call will have.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.row.id
    }

    /// Returns its purse, as in [`CallOrder::purse`].
    #[must_use]
    pub fn purse(&self) -> u64 {
        self.purse
    }

    /// Returns the accounts that it is charged to.
    #[must_use]
    pub fn payer(&self) -> &[Account] {
        &self.row.payer
    }

    /// Returns the highest cost of its call.
    #[must_use]
    pub fn amount(&self) -> Money {
        self.row.amount
    }

    /// Tells whether it can no longer be used.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.load(Ordering::Acquire) != FREE
    }

    /// Uses it for a call of at most that cost that begins now. A caller that gets true reports it by
    /// [`super::command::Spend`], whatever the result of the call.
    #[must_use]
    pub fn take(&self, worst: Money, now: Timestamp) -> bool {
        // A call belongs to the day on which it begins.
        let fits = worst <= self.row.amount && now >= self.row.at && now < self.day_ends;
        fits && self.leave_for(TAKEN)
    }

    /// Withdraws the amount. Returns false if it was already used.
    pub(super) fn give_back(&self) -> bool {
        self.leave_for(GONE)
    }

    /// Marks the amount as used: on a replay.
    pub(super) fn use_up(&self) {
        self.state.store(TAKEN, Ordering::Release);
    }

    /// Whether it is released.
    pub(super) fn is_gone(&self) -> bool {
        self.state.load(Ordering::Acquire) == GONE
    }

    /// Tells whether a task in that state makes no more calls of the attempt it was reserved for.
    pub(super) fn is_of_ended(&self, state: &TaskState) -> bool {
        let own = |lease: &Lease| self.row.attempt == 0 || lease.epoch == self.row.attempt;
        !matches!(state, TaskState::Running(lease) if own(lease))
    }

    fn leave_for(&self, state: u8) -> bool {
        self.state.compare_exchange(FREE, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The blocks that are drawn, and neither spent nor released.
#[derive(Debug, Default)]
pub(super) struct PrepaidOut {
    pub(super) out: BTreeMap<CallId, Arc<Prepaid>>,
    pub(super) of_task: HashMap<TaskId, Vec<CallId>>,
    pub(super) of_purse: HashMap<u64, Vec<CallId>>,
    /// Times of reservation on the monotonic clock, oldest first. The first one is outstanding.
    pub(super) drawn: VecDeque<(u64, CallId)>,
    /// Amounts that the current turn ends.
    ending: Vec<Arc<Prepaid>>,
    /// Amounts from before a turn that was rolled back.
    pub(super) before: BTreeMap<CallId, Arc<Prepaid>>,
}

impl PrepaidOut {
    /// Drops everything but the holders.
    pub(super) fn forget(&mut self) {
        let mut before = std::mem::take(&mut self.before);
        before.append(&mut self.out);
        before.extend(self.ending.drain(..).map(|block| (block.row.id, block)));
        *self = PrepaidOut { before, ..PrepaidOut::default() };
    }

    /// Records that the turn is stored.
    pub(super) fn committed(&mut self) {
        self.ending.clear();
    }

    /// Returns the time at which the oldest must be released, on the monotonic clock.
    pub(super) fn next(&self) -> Option<u64> {
        self.drawn.front().map(|(since, _)| since + Prepaid::IDLE_MS)
    }

    /// Returns an amount that is past its idle time at that moment of the monotonic clock.
    pub(super) fn idle(&self, steady_ms: u64) -> Option<CallId> {
        self.drawn.front().filter(|(since, _)| since + Prepaid::IDLE_MS <= steady_ms).map(|(_, id)| *id)
    }

    /// Postpones the oldest.
    pub(super) fn postpone(&mut self, steady_ms: u64) {
        if let Some((_, id)) = self.drawn.pop_front() {
            self.drawn.push_back((steady_ms, id));
        }
        self.trim();
    }

    /// Tells whether a call was sent on the amount, and its row is yet to be written.
    pub(super) fn holds(&self, call: CallId) -> bool {
        self.out.contains_key(&call)
    }

    pub(super) fn insert(&mut self, block: Arc<Prepaid>, steady_ms: u64) {
        let id = block.row.id;
        if let Some(task) = block.row.task {
            self.of_task.entry(task).or_default().push(id);
        }
        self.of_purse.entry(block.purse).or_default().push(id);
        self.drawn.push_back((steady_ms, id));
        self.out.insert(id, block);
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Arc<Prepaid>> {
        let block = self.out.remove(&id)?;
        self.ending.push(Arc::clone(&block));
        if let Some(task) = block.row.task {
            forget_in(&mut self.of_task, &task, id);
        }
        forget_in(&mut self.of_purse, &block.purse, id);
        self.trim();
        Some(block)
    }

    /// Drops the times of amounts that are no longer outstanding, up to the first that is.
    fn trim(&mut self) {
        while self.drawn.front().is_some_and(|(_, id)| !self.out.contains_key(id)) {
            self.drawn.pop_front();
        }
    }
}

fn forget_in<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Vec<CallId>>, key: &K, id: CallId) {
    let Some(ids) = index.get_mut(key) else { return };
    ids.retain(|other| *other != id);
    if ids.is_empty() {
        index.remove(key);
    }
}
