//! Notices of money and leases.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TaskId, TenantId};

use super::prepaid::Prepaid;

/// A notice of money or leases, sent after its commit.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Notice {
    /// The lease of a task changed.
    Lease {
        task: TaskId,
        /// Current attempt, if there is one.
        running: Option<u32>,
    },
    /// Most of a budget is spent (80 %).
    BudgetLow { tenant: TenantId, account: Account, limit: Money, spent: Money },
    /// A prepaid amount was reserved: its payer may use it.
    Drawn(Arc<Prepaid>),
    /// The row of a call that was sent on a prepaid amount is committed.
    Spent(CallId),
    /// A task was parked.
    Parked { tenant: TenantId, task: TaskId, needs: Money },
}
