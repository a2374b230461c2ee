//! What the gateway asks of a book of money, whoever keeps it.

use std::{future::Future, pin::Pin};

use kapelle_core::{Money, TaskId, TenantId};

pub use kapelle_core::Account;

use crate::{answer::Usage, replay::Fingerprint};

/// Something that will be there, or has failed, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who pays for a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payer {
    /// Whose accounts they are.
    pub tenant: TenantId,
    /// All that are charged, each with the whole amount.
    pub accounts: Vec<Account>,
    /// The attempt of the task among the accounts, when there is one: only the one under way may spend.
    pub attempt: u32,
    /// The replay epoch of that task.
    pub replay_epoch: u64,
}

impl Payer {
    /// Somebody who is no task.
    #[must_use]
    pub fn of(tenant: TenantId, accounts: Vec<Account>) -> Payer {
        Payer { tenant, accounts, attempt: 0, replay_epoch: 0 }
    }

    /// The task among the accounts.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.accounts.iter().find_map(|account| match account {
            Account::Task(task) => Some(*task),
            _ => None,
        })
    }
}

/// A physical call that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The most that it may cost.
    pub worst: Money,
    /// The provider that is asked.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// The path that is asked, such as `chat/completions`.
    pub operation: &'static str,
    /// What is asked.
    pub fingerprint: Fingerprint,
}

impl Order {
    /// An order about which nothing else is known than what it may cost.
    #[must_use]
    pub fn of(worst: Money) -> Order {
        let fingerprint = Fingerprint([0; 32]);
        Order { worst, provider: String::new(), model: String::new(), operation: "", fingerprint }
    }
}

/// The end of a reserved call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What it costs.
    pub outcome: Outcome,
    /// The tokens, when they are known.
    pub usage: Usage,
    /// By what the provider knows the call.
    pub request_id: Option<String>,
    /// The answer of the call is appended to the log next: who keeps both may write them together.
    pub appended: bool,
}

impl From<Outcome> for Settlement {
    fn from(outcome: Outcome) -> Settlement {
        Settlement { outcome, usage: Usage::default(), request_id: None, appended: false }
    }
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
    /// The attempt that wants to spend is over.
    #[error("this attempt has ended, and may not spend any more")]
    Over,
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
///    much may be spent. That may be a row for each reservation; or a block of money that was drawn from the
///    accounts beforehand and is taken in memory, so that the call waits for no commit.
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
    /// Reserves the worst case of a call in all accounts of the payer.
    ///
    /// The error is [`NoMoney`]; nothing is reserved then.
    fn reserve<'a>(&'a self, payer: &'a Payer, order: Order) -> Pending<'a, Result<ReservationId, NoMoney>>;

    /// Replaces a reservation by what the call cost.
    fn settle(&self, reservation: ReservationId, settlement: Settlement);

    /// The whole call was given up for want of money, after every link of its chain was looked at: whoever keeps the
    /// tasks may set its task aside until there is more.
    fn short(&self, _payer: &Payer, _why: &NoMoney) {}

    /// Sets what an account may spend in all.
    fn limit(&self, tenant: TenantId, account: &Account, limit: Money);
}
