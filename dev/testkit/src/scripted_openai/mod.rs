//! A real HTTP double of a model provider, driven by a script: chat completions, responses and embeddings of OpenAI. It
//! also has the Messages of Anthropic (`/messages`), whole and as streams.
//!
//! It speaks HTTP/1.1 by hand, because its purpose is to do what a well-behaved server cannot: hang, reset the
//! connection, drip, cut an answer, send more than announced. Every call is recorded with its headers and body.
//!
//! ```yaml
//! key: sk-test                       # any other key gets 401
//! rules:                             # the first that matches and is not used up answers
//!   - { model: gpt-4o, contains: Summarise, reply: { text: short, key_points: [] } }
//!   - { times: 1, status: 429, headers: { retry-after: "2" } }
//!   - { contains: slow, delay_ms: 500, reply: late }
//!   - { contains: never, hang: true }
//! ```
//! Without a matching rule, the answer is built from the request's JSON Schema.

mod http;
mod messages;
mod reply;
mod script;
mod server;
mod stream;

pub use script::{Flavour, Rule, Script, ScriptError, ToolCall, Usage};
pub use server::{Call, ScriptedOpenai};
