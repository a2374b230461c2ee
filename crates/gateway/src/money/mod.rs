//! Money: the payers of calls, and the ledger in which a call is reserved before it is sent and settled after.

mod hold;
mod ledger;
mod memory;

pub(crate) use hold::Hold;
pub use ledger::{Account, Ledger, NoMoney, Order, Outcome, Payer, Pending, ReservationId, Settlement};
pub use memory::{MemoryLedger, Standing};
