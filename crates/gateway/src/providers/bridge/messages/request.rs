//! A request for a message as a chat request.

use serde_json::{Map, Value, json};

use crate::wire::{ModelCall, Operation};

/// Fields without an equivalent in chat that change only the manner of an answer, and those that are read together with
/// others. The length limit is written under the name that the provider knows.
const LEFT_OUT: [&str; 9] = [
    "cache_control",
    "context_management",
    "max_tokens",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "thinking",
    "top_k",
];

/// Builds the equivalent chat request.
///
/// # Errors
/// The part that chat cannot express.
pub(crate) fn chat(call: &ModelCall) -> Result<ModelCall, String> {
    let mut fields = Map::new();
    fields.insert("model".to_owned(), Value::from(call.model.as_str()));
    let mut list = Vec::new();
    if let Some(system) = call.fields.get("system") {
        list.push(json!({ "role": "system", "content": texts(system)? }));
    }
    for message in call.fields.get("messages").and_then(Value::as_array).into_iter().flatten() {
        add(message, &mut list)?;
    }
    fields.insert("messages".to_owned(), Value::Array(list));
    for (name, value) in &call.fields {
        match name.as_str() {
            "system" | "messages" => {}
            "stop_sequences" => drop(fields.insert("stop".to_owned(), value.clone())),
            "tools" => {
                let tools = value.as_array().into_iter().flatten().map(tool).collect::<Result<Vec<_>, _>>()?;
                if !tools.is_empty() {
                    fields.insert(name.clone(), Value::Array(tools));
                }
            }
            "tool_choice" => choose(value, &mut fields),
            left_out if LEFT_OUT.contains(&left_out) => {}
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    if let Some(shape) = shape(&call.fields)? {
        fields.insert("response_format".to_owned(), shape);
    }
    let made = ModelCall::of(Operation::Chat, fields, call.bytes()).map_err(|refusal| refusal.message);
    let mut made = made?;
    (made.stream, made.wants_usage) = (call.stream, true);
    Ok(made)
}

/// Joins a text, or a list of blocks of text.
fn texts(content: &Value) -> Result<String, String> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(list) => {
            let text = |block: &Value| match block["type"].as_str() {
                Some("text") => Ok(block["text"].as_str().unwrap_or("").to_owned()),
                other => Err(unable(other.unwrap_or("?"))),
            };
            Ok(list.iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n\n"))
        }
        _ => Err("a content is neither a text nor a list of blocks".to_owned()),
    }
}

fn unable(kind: &str) -> String {
    let kind: String = kind.chars().take(40).collect();
    format!("a block of the type `{kind}` cannot be sent to this provider")
}

/// Adds the chat messages that say the same as one message.
fn add(message: &Value, list: &mut Vec<Value>) -> Result<(), String> {
    match message["role"].as_str().unwrap_or("") {
        "user" => user(&message["content"], list),
        "assistant" => {
            list.push(assistant(&message["content"])?);
            Ok(())
        }
        "system" => {
            list.push(json!({ "role": "system", "content": texts(&message["content"])? }));
            Ok(())
        }
        other => {
            let other: String = other.chars().take(40).collect();
            Err(format!("the role of a message: expected user or assistant, got `{other}`"))
        }
    }
}

/// Adds a turn of the user. Results of tools are messages of their own and come first: they answer the calls before.
fn user(content: &Value, list: &mut Vec<Value>) -> Result<(), String> {
    let blocks = match content {
        Value::String(_) => {
            list.push(json!({ "role": "user", "content": content }));
            return Ok(());
        }
        Value::Array(blocks) => blocks,
        _ => return Err("a message has no content".to_owned()),
    };
    let mut parts = Vec::new();
    for block in blocks {
        if block["type"] != "tool_result" {
            parts.push(part(block)?);
            continue;
        }
        let inner = match &block["content"] {
            Value::Null => Vec::new(),
            Value::String(text) => vec![json!({ "type": "text", "text": text })],
            Value::Array(inner) => inner.iter().map(part).collect::<Result<Vec<_>, _>>()?,
            _ => return Err("the content of a tool result is neither a text nor a list of blocks".to_owned()),
        };
        let (said, shown): (Vec<Value>, Vec<Value>) = inner.into_iter().partition(|part| part["type"] == "text");
        let text = said.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n");
        list.push(json!({ "role": "tool", "tool_call_id": block["tool_use_id"], "content": text }));
        // A tool's message has no place for pictures.
        parts.extend(shown);
    }
    if parts.is_empty() {
        return Ok(());
    }
    let plain = parts.iter().all(|part| part["type"] == "text");
    let content = if plain {
        parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n\n").into()
    } else {
        Value::Array(parts)
    };
    list.push(json!({ "role": "user", "content": content }));
    Ok(())
}

fn part(block: &Value) -> Result<Value, String> {
    let source = &block["source"];
    match (block["type"].as_str().unwrap_or(""), source["type"].as_str()) {
        ("text", _) => Ok(json!({ "type": "text", "text": block["text"].as_str().unwrap_or("") })),
        ("document", Some("text")) => Ok(json!({ "type": "text", "text": source["data"].as_str().unwrap_or("") })),
        ("image", Some("base64")) => {
            let (kind, data) = (source["media_type"].as_str(), source["data"].as_str());
            let url = format!("data:{};base64,{}", kind.unwrap_or("image/png"), data.unwrap_or(""));
            Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        ("image", Some("url")) => Ok(json!({ "type": "image_url", "image_url": { "url": source["url"] } })),
        (other, _) => Err(unable(other)),
    }
}

/// Converts a turn of the model. Its thinking is signed for its own provider, and of no use to another.
fn assistant(content: &Value) -> Result<Value, String> {
    let blocks = match content {
        Value::String(_) => return Ok(json!({ "role": "assistant", "content": content })),
        Value::Array(blocks) => blocks,
        _ => return Err("a message has no content".to_owned()),
    };
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match block["type"].as_str().unwrap_or("") {
            "text" => text.push_str(block["text"].as_str().unwrap_or("")),
            "tool_use" => {
                let input = if block["input"].is_null() { json!({}) } else { block["input"].clone() };
                let function = json!({ "name": block["name"], "arguments": input.to_string() });
                calls.push(json!({ "id": block["id"], "type": "function", "function": function }));
            }
            "thinking" | "redacted_thinking" => {}
            other => return Err(unable(other)),
        }
    }
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { Value::from(text) };
    let mut message = json!({ "role": "assistant", "content": content });
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    Ok(message)
}

fn tool(tool: &Value) -> Result<Value, String> {
    if let Some(kind) = tool["type"].as_str().filter(|kind| *kind != "custom") {
        let kind: String = kind.chars().take(40).collect();
        return Err(format!("the tool `{kind}` is known to Anthropic's models only: describe it by an `input_schema`"));
    }
    let mut function = json!({ "name": tool["name"], "parameters": tool["input_schema"] });
    for name in ["description", "strict"] {
        if let Some(value) = tool.get(name).filter(|value| !value.is_null()) {
            function[name] = value.clone();
        }
    }
    Ok(json!({ "type": "function", "function": function }))
}

/// Converts the choice among the tools, which was checked before.
fn choose(choice: &Value, fields: &mut Map<String, Value>) {
    let word = match choice["type"].as_str() {
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") => json!({ "type": "function", "function": { "name": choice["name"] } }),
        _ => json!("auto"),
    };
    fields.insert("tool_choice".to_owned(), word);
    if choice["disable_parallel_tool_use"] == true {
        fields.insert("parallel_tool_calls".to_owned(), Value::Bool(false));
    }
}

/// Converts the schema of the answer.
fn shape(fields: &Map<String, Value>) -> Result<Option<Value>, String> {
    let configured = fields.get("output_config").and_then(|config| config.get("format"));
    let Some(format) = configured.or_else(|| fields.get("output_format")).filter(|format| !format.is_null()) else {
        return Ok(None);
    };
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err("the format of the answer: expected the type `json_schema` with a `schema`".to_owned());
    }
    let inner = json!({ "name": "answer", "strict": true, "schema": format["schema"] });
    Ok(Some(json!({ "type": "json_schema", "json_schema": inner })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(more: Value) -> Result<Value, String> {
        let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let call = ModelCall::parse(Operation::Messages, body.to_string().as_bytes()).unwrap();
        chat(&call).map(|chat| Value::Object(chat.fields))
    }

    #[test]
    fn every_part_of_a_request_finds_its_place() {
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
        let body = json!({
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "temperature": 0.5, "top_k": 3, "stop_sequences": ["END"], "thinking": {"type": "enabled", "budget_tokens": 4},
            "metadata": {"user_id": "u"}, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I see."}, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "text", "text": "go on"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}]}]},
            ],
        });
        let call = json!({"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
        let shape = json!({"type": "json_schema",
            "json_schema": {"name": "answer", "strict": true, "schema": {"type": "object"}}});
        let want = json!({
            "temperature": 0.5, "stop": ["END"], "tool_choice": "required", "parallel_tool_calls": false,
            "response_format": shape,
            "tools": [{"type": "function",
                "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}}],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
                {"role": "assistant", "content": "I see.", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "t1", "content": "one"},
                {"role": "user", "content": "go on"},
            ],
        });
        assert_eq!(made(body).unwrap(), want);
    }

    #[test]
    fn what_chat_has_no_word_for_is_named() {
        for (more, part) in [
            (json!({"messages": [{"role": "critic", "content": "x"}]}), "critic"),
            (json!({"messages": [{"role": "user"}]}), "no content"),
            (json!({"messages": [{"role": "user", "content": [{"type": "container_upload"}]}]}), "container_upload"),
            (json!({"tools": [{"type": "bash_20250124", "name": "bash"}]}), "bash_20250124"),
            (json!({"output_format": {"type": "xml"}}), "json_schema"),
        ] {
            let why = made(more).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
