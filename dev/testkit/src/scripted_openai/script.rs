//! What the double is told to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rules of one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The key that callers must send; any other gets 401.
    pub key: Option<String>,
    /// The header that holds the key by itself, such as `api-key`; without it, `authorization: Bearer`.
    pub key_header: Option<String>,
    /// The path below which everything is, such as `/openai/v1`; anything else gets 404. Without it any base will do.
    pub base: Option<String>,
    /// Whose manners it has where they differ from OpenAI's.
    pub flavour: Flavour,
    /// Tried in order; the first that fits and is not used up answers.
    pub rules: Vec<Rule>,
}

/// The manners of a provider that speaks the format of OpenAI in its own way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// None: OpenAI itself.
    #[default]
    Openai,
    /// A stream begins with an event that has no choices but the verdict of a filter; errors have numbers for codes.
    Azure,
    /// Every event of a stream counts tokens; errors stand in a list.
    Google,
    /// Errors are a message alone.
    Aws,
}

/// When to answer, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Fits requests whose model contains this.
    pub model: Option<String>,
    /// Fits requests whose messages contain this.
    pub contains: Option<String>,
    /// Fits only that many times.
    pub times: Option<u64>,
    /// Waits before anything is sent.
    pub delay_ms: u64,
    /// The content of the answer: text, or JSON that is sent as text.
    pub reply: Option<Value>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// Token counts; `null` leaves them out of the answer.
    pub usage: Option<Usage>,
    /// Leaves the token counts out.
    pub no_usage: bool,
    /// A status instead of 200.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: BTreeMap<String, String>,
    /// A body instead of a completion.
    pub body: Option<String>,
    /// A body of that many bytes, sent chunked, so that no length is announced.
    pub body_bytes: Option<u64>,
    /// Takes the request and never answers.
    pub hang: bool,
    /// Resets the connection.
    pub reset: bool,
    /// Answers 200 with half a JSON document; a stream with an event that is none.
    pub malformed: bool,
    /// Announces the whole answer, sends half of it and closes; half the events of a stream.
    pub cut: bool,
    /// Sends the answer in pieces of that many bytes, or a stream event by event, `delay_ms` apart.
    pub drip: Option<usize>,
    /// The functions that the answer calls, each `{ name, arguments }`.
    pub tool_calls: Vec<ToolCall>,
    /// Sends only that many events of a stream and closes the connection.
    pub events_cut: Option<usize>,
    /// Sends only that many events of a stream and then waits until the caller is gone.
    pub events_hang: Option<usize>,
    /// Ends a stream without saying why the model stopped.
    pub no_finish: bool,
    /// Puts an event that is no JSON into the middle of a stream.
    pub bad_sse: bool,
    /// Puts a line of that many bytes into the middle of a stream.
    pub huge_line: Option<usize>,
    /// Ends a stream with an error event.
    pub error_event: bool,
}

/// A function that an answer calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Its name.
    pub name: String,
    /// What it is called with.
    pub arguments: Value,
}

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Of those sent, what came from the prompt cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Of those received, what the model thought.
    #[serde(default)]
    pub reasoning_tokens: u64,
}

/// Why a script could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the script cannot be read: {0}")]
pub struct ScriptError(String);

impl Script {
    /// Reads a script in YAML.
    ///
    /// # Errors
    /// [`ScriptError`] with line and column.
    pub fn from_yaml(text: &str) -> Result<Script, ScriptError> {
        serde_saphyr::from_str(text).map_err(|error| ScriptError(error.to_string()))
    }
}

impl Rule {
    /// Whether the rule speaks of such a request.
    pub(crate) fn fits(&self, model: &str, prompt: &str) -> bool {
        self.model.as_ref().is_none_or(|part| model.contains(part.as_str()))
            && self.contains.as_ref().is_none_or(|part| prompt.contains(part.as_str()))
    }
}
