//! A ledger in memory: for tests, and for a gateway without a store, whose spending need not be remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    Money, TenantId,
    budget::{Budget, DoesNotFit},
};
use tokio::sync::watch;

use super::{Account, Ledger, NoMoney, Order, Outcome, Payer, Pending, ReservationId, Settlement};

/// Totals of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Amount paid, unknown costs included.
    pub spent: Money,
    /// Amount reserved for calls in flight.
    pub reserved: Money,
    /// Part of the amount paid that was charged at its reservation because the cost is not known.
    pub unknown: Money,
    /// Provider calls made.
    pub calls: u64,
}

/// Ledger in memory. It loses everything with the process, so it keeps all promises but durability.
pub struct MemoryLedger {
    book: Mutex<Book>,
    settled: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    accounts: HashMap<(TenantId, Account), Entry>,
    open: HashMap<ReservationId, (Payer, Money)>,
    next: u64,
}

struct Entry {
    budget: Budget,
    unknown: Money,
    calls: u64,
    call_limit: Option<u64>,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry { budget: Budget::of(Money(u64::MAX)), unknown: Money::ZERO, calls: 0, call_limit: None }
    }
}

/// Result of one attempt to reserve.
enum Try {
    Reserved(ReservationId),
    Later,
    Never(NoMoney),
}

impl Default for MemoryLedger {
    fn default() -> MemoryLedger {
        MemoryLedger { book: Mutex::default(), settled: watch::Sender::new(0) }
    }
}

impl MemoryLedger {
    /// Sets or raises the spending limit of an account.
    pub fn limit(&self, tenant: TenantId, account: Account, limit: Money) {
        self.lock().accounts.entry((tenant, account)).or_default().budget.limit = limit;
        self.settled.send_modify(|count| *count += 1);
    }

    /// Sets the limit of provider calls of an account.
    pub fn limit_calls(&self, tenant: TenantId, account: Account, limit: u64) {
        self.lock().accounts.entry((tenant, account)).or_default().call_limit = Some(limit);
    }

    /// Returns the totals of an account.
    #[must_use]
    pub fn standing(&self, tenant: TenantId, account: &Account) -> Standing {
        let book = self.lock();
        let of = |entry: &Entry| Standing {
            spent: entry.budget.spent,
            reserved: entry.budget.reserved,
            unknown: entry.unknown,
            calls: entry.calls,
        };
        book.accounts.get(&(tenant, account.clone())).map(of).unwrap_or_default()
    }

    /// Sets the spending of every account [`Account::Day`] to zero, as a new day does.
    pub fn roll_day(&self) {
        for ((_, account), entry) in &mut self.lock().accounts {
            if *account == Account::Day {
                entry.budget.spent = Money::ZERO;
            }
        }
        self.settled.send_modify(|count| *count += 1);
    }

    /// Recovers as a ledger does after a crash: open reservations are charged as unknown.
    pub fn recover(&self) {
        let open: Vec<ReservationId> = self.lock().open.keys().copied().collect();
        for reservation in open {
            self.settle(reservation, Outcome::Unknown.into());
        }
    }

    fn attempt(&self, payer: &Payer, worst: Money) -> Try {
        let mut book = self.lock();
        let key = |account: &Account| (payer.tenant, account.clone());
        let mut later = false;
        // All accounts are checked before any is written: a reservation is never partial.
        for account in &payer.accounts {
            let entry = book.accounts.entry(key(account)).or_default();
            if let Some(limit) = entry.call_limit.filter(|&limit| entry.calls >= limit) {
                return Try::Never(NoMoney::Calls { account: account.shown(), limit });
            }
            match { entry.budget }.reserve(worst) {
                Ok(()) => {}
                Err(DoesNotFit::Later(_)) => later = true,
                Err(DoesNotFit::Never { needs, left }) => {
                    return Try::Never(NoMoney::Spent { account: account.shown(), needs, left });
                }
            }
        }
        if later {
            return Try::Later;
        }
        for account in &payer.accounts {
            let entry = book.accounts.entry(key(account)).or_default();
            // Checked above, under the same lock.
            let _ = entry.budget.reserve(worst);
            entry.calls += 1;
        }
        let id = ReservationId(book.next);
        book.next += 1;
        book.open.insert(id, (payer.clone(), worst));
        Try::Reserved(id)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    fn reserve<'a>(&'a self, payer: &'a Payer, order: Order) -> Pending<'a, Result<ReservationId, NoMoney>> {
        Box::pin(async move {
            let mut settled = self.settled.subscribe();
            loop {
                settled.mark_unchanged();
                match self.attempt(payer, order.worst) {
                    Try::Reserved(id) => return Ok(id),
                    Try::Never(why) => return Err(why),
                    // The sender lives as long as this ledger, so that waiting cannot fail.
                    Try::Later => drop(settled.changed().await),
                }
            }
        })
    }

    fn limit(&self, tenant: TenantId, account: &Account, limit: Money) {
        MemoryLedger::limit(self, tenant, account.clone(), limit);
    }

    fn settle(&self, reservation: ReservationId, settlement: Settlement) {
        let outcome = settlement.outcome;
        {
            let mut book = self.lock();
            let Some((payer, worst)) = book.open.remove(&reservation) else { return };
            let cost = match outcome {
                Outcome::Free => Money::ZERO,
                Outcome::Cost(cost) => cost,
                Outcome::Unknown => worst,
            };
            for account in payer.accounts {
                let Some(entry) = book.accounts.get_mut(&(payer.tenant, account)) else { continue };
                entry.budget.settle(worst, cost);
                if outcome == Outcome::Unknown {
                    entry.unknown = Money(entry.unknown.0.saturating_add(worst.0));
                }
            }
        }
        self.settled.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use kapelle_core::TaskId;
    use proptest::prelude::*;

    use super::*;

    const TENANT: TenantId = TenantId(1);

    fn payer(task: i64) -> Payer {
        Payer::of(TENANT, vec![Account::Task(TaskId(task)), Account::Tenant, Account::Day])
    }

    /// Returns the result if it is there at once.
    fn now<T>(mut pending: Pending<'_, T>) -> Option<T> {
        match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_call_is_reserved_everywhere_or_nowhere() {
        let ledger = MemoryLedger::default();
        ledger.limit(TENANT, Account::Day, Money(100));
        let first = now(ledger.reserve(&payer(1), Order::of(Money(80)))).unwrap().unwrap();
        assert!(now(ledger.reserve(&payer(2), Order::of(Money(30)))).is_none(), "it waits for the first to settle");
        assert_eq!(ledger.standing(TENANT, &Account::Task(TaskId(2))), Standing::default());
        ledger.settle(first, Outcome::Cost(Money(75)).into());
        let refused = now(ledger.reserve(&payer(2), Order::of(Money(30)))).unwrap().unwrap_err();
        assert_eq!(refused, NoMoney::Spent { account: "this day".to_owned(), needs: Money(30), left: Money(25) });
        ledger.roll_day();
        assert!(now(ledger.reserve(&payer(2), Order::of(Money(30)))).unwrap().is_ok());
        assert_eq!(ledger.standing(TENANT, &Account::Tenant).calls, 2);
    }

    #[test]
    fn calls_are_counted_and_capped() {
        let ledger = MemoryLedger::default();
        ledger.limit_calls(TENANT, Account::Task(TaskId(1)), 2);
        for _ in 0..2 {
            let id = now(ledger.reserve(&payer(1), Order::of(Money(1)))).unwrap().unwrap();
            ledger.settle(id, Outcome::Free.into());
        }
        assert!(matches!(
            now(ledger.reserve(&payer(1), Order::of(Money(1)))),
            Some(Err(NoMoney::Calls { limit: 2, .. }))
        ));
    }

    #[test]
    fn a_crash_charges_what_was_open_and_a_second_settlement_changes_nothing() {
        let ledger = MemoryLedger::default();
        let id = now(ledger.reserve(&payer(1), Order::of(Money(40)))).unwrap().unwrap();
        ledger.recover();
        ledger.settle(id, Outcome::Cost(Money(1)).into());
        let want = Standing { spent: Money(40), reserved: Money(0), unknown: Money(40), calls: 1 };
        assert_eq!(ledger.standing(TENANT, &Account::Tenant), want);
    }

    proptest! {
        /// Random calls, ends and crashes: never over the limit, and every sum is the sum of its calls.
        #[test]
        fn spend_never_passes_a_limit_and_sums_agree(
            limit in 0u64..2_000,
            calls in prop::collection::vec((0i64..4, 0u64..300, 0u8..5, 0u64..101), 0..80),
        ) {
            let ledger = MemoryLedger::default();
            ledger.limit(TENANT, Account::Tenant, Money(limit));
            let mut open = Vec::new();
            for (task, worst, end, share) in calls {
                if let Some(Ok(id)) = now(ledger.reserve(&payer(task), Order::of(Money(worst)))) { open.push((id, worst, end, share)); }
                let standing = ledger.standing(TENANT, &Account::Tenant);
                prop_assert!(standing.spent.0 + standing.reserved.0 <= limit);
                if open.len() > 3 {
                    let (id, worst, end, share) = open.remove(0);
                    match end {
                        0 => ledger.settle(id, Outcome::Free.into()),
                        1 => ledger.settle(id, Outcome::Unknown.into()),
                        2 => { ledger.recover(); open.clear(); }
                        _ => ledger.settle(id, Outcome::Cost(Money(worst * share / 100)).into()),
                    }
                }
            }
            ledger.recover();
            let whole = ledger.standing(TENANT, &Account::Tenant);
            let tasks: u64 = (0..4).map(|task| ledger.standing(TENANT, &Account::Task(TaskId(task))).spent.0).sum();
            prop_assert_eq!((whole.reserved, whole.spent.0), (Money(0), tasks));
            prop_assert!(whole.spent.0 <= limit);
        }
    }
}
