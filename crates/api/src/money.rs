//! Money: budgets, cost, calls.

use serde::{Deserialize, Serialize};

use crate::state::CallState;

/// What an account may spend, and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Budget {
    /// Its tenant.
    #[serde(default)]
    pub tenant: u32,
    /// Which: `day`, `tenant`, `task_7`, `run_3`, `queue:NAME`, `worker:NAME`, `key:NAME`, `token:NAME`.
    pub account: String,
    /// What it may spend: on a day where the account is the day, else in all.
    pub limit_nanousd: u64,
    /// What it has spent of that, calls under way not among it.
    pub spent_nanousd: u64,
    /// When it was set.
    pub set_at: String,
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
    /// Which account.
    pub account: String,
    /// What it may spend from now on, what is spent included.
    pub limit_nanousd: u64,
    /// The tenant that owns the account; the key's when left out. Only admins of tenant 1 set those of other tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
}

/// What one account has spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cost {
    /// The name: a run, a worker, a day such as `2026-11-21`.
    pub name: String,
    /// What was paid, what is unknown included.
    pub cost_nanousd: u64,
    /// Of that, calls whose price nobody will know, charged at the most they can have cost.
    pub unknown_nanousd: u64,
    /// Requests sent to providers.
    pub calls: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
}

/// What was spent, by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostReport {
    /// By what.
    pub by: String,
    /// Who spent most first; days latest first.
    pub rows: Vec<Cost>,
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
    /// All that were charged.
    pub payers: Vec<String>,
    /// What was asked, such as `chat/completions`.
    pub operation: String,
    /// The provider.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// State now.
    pub state: CallState,
    /// The most it could cost.
    pub reserved_nanousd: u64,
    /// What it cost.
    pub cost_nanousd: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// When it was begun.
    pub at: String,
    /// When it was settled.
    pub ended_at: Option<String>,
    /// By what the provider knows it.
    pub provider_request_id: Option<String>,
    /// Its answer is recorded, so that a later attempt gets it again for nothing.
    pub recorded: bool,
}

/// Calls, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<ModelCall>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
