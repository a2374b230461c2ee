//! Commands to the ledger: money and model calls.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TaskId, TenantId, Timestamp};
use kapelle_store::{CallState, KeptRow};
use serde::{Deserialize, Serialize};

use crate::turn::NewPayload;

/// Order for a call that is about to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CallOrder {
    pub tenant: TenantId,
    /// Accounts that pay. A task stands for its run, worker and queue, too; tenant and day are added.
    pub payer: Vec<Account>,
    /// Attempt of the task among the payers; only the current one may spend. 0 for any.
    pub attempt: u32,
    /// The replay epoch of the task.
    pub epoch: u64,
    pub worst: Money,
    pub operation: Arc<str>,
    pub provider: Arc<str>,
    /// The model, as the provider calls it.
    pub model: Arc<str>,
    pub fingerprint: [u8; 32],
    /// Purse for prepaid amounts of the next calls. `None`: each call is reserved alone.
    pub purse: Option<u64>,
}

/// Calls that a former process had sent on prepaid amounts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum Taken {
    /// Not known: each prepaid amount is charged.
    #[default]
    Unknown,
    /// These, and no others.
    Known(Vec<(CallId, CallOrder)>),
}

/// End of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOver {
    /// Charged, free or unknown.
    pub state: CallState,
    /// Cost, if known.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Id of the request at the provider.
    pub request_id: Option<Arc<str>>,
}

impl CallOver {
    /// End of a call of which nothing is known: it is charged at its reservation.
    pub(in crate::turn) const UNKNOWN: CallOver =
        CallOver { state: CallState::Unknown, cost: Money::ZERO, input: 0, output: 0, request_id: None };
}

/// An answer to record for a task before it is delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AnswerRecord {
    /// Call that paid for it. `None`: it is the answer of another call.
    pub call: Option<CallId>,
    pub tenant: TenantId,
    pub task: TaskId,
    /// Attempt; 0 when not known.
    pub attempt: u32,
    pub epoch: u64,
    pub fingerprint: [u8; 32],
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub body: NewPayload,
    /// Metadata, as JSON.
    pub meta: Arc<str>,
}

/// Origin of a limit of spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitBy {
    /// A file: a limit that was raised by hand stays while the file is unchanged.
    File,
    /// The owner of the server.
    Owner,
    /// The tenant: its own limits of itself, its days, queues and workers cannot exceed the owner's.
    Tenant,
    /// The owner of the server, who wants the limit of the file again; without one the account is unlimited.
    OwnerReset,
    /// The tenant, which gives up its own limit of itself.
    TenantReset,
}

/// Reservation of the worst case of a call. Answered with [`Reserved`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reserve(pub Box<CallOrder>);

/// Call that was sent on a prepaid amount.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Spend {
    /// Id of the prepaid amount and of the call.
    pub call: CallId,
    pub order: Box<CallOrder>,
    pub at: Timestamp,
}

/// Settlement of a reserved call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Settle {
    pub call: CallId,
    pub over: Box<CallOver>,
}

/// Recording of an answer for its task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record(pub Box<AnswerRecord>);

/// Reuse of the answer of a call for equal requests of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Keep {
    pub row: KeptRow,
    /// Answer with its metadata, unless it is recorded for a task.
    pub answer: Option<(NewPayload, Arc<str>)>,
}

/// Parking of a task that needs more money than there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Short {
    pub task: TaskId,
    pub attempt: u32,
    pub needs: Money,
}

/// Limit of the spending of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SetLimit {
    pub tenant: TenantId,
    pub account: Account,
    pub limit: Money,
    pub by: LimitBy,
}

/// Result of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Reserved {
    /// It may be sent.
    Yes(CallId),
    /// It would fit once calls in flight settle for less than was reserved.
    Later,
    /// It cannot fit unless a budget is raised.
    Never {
        /// The account that refuses, as a person reads it.
        account: String,
        /// Highest possible cost of the call.
        needs: Money,
        left: Money,
    },
    /// Whether the attempt is over.
    Over,
}
