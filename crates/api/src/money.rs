//! Money: budgets, cost, calls.

use serde::{Deserialize, Serialize};

use crate::state::CallState;

/// The limit and the spending of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Budget {
    /// Its tenant.
    #[serde(default)]
    pub tenant: u32,
    /// The account: `day`, `tenant`, `task_7`, `run_3`, `queue:NAME`, `worker:NAME`, `key:NAME`, `token:NAME`.
    pub account: String,
    /// Its limit: for one day where the account is the day, else in total.
    pub limit_nanousd: u64,
    /// Its spending so far, without calls in progress.
    pub spent_nanousd: u64,
    /// Time of the last change.
    pub set_at: String,
    /// Whether the limit is that of the configuration file. Otherwise it was set by hand or by a key or script.
    #[serde(default)]
    pub of_file: bool,
    /// The key that set the limit by hand, or `token`; missing when the audit trail does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

/// Budgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BudgetList {
    /// By kind and name.
    pub budgets: Vec<Budget>,
}

/// A budget to be set or raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetBudget {
    /// The account.
    pub account: String,
    /// The limit from now on, including what is spent already.
    pub limit_nanousd: u64,
    /// The tenant that owns the account; the key's by default. Only admins of tenant 1 set those of other tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
}

/// A budget that gets the limit of the configuration file again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResetBudget {
    /// The account.
    pub account: String,
    /// The tenant that owns the account; the key's by default. Only admins of tenant 1 reset those of other tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
}

/// The limit of a budget after a reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BudgetReset {
    /// The account.
    pub account: String,
    /// Its limit; missing when the account is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_nanousd: Option<u64>,
}

/// The spending of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cost {
    /// The name: a run, a worker, a day such as `2026-11-21`. Of several kinds: their names, with commas.
    pub name: String,
    /// The name of each kind, in the order of `by`; empty for one kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The total cost, including unknown calls.
    pub cost_nanousd: u64,
    /// The part for calls whose price stays unknown, charged at the most they can have cost.
    pub unknown_nanousd: u64,
    /// Requests sent to providers.
    pub calls: u64,
    /// Calls answered from elsewhere, without a request. Not counted in a report of everything by one kind.
    #[serde(default)]
    pub given_calls: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// The sums of each period, in the order of the report's `periods`; empty without `per`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<CostOfPeriod>,
}

/// The spending in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostOfPeriod {
    /// The total cost, including unknown calls.
    pub cost_nanousd: u64,
    /// Requests sent to providers.
    pub calls: u64,
    /// Calls answered from elsewhere, without a request.
    pub given_calls: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
}

/// A report of spending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostReport {
    /// The kind of account, or several with commas.
    pub by: String,
    /// The length of the periods: `hour`, `day` or `month`; missing when the report is not divided by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// The start of the time covered, widened to whole hours or periods; missing for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The end of the time covered, widened to whole hours or periods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The starts of the periods (UTC), earliest first; periods without calls are included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<String>,
    /// The highest spending first; days latest first.
    pub rows: Vec<Cost>,
    /// All calls together, each once, including those of rows beyond `limit`.
    pub total: Cost,
}

/// One call of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelCall {
    /// Its id.
    pub id: String,
    /// Its tenant.
    pub tenant: u32,
    /// The run of the task.
    pub run: Option<String>,
    /// The task that made it.
    pub task: Option<String>,
    /// The attempt of the task.
    pub attempt: u32,
    /// All accounts that were charged.
    pub payers: Vec<String>,
    /// The operation, such as `chat/completions`.
    pub operation: String,
    /// The provider.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// State now.
    pub state: CallState,
    /// The most it could cost.
    pub reserved_nanousd: u64,
    /// Its cost.
    pub cost_nanousd: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Time of its start.
    pub at: String,
    /// Time of its settlement.
    pub ended_at: Option<String>,
    /// The provider's id of the call.
    pub provider_request_id: Option<String>,
    /// Whether its answer is recorded, so that a later attempt receives it again without cost.
    pub recorded: bool,
}

/// Calls, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<ModelCall>,
    /// Cursor of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
