//! Anthropic's own Messages format. Its compatible address ignores schemas, seeds and more in silence, so that it is
//! not used: what this format cannot say is refused or passed to the next link of the chain.

mod answer;
mod messages;
mod request;
mod stream;

pub(crate) use messages::parts;

/// The name of the tool whose input is the answer, where an answer must fit a schema.
const ANSWER_TOOL: &str = "kapelle_answer";
