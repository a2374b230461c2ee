//! The prepaid amounts that payers hold for their next calls.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{Money, Timestamp};
use kapelle_engine::Prepaid;
use kapelle_gateway::money::Payer;

/// Interval between a payer's calls below which money is prepaid for it, in milliseconds: the amount is still there
/// then.
const RECENT_MS: u64 = Prepaid::IDLE_MS;
/// Number of payers above which idle ones are forgotten.
const PAYERS: usize = 1_024;

/// The prepaid blocks of all payers.
#[derive(Default)]
pub(crate) struct PrepaidPool(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    pool: HashMap<Payer, Purse>,
    payers: HashMap<u64, Payer>,
    next: u64,
    most: usize,
}

struct Purse {
    number: u64,
    blocks: VecDeque<Arc<Prepaid>>,
    /// Time of the payer's last call, on the monotonic clock.
    seen: u64,
}

/// The way in which a payer's call begins.
pub(crate) enum Found {
    /// On a prepaid amount, which is used.
    Prepaid(Arc<Prepaid>),
    /// With a request to the loop, which also prepays for that purse, when one is named.
    Ask(Option<u64>),
}

impl PrepaidPool {
    /// Begins a call that may cost `worst`.
    pub(crate) fn find(&self, payer: &Payer, worst: Money, now: Timestamp, steady_ms: u64) -> Found {
        let mut inner = self.lock();
        if let Some(purse) = inner.pool.get_mut(payer) {
            let recent = steady_ms.saturating_sub(purse.seen) <= RECENT_MS;
            purse.seen = steady_ms;
            let taken = purse.blocks.iter().position(|block| block.take(worst, now));
            let block = taken.and_then(|at| purse.blocks.remove(at));
            purse.blocks.retain(|block| !block.is_over());
            return block.map_or(Found::Ask(recent.then_some(purse.number)), Found::Prepaid);
        }
        inner.make_room(steady_ms);
        let number = inner.next;
        inner.next += 1;
        inner.payers.insert(number, payer.clone());
        inner.pool.insert(payer.clone(), Purse { number, blocks: VecDeque::new(), seen: steady_ms });
        Found::Ask(None)
    }

    /// Adds a new prepaid amount. One whose payer is no longer known is released in time.
    pub(crate) fn drawn(&self, block: &Arc<Prepaid>) {
        let mut inner = self.lock();
        let Inner { pool, payers, .. } = &mut *inner;
        if let Some(purse) = payers.get(&block.purse()).and_then(|payer| pool.get_mut(payer)) {
            purse.blocks.push_back(Arc::clone(block));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn make_room(&mut self, steady_ms: u64) {
        if self.pool.len() < self.most.max(PAYERS) {
            return;
        }
        self.pool.retain(|_, purse| steady_ms.saturating_sub(purse.seen) <= RECENT_MS);
        let pool = &self.pool;
        self.payers.retain(|_, payer| pool.contains_key(payer));
        // However many call at once, each looks at the others a bounded number of times.
        self.most = self.pool.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use kapelle_core::{Account, TenantId};

    use super::*;

    fn payer(name: &str) -> Payer {
        Payer::of(TenantId(1), vec![Account::Key(name.to_owned())])
    }

    /// Returns the purse for which a call has money prepaid.
    fn asked(pool: &PrepaidPool, payer: &Payer, steady_ms: u64) -> Option<u64> {
        match pool.find(payer, Money(1), Timestamp(0), steady_ms) {
            Found::Ask(purse) => purse,
            Found::Prepaid(_) => panic!("nobody has drawn one"),
        }
    }

    #[test]
    fn blocks_are_drawn_for_whoever_calls_again_soon() {
        let pool = PrepaidPool::default();
        let (one, other) = (payer("one"), payer("other"));
        assert_eq!(asked(&pool, &one, 0), None, "it may be the only call");
        assert_eq!(asked(&pool, &other, 0), None);
        assert_eq!(asked(&pool, &one, RECENT_MS), Some(0));
        assert_eq!(asked(&pool, &other, RECENT_MS + 1), None);
        assert_eq!(asked(&pool, &other, RECENT_MS + 2), Some(1));
    }

    #[test]
    fn purses_of_those_who_call_no_more_are_let_go() {
        let pool = PrepaidPool::default();
        for number in 0..10_000 {
            asked(&pool, &payer(&format!("key_{number}")), number * RECENT_MS / 100);
        }
        let inner = pool.lock();
        assert!(inner.pool.len() <= PAYERS, "{}", inner.pool.len());
        assert_eq!(inner.pool.len(), inner.payers.len());
    }
}
