//! The ledger in memory: spent and reserved amounts of accounts, and open calls.

use std::collections::{BTreeSet, HashMap};

use kapelle_core::{
    Account, CallId, Money, TenantId,
    account::day_of,
    budget::{Budget, DoesNotFit},
    spending::{self, AccountKey as Key, NO_LIMIT, charged, is_low, key_of, mark_of, takes_each},
};
use kapelle_store::{
    AccountRow, AccountWrite, BudgetRow, CallEnd, CallRow, CallState, CallWrite, LedgerWrites, StoreError,
};

use super::{
    command::{CallOver, Taken},
    effect::Effect,
    notice::Notice,
    part::{Due, Part},
    prepaid::PrepaidOut,
    rows::Rows,
};

/// Above this the accounts that nobody uses are dropped.
const ACCOUNTS_MAX: usize = 20_000;

/// An account in memory.
#[derive(Debug, Clone)]
struct Entry {
    row: AccountRow,
    /// Stored revision.
    stored: Option<u32>,
    reserved: u64,
}

/// An open call.
#[derive(Debug, Clone)]
struct Open {
    tenant: TenantId,
    payer: Vec<Account>,
    day: i64,
    worst: Money,
    provider: String,
    model: String,
}

/// The ledger. All of it can be read again from the store.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: HashMap<Key, Entry>,
    limits: HashMap<(TenantId, Account), Option<BudgetRow>>,
    open: HashMap<CallId, Open>,
    changed: BTreeSet<Key>,
    limits_changed: BTreeSet<(TenantId, Account)>,
    pub(super) writes: LedgerWrites,
    pub(super) prepaid: PrepaidOut,
    primed: bool,
    /// Position from which parked tasks are to be checked.
    pub(super) lifting: Option<kapelle_core::TaskId>,
    /// End of the day after which tasks that were parked on it continue.
    pub(super) day_ends: Option<kapelle_core::Timestamp>,
    /// Calls that the former process had sent on its prepaid amounts.
    pub(super) left_taken: Taken,
    /// Amounts promised to tasks that were lifted in this check.
    pub(super) promised: HashMap<Key, u64>,
}

impl Ledger {
    /// Returns the writes of the turn.
    pub fn batch(&mut self) -> LedgerWrites {
        let mut writes = std::mem::take(&mut self.writes);
        for key in &self.changed {
            let Some(entry) = self.entries.get(key) else { continue };
            let revision = entry.stored.map_or(0, |stored| stored.wrapping_add(1));
            let row = AccountRow { revision, ..entry.row.clone() };
            writes.accounts.push(AccountWrite { row, expected: entry.stored });
        }
        writes.budgets = self.limits_changed.iter().filter_map(|key| self.limits.get(key).cloned().flatten()).collect();
        writes
    }
}

impl Part for Ledger {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        self.prime_calls(rows)
    }

    fn forget(&mut self, _rows: &mut Rows) {
        // A check of the parked tasks may have been interrupted: it begins again.
        let lifting = Some(kapelle_core::TaskId(0));
        let mut prepaid = std::mem::take(&mut self.prepaid);
        prepaid.forget();
        let left_taken = std::mem::take(&mut self.left_taken);
        *self = Ledger { lifting, prepaid, left_taken, day_ends: self.day_ends, ..Ledger::default() };
    }

    fn committed(&mut self) {
        self.prepaid.committed();
        self.limits_changed.clear();
        for key in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let revision = entry.stored.map_or(0, |stored| stored.wrapping_add(1));
            (entry.stored, entry.row.revision) = (Some(revision), revision);
            let short_lived = matches!(key.1, Account::Task(_) | Account::Token(_) | Account::Model(_));
            if short_lived && entry.reserved == 0 {
                self.limits.remove(&(key.0, key.1.clone()));
                self.entries.remove(&key);
            }
        }
        if self.entries.len() > ACCOUNTS_MAX {
            self.entries.retain(|_, entry| entry.reserved > 0);
            self.limits.clear();
        }
    }

    fn next_due(&self) -> Due {
        Due { wall: self.day_ends, steady: self.prepaid.next() }
    }
}

impl Ledger {
    /// Reads the open calls, before the first turn and after a rollback.
    fn prime_calls(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        if self.primed {
            return Ok(());
        }
        let mut after = CallId(0);
        loop {
            let open = rows.store.open_calls(after, 512)?;
            let Some(last) = open.last() else { break };
            after = last.id;
            for row in open {
                let day = day_of(row.at);
                for key in charged(row.tenant, &row.payer, day) {
                    self.reserve_in(rows, &key, row.reserved)?;
                }
                self.open.insert(row.id, opened(&row, day));
            }
        }
        self.prime_prepaid(rows)?;
        self.primed = true;
        Ok(())
    }

    /// Charges the calls that a former process left open at their reservation.
    pub(super) fn settle_lost_calls(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        self.prime(rows)?;
        let mut lost: Vec<CallId> = self.open.keys().copied().collect();
        lost.sort_unstable();
        for id in lost {
            self.close_call(rows, id, &CallOver::UNKNOWN)?;
        }
        self.settle_lost_prepaid(rows)
    }

    /// Reserves an amount in an account.
    pub(super) fn reserve_in(&mut self, rows: &mut Rows, key: &Key, amount: Money) -> Result<(), StoreError> {
        let entry = self.entry(rows, key)?;
        entry.reserved = entry.reserved.saturating_add(amount.0);
        Ok(())
    }

    /// Releases a reserved amount.
    pub(super) fn release_in(&mut self, rows: &mut Rows, key: &Key, amount: Money) -> Result<(), StoreError> {
        let entry = self.entry(rows, key)?;
        entry.reserved = entry.reserved.saturating_sub(amount.0);
        Ok(())
    }

    fn entry(&mut self, rows: &mut Rows, key: &Key) -> Result<&mut Entry, StoreError> {
        if !self.entries.contains_key(key) {
            let stored = rows.store.account(key.0, &key.1, key.2)?;
            let revision = stored.as_ref().map(|row| row.revision);
            let row = stored.unwrap_or_else(|| AccountRow::new(key.0, key.1.clone(), key.2));
            self.entries.insert(key.clone(), Entry { row, stored: revision, reserved: 0 });
        }
        let fresh = || StoreError::Database("an account was lost in memory".to_owned());
        self.entries.get_mut(key).ok_or_else(fresh)
    }

    /// Returns the limit of an account: its own or that of each tenant, cut to the tenant's own limit.
    pub(super) fn bound(
        &mut self,
        rows: &mut Rows,
        tenant: TenantId,
        account: &Account,
    ) -> Result<Option<Money>, StoreError> {
        let row = self.limit_of(rows, tenant, account)?;
        let real = |row: &BudgetRow| Some(row.limit).filter(|limit| *limit < NO_LIMIT);
        let mut given = row.as_ref().and_then(real);
        if given.is_none() && takes_each(tenant, account) {
            given = self.limit_of(rows, TenantId::EACH, account)?.as_ref().and_then(real);
        }
        Ok(spending::bound(given, row.and_then(|row| row.own)))
    }

    /// Returns the stored limits of an account.
    pub(super) fn limit_of(
        &mut self,
        rows: &mut Rows,
        tenant: TenantId,
        account: &Account,
    ) -> Result<Option<BudgetRow>, StoreError> {
        let key = (tenant, account.clone());
        if let Some(known) = self.limits.get(&key) {
            return Ok(known.clone());
        }
        let row = rows.store.budget(tenant, account)?;
        self.limits.insert(key, row.clone());
        Ok(row)
    }

    /// Checks whether an amount fits an account; otherwise returns the rest. `own` is a limit that the payer brings.
    pub(super) fn fits(
        &mut self,
        rows: &mut Rows,
        key: &Key,
        amount: Money,
        more: u64,
    ) -> Result<Result<(), DoesNotFit>, StoreError> {
        let Some(limit) = self.bound(rows, key.0, &key.1)? else { return Ok(Ok(())) };
        let entry = self.entry(rows, key)?;
        let reserved = Money(entry.reserved.saturating_add(more));
        let mut budget = Budget { limit, spent: entry.row.spent, reserved };
        Ok(budget.reserve(amount))
    }

    /// Returns the spent and reserved amount of an account.
    pub(super) fn used(&mut self, rows: &mut Rows, key: &Key) -> Result<u64, StoreError> {
        let entry = self.entry(rows, key)?;
        Ok(entry.row.spent.0.saturating_add(entry.reserved))
    }

    /// Adds a call to the ledger: its highest cost is reserved in every account.
    pub(super) fn open_call(&mut self, rows: &mut Rows, row: CallRow) -> Result<(), StoreError> {
        let day = day_of(row.at);
        for key in charged(row.tenant, &row.payer, day) {
            self.reserve_in(rows, &key, row.reserved)?;
        }
        self.open.insert(row.id, opened(&row, day));
        self.writes.calls.push(CallWrite::New(Box::new(row)));
        Ok(())
    }

    /// Settles a call in every account. Returns `None` when it was settled before.
    pub(super) fn close_call(&mut self, rows: &mut Rows, id: CallId, over: &CallOver) -> Result<(), StoreError> {
        let CallOver { state, cost, input, output, ref request_id } = *over;
        let Some(open) = self.open.remove(&id) else { return Ok(()) };
        let cost = match state {
            CallState::Free => Money::ZERO,
            CallState::Unknown => open.worst,
            _ => cost,
        };
        let counted = [Account::Provider(open.provider.clone()), Account::Model(open.model.clone())];
        let mut keys = charged(open.tenant, &open.payer, open.day);
        keys.extend(counted.iter().map(|account| key_of(open.tenant, account, open.day)));
        for key in keys {
            let entry = self.entry(rows, &key)?;
            if !matches!(key.1, Account::Provider(_) | Account::Model(_)) {
                entry.reserved = entry.reserved.saturating_sub(open.worst.0);
            }
            let row = &mut entry.row;
            row.spent = Money(row.spent.0.saturating_add(cost.0));
            if state == CallState::Unknown {
                row.unknown = Money(row.unknown.0.saturating_add(cost.0));
            }
            row.calls += 1;
            (row.input, row.output) = (row.input.saturating_add(input), row.output.saturating_add(output));
            let spent = row.spent;
            self.warn(rows, &key, spent)?;
            self.changed.insert(key);
        }
        let request_id = request_id.clone();
        let end = CallEnd { state, cost, input, output, at: rows.now, request_id };
        self.writes.calls.push(CallWrite::End(id, end));
        Ok(())
    }

    /// Warns once for each limit that most of it is spent.
    fn warn(&mut self, rows: &mut Rows, key: &Key, spent: Money) -> Result<(), StoreError> {
        let Some(limit) = self.bound(rows, key.0, &key.1)?.filter(|limit| is_low(spent, *limit)) else { return Ok(()) };
        let mark = mark_of(limit, key.2);
        let mut row = self.row_of(rows, key.0, &key.1)?;
        if std::mem::replace(&mut row.warned, mark) == mark {
            return Ok(());
        }
        let (tenant, account) = (key.0, key.1.clone());
        self.put_limit(row);
        let notice = Notice::BudgetLow { tenant, account, limit, spent };
        rows.effects.push(Effect::Tell(notice));
        Ok(())
    }

    /// Returns the stored budget of an account, or one without limits.
    pub(super) fn row_of(
        &mut self,
        rows: &mut Rows,
        tenant: TenantId,
        account: &Account,
    ) -> Result<BudgetRow, StoreError> {
        let (account, zero, at) = (account.clone(), Money::ZERO, rows.now);
        let known = self.limit_of(rows, tenant, &account)?;
        Ok(known.unwrap_or(BudgetRow { tenant, account, limit: NO_LIMIT, own: None, base: zero, warned: zero, at }))
    }

    /// Keeps a budget in its new state.
    pub(super) fn put_limit(&mut self, row: BudgetRow) {
        let key = (row.tenant, row.account.clone());
        self.limits.insert(key.clone(), Some(row));
        self.limits_changed.insert(key);
    }
}

fn opened(row: &CallRow, day: i64) -> Open {
    Open {
        tenant: row.tenant,
        payer: row.payer.clone(),
        day,
        worst: row.reserved,
        provider: row.provider.to_string(),
        model: format!("{}/{}", row.provider, row.model),
    }
}
