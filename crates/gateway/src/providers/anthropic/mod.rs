//! Anthropic's own Messages format. Its OpenAI-compatible address silently ignores schemas, seeds and more, so it is
//! not used: a request that this format cannot express is refused or passed to the next link of the chain.

mod answer;
mod messages;
pub(super) mod native;
mod request;
mod stream;

pub(crate) use messages::parts;

/// Name of the tool whose input is the answer, when an answer must match a schema.
const ANSWER_TOOL: &str = "kapelle_answer";
