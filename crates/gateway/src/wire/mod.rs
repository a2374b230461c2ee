//! The wire format that callers speak: that of OpenAI, whichever provider answers.

mod call;
mod needs;
mod refusal;
pub(crate) mod sse;
pub(crate) mod usage;

pub use call::{ModelCall, Operation, REQUEST_MAX};
pub use needs::{Feature, Features};
pub use refusal::Refusal;
pub(crate) use refusal::{NO_MODEL, PASSING};
