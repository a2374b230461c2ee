//! Who may do what: the token of the folder, keys with roles, and passes for those who cannot send headers.

mod access;
mod failures;
mod link;
mod role;
mod secret;

pub use access::TICKET_MS;
pub use access::{Auth, Identity};
pub use failures::network;
pub use link::Links;
pub use role::Role;
pub use secret::{TOKEN_FILE, digest, fresh, hex, mark, token};
