//! What the gateway asks of a book of money, whoever keeps it.

use std::{future::Future, pin::Pin};

use kapelle_core::{Money, RunId, TaskId, TenantId};

/// Something that will be there, or has failed, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody who pays. Every call is charged to all of its accounts at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// One task, over all its attempts.
    Task(TaskId),
    /// One run, over all its tasks.
    Run(RunId),
    /// A worker, by name.
    Worker(String),
    /// A queue, by name.
    Queue(String),
    /// The tenant as a whole.
    Tenant,
    /// The tenant on the present day. The ledger knows which day it is; a call belongs to the day of its reservation.
    Day,
    /// One token, such as that of a daemon's process.
    Token(String),
}

/// Who pays for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payer {
    /// Whose accounts they are.
    pub tenant: TenantId,
    /// All that are charged, each with the whole amount.
    pub accounts: Vec<Account>,
}

/// One reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationId(pub u64);

/// How a reserved call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider takes nothing: the call was not sent, or was refused.
    Free,
    /// It costs that much.
    Cost(Money),
    /// It was sent, and what it costs will never be known: it is charged at its reservation and counted apart.
    Unknown,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMoney {
    /// It will not fit unless the budget is raised or its window rolls: the task is parked.
    #[error("{account} needs up to {needs} for this call, and {left} are left: raise the budget")]
    Spent {
        /// The account that refuses, for a person.
        account: String,
        /// The worst case of the call.
        needs: Money,
        /// What is not spent.
        left: Money,
    },
    /// The account may make no further call.
    #[error("{account} may make {limit} calls, and they are made")]
    Calls {
        /// The account that refuses, for a person.
        account: String,
        /// How many it may make.
        limit: u64,
    },
    /// The book cannot be written.
    #[error("the ledger cannot be written: {0}")]
    Broken(String),
}

/// A book of money. The gateway reserves the worst case of every physical call before it is sent and settles it after.
///
/// # What an implementation promises
///
/// 1. **All or nothing.** A reservation is made in every account of the payer, or in none.
/// 2. **Never over.** For each account with a limit: spent + reserved + the new amount <= limit at the moment of the
///    reservation, under any number of concurrent calls and, if several servers share the book, among all of them.
/// 3. **Durable before it is sent.** Once `reserve` has returned, a crash of this process does not forget that this
///    much may be spent. That may be a row for each reservation; or a block of money drawn from the account's row
///    beforehand, from which reservations are then taken in memory (a call costs no commit then, and a crash charges
///    what was reserved of the block, or all of the block if it does not record more).
/// 4. **Waiting.** A call that would fit if calls under way settled for less waits: `reserve` returns once it fits or
///    can no longer fit. The gateway bounds the wait by the call's deadline and drops the future then. A dropped
///    future leaves nothing reserved; an implementation that had already written a reservation settles it as `Free`.
/// 5. **Settled once.** `settle` never blocks and never fails for the caller: it takes effect in memory at once and is
///    made durable soon after, at the latest with the next reservation. A second settlement of one reservation changes
///    nothing. What is settled dearer than it was reserved is charged in full: what was paid is never hidden.
/// 6. **Crashes.** Whatever is reserved when the process dies is settled as [`Outcome::Unknown`] when the book is
///    opened again, before the first new reservation.
/// 7. **Counting.** One reservation is one physical call of each account; its limit of calls is kept like its money.
/// 8. **Sums.** What an account has spent is the sum of the costs of its calls, `Unknown` ones at their reservation.
pub trait Ledger: Send + Sync {
    /// Reserves `worst` in all accounts of the payer.
    ///
    /// The error is [`NoMoney`]; nothing is reserved then.
    fn reserve<'a>(&'a self, payer: &'a Payer, worst: Money) -> Pending<'a, Result<ReservationId, NoMoney>>;

    /// Replaces a reservation by what the call cost.
    fn settle(&self, reservation: ReservationId, outcome: Outcome);
}

impl Account {
    /// For a person: `task_7`, `queue ml`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Account::Task(id) => id.to_string(),
            Account::Run(id) => id.to_string(),
            Account::Worker(name) => format!("worker {name}"),
            Account::Queue(name) => format!("queue {name}"),
            Account::Tenant => "the tenant".to_owned(),
            Account::Day => "this day".to_owned(),
            Account::Token(name) => format!("token {name}"),
        }
    }
}
