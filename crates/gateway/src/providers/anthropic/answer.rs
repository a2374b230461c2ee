//! A whole message as a chat completion.

use serde_json::{Value, json};

use super::ANSWER_TOOL;
use crate::{
    answer::Usage,
    providers::{
        dialect::{Broken, Whole},
        told::Told,
    },
    request::estimate_tokens,
    wire::{json, usage::count},
};

pub(super) fn whole(body: Vec<u8>) -> Result<Whole, Broken> {
    let message: Value = match json::read(&body) {
        Ok(message) => message,
        Err(error) => return Err(Broken::Garbled(error.to_string(), body)),
    };
    if let Some(told) = Told::of(&message) {
        return Err(Broken::Told(Box::new(told), usage(&message["usage"])));
    }
    let Some(parts) = message["content"].as_array() else {
        return Err(Broken::Garbled("it has no `content`".to_owned(), body));
    };
    let mut text = String::new();
    let mut calls: Vec<Value> = Vec::new();
    let mut shaped = false;
    for part in parts {
        match part["type"].as_str().unwrap_or("") {
            "text" => text.push_str(part["text"].as_str().unwrap_or("")),
            "tool_use" if part["name"] == ANSWER_TOOL => {
                shaped = true;
                text = arguments(&part["input"]);
            }
            "tool_use" => calls.push(json!({
                "id": part["id"], "type": "function",
                "function": { "name": part["name"], "arguments": arguments(&part["input"]) },
            })),
            // Thinking has no place in a chat completion.
            _ => {}
        }
    }
    let mut said =
        json!({ "role": "assistant", "content": if text.is_empty() { Value::Null } else { text.as_str().into() } });
    if !calls.is_empty() {
        said["tool_calls"] = Value::Array(calls);
    }
    let usage = usage(&message["usage"]);
    let finish = finish(message["stop_reason"].as_str(), shaped);
    let completion = json!({
        "id": message["id"], "object": "chat.completion", "created": 0, "model": message["model"],
        "choices": [{ "index": 0, "message": said, "finish_reason": finish }],
        "usage": usage.map(|u| written(&u)),
    });
    Ok(Whole {
        text_tokens: estimate_tokens(&message["content"].to_string()),
        usage,
        body: completion.to_string().into_bytes(),
    })
}

/// Converts the input of a tool to the arguments of a function, which are always an object.
pub(super) fn arguments(input: &Value) -> String {
    match input {
        Value::Null => "{}".to_owned(),
        // Some gateways in front of the provider send it as text.
        Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
        Value::String(text) if text.trim_start().starts_with('{') => text.clone(),
        input => input.to_string(),
    }
}

/// Converts the stop reason of a message to OpenAI's word. `shaped`: the tool call was the answer itself.
pub(super) fn finish(reason: Option<&str>, shaped: bool) -> &'static str {
    match reason {
        Some("max_tokens" | "model_context_window_exceeded") => "length",
        Some("tool_use") if !shaped => "tool_calls",
        Some("refusal") => "content_filter",
        _ => "stop",
    }
}

/// Reads the usage. Messages counts prompt cache tokens beside the input, OpenAI counts them within it.
pub(super) fn usage(usage: &Value) -> Option<Usage> {
    let number = |name: &str| count(&usage[name]).unwrap_or(0);
    let (cached, cache_write) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    let input = number("input_tokens").saturating_add(cached).saturating_add(cache_write);
    let output = number("output_tokens");
    (input > 0 || output > 0).then_some(Usage { input, output, cached, cache_write, reasoning: 0 })
}

/// Writes counts as a chat completion has them.
pub(super) fn written(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_calls_and_counts_are_carried_over() {
        let body = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7},
        });
        let whole = whole(body.to_string().into_bytes()).unwrap();
        assert_eq!(whole.usage, Some(Usage { input: 17, output: 7, cached: 5, cache_write: 2, reasoning: 0 }));
        let said: Value = serde_json::from_slice(&whole.body).unwrap();
        let choice = &said["choices"][0];
        assert_eq!(
            (&choice["finish_reason"], &choice["message"]["content"]),
            (&"tool_calls".into(), &"Let me see.".into())
        );
        assert_eq!(choice["message"]["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
        assert_eq!(said["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    }

    #[test]
    fn an_answer_given_as_a_tools_input_is_the_content() {
        let body = json!({"id": "m", "model": "c", "stop_reason": "tool_use", "usage": {"output_tokens": 1},
            "content": [{"type": "tool_use", "id": "t", "name": ANSWER_TOOL, "input": {"x": [1, 2]}}]});
        let said: Value = serde_json::from_slice(&whole(body.to_string().into_bytes()).unwrap().body).unwrap();
        assert_eq!(said["choices"][0]["message"]["content"], r#"{"x":[1,2]}"#);
        assert_eq!(said["choices"][0]["finish_reason"], "stop");
        assert!(whole(b"{}".to_vec()).is_err());
    }

    #[test]
    fn a_tool_without_arguments_has_an_empty_object_for_them() {
        for input in [Value::Null, json!({}), json!(""), json!("{}")] {
            let body = json!({"id": "m", "model": "c", "stop_reason": "tool_use", "usage": {"output_tokens": 1},
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": input}]});
            let said: Value = serde_json::from_slice(&whole(body.to_string().into_bytes()).unwrap().body).unwrap();
            assert_eq!(said["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}", "{input}");
        }
        let without = json!({"content": [{"type": "tool_use", "id": "t", "name": "f"}], "stop_reason": "tool_use"});
        let said: Value = serde_json::from_slice(&whole(without.to_string().into_bytes()).unwrap().body).unwrap();
        assert_eq!(said["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    }
}
