//! A request for a response as a chat request.

use serde_json::{Map, Value, json};

use crate::wire::{ModelCall, Operation};

/// Fields that refer to something stored at the provider.
const STORED: [&str; 3] = ["previous_response_id", "conversation", "prompt"];
/// Fields that do not change an answer that is returned at once and not stored.
const LEFT_OUT: [&str; 9] = [
    "context_management",
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "store",
    "stream_options",
    "truncation",
    "background",
];

/// Builds the equivalent chat request.
///
/// # Errors
/// The field that chat cannot express.
pub(crate) fn chat(call: &ModelCall) -> Result<ModelCall, String> {
    let mut fields = Map::new();
    fields.insert("model".to_owned(), Value::from(call.model.as_str()));
    let mut messages = Vec::new();
    for (name, value) in call.fields.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "instructions" => messages.insert(0, json!({ "role": "system", "content": text(name, value)? })),
            "input" => conversation(value, &mut messages)?,
            "text" => shape(value, &mut fields)?,
            "reasoning" => {
                if let Some(effort) = value.get("effort").filter(|effort| !effort.is_null()) {
                    fields.insert("reasoning_effort".to_owned(), effort.clone());
                }
            }
            "tools" => {
                let list = value.as_array().ok_or("`tools` is not a list")?;
                let tools = list.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
                fields.insert(name.clone(), tools.into());
            }
            "tool_choice" => {
                fields.insert(name.clone(), choice(value)?);
            }
            "top_logprobs" => {
                fields.insert("logprobs".to_owned(), Value::Bool(true));
                fields.insert(name.clone(), value.clone());
            }
            stored if STORED.contains(&stored) => {
                return Err(format!("`{stored}` refers to data that this provider does not store: send all of it"));
            }
            left_out if LEFT_OUT.contains(&left_out) => {}
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    if messages.is_empty() {
        return Err("there is no `input`".to_owned());
    }
    fields.insert("messages".to_owned(), Value::Array(messages));
    let made = ModelCall::of(Operation::Chat, fields, call.bytes());
    let mut made = made.map_err(|refusal| refusal.message)?;
    (made.stream, made.wants_usage) = (call.stream, true);
    Ok(made)
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("`{name}` is not a text, the only type that this provider takes"))
}

fn conversation(input: &Value, messages: &mut Vec<Value>) -> Result<(), String> {
    let list = match input {
        Value::String(text) => {
            messages.push(json!({ "role": "user", "content": text }));
            return Ok(());
        }
        Value::Array(list) => list,
        _ => return Err("`input` is neither a text nor a list".to_owned()),
    };
    for item in list {
        match item["type"].as_str().unwrap_or("message") {
            "message" => messages.push(message(item)?),
            "function_call" => {
                let function = json!({ "name": item["name"], "arguments": item["arguments"] });
                let call = json!({ "id": item["call_id"], "type": "function", "function": function });
                // Calls that were made together stand in one message.
                match messages.last_mut().filter(|last| last["role"] == "assistant") {
                    Some(last) => match last["tool_calls"].as_array_mut() {
                        Some(calls) => calls.push(call),
                        None => last["tool_calls"] = json!([call]),
                    },
                    None => messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] })),
                }
            }
            "function_call_output" => {
                let output = match &item["output"] {
                    Value::String(text) => text.clone(),
                    other => parts(other, "function_call_output")?.iter().filter_map(|p| p["text"].as_str()).collect(),
                };
                messages.push(json!({ "role": "tool", "tool_call_id": item["call_id"], "content": output }));
            }
            // The thinking of one model is of no use to another provider.
            "reasoning" => {}
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(format!("an item of the type `{other}` cannot be sent to this provider"));
            }
        }
    }
    Ok(())
}

fn message(item: &Value) -> Result<Value, String> {
    let role = item["role"].as_str().unwrap_or("user");
    let content = match &item["content"] {
        Value::String(text) => json!(text),
        list => {
            let parts = parts(list, "message")?;
            if role == "assistant" {
                json!(parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>())
            } else {
                Value::Array(parts)
            }
        }
    };
    Ok(json!({ "role": role, "content": content }))
}

fn parts(list: &Value, of: &str) -> Result<Vec<Value>, String> {
    let list = list.as_array().ok_or_else(|| format!("the content of a {of} is neither a text nor a list"))?;
    list.iter().map(part).collect()
}

fn part(part: &Value) -> Result<Value, String> {
    match part["type"].as_str().unwrap_or("") {
        "input_text" | "output_text" | "text" => Ok(json!({ "type": "text", "text": part["text"] })),
        "refusal" => Ok(json!({ "type": "text", "text": part["refusal"] })),
        "input_image" if part["image_url"].is_string() => {
            let mut picture = json!({ "url": part["image_url"] });
            if let Some(detail) = part["detail"].as_str() {
                picture["detail"] = json!(detail);
            }
            Ok(json!({ "type": "image_url", "image_url": picture }))
        }
        "input_audio" => Ok(part.clone()),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(format!(
                "a part of the type `{other}` cannot be sent to this provider: give its content in the request"
            ))
        }
    }
}

/// Converts the shape of the answer, which is flat in responses and nested in chat.
fn shape(text: &Value, fields: &mut Map<String, Value>) -> Result<(), String> {
    if let Some(verbosity) = text.get("verbosity").filter(|value| !value.is_null()) {
        fields.insert("verbosity".to_owned(), verbosity.clone());
    }
    let format = match text["format"]["type"].as_str() {
        None | Some("text") => return Ok(()),
        Some("json_object") => json!({ "type": "json_object" }),
        Some("json_schema") => {
            let mut inner = text["format"].as_object().cloned().unwrap_or_default();
            inner.retain(|name, value| name != "type" && !value.is_null());
            json!({ "type": "json_schema", "json_schema": inner })
        }
        Some(other) => return Err(format!("an answer of the format `{other}` is not supported by this provider")),
    };
    fields.insert("response_format".to_owned(), format);
    Ok(())
}

fn tool(tool: &Value) -> Result<Value, String> {
    if tool["type"] != "function" {
        let kind: String = tool["type"].as_str().unwrap_or("").chars().take(40).collect();
        return Err(format!("a tool of the type `{kind}` is not supported by this provider: use `function`"));
    }
    let mut function = tool.as_object().cloned().unwrap_or_default();
    function.retain(|name, value| name != "type" && !value.is_null());
    Ok(json!({ "type": "function", "function": function }))
}

fn choice(choice: &Value) -> Result<Value, String> {
    match (choice, choice["type"].as_str()) {
        (Value::String(_), _) => Ok(choice.clone()),
        (_, Some("function")) => Ok(json!({ "type": "function", "function": { "name": choice["name"] } })),
        _ => {
            Err("this `tool_choice` is not supported by this provider: name a function, or auto, none, required"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: Value) -> Result<Value, String> {
        let call = ModelCall::parse(Operation::Responses, body.to_string().as_bytes());
        let call = call.map_err(|refusal| refusal.message)?;
        chat(&call).map(|chat| Value::Object(chat.fields))
    }

    #[test]
    fn every_part_of_a_request_finds_its_place() {
        let body = json!({
            "model": "m", "instructions": "Be brief.", "max_output_tokens": 9, "store": true, "temperature": 0.5,
            "reasoning": { "effort": "low" }, "include": ["reasoning.encrypted_content"],
            "text": { "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true } },
            "tools": [{ "type": "function", "name": "f", "parameters": { "type": "object" }, "strict": null }],
            "tool_choice": { "type": "function", "name": "f" },
            "input": [
                { "role": "user", "content": [{ "type": "input_text", "text": "see" },
                    { "type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low" }] },
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look." }] },
                { "type": "reasoning", "summary": [] },
                { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}" },
                { "type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c1", "output": "one" },
                { "type": "function_call_output", "call_id": "c2", "output": [{ "type": "input_text", "text": "two" }] },
            ],
        });
        let picture =
            json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "low" } });
        let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
        let want = json!({
            "temperature": 0.5, "reasoning_effort": "low",
            "response_format": { "type": "json_schema",
                "json_schema": { "name": "n", "schema": { "type": "object" }, "strict": true } },
            "tools": [{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }],
            "tool_choice": { "type": "function", "function": { "name": "f" } },
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [{ "type": "text", "text": "see" }, picture] },
                { "role": "assistant", "content": "I look.", "tool_calls": [call("c1"), call("c2")] },
                { "role": "tool", "tool_call_id": "c1", "content": "one" },
                { "role": "tool", "tool_call_id": "c2", "content": "two" },
            ],
        });
        assert_eq!(made(body).unwrap(), want);
    }

    #[test]
    fn what_chat_has_no_word_for_is_named() {
        for (more, part) in [
            (json!({ "previous_response_id": "r" }), "previous_response_id"),
            (json!({ "conversation": "c" }), "conversation"),
            (json!({ "prompt": { "id": "p" } }), "prompt"),
            (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "item_reference"),
            (
                json!({ "input": [{ "role": "user", "content": [{ "type": "input_file", "file_id": "f" }] }] }),
                "input_file",
            ),
            (
                json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "file_id": "f" }] }] }),
                "input_image",
            ),
            (json!({ "tools": [{ "type": "custom", "name": "c" }] }), "custom"),
            (json!({ "tool_choice": { "type": "allowed_tools" } }), "tool_choice"),
            (json!({ "input": 7 }), "input"),
            (json!({ "input": null }), "input"),
        ] {
            let mut body = json!({ "model": "m", "input": "hi" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let error = made(body).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
