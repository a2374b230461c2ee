//! The interface of a ledger.

use std::{future::Future, pin::Pin};

use kapelle_core::{Money, TaskId, TenantId};

pub use kapelle_core::Account;

use crate::{answer::Usage, replay::Fingerprint};

/// A boxed future that borrows from its ledger or log.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The accounts that pay for a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payer {
    /// Tenant of the accounts.
    pub tenant: TenantId,
    /// All accounts that are charged, each with the whole amount.
    pub accounts: Vec<Account>,
    /// The attempt of the task among the accounts, if there is one. Only the current attempt may spend.
    pub attempt: u32,
    /// Replay epoch of that task.
    pub replay_epoch: u64,
}

impl Payer {
    /// Makes a payer that is not a task.
    #[must_use]
    pub fn of(tenant: TenantId, accounts: Vec<Account>) -> Payer {
        Payer { tenant, accounts, attempt: 0, replay_epoch: 0 }
    }

    /// Returns the task among the accounts.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        self.accounts.iter().find_map(|account| match account {
            Account::Task(task) => Some(*task),
            _ => None,
        })
    }
}

/// A call to a provider that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Highest possible cost.
    pub worst: Money,
    /// The provider to call.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// The path to call, such as `chat/completions`.
    pub operation: &'static str,
    /// Identity of the request.
    pub fingerprint: Fingerprint,
}

impl Order {
    /// Makes an order of which only the highest cost is known.
    #[must_use]
    pub fn of(worst: Money) -> Order {
        let fingerprint = Fingerprint([0; 32]);
        Order { worst, provider: String::new(), model: String::new(), operation: "", fingerprint }
    }
}

/// The end of a reserved call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Cost of the call.
    pub outcome: Outcome,
    /// Tokens used, if they are known.
    pub usage: Usage,
    /// The provider's id of the call.
    pub request_id: Option<String>,
    /// Whether the answer is appended to the log next: an implementation that keeps both may write them together.
    pub appended: bool,
}

impl From<Outcome> for Settlement {
    fn from(outcome: Outcome) -> Settlement {
        Settlement { outcome, usage: Usage::default(), request_id: None, appended: false }
    }
}

/// Number of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationId(pub u64);

/// End of a reserved call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The call costs nothing: it was not sent, or was refused.
    Free,
    /// The call costs this much.
    Cost(Money),
    /// The call was sent and its cost will never be known. It is charged at its reservation and counted apart.
    Unknown,
}

/// Reason why nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMoney {
    /// The amount does not fit unless the budget is raised or its window rolls: the task is parked.
    #[error("{account} needs up to {needs} for this call, and {left} are left: raise the budget")]
    Spent {
        /// The account that refuses, as a person reads it.
        account: String,
        /// Highest possible cost of the call.
        needs: Money,
        /// Amount that is neither spent nor reserved.
        left: Money,
    },
    /// The account has reached its limit of calls.
    #[error("{account} may make {limit} calls, and they are made")]
    Calls {
        /// The account that refuses, as a person reads it.
        account: String,
        /// Limit of calls.
        limit: u64,
    },
    /// The attempt that wants to spend is over.
    #[error("this attempt has ended, and may not spend any more")]
    Over,
    /// The ledger cannot be written.
    #[error("the ledger cannot be written: {0}")]
    Broken(String),
}

/// A ledger. The gateway reserves the highest possible cost of every provider call before it is sent and settles it
/// afterwards.
///
/// # Promises of an implementation
///
/// 1. **All or nothing.** A reservation is made in every account of the payer, or in no account.
/// 2. **Never over.** For each account with a limit: spent + reserved + the new amount <= limit at the moment of the
///    reservation, under any number of concurrent calls and, if several servers share the ledger, among all of them.
/// 3. **Durable before the call is sent.** After `reserve` has returned, a crash of this process does not forget that
///    this much may be spent. The record may be a row for each reservation, or a prepaid amount that was drawn from the
///    accounts earlier and is used in memory, so that the call waits for no commit.
/// 4. **Waiting.** A call that would fit if calls in flight settled for less waits: `reserve` returns once it fits or
///    can no longer fit. The gateway bounds the wait by the call's deadline and then drops the future. A dropped future
///    leaves nothing reserved; an implementation that has already written a reservation settles it as `Free`.
/// 5. **Settled once.** `settle` never blocks and never fails for the caller: it takes effect in memory at once and is
///    made durable soon after, at the latest with the next reservation. A second settlement of one reservation changes
///    nothing. A settlement above the reservation is charged in full: money that was paid is never hidden.
/// 6. **Crashes.** Reservations that are open when the process dies are settled as [`Outcome::Unknown`] when the ledger
///    is opened again, before the first new reservation.
/// 7. **Counting.** One reservation is one provider call of each account; the limit of calls is kept like the limit of
///    money.
/// 8. **Sums.** The spent amount of an account is the sum of the costs of its calls, with `Unknown` ones at their
///    reservation.
pub trait Ledger: Send + Sync {
    /// Reserves the highest possible cost of a call in all accounts of the payer.
    ///
    /// The error is [`NoMoney`]; nothing is then reserved.
    fn reserve<'a>(&'a self, payer: &'a Payer, order: Order) -> Pending<'a, Result<ReservationId, NoMoney>>;

    /// Replaces a reservation by the real cost of the call.
    fn settle(&self, reservation: ReservationId, settlement: Settlement);

    /// Reports that a whole call was given up for lack of money, after every link of its chain was tried. The task may
    /// then be parked until there is more.
    fn short(&self, _payer: &Payer, _why: &NoMoney) {}

    /// Sets the spending limit of an account.
    fn limit(&self, tenant: TenantId, account: &Account, limit: Money);
}
