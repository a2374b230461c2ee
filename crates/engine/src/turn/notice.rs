//! What others want to hear of once it is committed.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TaskId, TenantId};

use super::prepaid::Prepaid;

/// Something about money or leases that others want to hear of, once it is committed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Notice {
    /// A task changed hands: that attempt runs now, or none.
    Lease {
        task: TaskId,
        /// The attempt under way.
        running: Option<u32>,
    },
    /// Most of a budget is spent (80 %).
    BudgetLow { tenant: TenantId, account: Account, limit: Money, spent: Money },
    /// A block was drawn: its payer may take it.
    Drawn(Arc<Prepaid>),
    /// The row of a call that was sent on a block is committed.
    Spent(CallId),
    /// A task was parked.
    Parked { tenant: TenantId, task: TaskId, needs: Money },
}
