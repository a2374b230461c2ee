//! Money and model calls: what is written of them and how it is read.

use std::sync::Arc;

use kapelle_core::{Account, AccountKind, CallId, Money, PayloadId, RunId, TaskId, TenantId, Timestamp, task::Task};
use serde::{Deserialize, Serialize};

use crate::{error::StoreError, rows::Page};

/// What an account may spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Which account.
    pub account: Account,
    /// What it may spend: on a day where the account is the day, else in all.
    pub limit: Money,
    /// What the tenant allows itself at most, below what it was given.
    pub own: Option<Money>,
    /// What a file said. While it says the same, a limit that was raised by hand stays.
    pub base: Money,
    /// For which limit it was told that most of it is spent.
    pub warned: Money,
    /// When it was set.
    pub at: Timestamp,
}

/// What an account has spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Which account.
    pub account: Account,
    /// The day, where the account is the day; else 0.
    pub day: i64,
    /// Paid, what is unknown included.
    pub spent: Money,
    /// Of that, what was charged at its reservation because nobody knows.
    pub unknown: Money,
    /// Physical calls that are settled.
    pub calls: u64,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Raised by every committed change.
    pub revision: u32,
}

impl AccountRow {
    /// An account that has spent nothing.
    #[must_use]
    pub fn new(tenant: TenantId, account: Account, day: i64) -> AccountRow {
        let (spent, unknown) = (Money::ZERO, Money::ZERO);
        AccountRow { tenant, account, day, spent, unknown, calls: 0, input: 0, output: 0, revision: 0 }
    }
}

/// An account to write. The row gets `row.revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWrite {
    /// Its new state.
    pub row: AccountRow,
    /// The revision the row must have; none for a new row.
    pub expected: Option<u32>,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CallState {
    /// Reserved, and perhaps sent.
    Open = 0,
    /// Paid for.
    Charged = 1,
    /// The provider takes nothing for it.
    Free = 2,
    /// What it costs will never be known: charged at its reservation.
    Unknown = 3,
    /// Nothing was sent: the answer was another call's.
    Given = 4,
}

impl CallState {
    /// Every state.
    pub const ALL: [CallState; 5] =
        [CallState::Open, CallState::Charged, CallState::Free, CallState::Unknown, CallState::Given];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CallState::Open => "open",
            CallState::Charged => "charged",
            CallState::Free => "free",
            CallState::Unknown => "unknown",
            CallState::Given => "given",
        }
    }
}

/// The answer of a call: its bytes, and what else whoever gets them again is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAnswer {
    /// The payload with the bytes. Rises with every answer of a task, and so tells their order.
    pub payload: PayloadId,
    /// The rest, as JSON of whoever wrote it.
    pub meta: Arc<str>,
}

/// One call of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// Its key.
    pub id: CallId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The task that made it.
    pub task: Option<TaskId>,
    /// Which attempt of the task; 0 when there is none.
    pub attempt: u32,
    /// The run of the task.
    pub run: Option<RunId>,
    /// The replay epoch of the task.
    pub epoch: u64,
    /// The accounts that are charged.
    pub payer: Vec<Account>,
    /// The path that was asked, such as `chat/completions`.
    pub operation: Arc<str>,
    /// The provider.
    pub provider: Arc<str>,
    /// The model, as the provider calls it.
    pub model: Arc<str>,
    /// What was asked.
    pub fingerprint: [u8; 32],
    /// Where it stands.
    pub state: CallState,
    /// The worst case.
    pub reserved: Money,
    /// What it costs.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// When it was reserved.
    pub at: Timestamp,
    /// When it was settled.
    pub ended_at: Option<Timestamp>,
    /// By what the provider knows it.
    pub request_id: Option<Arc<str>>,
    /// Its answer, when it is recorded.
    pub answer: Option<CallAnswer>,
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    /// Where it stands then.
    pub state: CallState,
    /// What it costs.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// When.
    pub at: Timestamp,
    /// By what the provider knows it.
    pub request_id: Option<Arc<str>>,
}

/// What is written of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallWrite {
    /// A new one.
    New(Box<CallRow>),
    /// An open one is settled.
    End(CallId, CallEnd),
    /// Its answer is recorded.
    Answer(CallId, CallAnswer),
}

/// Money that is set aside for one call that its payer has not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepaidRow {
    /// The key of the call.
    pub id: CallId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The task that will make it.
    pub task: Option<TaskId>,
    /// Which attempt of the task; 0 when there is none.
    pub attempt: u32,
    /// The run of the task.
    pub run: Option<RunId>,
    /// The replay epoch of the task.
    pub epoch: u64,
    /// The accounts that are charged.
    pub payer: Vec<Account>,
    /// The most that the call may cost.
    pub amount: Money,
    /// When it was drawn.
    pub at: Timestamp,
}

/// What is written of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepaidWrite {
    /// A new one.
    Drawn(Box<PrepaidRow>),
    /// It was spent, or given back.
    Gone(CallId),
}

/// A call whose answer is given to whoever of the tenant asks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRow {
    /// Whose it is: an answer never crosses tenants.
    pub tenant: TenantId,
    /// What was asked.
    pub fingerprint: [u8; 32],
    /// The call.
    pub call: CallId,
    /// When the entry is forgotten.
    pub until: Timestamp,
}

/// What one turn writes of money and calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerWrites {
    /// Calls, in the order in which it happened.
    pub calls: Vec<CallWrite>,
    /// Blocks, in the order in which it happened.
    pub prepaid: Vec<PrepaidWrite>,
    /// Accounts that are new or changed.
    pub accounts: Vec<AccountWrite>,
    /// Budgets, as they are from now on.
    pub budgets: Vec<BudgetRow>,
    /// Answers that may be given again. The last one of a question holds.
    pub kept: Vec<KeptRow>,
}

impl LedgerWrites {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let money = self.accounts.is_empty() && self.budgets.is_empty() && self.prepaid.is_empty();
        self.calls.is_empty() && money && self.kept.is_empty()
    }
}

/// The ledger as the writing side reads them.
pub trait LedgerStore {
    /// The calls behind an id that are not settled, by id.
    fn open_calls(&mut self, after: CallId, most: u32) -> Result<Vec<CallRow>, StoreError>;

    /// The prepaid amounts behind an id, by id.
    fn prepaid(&mut self, after: CallId, most: u32) -> Result<Vec<PrepaidRow>, StoreError>;

    /// What an account has spent, when it has a row.
    fn account(&mut self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError>;

    /// What an account may spend, when that is limited.
    fn budget(&mut self, tenant: TenantId, account: &Account) -> Result<Option<BudgetRow>, StoreError>;

    /// The tasks behind an id that are parked, by id.
    fn parked(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;
}

/// Which calls are wanted. What is left out does not restrict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Of this task.
    pub task: Option<TaskId>,
    /// Of this run.
    pub run: Option<RunId>,
}

/// The ledger as readers see them.
pub trait LedgerReader {
    /// What an account has spent, when it has a row.
    fn account(&self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError>;

    /// The accounts of a kind, the latest day first, within a day who spent most first; at most 1,000.
    fn accounts(&self, tenant: TenantId, kind: AccountKind, most: u32) -> Result<Vec<AccountRow>, StoreError>;

    /// What all tenants have spent, who spent most first; at most 1,000.
    fn tenant_accounts(&self, most: u32) -> Result<Vec<AccountRow>, StoreError>;

    /// The budgets of all tenants, by tenant, kind and name; at most 1,000.
    fn all_budgets(&self, most: u32) -> Result<Vec<BudgetRow>, StoreError>;

    /// The budgets of a tenant, by kind and name; at most 1,000.
    fn budgets(&self, tenant: TenantId, most: u32) -> Result<Vec<BudgetRow>, StoreError>;

    /// The calls of a task in a replay epoch whose answers are recorded, in the order of recording.
    fn recorded(&self, task: TaskId, epoch: u64) -> Result<Vec<CallRow>, StoreError>;

    /// Calls of a tenant, newest first.
    fn calls(&self, tenant: TenantId, filter: CallFilter, page: Page) -> Result<Vec<CallRow>, StoreError>;

    /// One call of a tenant.
    fn call(&self, tenant: TenantId, id: CallId) -> Result<Option<CallRow>, StoreError>;

    /// The call whose answer may be given to that question, unless its time is over.
    fn kept(&self, tenant: TenantId, fingerprint: &[u8; 32], now: Timestamp) -> Result<Option<CallRow>, StoreError>;
}
