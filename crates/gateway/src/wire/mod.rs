//! The wire format that callers speak: OpenAI's, whichever provider answers.

mod call;
mod fields;
pub mod json;
mod needs;
mod parts;
mod refusal;
pub(crate) mod usage;

pub(crate) use call::WORKER;
pub use call::{ModelCall, Operation, REQUEST_MAX};
pub(crate) use kapelle_core::sse;
pub use needs::{Feature, Features};
pub use refusal::Refusal;
pub(crate) use refusal::{CATEGORY, NO_MODEL, PASSING};
