//! The Messages format of Anthropic.

use serde_json::{Value, json};

use super::{
    reply::{self, Said},
    script::Rule,
    stream::pieces,
};

/// Fields of OpenAI that this format does not know; a real server refuses them.
const UNKNOWN: &[&str] =
    &["frequency_penalty", "max_completion_tokens", "n", "response_format", "seed", "stop", "stream_options", "user"];

/// Returns the provider's error of a request.
pub(crate) fn fault(request: &Value, headers: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let refuse = |message: String| {
        let error = json!({ "type": "invalid_request_error", "message": message });
        Some(json!({ "type": "error", "error": error }).to_string())
    };
    if headers("anthropic-version").is_none() {
        return refuse("anthropic-version: header is required".to_owned());
    }
    if !request["max_tokens"].is_u64() {
        return refuse("max_tokens: Field required".to_owned());
    }
    if let Some(name) = UNKNOWN.iter().find(|name| !request[**name].is_null()) {
        return refuse(format!("{name}: Extra inputs are not permitted"));
    }
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bad = messages.iter().find(|m| !matches!(m["role"].as_str(), Some("user" | "assistant")));
    bad.and_then(|message| refuse(format!("messages: unexpected role {}", message["role"])))
}

/// Counts the tokens of a message: tokens from the cache stand beside the input.
fn usage(said: &Said) -> Value {
    json!({
        "input_tokens": said.prompt - said.cached, "cache_read_input_tokens": said.cached,
        "cache_creation_input_tokens": 0, "output_tokens": said.completion,
    })
}

/// Builds the parts of an answer: its text, or the input of the tool that it must call, or the calls of the rule.
fn parts(request: &Value, rule: Option<&Rule>, said: &Said) -> Vec<Value> {
    let forced = &request["tool_choice"]["name"];
    if request["tool_choice"]["type"] == "tool" && said.calls.is_empty() {
        let schema = json!({ "response_format": { "json_schema": { "schema": request["tools"][0]["input_schema"] } } });
        let text = Said::of(&schema, rule).content;
        let input: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        return vec![json!({ "type": "tool_use", "id": "toolu_0", "name": forced, "input": input })];
    }
    if said.calls.is_empty() {
        return vec![json!({ "type": "text", "text": said.content })];
    }
    let call = |(at, call): (usize, &super::script::ToolCall)| json!({ "type": "tool_use", "id": format!("toolu_{at}"), "name": call.name, "input": call.arguments });
    said.calls.iter().enumerate().map(call).collect()
}

fn stop_reason(parts: &[Value], said: &Said) -> &'static str {
    match said.finish.as_str() {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        _ if parts.iter().any(|part| part["type"] == "tool_use") => "tool_use",
        _ => "end_turn",
    }
}

/// Builds a whole message.
pub(crate) fn message(request: &Value, rule: Option<&Rule>, number: u64) -> Value {
    let said = Said::of(request, rule);
    let parts = parts(request, rule, &said);
    json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": request["model"],
        "stop_reason": stop_reason(&parts, &said), "stop_sequence": null, "usage": usage(&said), "content": parts,
    })
}

/// Builds a message as events.
pub(crate) fn events(request: &Value, rule: Option<&Rule>, number: u64) -> Vec<String> {
    let said = Said::of(request, rule);
    let parts = parts(request, rule, &said);
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or(""));
    let mut counts = usage(&said);
    counts["output_tokens"] = json!(1);
    let start = json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": request["model"],
        "content": [], "stop_reason": null, "usage": counts,
    });
    let mut events =
        vec![event(json!({ "type": "message_start", "message": start })), event(json!({ "type": "ping" }))];
    for (at, part) in parts.iter().enumerate() {
        let (empty, kind, field, text) = if part["type"] == "text" {
            (json!({ "type": "text", "text": "" }), "text_delta", "text", said.content.clone())
        } else {
            let mut empty = part.clone();
            empty["input"] = json!({});
            (empty, "input_json_delta", "partial_json", part["input"].to_string())
        };
        events.push(event(json!({ "type": "content_block_start", "index": at, "content_block": empty })));
        for piece in pieces(&text) {
            let delta = json!({ "type": kind, field: piece });
            events.push(event(json!({ "type": "content_block_delta", "index": at, "delta": delta })));
        }
        events.push(event(json!({ "type": "content_block_stop", "index": at })));
    }
    if !rule.is_some_and(|rule| rule.no_finish) {
        let delta = json!({ "stop_reason": stop_reason(&parts, &said), "stop_sequence": null });
        let counts = json!({ "output_tokens": said.completion });
        events.push(event(json!({ "type": "message_delta", "delta": delta, "usage": counts })));
    }
    events.push(event(json!({ "type": "message_stop" })));
    events
}

/// Builds the body for a wrong key.
pub(crate) fn wrong_key(given: &str) -> String {
    reply::error(&format!("invalid x-api-key {given}"), "authentication_error")
}
