//! Money: who pays for a call, and the book in which it is reserved before and settled after.

mod hold;
mod ledger;
mod memory;

pub(crate) use hold::Hold;
pub use ledger::{Account, Ledger, NoMoney, Order, Outcome, Payer, Pending, ReservationId, Settlement};
pub use memory::{MemoryLedger, Standing};
