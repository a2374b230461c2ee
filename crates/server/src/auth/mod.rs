//! Authentication: the token of the folder, keys, and tickets for clients that cannot send headers.

mod access;
mod failures;

pub use access::{Auth, TICKET_MS, party};
pub use failures::network;
