//! Authentication: the token of the folder, keys, and passes for those who cannot send headers.

mod access;
mod failures;

pub use access::{Auth, TICKET_MS, party};
pub use failures::network;
