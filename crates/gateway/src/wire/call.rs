//! One request as a caller sent it, without the fields that the caller may not choose.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value, value::RawValue};

use super::{Features, Refusal, fields, json, parts::Unbounded};
use crate::request::estimate_tokens;

/// Size limit of a request, in bytes.
pub const REQUEST_MAX: usize = 32 << 20;

/// Field that marks the request of a prompt worker on its way from a worker host to its server. Its limit is then the
/// worker's, and is sent under the name that the provider knows.
pub(crate) const WORKER: &str = "x_kapelle_worker";
/// Fields that are rewritten for each provider.
const OWN: [&str; 4] = ["model", "stream", "stream_options", WORKER];
/// Tokens that a provider adds to a request (roles, the preamble of tools and schemas).
const PREAMBLE_TOKENS: u64 = 1_024;

/// Kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/messages`, Anthropic's format.
    Messages,
}

impl Operation {
    /// Returns the path below the base address, in segments.
    #[must_use]
    pub fn path(self) -> &'static [&'static str] {
        match self {
            Operation::Chat => &["chat", "completions"],
            Operation::Responses => &["responses"],
            Operation::Embeddings => &["embeddings"],
            Operation::Messages => &["messages"],
        }
    }

    /// Returns the path below the base address.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat/completions",
            Operation::Responses => "responses",
            Operation::Embeddings => "embeddings",
            Operation::Messages => "messages",
        }
    }

    /// Returns the fields that limit the length of an answer, first the one that Kapelle's own clients use.
    pub(crate) fn limits(self) -> &'static [&'static str] {
        match self {
            Operation::Chat => &["max_completion_tokens", "max_tokens"],
            Operation::Responses => &["max_output_tokens"],
            Operation::Embeddings => &[],
            Operation::Messages => &["max_tokens"],
        }
    }

    /// Returns the name of a whole answer, for messages.
    #[must_use]
    pub fn answer(self) -> &'static str {
        match self {
            Operation::Chat => "a chat completion",
            Operation::Responses => "a response",
            Operation::Embeddings => "a list of embeddings",
            Operation::Messages => "a message",
        }
    }

    /// Returns the door that the operation belongs to.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Operation::Chat | Operation::Responses | Operation::Embeddings => Door::Openai,
            Operation::Messages => Door::Anthropic,
        }
    }
}

/// API whose shapes a caller reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// OpenAI's.
    Openai,
    /// Anthropic's.
    Anthropic,
}

/// A request, read and checked.
#[derive(Debug, Clone)]
pub struct ModelCall {
    /// Kind of request.
    pub operation: Operation,
    /// Name of an alias or a model, as the caller wrote it.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller wants token counts at the end of a stream.
    pub wants_usage: bool,
    /// All other fields.
    pub fields: Map<String, Value>,
    /// Text of the fields that cannot be rewritten unchanged because they hold halves of surrogate pairs.
    pub(crate) raw: BTreeMap<String, Box<RawValue>>,
    /// Fields that are passed on only to providers whose configuration names them.
    pub(crate) unknown: Vec<String>,
    /// Whether a prompt worker sent it. The options in the worker's file are then adapted to the model.
    pub(crate) of_worker: bool,
    /// Length limit that a prompt worker set, in tokens.
    own_limit: Option<u64>,
    /// Size of the request in bytes, which bounds its tokens: a token is at least one byte.
    bytes: u64,
    /// Estimated tokens of the input.
    estimate: u64,
}

impl ModelCall {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal`] with status 400 or 413: not a JSON object, too long, no model, or a field that would cost an amount
    /// that cannot be known beforehand.
    pub fn parse(operation: Operation, body: &[u8]) -> Result<ModelCall, Refusal> {
        if body.len() > REQUEST_MAX {
            return Err(Refusal::too_large(REQUEST_MAX));
        }
        let fields = object(body)?;
        let mut call = ModelCall::of(operation, fields, body.len() as u64)?;
        if let Cow::Owned(_) = json::mended(body)
            && let Ok(raw) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body)
        {
            call.raw = raw;
            call.raw.retain(|name, text| {
                let mended = json::mended(text.get().as_bytes());
                let odd = matches!(mended, Cow::Owned(_));
                odd && call.fields.contains_key(name) && json::is_unique(&mended)
            });
        }
        Ok(call)
    }

    /// Reads the body of a request whose tokens are only counted. It needs no length limit.
    ///
    /// # Errors
    /// As for [`ModelCall::parse`].
    pub(crate) fn counted(body: &[u8]) -> Result<ModelCall, Refusal> {
        if body.len() > REQUEST_MAX {
            return Err(Refusal::too_large(REQUEST_MAX));
        }
        let mut fields = object(body)?;
        fields.entry("max_tokens").or_insert_with(|| Value::from(1));
        ModelCall::of(Operation::Messages, fields, body.len() as u64)
    }

    /// Makes a call with those fields.
    pub(crate) fn of(operation: Operation, mut fields: Map<String, Value>, bytes: u64) -> Result<ModelCall, Refusal> {
        let model = match fields.get("model") {
            Some(Value::String(name)) if !name.trim().is_empty() => name.trim().to_owned(),
            _ => return Err(Refusal::invalid("model", "name a model or an alias, such as \"fast\"".to_owned())),
        };
        let stream = match fields.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on && operation != Operation::Embeddings,
            Some(_) => return Err(Refusal::typed("stream", "`stream` is true or false".to_owned())),
        };
        let wants_usage = fields.get("stream_options").is_some_and(|o| o["include_usage"] == Value::Bool(true));
        fields::check(operation, &fields)?;
        let of_worker = fields.get(WORKER) == Some(&Value::Bool(true));
        // `retain` keeps the caller's order of the others.
        fields.retain(|name, value| !OWN.contains(&name.as_str()) && !value.is_null());
        let inputs = ["messages", "system", "input", "instructions", "tools", "functions", "response_format", "text"];
        let estimate = inputs.iter().filter_map(|name| fields.get(*name)).map(|value| tokens_of(value, 0)).sum();
        let (raw, unknown) = (BTreeMap::new(), fields::unknown(operation, &fields));
        let mut call = ModelCall {
            operation,
            model,
            stream,
            wants_usage,
            fields,
            raw,
            unknown,
            of_worker,
            own_limit: None,
            bytes,
            estimate,
        };
        if of_worker {
            call.own_limit = call.limits().filter_map(|(_, limit)| limit).min();
            call.fields.retain(|name, _| !operation.limits().contains(&name.as_str()));
        }
        Ok(call)
    }

    /// Returns the fields that limit the answer, as the caller wrote them, with their values. A value is `None` when it
    /// does not limit anything (`-1`).
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> + '_ {
        let names = self.operation.limits().iter();
        names.filter_map(|name| self.fields.get(*name).map(|value| (*name, whole(value))))
    }

    /// Returns all fields, as a worker host sends them to the gateway of its server.
    pub(crate) fn forwarded(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("model".to_owned(), Value::from(self.model.as_str()));
        fields.insert(WORKER.to_owned(), Value::Bool(true));
        if let (Some(limit), Some(name)) = (self.own_limit, self.operation.limits().first()) {
            fields.insert((*name).to_owned(), Value::from(limit));
        }
        Value::from(fields)
    }

    /// Returns the size of the request in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the features that a provider needs to answer the call.
    #[must_use]
    pub fn needs(&self) -> Features {
        Features::needed(self.operation, &self.fields)
    }

    /// Returns the length limit that the caller set, in tokens.
    #[must_use]
    pub fn longest_answer(&self) -> Option<u64> {
        self.own_limit.or_else(|| self.limits().filter_map(|(_, limit)| limit).min())
    }

    /// Returns the number of answers requested at once.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.fields.get("n").and_then(Value::as_u64).unwrap_or(1).max(1)
    }

    /// Returns the largest number of tokens that the input can have. A byte-level token is at least one byte. Pictures
    /// are counted at the most that is known of them, and parts that bytes do not bound at the size of a context.
    #[must_use]
    pub fn input_bound(&self) -> u64 {
        (self.bytes + PREAMBLE_TOKENS).saturating_add(Unbounded::of(&self.fields).tokens())
    }

    /// Returns the estimated tokens of the input: for rates, and for a provider that does not count them.
    #[must_use]
    pub fn input_estimate(&self) -> u64 {
        self.estimate.max(1)
    }

    /// Returns the tokens that a prediction may add to the answer: rejected tokens of a prediction are charged.
    #[must_use]
    pub fn predicted(&self) -> u64 {
        self.fields.get("prediction").map_or(0, |value| value.to_string().len() as u64)
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    json::read(body).map_err(|error| Refusal::invalid("body", format!("the body is not a JSON object: {error}")))
}

/// Reads a count, also one written as `5.0`.
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n)).map(|n| n as u64);
    value.as_u64().or_else(float)
}

/// Estimates the tokens of the texts in a value. Bytes of a picture are not text.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<ModelCall, Refusal> {
        ModelCall::parse(Operation::Chat, body.as_bytes())
    }

    #[test]
    fn what_is_not_known_is_named_and_the_rest_stays_in_order() {
        let call = chat(
            r#"{"top_p":1,"model":"fast","api_base":"http://evil","messages":[],"seed":7,"user":null,"stream":true}"#,
        )
        .unwrap();
        assert_eq!((call.model.as_str(), call.stream, call.wants_usage), ("fast", true, false));
        assert_eq!(call.fields.keys().collect::<Vec<_>>(), ["top_p", "api_base", "messages", "seed"]);
        assert_eq!(call.unknown, ["api_base"]);
    }

    #[test]
    fn halves_of_surrogate_pairs_are_kept_as_they_came() {
        let call = chat(r#"{"model":"m","user":"u","messages":[{"role":"user","content":"\ud83d x"}]}"#).unwrap();
        assert_eq!(call.fields["messages"][0]["content"], "\u{fffd} x");
        assert_eq!(call.raw.keys().collect::<Vec<_>>(), ["messages"]);
        assert_eq!(call.raw["messages"].get(), r#"[{"role":"user","content":"\ud83d x"}]"#);
        assert!(chat(r#"{"model":"m","user":"\ud83d\ude00"}"#).unwrap().raw.is_empty());
        let twice = r#"{"model":"m","messages":[{"role":"user","role":"user","content":"\ud83d"}]}"#;
        assert!(chat(twice).unwrap().raw.is_empty(), "of two values a provider may read the other");
    }

    #[test]
    fn a_worker_has_its_limit_by_no_name_and_sends_it_on() {
        let call = chat(r#"{"model":"m","x_kapelle_worker":true,"max_tokens":9,"messages":[]}"#).unwrap();
        assert_eq!((call.longest_answer(), call.limits().count(), call.of_worker), (Some(9), 0, true));
        let again = ModelCall::parse(Operation::Chat, call.forwarded().to_string().as_bytes()).unwrap();
        assert_eq!((again.longest_answer(), again.limits().count()), (Some(9), 0));
        let own = chat(r#"{"model":"m","max_tokens":-1,"max_completion_tokens":5.0}"#).unwrap();
        assert_eq!(own.limits().collect::<Vec<_>>(), [("max_completion_tokens", Some(5)), ("max_tokens", None)]);
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
        assert!(chat(picture).unwrap().input_bound() > 50_000);
        let earlier = r#"{"model":"m","previous_response_id":"r"}"#;
        assert!(chat(earlier).unwrap().input_bound() > 1_048_576);
        assert_eq!(
            chat(r#"{"model":"m","n":3,"max_tokens":9,"max_completion_tokens":5}"#).unwrap().longest_answer(),
            Some(5)
        );
    }
}
