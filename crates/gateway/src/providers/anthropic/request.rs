//! A chat request converted to Messages.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ANSWER_TOOL;
use crate::{
    providers::dialect::{Asked, object},
    wire::{ModelCall, json},
};

/// Fields of a chat request that Messages does not have and that change only the manner of an answer; they are dropped.
/// Fields that change the answer itself are needs ([`crate::wire::Feature`]) and are refused earlier.
const LEFT_OUT: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "functions",
    "function_call",
    "logprobs",
    "max_completion_tokens",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
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

/// Builds the body. Fields that are neither known nor dropped pass through (`thinking`, `top_k`).
pub(super) fn body(call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String> {
    let fields = &call.fields;
    let (system, messages) = conversation(fields.get("messages").unwrap_or(&Value::Null))?;
    let mut last: Vec<(&str, Value)> = LEFT_OUT.iter().map(|name| (*name, Value::Null)).collect();
    last.push(("messages", Value::Array(messages)));
    last.push(("system", system));
    last.push(("max_tokens", Value::from(ask.longest.unwrap_or(4_096))));
    // OpenAI's scale ends at 2, that of Messages at 1: larger values become 1.
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
    Ok(object(&[("model", Value::from(ask.model))], (fields, &BTreeMap::new()), &last))
}

/// Splits the conversation into the system text and the turns. Messages takes tool results as parts of a user's turn,
/// and no empty turns.
fn conversation(messages: &Value) -> Result<(Value, Vec<Value>), String> {
    let list = messages.as_array().ok_or("`messages` is not a list")?;
    let mut system: Vec<Value> = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    for (at, message) in list.iter().enumerate() {
        let (role, parts) = match message["role"].as_str().unwrap_or("") {
            "system" | "developer" => {
                if !message["content"].is_null() {
                    system.extend(parts(&message["content"])?);
                }
                continue;
            }
            "user" => ("user", parts(&message["content"])?),
            "assistant" => ("assistant", said(message)?),
            "tool" => ("user", vec![result(message)?]),
            "function" => {
                return Err("a message of the role `function` cannot be sent to this provider: use `tool`".to_owned());
            }
            other => return Err(format!("messages[{at}] has the role `{other}`, which is not known")),
        };
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(turn) if turn["role"] == role => {
                if let Some(known) = turn["content"].as_array_mut() {
                    known.extend(parts);
                }
            }
            _ => turns.push(json!({ "role": role, "content": parts })),
        }
    }
    Ok((whole_system(system), turns))
}

/// Joins the system text, unless a part of it carries a mark, such as that of the prompt cache.
fn whole_system(parts: Vec<Value>) -> Value {
    if parts.is_empty() {
        return Value::Null;
    }
    let marked = |part: &Value| part.as_object().is_some_and(|part| part.len() > 2);
    if parts.iter().any(marked) {
        return Value::Array(parts);
    }
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    Value::String(texts.join("\n\n"))
}

/// Converts the parts of a content. Messages refuses empty texts.
fn parts(content: &Value) -> Result<Vec<Value>, String> {
    let list = match content {
        Value::String(text) if text.is_empty() => return Ok(Vec::new()),
        Value::String(text) => return Ok(vec![json!({ "type": "text", "text": text })]),
        Value::Array(list) => list,
        _ => return Err("a message has no content".to_owned()),
    };
    let empty = |part: &&Value| part["type"] == "text" && part["text"].as_str().is_none_or(str::is_empty);
    list.iter().filter(|part| !empty(part)).map(part).collect()
}

fn part(part: &Value) -> Result<Value, String> {
    match part["type"].as_str().unwrap_or("") {
        "image_url" => picture(part["image_url"]["url"].as_str().or(part["image_url"].as_str()).unwrap_or("")),
        // A mark of Anthropic's prompt cache passes through with its text.
        "text" => Ok(part.clone()),
        "refusal" => Ok(json!({ "type": "text", "text": part["refusal"] })),
        other => Err(format!("a part of the kind `{other}` cannot be sent to this provider")),
    }
}

fn picture(address: &str) -> Result<Value, String> {
    let Some(rest) = address.strip_prefix("data:") else {
        return Ok(json!({ "type": "image", "source": { "type": "url", "url": address } }));
    };
    let (kind, data) = rest.split_once(";base64,").ok_or("a picture is neither an address nor base64")?;
    let kind = match kind.split(';').next().unwrap_or("").trim() {
        "image/jpg" => "image/jpeg",
        kind => kind,
    };
    Ok(json!({ "type": "image", "source": { "type": "base64", "media_type": kind, "data": data } }))
}

/// Converts a turn of the model: its text and its tool calls.
fn said(message: &Value) -> Result<Vec<Value>, String> {
    if !message["function_call"].is_null() {
        return Err("`function_call` cannot be sent to this provider: use `tool_calls`".to_owned());
    }
    let mut list = match &message["content"] {
        Value::Null => parts(&message["refusal"].as_str().unwrap_or("").into())?,
        content => parts(content)?,
    };
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let given = &call["function"]["arguments"];
        let read = |text: &str| json::read::<Value>(text.as_bytes()).map_err(|error| error.to_string());
        let input = match given {
            Value::Null => json!({}),
            Value::String(text) if text.trim().is_empty() => json!({}),
            Value::String(text) => read(text).map_err(|why| format!("the arguments of a tool call: {why}"))?,
            given => given.clone(),
        };
        let input = match input {
            Value::Null => json!({}),
            Value::Object(_) => input,
            _ => return Err("the arguments of a tool call: expected an object".to_owned()),
        };
        list.push(json!({ "type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input }));
    }
    Ok(list)
}

fn result(message: &Value) -> Result<Value, String> {
    let content = match &message["content"] {
        Value::Null => json!(""),
        Value::String(text) => json!(text),
        content => {
            let parts = parts(content)?;
            let plain = parts.iter().all(|part| part["type"] == "text");
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            if plain { json!(texts.join("\n")) } else { Value::Array(parts) }
        }
    };
    Ok(json!({ "type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content }))
}

/// Converts tools and the choice among them. An answer that must match a schema is requested as the input of one tool.
fn tools(fields: &Map<String, Value>) -> Result<(Value, Value), String> {
    let list = |name: &str| fields.get(name).and_then(Value::as_array).into_iter().flatten();
    if list("functions").next().is_some() {
        return Err("`functions` cannot be sent to this provider: use `tools`".to_owned());
    }
    let mut own = list("tools").map(tool).collect::<Result<Vec<Value>, _>>()?;
    let shape = fields.get("response_format").filter(|format| format["type"] == "json_schema");
    if let Some(shape) = shape {
        if !own.is_empty() {
            return Err("a schema for the answer and tools of one's own cannot be combined here".to_owned());
        }
        let schema = &shape["json_schema"]["schema"];
        let tool = json!({ "name": ANSWER_TOOL, "description": "Gives the answer.", "input_schema": schema });
        return Ok((json!([tool]), json!({ "type": "tool", "name": ANSWER_TOOL })));
    }
    if own.is_empty() {
        return Ok((Value::Null, Value::Null));
    }
    let wanted = fields.get("tool_choice").unwrap_or(&Value::Null);
    let mut choice = choice(wanted)?;
    if wanted["type"] == "allowed_tools" {
        let allowed = |tool: &Value| {
            let names = wanted["allowed_tools"]["tools"].as_array().into_iter().flatten();
            names.map(|one| &one["function"]["name"]).any(|name| *name == tool["name"])
        };
        own.retain(allowed);
    }
    if fields.get("parallel_tool_calls") == Some(&Value::Bool(false)) && choice["type"] != "none" {
        choice["disable_parallel_tool_use"] = Value::Bool(true);
    }
    Ok((Value::Array(own), choice))
}

fn choice(wanted: &Value) -> Result<Value, String> {
    let by_word = |word: &str| match word {
        "auto" => Ok(json!({ "type": "auto" })),
        "required" | "any" => Ok(json!({ "type": "any" })),
        "none" => Ok(json!({ "type": "none" })),
        word => {
            let word: String = word.chars().take(40).collect();
            Err(format!("the `tool_choice` `{word}` is not known; expected auto, none, required or a function"))
        }
    };
    match (wanted, wanted["type"].as_str()) {
        (Value::Null, _) => by_word("auto"),
        (Value::String(word), _) => by_word(word),
        (_, Some("allowed_tools")) => by_word(wanted["allowed_tools"]["mode"].as_str().unwrap_or("auto")),
        (_, Some("tool")) => Ok(json!({ "type": "tool", "name": wanted["name"] })),
        (_, Some(word @ ("auto" | "any" | "none"))) => by_word(word),
        (_, None | Some("function")) if wanted["function"]["name"].is_string() => {
            Ok(json!({ "type": "tool", "name": wanted["function"]["name"] }))
        }
        _ => {
            Err("this `tool_choice` is not supported by this provider: name a function, or auto, none, required"
                .to_owned())
        }
    }
}

fn tool(tool: &Value) -> Result<Value, String> {
    if tool["type"] == "custom" {
        return Err("a tool of the type `custom` is not supported by this provider: use `function`".to_owned());
    }
    // A tool in Anthropic's own format passes unchanged.
    if tool["input_schema"].is_object() {
        return Ok(tool.clone());
    }
    let function = &tool["function"];
    let schema = function.get("parameters").filter(|schema| schema.is_object()).cloned();
    let schema = schema.unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    let mut own = json!({ "name": function["name"], "input_schema": schema });
    if let Some(text) = function["description"].as_str() {
        own["description"] = Value::from(text);
    }
    if let Some(mark) = tool.get("cache_control").filter(|mark| mark.is_object()) {
        own["cache_control"] = mark.clone();
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Operation;

    fn translated(body: Value) -> Result<Value, String> {
        let call = ModelCall::parse(Operation::Chat, body.to_string().as_bytes()).unwrap();
        let ask = Asked { model: "claude", longest: Some(50), limit: None, stream: call.stream, count: true };
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
    fn contents_of_every_form_are_carried_over() {
        let body = translated(json!({"model": "x", "messages": [
            {"role": "system", "content": "One."},
            {"role": "user", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]},
            {"role": "developer", "content": [{"type": "text", "text": "Two."}]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "null"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{\"e\":\"\\ud83d\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/jpg;name=x;base64,AA"}}]},
            {"role": "tool", "tool_call_id": "c2", "content": null},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "assistant", "content": null, "refusal": "never"},
        ]}))
        .unwrap();
        let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA"}});
        assert_eq!(body["system"], "One.\n\nTwo.");
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}},
                    {"type": "tool_use", "id": "c2", "name": "f", "input": {"e": "\u{fffd}"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "t"}, picture]},
                    {"type": "tool_result", "tool_use_id": "c2", "content": ""}]},
                {"role": "assistant", "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "never"}]},
            ])
        );
        let marked = json!([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]);
        let body = translated(json!({"model": "x", "messages": [{"role": "system", "content": marked}]})).unwrap();
        assert_eq!(body["system"], marked);
    }

    #[test]
    fn every_choice_among_tools_is_said_or_refused() {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
        let with = |choice: Value| {
            translated(json!({"model": "x", "messages": [], "tools": [tool("f"), tool("g")], "tool_choice": choice}))
                .map(|body| (body["tool_choice"].clone(), body["tools"].as_array().unwrap().len()))
        };
        for (choice, want, tools) in [
            (json!("auto"), json!({"type": "auto"}), 2),
            (json!("none"), json!({"type": "none"}), 2),
            (json!("required"), json!({"type": "any"}), 2),
            (tool("f"), json!({"type": "tool", "name": "f"}), 2),
            (
                json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("g")]}}),
                json!({"type": "any"}),
                1,
            ),
        ] {
            assert_eq!(with(choice.clone()), Ok((want, tools)), "{choice}");
        }
        assert!(with(json!("maybe")).unwrap_err().contains("`maybe`"));
        assert!(with(json!({"type": "custom", "custom": {"name": "f"}})).is_err());
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
