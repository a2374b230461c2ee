//! A chat completion as a message.

use serde_json::{Value, json};

use crate::{
    answer::Usage,
    providers::dialect::Whole,
    wire::{json, usage},
};

/// Converts the answer to a chat request into a message.
///
/// # Errors
/// When it is not a chat completion.
pub(crate) fn whole(whole: Whole) -> Result<Whole, String> {
    let completion: Value = json::read(&whole.body).map_err(|error| error.to_string())?;
    let counted = whole.usage.or_else(|| usage::read(&completion["usage"]));
    let counted = counted.unwrap_or(Usage { output: whole.text_tokens, ..Usage::default() });
    let body = message(&completion, &counted).to_string().into_bytes();
    Ok(Whole { body, ..whole })
}

/// Builds the message from a completion.
fn message(completion: &Value, counted: &Usage) -> Value {
    let choice = &completion["choices"][0];
    let said = &choice["message"];
    let mut content = Vec::new();
    let text = ["content", "refusal"].iter().find_map(|name| said[*name].as_str().filter(|text| !text.is_empty()));
    content.extend(text.map(|text| json!({ "type": "text", "text": text })));
    let calls = said["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, call) in calls.iter().enumerate() {
        let mut block = tool_use(at, &call["id"], &call["function"]["name"]);
        block["input"] = input(call["function"]["arguments"].as_str().unwrap_or(""));
        content.push(block);
    }
    let refused = said["refusal"].as_str().is_some_and(|text| !text.is_empty());
    let mut message = begun(completion, counted.input);
    message["content"] = Value::Array(content);
    message["stop_reason"] = json!(stop_reason(choice["finish_reason"].as_str(), !calls.is_empty(), refused));
    message["usage"] = counts(counted);
    message
}

/// Builds a message without content.
pub(super) fn begun(completion: &Value, input: u64) -> Value {
    json!({
        "id": format!("msg_{}", completion["id"].as_str().unwrap_or("0")), "type": "message", "role": "assistant",
        "model": completion["model"].as_str().unwrap_or(""), "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": counts(&Usage { input, ..Usage::default() }),
    })
}

/// Builds a block that calls a tool; `at` is its number among the calls.
pub(super) fn tool_use(at: usize, id: &Value, name: &Value) -> Value {
    let id = id.as_str().filter(|id| !id.is_empty()).map_or_else(|| format!("toolu_{at}"), str::to_owned);
    json!({ "type": "tool_use", "id": id, "name": name, "input": {} })
}

/// Reads the arguments of a call, which are always an object here. Other text, such as one that the length limit cut, is
/// kept under the name that Anthropic's documentation gives for it.
fn input(arguments: &str) -> Value {
    if arguments.trim().is_empty() {
        return json!({});
    }
    match json::read::<Value>(arguments.as_bytes()) {
        Ok(input @ Value::Object(_)) => input,
        _ => json!({ "INVALID_JSON": arguments }),
    }
}

/// Converts the finish reason. Some servers call the end of a call of tools a plain stop.
pub(super) fn stop_reason(finish: Option<&str>, calls: bool, refused: bool) -> &'static str {
    match finish {
        Some("length") => "max_tokens",
        Some("content_filter") => "refusal",
        Some("tool_calls" | "function_call") => "tool_use",
        _ if calls => "tool_use",
        _ if refused => "refusal",
        _ => "end_turn",
    }
}

/// Writes counts. Messages counts tokens of the prompt cache beside the input, chat counts them within it.
pub(super) fn counts(usage: &Usage) -> Value {
    let beside = usage.cached.saturating_add(usage.cache_write);
    json!({
        "input_tokens": usage.input.saturating_sub(beside), "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.cache_write, "output_tokens": usage.output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(choice: Value) -> Value {
        let body = json!({"id": "c1", "model": "gpt", "choices": [choice],
            "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}}});
        let body = body.to_string().into_bytes();
        serde_json::from_slice(&whole(Whole { body, usage: None, text_tokens: 1 }).unwrap().body).unwrap()
    }

    #[test]
    fn texts_calls_and_counts_are_carried_over() {
        let call = |id: &str, arguments: &str| json!({"id": id, "function": {"name": "f", "arguments": arguments}});
        let message = made(json!({"finish_reason": "stop", "message": {"content": "Let me see.",
            "tool_calls": [call("a", "{\"x\":1}"), call("", ""), call("c", "{\"x\":")]}}));
        let want = json!({
            "id": "msg_c1", "type": "message", "role": "assistant", "model": "gpt", "stop_reason": "tool_use",
            "stop_sequence": null,
            "content": [{"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c", "name": "f", "input": {"INVALID_JSON": "{\"x\":"}}],
            "usage": {"input_tokens": 4, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 0,
                "output_tokens": 4},
        });
        assert_eq!(message, want);
    }

    #[test]
    fn every_finish_reason_has_a_stop_reason() {
        for (finish, refusal, want) in [
            ("stop", Value::Null, "end_turn"),
            ("length", Value::Null, "max_tokens"),
            ("content_filter", Value::Null, "refusal"),
            ("stop", json!("no"), "refusal"),
        ] {
            let message = made(json!({"finish_reason": finish, "message": {"content": null, "refusal": refusal}}));
            assert_eq!(message["stop_reason"], want, "{finish}");
        }
    }
}
