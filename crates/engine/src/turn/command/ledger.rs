//! Commands to the ledger: money and calls of models.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TaskId, TenantId, Timestamp};
use kapelle_store::{CallState, KeptRow};
use serde::{Deserialize, Serialize};

use crate::turn::NewPayload;

/// A call that is about to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOrder {
    /// Its tenant.
    pub tenant: TenantId,
    /// Who pays, as the caller knows it. A task stands for its run, worker and queue too; tenant and day are added.
    pub payer: Vec<Account>,
    /// The attempt of the task among the payers; only the one under way may spend. 0 for any.
    pub attempt: u32,
    /// The replay epoch of the task.
    pub epoch: u64,
    /// The worst case.
    pub worst: Money,
    /// The path that is asked.
    pub operation: Arc<str>,
    /// The provider.
    pub provider: Arc<str>,
    /// The model, as the provider calls it.
    pub model: Arc<str>,
    /// What is asked.
    pub fingerprint: [u8; 32],
    /// The purse in which blocks for the payer's next calls are wanted; none where each call is to be asked for.
    pub purse: Option<u64>,
}

/// Which calls a former process had sent on its blocks.
#[derive(Debug, Clone, Default)]
pub enum Taken {
    /// Nobody knows: each of its blocks is charged.
    #[default]
    Unknown,
    /// These, and no others.
    Known(Vec<(CallId, CallOrder)>),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOver {
    /// Charged, free or unknown.
    pub state: CallState,
    /// What it costs, where that is known.
    pub cost: Money,
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// By what the provider knows it.
    pub request_id: Option<Arc<str>>,
}

/// An answer to be recorded for a task before it is delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// The call that bought it; nothing when another's answer was given.
    pub call: Option<CallId>,
    /// Whose task it is.
    pub tenant: TenantId,
    /// The task.
    pub task: TaskId,
    /// The attempt; 0 when nobody knows.
    pub attempt: u32,
    /// The replay epoch.
    pub epoch: u64,
    /// What was asked.
    pub fingerprint: [u8; 32],
    /// Who had answered.
    pub provider: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The bytes.
    pub body: NewPayload,
    /// What else belongs to it, as JSON.
    pub meta: Arc<str>,
}

/// Who says what an account may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitBy {
    /// A file: a limit that was raised by hand stays while the file says the same.
    File,
    /// The owner of the server.
    Owner,
    /// The tenant: of itself, of its days, queues and workers it may spend no more than it was given, whatever it says.
    Tenant,
}

/// Reserve the worst case of a call. Answered with [`Reserved`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reserve(pub Box<CallOrder>);

/// A call was sent on a prepaid amount, at that time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spend {
    /// The id of the prepaid amount and of the call.
    pub call: CallId,
    /// The call.
    pub order: Box<CallOrder>,
    /// When it was sent.
    pub at: Timestamp,
}

/// A reserved call has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settle {
    /// Which.
    pub call: CallId,
    /// How.
    pub over: Box<CallOver>,
}

/// Record an answer for its task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record(pub Box<AnswerRecord>);

/// Give the answer of a call to whoever of the tenant asks the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keep {
    /// Which, and until when.
    pub row: KeptRow,
    /// The answer with what belongs to it, unless it is recorded for a task.
    pub answer: Option<(NewPayload, Arc<str>)>,
}

/// A task needs more money than there is: it is parked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Short {
    /// Which.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: u32,
    /// What the call would cost at most.
    pub needs: Money,
}

/// Set what an account may spend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetLimit {
    /// Its tenant.
    pub tenant: TenantId,
    /// Which account.
    pub account: Account,
    /// How much.
    pub limit: Money,
    /// Who says so.
    pub by: LimitBy,
}

/// What came of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It may be sent.
    Yes(CallId),
    /// It would fit once calls under way settle for less than was reserved.
    Later,
    /// It cannot fit unless a budget is raised.
    Never {
        /// The account that refuses, for a person.
        account: String,
        /// The worst case of the call.
        needs: Money,
        /// What is not spent.
        left: Money,
    },
    /// The attempt is over.
    Over,
}
