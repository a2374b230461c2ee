//! Notices of money and leases.

use std::sync::{Arc, atomic::AtomicBool};

use kapelle_core::{Account, CallId, Money, TaskId, TenantId, task::Report};

use super::{changes::Changes, prepaid::Prepaid};

/// Flags that turn notices on which nobody may want: those cost nothing then.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct NoticeFlags {
    pub leases: Arc<AtomicBool>,
    pub changes: Arc<AtomicBool>,
}

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
    /// The lease of an attempt on a worker host was revoked: the attempt must stop.
    Revoked { host: u32, report: Report },
    /// Most of a budget is spent (80 %).
    BudgetLow { tenant: TenantId, account: Account, limit: Money, spent: Money },
    /// A prepaid amount was reserved: its payer may use it.
    Drawn(Arc<Prepaid>),
    /// The row of a call that was sent on a prepaid amount is committed.
    Spent(CallId),
    /// Rows changed; sent only while somebody shows them.
    Changed(Arc<Changes>),
    /// The disk is full: this number of commands was refused. Told for each turn.
    Full(u64),
    /// Subscriptions changed, or there is something to deliver.
    Deliveries,
    /// A task was parked.
    Parked { tenant: TenantId, task: TaskId, needs: Money },
}
