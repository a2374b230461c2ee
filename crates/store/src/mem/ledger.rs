//! The ledger: money and model calls.

use std::collections::{BTreeMap, BTreeSet};

use kapelle_core::{
    Account, AccountKind, CallId, TaskId, TenantId, Timestamp,
    task::{StateKind, Task},
};

use super::{reader::MemReader, spending::SpendRows, state::State, store::MemStore};
use crate::{
    contract::Conflicts,
    error::StoreError,
    ledger::{
        AccountRow, AccountWrite, BudgetRow, CallFilter, CallRow, CallState, CallWrite, KeptRow, LedgerReader,
        LedgerStore, LedgerWrites, PrepaidRow, PrepaidWrite,
    },
    rows::Page,
    spending::{SpendFilter, SpendRow},
};

/// Limit of rows on one page.
const PAGE_MOST: u32 = 1_000;

type Key = (TenantId, Account, i64);

/// The rows.
#[derive(Debug, Default)]
pub(super) struct LedgerRows {
    calls: BTreeMap<CallId, CallRow>,
    prepaid: BTreeMap<CallId, PrepaidRow>,
    accounts: BTreeMap<Key, AccountRow>,
    budgets: BTreeMap<(TenantId, Account), BudgetRow>,
    kept: BTreeMap<(TenantId, [u8; 32]), KeptRow>,
    spend: SpendRows,
}

impl LedgerRows {
    /// Checks that the writes fit the existing rows.
    pub fn check(&self, ledger: &LedgerWrites, conflicts: &mut Conflicts) {
        let mut fresh = BTreeSet::new();
        for write in &ledger.calls {
            let CallWrite::New(row) = write else { continue };
            conflicts.other |= self.calls.contains_key(&row.id) || !fresh.insert(row.id);
        }
        let mut drawn = BTreeSet::new();
        for write in &ledger.prepaid {
            let PrepaidWrite::Drawn(row) = write else { continue };
            conflicts.other |= self.prepaid.contains_key(&row.id) || !drawn.insert(row.id);
        }
        for write in &ledger.accounts {
            let key = (write.row.tenant, write.row.account.clone(), write.row.day);
            conflicts.other |= self.accounts.get(&key).map(|row| row.revision) != write.expected;
        }
    }

    /// Counts the calls of a task that an earlier attempt or another task had paid for.
    pub fn replayed_to(&self, task: &Task) -> u64 {
        let own = || self.calls.values().filter(|row| row.task == Some(task.id));
        let newest = own().map(|row| row.epoch).max();
        let before = |row: &&CallRow| Some(row.epoch) == newest && row.answer.is_some() && row.attempt < task.epoch;
        own().filter(|row| row.state == CallState::Given || before(row)).count() as u64
    }

    /// Writes checked changes.
    pub fn apply(&mut self, ledger: &LedgerWrites) {
        for write in &ledger.calls {
            match write {
                CallWrite::New(row) => {
                    self.spend.count(row);
                    self.calls.insert(row.id, (**row).clone());
                }
                CallWrite::End(id, end) => {
                    let Some(row) = self.calls.get_mut(id).filter(|row| row.state == CallState::Open) else { continue };
                    (row.state, row.cost, row.input, row.output) = (end.state, end.cost, end.input, end.output);
                    (row.ended_at, row.request_id) = (Some(end.at), end.request_id.clone());
                    self.spend.count(row);
                }
                CallWrite::Answer(id, answer) => {
                    if let Some(row) = self.calls.get_mut(id).filter(|row| row.answer.is_none()) {
                        row.answer = Some(answer.clone());
                    }
                }
            }
        }
        for write in &ledger.prepaid {
            match write {
                PrepaidWrite::Drawn(row) => drop(self.prepaid.insert(row.id, (**row).clone())),
                PrepaidWrite::Gone(id) => drop(self.prepaid.remove(id)),
            }
        }
        for AccountWrite { row, .. } in &ledger.accounts {
            self.accounts.insert((row.tenant, row.account.clone(), row.day), row.clone());
        }
        for row in &ledger.budgets {
            self.budgets.insert((row.tenant, row.account.clone()), row.clone());
        }
        self.kept.extend(ledger.kept.iter().map(|row| ((row.tenant, row.fingerprint), *row)));
    }

    fn account(&self, tenant: TenantId, account: &Account, day: i64) -> Option<AccountRow> {
        self.accounts.get(&(tenant, account.clone(), day)).cloned()
    }
}

impl State {
    /// Deletes an account and its budget.
    pub fn forget_account(&mut self, account: &Account) {
        self.ledger.accounts.retain(|(_, own, _), _| own != account);
        self.ledger.budgets.retain(|(_, own), _| own != account);
    }

    /// Deletes the calls of a task, their answers, and the task's account.
    pub fn forget_calls(&mut self, task: TaskId) {
        let own: Vec<CallId> =
            self.ledger.calls.values().filter(|row| row.task == Some(task)).map(|row| row.id).collect();
        if !own.is_empty() {
            self.forget_account(&Account::Task(task));
        }
        own.into_iter().for_each(|id| self.forget_call(id));
    }

    fn forget_call(&mut self, id: CallId) {
        if let Some(answer) = self.ledger.calls.remove(&id).and_then(|row| row.answer) {
            self.payloads.remove(&answer.payload);
        }
    }

    /// Tells whether there are older calls without a task, or expired entries.
    pub fn has_expired_calls(&self, calls: Timestamp, kept: Timestamp) -> bool {
        let mut entries = self.ledger.kept.values();
        entries.any(|row| row.until < kept)
            || self.ledger.spend.has_old(kept)
            || self.ledger.calls.values().any(|row| is_loose(row, calls))
    }

    /// Deletes older calls without a task, and expired entries. Returns their number.
    pub fn prune_ledger(&mut self, calls: Timestamp, kept: Timestamp, most: u32) -> u32 {
        let most = most as usize;
        let over = self.ledger.kept.values().filter(|row| row.until < kept);
        let mut over: Vec<_> = over.map(|row| (row.until, row.tenant, row.fingerprint)).collect();
        over.sort_unstable();
        over.truncate(most);
        for (_, tenant, fingerprint) in &over {
            self.ledger.kept.remove(&(*tenant, *fingerprint));
        }
        let mut old: Vec<_> =
            self.ledger.calls.values().filter(|row| is_loose(row, calls)).map(|row| (row.at, row.id)).collect();
        old.sort_unstable();
        old.truncate(most - over.len());
        old.iter().for_each(|(_, id)| self.forget_call(*id));
        let hours = self.ledger.spend.prune(kept, most - over.len() - old.len());
        u32::try_from(over.len() + old.len() + hours).unwrap_or(u32::MAX)
    }
}

/// Tells whether a call is over, began before that time, and belongs to no task.
fn is_loose(row: &CallRow, before: Timestamp) -> bool {
    row.task.is_none() && row.at < before && row.state != CallState::Open
}

impl LedgerStore for MemStore {
    fn open_calls(&mut self, after: CallId, most: u32) -> Result<Vec<CallRow>, StoreError> {
        let state = self.state();
        let open = state.ledger.calls.values().filter(|row| row.id > after && row.state == CallState::Open);
        Ok(open.take(most as usize).cloned().collect())
    }

    fn prepaid(&mut self, after: CallId, most: u32) -> Result<Vec<PrepaidRow>, StoreError> {
        let state = self.state();
        Ok(state.ledger.prepaid.values().filter(|row| row.id > after).take(most as usize).cloned().collect())
    }

    fn account(&mut self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError> {
        Ok(self.state().ledger.account(tenant, account, day))
    }

    fn budget(&mut self, tenant: TenantId, account: &Account) -> Result<Option<BudgetRow>, StoreError> {
        Ok(self.state().ledger.budgets.get(&(tenant, account.clone())).cloned())
    }

    fn parked(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let parked = state.tasks.values().filter(|task| task.id > after && task.state.kind() == StateKind::Parked);
        Ok(parked.take(most as usize).cloned().collect())
    }
}

impl LedgerReader for MemReader {
    fn account(&self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError> {
        Ok(self.state().ledger.account(tenant, account, day))
    }

    fn accounts(&self, tenant: TenantId, kind: AccountKind, most: u32) -> Result<Vec<AccountRow>, StoreError> {
        let state = self.state();
        let own = state.ledger.accounts.values().filter(|row| row.tenant == tenant && row.account.kind() == kind);
        let mut own: Vec<AccountRow> = own.cloned().collect();
        own.sort_by_key(|row| (std::cmp::Reverse((row.day, row.spent)), row.account.name()));
        own.truncate(most.min(PAGE_MOST) as usize);
        Ok(own)
    }

    fn tenant_accounts(&self, most: u32) -> Result<Vec<AccountRow>, StoreError> {
        let state = self.state();
        let all = state.ledger.accounts.values().filter(|row| row.account.kind() == AccountKind::Tenant);
        let mut all: Vec<AccountRow> = all.cloned().collect();
        all.sort_by_key(|row| (std::cmp::Reverse(row.spent), row.tenant));
        all.truncate(most.min(PAGE_MOST) as usize);
        Ok(all)
    }

    fn all_budgets(&self, most: u32) -> Result<Vec<BudgetRow>, StoreError> {
        let state = self.state();
        let mut all: Vec<BudgetRow> = state.ledger.budgets.values().cloned().collect();
        all.sort_by_key(|row| (row.tenant, row.account.kind(), row.account.name()));
        all.truncate(most.min(PAGE_MOST) as usize);
        Ok(all)
    }

    fn budgets(&self, tenant: TenantId, most: u32) -> Result<Vec<BudgetRow>, StoreError> {
        let state = self.state();
        let mut own: Vec<BudgetRow> =
            state.ledger.budgets.values().filter(|row| row.tenant == tenant).cloned().collect();
        own.sort_by_key(|row| (row.account.kind(), row.account.name()));
        own.truncate(most.min(PAGE_MOST) as usize);
        Ok(own)
    }

    fn recorded(&self, task: TaskId, epoch: u64) -> Result<Vec<CallRow>, StoreError> {
        let state = self.state();
        let own = state.ledger.calls.values().filter(|row| row.task == Some(task) && row.epoch == epoch);
        let mut own: Vec<CallRow> = own.filter(|row| row.answer.is_some()).cloned().collect();
        own.sort_by_key(|row| row.answer.as_ref().map(|answer| answer.payload));
        Ok(own)
    }

    fn calls(&self, tenant: TenantId, filter: &CallFilter, page: Page) -> Result<Vec<CallRow>, StoreError> {
        let state = self.state();
        let rows = state.ledger.calls.values().rev().filter(|row| row.tenant == tenant);
        let rows = rows.filter(|row| page.before.is_none_or(|before| row.id.0 < before));
        let rows = rows.filter(|row| filter.task.is_none_or(|task| row.task == Some(task)));
        let rows = rows.filter(|row| filter.run.is_none_or(|run| row.run == Some(run)));
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let rows = rows.filter(|row| is(&filter.provider, &row.provider) && is(&filter.model, &row.model));
        let rows = rows.filter(|row| filter.state.is_none_or(|state| row.state == state));
        let rows = rows.filter(|row| filter.since.is_none_or(|since| row.at >= since));
        let rows = rows.filter(|row| filter.until.is_none_or(|until| row.at < until));
        Ok(rows.take(page.most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn spending(&self, tenant: TenantId, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        Ok(self.state().ledger.spend.read(tenant, filter))
    }

    fn call(&self, tenant: TenantId, id: CallId) -> Result<Option<CallRow>, StoreError> {
        Ok(self.state().ledger.calls.get(&id).filter(|row| row.tenant == tenant).cloned())
    }

    fn kept(&self, tenant: TenantId, fingerprint: &[u8; 32], now: Timestamp) -> Result<Option<CallRow>, StoreError> {
        let state = self.state();
        let kept = state.ledger.kept.get(&(tenant, *fingerprint)).filter(|row| row.until > now);
        Ok(kept.and_then(|row| state.ledger.calls.get(&row.call)).filter(|row| row.answer.is_some()).cloned())
    }
}
