//! A chat completion as a response.

use serde_json::{Value, json};

use crate::{
    answer::Usage,
    providers::dialect::Whole,
    wire::{ModelCall, json, usage},
};

/// Converts the answer to a chat request into a response.
///
/// # Errors
/// When it is not a chat completion.
pub(crate) fn whole(call: &ModelCall, whole: Whole) -> Result<Whole, String> {
    let completion: Value = json::read(&whole.body).map_err(|error| error.to_string())?;
    let counted = whole.usage.or_else(|| usage::read(&completion["usage"]));
    let body = response(call, &completion, counted.as_ref()).to_string().into_bytes();
    Ok(Whole { body, ..whole })
}

/// Builds the response from a completion.
pub(super) fn response(call: &ModelCall, completion: &Value, usage: Option<&Usage>) -> Value {
    let choice = &completion["choices"][0];
    let id = completion["id"].as_str().unwrap_or("0");
    let mut whole = frame(call, completion);
    let reason = match choice["finish_reason"].as_str() {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    };
    whole["status"] = json!(if reason.is_some() { "incomplete" } else { "completed" });
    if let Some(reason) = reason {
        whole["incomplete_details"] = json!({ "reason": reason });
    }
    let said = &choice["message"];
    let mut output = Vec::new();
    let texts = [("content", "output_text", "text"), ("refusal", "refusal", "refusal")];
    let parts = texts.into_iter().filter_map(|(from, kind, to)| {
        let text = said[from].as_str().filter(|text| !text.is_empty())?;
        let mut part = json!({ "type": kind, to: text });
        if kind == "output_text" {
            part["annotations"] = json!([]);
        }
        Some(part)
    });
    let parts: Vec<Value> = parts.collect();
    let calls = said["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parts.is_empty() || calls.is_empty() {
        output.push(message(id, "completed", parts));
    }
    for (at, call) in calls.iter().enumerate() {
        let arguments = given(call["function"]["arguments"].as_str().unwrap_or(""));
        output.push(function_call(id, at, ("completed", arguments), &call["id"], &call["function"]["name"]));
    }
    whole["output"] = Value::Array(output);
    if let Some(usage) = usage {
        whole["usage"] = json!({
            "input_tokens": usage.input, "input_tokens_details": { "cached_tokens": usage.cached },
            "output_tokens": usage.output, "output_tokens_details": { "reasoning_tokens": usage.reasoning },
            "total_tokens": usage.input.saturating_add(usage.output),
        });
    }
    whole
}

/// Returns the arguments of a call; an empty object when the provider sent an empty text, which is not JSON.
pub(super) fn given(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

/// Builds a response without output.
pub(super) fn frame(call: &ModelCall, completion: &Value) -> Value {
    let given = |name: &str, usual: Value| call.fields.get(name).filter(|v| !v.is_null()).cloned().unwrap_or(usual);
    json!({
        "id": format!("resp_{}", completion["id"].as_str().unwrap_or("0")), "object": "response",
        "created_at": completion["created"].as_u64().unwrap_or(0), "status": "in_progress", "error": null,
        "incomplete_details": null, "model": completion["model"], "output": [], "usage": null,
        "instructions": given("instructions", Value::Null), "max_output_tokens": given("max_output_tokens", Value::Null),
        "metadata": given("metadata", json!({})), "parallel_tool_calls": given("parallel_tool_calls", json!(true)),
        "previous_response_id": null, "reasoning": given("reasoning", json!({ "effort": null, "summary": null })),
        "store": false, "temperature": given("temperature", Value::Null), "top_p": given("top_p", Value::Null),
        "text": given("text", json!({ "format": { "type": "text" } })), "tool_choice": given("tool_choice", json!("auto")),
        "tools": given("tools", json!([])), "truncation": "disabled", "user": given("user", Value::Null),
    })
}

/// Builds a message item of the model.
pub(super) fn message(id: &str, status: &str, parts: Vec<Value>) -> Value {
    json!({ "id": format!("msg_{id}"), "type": "message", "status": status, "role": "assistant", "content": parts })
}

/// Builds a function call item; `at` is its number among the calls.
pub(super) fn function_call(
    id: &str,
    at: usize,
    (status, arguments): (&str, &str),
    call: &Value,
    name: &Value,
) -> Value {
    json!({
        "id": format!("fc_{id}_{at}"), "type": "function_call", "status": status, "call_id": call, "name": name,
        "arguments": arguments,
    })
}
