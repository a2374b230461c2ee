//! Bodies that the double sends.

use serde_json::{Map, Value, json};

use super::script::{Flavour, Rule, ToolCall};

/// Text and counts of an answer, whatever its format.
pub(crate) struct Said {
    pub(crate) content: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) finish: String,
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) cached: u64,
    pub(crate) reasoning: u64,
}

impl Said {
    /// Takes the answer from the rule, or builds it from the request's own schema.
    pub(crate) fn of(request: &Value, rule: Option<&Rule>) -> Said {
        let content = match rule.and_then(|rule| rule.reply.as_ref()) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => default_content(request),
        };
        let calls = rule.map(|rule| rule.tool_calls.clone()).unwrap_or_default();
        let usage = rule.and_then(|rule| rule.usage);
        let usual = if calls.is_empty() { "stop" } else { "tool_calls" };
        Said {
            prompt: usage.map_or_else(|| prompt_of(request).len() as u64 / 4 + 1, |u| u.prompt_tokens),
            completion: usage.map_or(content.len() as u64 / 4 + 1, |u| u.completion_tokens),
            cached: usage.map_or(0, |u| u.cached_tokens),
            reasoning: usage.map_or(0, |u| u.reasoning_tokens),
            finish: rule.and_then(|rule| rule.finish_reason.clone()).unwrap_or_else(|| usual.to_owned()),
            content,
            calls,
        }
    }

    /// Formats the counts for a chat completion.
    pub(crate) fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt, "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": { "cached_tokens": self.cached },
            "completion_tokens_details": { "reasoning_tokens": self.reasoning },
        })
    }

    /// Formats the calls for a chat completion.
    pub(crate) fn tool_calls(&self) -> Vec<Value> {
        let call = |(at, call): (usize, &ToolCall)| {
            let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
            json!({ "index": at, "id": format!("call_{at}"), "type": "function", "function": function })
        };
        self.calls.iter().enumerate().map(call).collect()
    }
}

/// Builds a response from the rule.
pub(crate) fn response(request: &Value, rule: Option<&Rule>, number: u64) -> Value {
    let said = Said::of(request, rule);
    let text = json!({ "type": "output_text", "text": said.content, "annotations": [] });
    let message =
        json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text] });
    json!({
        "id": format!("resp_{number}"), "object": "response", "created_at": 1_700_000_000, "status": "completed",
        "model": request["model"], "output": [message], "error": null,
        "usage": {
            "input_tokens": said.prompt, "output_tokens": said.completion,
            "total_tokens": said.prompt + said.completion,
            "input_tokens_details": { "cached_tokens": said.cached },
            "output_tokens_details": { "reasoning_tokens": said.reasoning },
        },
    })
}

/// Builds one vector for each input.
pub(crate) fn embeddings(request: &Value, rule: Option<&Rule>) -> Value {
    let said = Said::of(request, rule);
    let count = request["input"].as_array().map_or(1, Vec::len);
    let vector = |at: usize| json!({ "object": "embedding", "index": at, "embedding": [0.5, -0.25, 0.125] });
    json!({
        "object": "list", "model": request["model"], "data": (0..count).map(vector).collect::<Vec<_>>(),
        "usage": { "prompt_tokens": said.prompt, "total_tokens": said.prompt },
    })
}

/// Builds a completion from the rule, or from the request's own schema.
pub(crate) fn completion(request: &Value, rule: Option<&Rule>, number: u64) -> Value {
    let said = Said::of(request, rule);
    let mut message = json!({ "role": "assistant", "content": said.content });
    if !said.calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = said.tool_calls().into();
    }
    let finish = &said.finish;
    let mut body = json!({
        "id": format!("chatcmpl-{number}"),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request["model"],
        "choices": [{ "index": 0, "message": message, "finish_reason": finish }],
    });
    if !rule.is_some_and(|rule| rule.no_usage) {
        body["usage"] = said.usage();
    }
    body
}

/// Builds an error body in the provider's form.
pub(crate) fn error(message: &str, code: &str) -> String {
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } }).to_string()
}

/// Builds the error of a status in that provider's form.
pub(crate) fn status_error(flavour: Flavour, status: u16) -> String {
    let message = format!("scripted status {status}");
    match flavour {
        Flavour::Openai => error(&message, "scripted"),
        Flavour::Azure => json!({ "error": { "code": status.to_string(), "message": message } }).to_string(),
        Flavour::Google => {
            json!([{ "error": { "code": status, "message": message, "status": "SCRIPTED" } }]).to_string()
        }
        Flavour::Aws => json!({ "message": message }).to_string(),
    }
}

/// Joins the text of all messages.
pub(crate) fn prompt_of(request: &Value) -> String {
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let messages = request["messages"].as_array().into_iter().flatten();
    let input = Some(&request["input"]).filter(|input| !input.is_null()).map(text);
    messages.map(|message| text(&message["content"])).chain(input).collect::<Vec<_>>().join("\n")
}

fn default_content(request: &Value) -> String {
    let schema = &request["response_format"]["json_schema"]["schema"];
    if schema.is_object() { example_of(schema, 0).to_string() } else { "This is a scripted answer.".to_owned() }
}

/// Builds a small value that matches the usual schemas: required properties by type, the first of an `enum`, the lower
/// bound.
fn example_of(schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|list| list.first()) {
        return first.clone();
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        _ if depth > 16 => Value::Null,
        Some("string") => Value::from("scripted"),
        Some("integer") => Value::from(schema["minimum"].as_i64().unwrap_or(1).max(0)),
        Some("number") => Value::from(schema["minimum"].as_f64().unwrap_or(0.5).max(0.0)),
        Some("boolean") => Value::from(true),
        Some("null") => Value::Null,
        Some("array") => {
            let count = schema["minItems"].as_u64().unwrap_or(1).min(100);
            (0..count).map(|_| example_of(&schema["items"], depth + 1)).collect()
        }
        _ => {
            let mut object = Map::new();
            for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                object.insert(key.to_owned(), example_of(&schema["properties"][key], depth + 1));
            }
            Value::Object(object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_answer_fits_the_schema_of_the_request() {
        let schema = json!({"type":"object","required":["text","score","tags","tone"],"properties":{
            "text":{"type":"string"},"score":{"type":"number","minimum":-1},
            "tags":{"type":"array","minItems":2,"items":{"type":"string"}},"tone":{"enum":["warm","cold"]}}});
        let request = json!({"model":"m","response_format":{"json_schema":{"schema":schema}},"messages":[]});
        let body = completion(&request, None, 1);
        let content: Value = serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(content, json!({"text":"scripted","score":0.0,"tags":["scripted","scripted"],"tone":"warm"}));
    }
}
