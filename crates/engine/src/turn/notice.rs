//! What others want to hear of once it is committed.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TaskId, TenantId};

use super::prepaid::Prepaid;

/// Something about money or leases that others want to hear of, once it is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A task changed hands: that attempt runs now, or none.
    Lease {
        /// The task.
        task: TaskId,
        /// The attempt under way.
        running: Option<u32>,
    },
    /// Most of a budget is spent (80 %).
    BudgetLow {
        /// Its tenant.
        tenant: TenantId,
        /// Which account.
        account: Account,
        /// What it may spend.
        limit: Money,
        /// What it has spent.
        spent: Money,
    },
    /// A block was drawn: its payer may take it.
    Drawn(Arc<Prepaid>),
    /// The row of a call that was sent on a block is committed.
    Spent(CallId),
    /// A task was parked.
    Parked {
        /// Its tenant.
        tenant: TenantId,
        /// The task.
        task: TaskId,
        /// What its next call would cost at most.
        needs: Money,
    },
}
