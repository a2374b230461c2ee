//! The ledger: rows of money and model calls, and their queries.

use std::sync::Arc;

use kapelle_core::{Account, AccountKind, CallId, Money, PayloadId, RunId, TaskId, TenantId, Timestamp, task::Task};
use serde::{Deserialize, Serialize};

use crate::{
    error::StoreError,
    rows::Page,
    spending::{SpendFilter, SpendRow},
};

/// Spending limit of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BudgetRow {
    pub tenant: TenantId,
    pub account: Account,
    /// Limit: of a day for the account `day`, otherwise in total.
    pub limit: Money,
    /// Limit that the tenant sets itself, below its given limit.
    pub own: Option<Money>,
    /// Limit from the configuration file. While the file is unchanged, a limit that was raised by hand stays.
    pub base: Money,
    /// Limit for which the warning about high spending was already given.
    pub warned: Money,
    pub at: Timestamp,
}

/// Totals of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AccountRow {
    pub tenant: TenantId,
    pub account: Account,
    /// Number of the day for the account `day`, otherwise 0.
    pub day: i64,
    /// Paid, what is unknown included.
    pub spent: Money,
    /// Part of it that was charged at a reservation because the cost is not known.
    pub unknown: Money,
    /// Settled calls.
    pub calls: u64,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Raised by every committed change.
    pub revision: u32,
}

impl AccountRow {
    /// Makes an account without spending.
    #[must_use]
    pub fn new(tenant: TenantId, account: Account, day: i64) -> AccountRow {
        let (spent, unknown) = (Money::ZERO, Money::ZERO);
        AccountRow { tenant, account, day, spent, unknown, calls: 0, input: 0, output: 0, revision: 0 }
    }
}

/// An account to write. The row gets `row.revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWrite {
    /// New state.
    pub row: AccountRow,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// State of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CallState {
    /// Reserved, and perhaps sent.
    Open = 0,
    /// Charged at its cost.
    Charged = 1,
    /// The provider charged nothing.
    Free = 2,
    /// Its cost will never be known: charged at its reservation.
    Unknown = 3,
    /// It was answered by another call, without a request.
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

/// Answer of a call: its bytes and the data that a replay returns with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAnswer {
    /// Payload with the bytes. It rises with every answer of a task, and so gives their order.
    pub payload: PayloadId,
    /// Other data as JSON of the writer.
    pub meta: Arc<str>,
}

/// One call of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CallRow {
    /// Id of the call.
    pub id: CallId,
    pub tenant: TenantId,
    /// Task that made it.
    pub task: Option<TaskId>,
    /// Attempt of the task; 0 outside of a task.
    pub attempt: u32,
    /// Run of the task.
    pub run: Option<RunId>,
    /// Replay epoch of the task.
    pub epoch: u64,
    /// Accounts that are charged.
    pub payer: Vec<Account>,
    /// Path of the request, such as `chat/completions`.
    pub operation: Arc<str>,
    pub provider: Arc<str>,
    /// The model, as the provider calls it.
    pub model: Arc<str>,
    /// Identity of the request.
    pub fingerprint: [u8; 32],
    /// State of the call.
    pub state: CallState,
    /// Highest possible cost.
    pub reserved: Money,
    /// Real cost.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Time of the reservation.
    pub at: Timestamp,
    /// Time of the settlement.
    pub ended_at: Option<Timestamp>,
    /// The provider's id of the call.
    pub request_id: Option<Arc<str>>,
    /// Answer, if it is recorded.
    pub answer: Option<CallAnswer>,
}

/// End of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CallEnd {
    /// Final state.
    pub state: CallState,
    /// Real cost.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    pub at: Timestamp,
    /// The provider's id of the call.
    pub request_id: Option<Arc<str>>,
}

/// Write of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallWrite {
    /// A new one.
    New(Box<CallRow>),
    /// An open call is settled.
    End(CallId, CallEnd),
    /// The answer of a call is recorded.
    Answer(CallId, CallAnswer),
}

/// Money reserved for one call that its payer has not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PrepaidRow {
    /// Id of the future call.
    pub id: CallId,
    pub tenant: TenantId,
    /// Task that will make it.
    pub task: Option<TaskId>,
    /// Attempt of the task; 0 outside of a task.
    pub attempt: u32,
    /// Run of the task.
    pub run: Option<RunId>,
    /// Replay epoch of the task.
    pub epoch: u64,
    /// Accounts that are charged.
    pub payer: Vec<Account>,
    /// Highest cost of the call.
    pub amount: Money,
    /// Time of the reservation.
    pub at: Timestamp,
}

/// Write of a prepaid amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepaidWrite {
    /// A new one.
    Drawn(Box<PrepaidRow>),
    /// It was spent or released.
    Gone(CallId),
}

/// A call whose answer is reused for equal calls of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRow {
    /// Tenant; an answer never crosses tenants.
    pub tenant: TenantId,
    /// Identity of the request.
    pub fingerprint: [u8; 32],
    /// Call with the answer.
    pub call: CallId,
    /// Expiry of the entry.
    pub until: Timestamp,
}

/// Writes of one turn to the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerWrites {
    /// Calls, in the order of events.
    pub calls: Vec<CallWrite>,
    /// Prepaid amounts, in the order of events.
    pub prepaid: Vec<PrepaidWrite>,
    /// New and changed accounts.
    pub accounts: Vec<AccountWrite>,
    /// Budgets in their new state.
    pub budgets: Vec<BudgetRow>,
    /// Answers that may be reused. The last one of a request counts.
    pub kept: Vec<KeptRow>,
}

impl LedgerWrites {
    /// Tells whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let money = self.accounts.is_empty() && self.budgets.is_empty() && self.prepaid.is_empty();
        self.calls.is_empty() && money && self.kept.is_empty()
    }
}

/// The ledger for the writing side.
pub trait LedgerStore {
    /// Returns open calls after an id, by id.
    fn open_calls(&mut self, after: CallId, most: u32) -> Result<Vec<CallRow>, StoreError>;

    /// Returns prepaid amounts after an id, by id.
    fn prepaid(&mut self, after: CallId, most: u32) -> Result<Vec<PrepaidRow>, StoreError>;

    /// Returns the totals of an account, if it has a row.
    fn account(&mut self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError>;

    /// Returns the limit of an account, if it has one.
    fn budget(&mut self, tenant: TenantId, account: &Account) -> Result<Option<BudgetRow>, StoreError>;

    /// Returns parked tasks after an id, by id.
    fn parked(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;
}

/// Filter of calls. A missing field does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Calls of this task.
    pub task: Option<TaskId>,
    /// Calls of this run.
    pub run: Option<RunId>,
    /// Calls of this provider.
    pub provider: Option<String>,
    /// Calls of this model, as the provider calls it.
    pub model: Option<String>,
    /// Calls in this state.
    pub state: Option<CallState>,
    /// Calls reserved at that time or later.
    pub since: Option<Timestamp>,
    /// Calls reserved before that time.
    pub until: Option<Timestamp>,
}

/// The ledger for readers.
pub trait LedgerReader {
    /// Returns the totals of an account, if it has a row.
    fn account(&self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError>;

    /// Returns the accounts of a kind: the latest day first, within a day the highest spending first; at most 1,000.
    fn accounts(&self, tenant: TenantId, kind: AccountKind, most: u32) -> Result<Vec<AccountRow>, StoreError>;

    /// Returns the accounts of all tenants, the highest spending first; at most 1,000.
    fn tenant_accounts(&self, most: u32) -> Result<Vec<AccountRow>, StoreError>;

    /// Returns the budgets of all tenants, by tenant, kind and name; at most 1,000.
    fn all_budgets(&self, most: u32) -> Result<Vec<BudgetRow>, StoreError>;

    /// Returns the budgets of a tenant, by kind and name; at most 1,000.
    fn budgets(&self, tenant: TenantId, most: u32) -> Result<Vec<BudgetRow>, StoreError>;

    /// Returns the calls of a task in a replay epoch whose answers are recorded, in the order of recording.
    fn recorded(&self, task: TaskId, epoch: u64) -> Result<Vec<CallRow>, StoreError>;

    /// Returns calls of a tenant, newest first.
    fn calls(&self, tenant: TenantId, filter: &CallFilter, page: Page) -> Result<Vec<CallRow>, StoreError>;

    /// Returns sums of a tenant's spending by time and name. They outlive the calls that they count.
    fn spending(&self, tenant: TenantId, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError>;

    /// Returns one call of a tenant.
    fn call(&self, tenant: TenantId, id: CallId) -> Result<Option<CallRow>, StoreError>;

    /// Returns the call whose answer may be reused for that request, unless it has expired.
    fn kept(&self, tenant: TenantId, fingerprint: &[u8; 32], now: Timestamp) -> Result<Option<CallRow>, StoreError>;
}
