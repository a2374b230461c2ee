//! The script of the double.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rules of one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Key that callers must send; any other gets 401.
    pub key: Option<String>,
    /// Header that holds the key alone, such as `api-key`. Default: `authorization: Bearer`.
    pub key_header: Option<String>,
    /// Path prefix, such as `/openai/v1`; any other path gets 404. Default: any prefix.
    pub base: Option<String>,
    /// Provider whose deviations from OpenAI are copied.
    pub flavour: Flavour,
    /// Rules, tried in order; the first that matches and is not used up answers.
    pub rules: Vec<Rule>,
}

/// Deviations of a provider that speaks OpenAI's format in its own way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// OpenAI itself.
    #[default]
    Openai,
    /// A stream begins with an event that has no choices but the result of a filter; errors have numbers for codes.
    Azure,
    /// Every event of a stream counts tokens; errors stand in a list.
    Google,
    /// Errors are a message alone.
    Aws,
}

/// Condition and contents of an answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Text that the model's name must contain.
    pub model: Option<String>,
    /// Text that the messages must contain.
    pub contains: Option<String>,
    /// Number of times that the rule matches.
    pub times: Option<u64>,
    /// Wait before the answer.
    pub delay_ms: u64,
    /// The content of the answer: text, or JSON that is sent as text.
    pub reply: Option<Value>,
    /// Finish reason.
    pub finish_reason: Option<String>,
    /// Token counts; `null` omits them.
    pub usage: Option<Usage>,
    /// Whether the token counts are omitted.
    pub no_usage: bool,
    /// Status instead of 200.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: BTreeMap<String, String>,
    /// Body instead of a completion.
    pub body: Option<String>,
    /// Size of a chunked body without an announced length.
    pub body_bytes: Option<u64>,
    /// Whether it takes the request and never answers.
    pub hang: bool,
    /// Whether it resets the connection.
    pub reset: bool,
    /// Whether it answers 200 with half a JSON document; in a stream, with an invalid event.
    pub malformed: bool,
    /// Whether it announces the whole answer, sends half of it and closes; half the events of a stream.
    pub cut: bool,
    /// Size of the pieces of an answer in bytes; a stream is sent event by event, `delay_ms` apart.
    pub drip: Option<usize>,
    /// Functions that the answer calls, each `{ name, arguments }`.
    pub tool_calls: Vec<ToolCall>,
    /// Number of events of a stream after which the connection is closed.
    pub events_cut: Option<usize>,
    /// Number of events of a stream after which it waits until the caller is gone.
    pub events_hang: Option<usize>,
    /// Whether a stream ends without a finish reason.
    pub no_finish: bool,
    /// Whether a stream has an event in the middle that is not JSON.
    pub bad_sse: bool,
    /// Size of a line in the middle of a stream, in bytes.
    pub huge_line: Option<usize>,
    /// Whether a stream ends with an error event.
    pub error_event: bool,
}

/// A function that an answer calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ToolCall {
    pub name: String,
    /// Arguments of the call.
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
    /// Sent tokens that came from the prompt cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Received tokens of thinking.
    #[serde(default)]
    pub reasoning_tokens: u64,
}

/// Error of a script that could not be read.
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
    /// Tells whether the rule matches the request.
    pub(crate) fn fits(&self, model: &str, prompt: &str) -> bool {
        self.model.as_ref().is_none_or(|part| model.contains(part.as_str()))
            && self.contains.as_ref().is_none_or(|part| prompt.contains(part.as_str()))
    }
}
