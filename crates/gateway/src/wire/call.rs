//! One request as a caller sent it, with the fields taken out that are not the caller's to choose.

use serde_json::{Map, Value};

use super::{Features, Refusal};
use crate::request::{REFUSED, estimate_tokens};

/// A request longer than this is refused.
pub const REQUEST_MAX: usize = 32 << 20;

/// Room for the input of a call whose length is not in the request: an earlier response or a stored file.
const CONTEXT_TOKENS: u64 = 1_048_576;
/// The most tokens that a picture is known to be counted as: 2,833 and eight tiles of 5,667 (gpt-4o-mini).
const PICTURE_TOKENS: u64 = 50_000;
/// What a provider adds to a request by itself (roles, the preamble of tools and schemas).
const PREAMBLE_TOKENS: u64 = 1_024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
}

impl Operation {
    /// The path below the base address, in segments.
    #[must_use]
    pub fn path(self) -> &'static [&'static str] {
        match self {
            Operation::Chat => &["chat", "completions"],
            Operation::Responses => &["responses"],
            Operation::Embeddings => &["embeddings"],
        }
    }

    /// The path below the base address.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat/completions",
            Operation::Responses => "responses",
            Operation::Embeddings => "embeddings",
        }
    }

    /// What a whole answer to it is called, for messages.
    #[must_use]
    pub fn answer(self) -> &'static str {
        match self {
            Operation::Chat => "a chat completion",
            Operation::Responses => "a response",
            Operation::Embeddings => "a list of embeddings",
        }
    }
}

/// A request, read and cleaned.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCall {
    /// What is asked for.
    pub operation: Operation,
    /// The name of an alias or a model, as the caller wrote it.
    pub model: String,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
    /// Whether the caller wants token counts at the end of a stream.
    pub wants_usage: bool,
    /// All other fields. Those of [`REFUSED`] are not among them.
    pub fields: Map<String, Value>,
    /// The bytes of the request, which bound its tokens: a token is at least one byte.
    bytes: u64,
    /// About how many tokens the input is.
    estimate: u64,
}

impl ModelCall {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal`] with status 400 or 413: not a JSON object, too long, no model, or a field that would make the call
    /// cost something that cannot be known beforehand.
    pub fn parse(operation: Operation, body: &[u8]) -> Result<ModelCall, Refusal> {
        if body.len() > REQUEST_MAX {
            return Err(Refusal::too_large(REQUEST_MAX));
        }
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid("body", format!("the body is not a JSON object: {error}")))?;
        ModelCall::of(operation, fields, body.len() as u64)
    }

    /// The call with those fields.
    pub(crate) fn of(operation: Operation, mut fields: Map<String, Value>, bytes: u64) -> Result<ModelCall, Refusal> {
        let model = match fields.get("model") {
            Some(Value::String(name)) if !name.trim().is_empty() => name.trim().to_owned(),
            _ => return Err(Refusal::invalid("model", "name a model or an alias, such as \"fast\"".to_owned())),
        };
        let stream = match fields.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on && operation != Operation::Embeddings,
            Some(_) => return Err(Refusal::invalid("stream", "`stream` is true or false".to_owned())),
        };
        let wants_usage = fields.get("stream_options").is_some_and(|o| o["include_usage"] == Value::Bool(true));
        refuse_unpriced(&fields)?;
        // `retain` keeps the order of the others, which is that of the caller.
        fields.retain(|name, _| !REFUSED.contains(&name.as_str()));
        let inputs = ["messages", "input", "instructions", "tools", "response_format", "text"];
        let estimate = inputs.iter().filter_map(|name| fields.get(*name)).map(|value| tokens_of(value, 0)).sum();
        Ok(ModelCall { operation, model, stream, wants_usage, fields, bytes, estimate })
    }

    /// How many bytes the request had.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What a provider must be able to do to answer it.
    #[must_use]
    pub fn needs(&self) -> Features {
        Features::needed(self.operation, &self.fields)
    }

    /// The name of the field that bounds the answer, and what the caller wrote there.
    #[must_use]
    pub fn longest_answer(&self) -> Option<u64> {
        let names: &[&str] = match self.operation {
            Operation::Chat => &["max_completion_tokens", "max_tokens"],
            Operation::Responses => &["max_output_tokens"],
            Operation::Embeddings => &[],
        };
        names.iter().filter_map(|name| self.fields.get(*name).and_then(Value::as_u64)).min()
    }

    /// How many answers are asked for at once.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.fields.get("n").and_then(Value::as_u64).unwrap_or(1).max(1)
    }

    /// The most tokens that the input can be. Byte-level tokens are never shorter than a byte; pictures and what the
    /// provider has stored are counted at the most that is known of them.
    #[must_use]
    pub fn input_bound(&self) -> u64 {
        let remote = ["previous_response_id", "conversation", "prompt"].iter().any(|name| is_set(&self.fields, name));
        let mut pictures = 0;
        let mut files = false;
        self.fields.values().for_each(|value| count_parts(value, &mut pictures, &mut files, 0));
        let stored = if remote || files { CONTEXT_TOKENS } else { 0 };
        self.bytes + PREAMBLE_TOKENS + pictures * PICTURE_TOKENS + stored
    }

    /// About how many tokens the input is: for rates, and for a provider that does not count.
    #[must_use]
    pub fn input_estimate(&self) -> u64 {
        self.estimate.max(1)
    }

    /// What the provider may add to the answer at the caller's wish: rejected tokens of a prediction are paid for.
    #[must_use]
    pub fn predicted(&self) -> u64 {
        self.fields.get("prediction").map_or(0, |value| value.to_string().len() as u64)
    }
}

fn is_set(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !value.is_null())
}

/// About how many tokens the texts in a value are. The bytes of a picture are no text.
fn tokens_of(value: &Value, depth: usize) -> u64 {
    const PICTURE: u64 = 1_000;
    match value {
        _ if depth > 128 => 0,
        Value::String(text) if text.starts_with("data:") => PICTURE,
        Value::String(text) => estimate_tokens(text),
        Value::Array(list) => list.iter().map(|item| 1 + tokens_of(item, depth + 1)).sum(),
        Value::Object(map) => map.iter().map(|(name, v)| estimate_tokens(name) + tokens_of(v, depth + 1)).sum(),
        _ => 1,
    }
}

/// Counts pictures, and notes files and recordings, wherever they stand.
fn count_parts(value: &Value, pictures: &mut u64, files: &mut bool, depth: usize) {
    // serde_json reads no deeper than 128, so this cannot run away; the bound says it where it matters.
    if depth > 128 {
        return;
    }
    match value {
        Value::Array(list) => list.iter().for_each(|part| count_parts(part, pictures, files, depth + 1)),
        Value::Object(map) => {
            match map.get("type").and_then(Value::as_str) {
                Some("image_url" | "input_image" | "image") => *pictures += 1,
                Some("file" | "input_file" | "input_audio" | "item_reference") => *files = true,
                _ => {}
            }
            map.values().for_each(|part| count_parts(part, pictures, files, depth + 1));
        }
        _ => {}
    }
}

/// Refuses what would be paid for by something other than tokens, or after the answer was delivered: a budget could
/// not hold.
fn refuse_unpriced(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let no = |field: &str, why: &str| Err(Refusal::invalid(field, why.to_owned()));
    if fields.get("background") == Some(&Value::Bool(true)) {
        return no("background", "an answer in the background cannot be metered: leave `background` out");
    }
    if fields.get("n").is_some_and(|n| !n.is_null() && n.as_u64().is_none()) {
        return no("n", "`n` is a whole number, for it is paid that many times");
    }
    for field in ["container", "mcp_servers"] {
        if is_set(fields, field) {
            return no(field, "what runs at the provider is not paid by the token: its cost cannot be capped");
        }
    }
    if is_set(fields, "web_search_options") {
        return no("web_search_options", "web searches are not paid by the token: their cost cannot be capped");
    }
    if let Some(tier @ ("priority" | "scale")) = fields.get("service_tier").and_then(Value::as_str) {
        let why = format!("the service tier `{tier}` has prices that are not in the table: leave it out");
        return Err(Refusal::invalid("service_tier", why));
    }
    let hosted = |tool: &&Value| {
        let kind = tool["type"].as_str().unwrap_or("function");
        !matches!(kind, "function" | "custom")
    };
    let tools = fields.get("tools").and_then(Value::as_array).into_iter().flatten();
    if let Some(tool) = tools.clone().find(hosted) {
        let kind: String = tool["type"].as_str().unwrap_or("").chars().take(40).collect();
        let why = format!("the tool `{kind}` runs at the provider and is not paid by the token: use `function`");
        return Err(Refusal::invalid("tools", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<ModelCall, Refusal> {
        ModelCall::parse(Operation::Chat, body.as_bytes())
    }

    #[test]
    fn what_could_redirect_a_key_is_taken_out_and_the_rest_stays_in_order() {
        let call =
            chat(r#"{"z":1,"model":"fast","api_base":"http://evil","messages":[],"seed":7,"stream":true}"#).unwrap();
        assert_eq!((call.model.as_str(), call.stream, call.wants_usage), ("fast", true, false));
        assert_eq!(call.fields.keys().collect::<Vec<_>>(), ["z", "messages", "seed"]);
    }

    #[test]
    fn a_bad_request_says_which_field() {
        for (body, field) in [
            ("[]", "body"),
            ("{", "body"),
            (r#"{"messages":[]}"#, "model"),
            (r#"{"model":" "}"#, "model"),
            (r#"{"model":"m","stream":"yes"}"#, "stream"),
            (r#"{"model":"m","background":true}"#, "background"),
            (r#"{"model":"m","web_search_options":{}}"#, "web_search_options"),
            (r#"{"model":"m","service_tier":"priority"}"#, "service_tier"),
            (r#"{"model":"m","n":2.0}"#, "n"),
            (r#"{"model":"m","mcp_servers":[{"url":"http://evil"}]}"#, "mcp_servers"),
            (r#"{"model":"m","tools":[{"type":"mcp","server_url":"http://evil"}]}"#, "tools"),
        ] {
            let refusal = chat(body).unwrap_err();
            assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(field)), "{body}");
        }
    }

    #[test]
    fn the_bound_on_the_input_counts_what_is_not_in_the_bytes() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let plain = chat(text).unwrap().input_bound();
        assert_eq!(plain, text.len() as u64 + PREAMBLE_TOKENS);
        let picture = r#"{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"u"}}]}]}"#;
        assert!(chat(picture).unwrap().input_bound() > PICTURE_TOKENS);
        let earlier = r#"{"model":"m","previous_response_id":"r"}"#;
        assert!(chat(earlier).unwrap().input_bound() > CONTEXT_TOKENS);
        assert_eq!(
            chat(r#"{"model":"m","n":3,"max_tokens":9,"max_completion_tokens":5}"#).unwrap().longest_answer(),
            Some(5)
        );
    }
}
