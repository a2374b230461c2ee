//! A chat request in the words of Messages.

use serde_json::{Map, Value, json};

use super::ANSWER_TOOL;
use crate::{
    providers::dialect::{Asked, object},
    wire::ModelCall,
};

/// Fields of a chat request that Messages has no word for and that change at most the manner of an answer; they are
/// left out. Fields that change what the answer *is* are needs ([`crate::wire::Feature`]) and refused before.
const LEFT_OUT: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "top_logprobs",
    "user",
    "verbosity",
];

/// The body. Fields that are neither known nor left out pass through (`thinking`, `top_k`).
pub(super) fn body(call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String> {
    let fields = &call.fields;
    let (system, messages) = conversation(fields.get("messages").unwrap_or(&Value::Null))?;
    let mut last: Vec<(&str, Value)> = LEFT_OUT.iter().map(|name| (*name, Value::Null)).collect();
    last.push(("messages", Value::Array(messages)));
    last.push(("system", if system.is_empty() { Value::Null } else { Value::String(system) }));
    last.push(("max_tokens", Value::from(ask.longest.unwrap_or(4_096))));
    // OpenAI counts to 2, Messages to 1: what is beyond is as free as it goes.
    last.push((
        "temperature",
        fields.get("temperature").and_then(Value::as_f64).map_or(Value::Null, |t| t.min(1.0).into()),
    ));
    if let Some(stop) = fields.get("stop").filter(|stop| !stop.is_null()) {
        let list = if stop.is_string() { json!([stop]) } else { stop.clone() };
        last.push(("stop_sequences", list));
    }
    let user = fields.get("user").or_else(|| fields.get("safety_identifier")).and_then(Value::as_str);
    last.push(("metadata", user.map_or(Value::Null, |user| json!({ "user_id": user }))));
    let (tools, choice) = tools(fields)?;
    last.push(("tools", tools));
    last.push(("tool_choice", choice));
    if ask.stream {
        last.push(("stream", Value::Bool(true)));
    }
    Ok(object(&[("model", Value::from(ask.model))], fields, &last))
}

/// The system text and the turns. Messages takes tool results as parts of a user's turn.
fn conversation(messages: &Value) -> Result<(String, Vec<Value>), String> {
    let list = messages.as_array().ok_or("`messages` is not a list")?;
    let mut system: Vec<String> = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    for (at, message) in list.iter().enumerate() {
        let (role, parts) = match message["role"].as_str().unwrap_or("") {
            "system" | "developer" => {
                system.push(text_of(&message["content"]));
                continue;
            }
            "user" => ("user", parts(&message["content"])?),
            "assistant" => ("assistant", said(message)?),
            "tool" | "function" => ("user", vec![result(message)]),
            other => return Err(format!("messages[{at}] has the role `{other}`, which is not known")),
        };
        match turns.last_mut() {
            Some(turn) if turn["role"] == role => {
                if let Some(known) = turn["content"].as_array_mut() {
                    known.extend(parts);
                }
            }
            _ => turns.push(json!({ "role": role, "content": parts })),
        }
    }
    Ok((system.join("\n\n"), turns))
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn parts(content: &Value) -> Result<Vec<Value>, String> {
    let list = match content {
        Value::String(text) => return Ok(vec![json!({ "type": "text", "text": text })]),
        Value::Array(list) => list,
        _ => return Err("a message has no content".to_owned()),
    };
    list.iter().map(part).collect()
}

fn part(part: &Value) -> Result<Value, String> {
    match part["type"].as_str().unwrap_or("") {
        "image_url" => picture(part["image_url"]["url"].as_str().unwrap_or("")),
        // A mark of Anthropic's prompt cache passes through with its text.
        "text" => Ok(part.clone()),
        other => Err(format!("a part of the kind `{other}` cannot be sent to this provider")),
    }
}

fn picture(address: &str) -> Result<Value, String> {
    let Some(rest) = address.strip_prefix("data:") else {
        return Ok(json!({ "type": "image", "source": { "type": "url", "url": address } }));
    };
    let (kind, data) = rest.split_once(";base64,").ok_or("a picture is neither an address nor base64")?;
    Ok(json!({ "type": "image", "source": { "type": "base64", "media_type": kind, "data": data } }))
}

/// A turn of the model: what it said and what it called.
fn said(message: &Value) -> Result<Vec<Value>, String> {
    let mut list = Vec::new();
    let text = text_of(&message["content"]);
    // Messages refuses empty texts.
    if !text.is_empty() {
        list.push(json!({ "type": "text", "text": text }));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let given = call["function"]["arguments"].as_str().unwrap_or("");
        let input: Value = match given.trim() {
            "" => json!({}),
            text => serde_json::from_str(text).map_err(|error| format!("the arguments of a tool call: {error}"))?,
        };
        list.push(json!({ "type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input }));
    }
    Ok(list)
}

fn result(message: &Value) -> Value {
    json!({ "type": "tool_result", "tool_use_id": message["tool_call_id"], "content": text_of(&message["content"]) })
}

/// Tools and the choice among them. An answer that must fit a schema is asked for as the input of one tool.
fn tools(fields: &Map<String, Value>) -> Result<(Value, Value), String> {
    let own: Vec<Value> = fields.get("tools").and_then(Value::as_array).into_iter().flatten().map(tool).collect();
    let shape = fields.get("response_format").filter(|format| format["type"] == "json_schema");
    if let Some(shape) = shape {
        if !own.is_empty() {
            return Err("a schema for the answer and tools of one's own cannot be had together here".to_owned());
        }
        let schema = &shape["json_schema"]["schema"];
        let tool = json!({ "name": ANSWER_TOOL, "description": "Gives the answer.", "input_schema": schema });
        return Ok((json!([tool]), json!({ "type": "tool", "name": ANSWER_TOOL })));
    }
    if own.is_empty() {
        return Ok((Value::Null, Value::Null));
    }
    let wanted = fields.get("tool_choice").unwrap_or(&Value::Null);
    let mut choice = match wanted {
        Value::String(word) if word == "required" => json!({ "type": "any" }),
        Value::String(word) if word == "none" => json!({ "type": "none" }),
        Value::Object(_) => json!({ "type": "tool", "name": wanted["function"]["name"] }),
        _ => json!({ "type": "auto" }),
    };
    if fields.get("parallel_tool_calls") == Some(&Value::Bool(false)) && choice["type"] != "none" {
        choice["disable_parallel_tool_use"] = Value::Bool(true);
    }
    Ok((Value::Array(own), choice))
}

fn tool(tool: &Value) -> Value {
    let function = &tool["function"];
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    let mut own = json!({ "name": function["name"], "input_schema": schema });
    if let Some(text) = function["description"].as_str() {
        own["description"] = Value::from(text);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Operation;

    fn translated(body: Value) -> Result<Value, String> {
        let call = ModelCall::parse(Operation::Chat, body.to_string().as_bytes()).unwrap();
        let ask = Asked { model: "claude", longest: Some(50), stream: call.stream, count: true };
        super::body(&call, &ask).map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_whole_conversation_is_said_in_the_words_of_messages() {
        let body = translated(json!({
            "model": "x", "temperature": 1.7, "stop": "END", "user": "u1", "seed": 4, "top_k": 5, "stream": true,
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "one"},
                {"role": "tool", "tool_call_id": "c2", "content": "two"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": "required", "parallel_tool_calls": false,
        }))
        .unwrap();
        assert_eq!(
            body,
            json!({
                "model": "claude", "max_tokens": 50, "system": "Be kind.", "temperature": 1.0, "top_k": 5,
                "stop_sequences": ["END"], "metadata": {"user_id": "u1"}, "stream": true,
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "look"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                        {"type": "tool_use", "id": "c2", "name": "g", "input": {}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
                        {"type": "tool_result", "tool_use_id": "c2", "content": "two"}]}],
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
            })
        );
    }

    #[test]
    fn a_schema_becomes_the_input_of_the_only_tool() {
        let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
        let body = translated(json!({"model": "x", "messages": [], "response_format": format})).unwrap();
        assert_eq!(body["tool_choice"], json!({"type": "tool", "name": ANSWER_TOOL}));
        assert_eq!(body["tools"][0]["input_schema"], json!({"type": "object"}));
        assert!(body.get("response_format").is_none());
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        for (message, part) in [
            (json!({"role": "critic", "content": "x"}), "the role `critic`"),
            (json!({"role": "user", "content": [{"type": "file"}]}), "the kind `file`"),
            (json!({"role": "user"}), "no content"),
        ] {
            let why = translated(json!({"model": "x", "messages": [message]})).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
