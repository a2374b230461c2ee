//! The wire formats that callers speak, OpenAI's and Anthropic's, whichever provider answers.

mod call;
mod fields;
pub mod json;
mod messages;
mod needs;
mod parts;
mod refusal;
pub(crate) mod usage;

pub(crate) use call::WORKER;
pub use call::{Door, ModelCall, Operation, REQUEST_MAX};
pub(crate) use kapelle_core::sse;
pub use needs::{Feature, Features};
pub(crate) use refusal::{CATEGORY, NO_MODEL, PASSING};
pub use refusal::{Refusal, new_request_id};
