//! The bodies that the double sends.

use serde_json::{Map, Value, json};

use super::script::Rule;

/// A completion as the rule has it, or one made from the request's own schema.
pub(crate) fn completion(request: &Value, rule: Option<&Rule>, number: u64) -> Value {
    let content = match rule.and_then(|rule| rule.reply.as_ref()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => default_content(request),
    };
    let usage = rule.and_then(|rule| rule.usage);
    let prompt = usage.map_or_else(|| prompt_of(request).len() as u64 / 4 + 1, |u| u.prompt_tokens);
    let completion = usage.map_or(content.len() as u64 / 4 + 1, |u| u.completion_tokens);
    let finish = rule.and_then(|rule| rule.finish_reason.clone()).unwrap_or_else(|| "stop".to_owned());
    let mut body = json!({
        "id": format!("chatcmpl-{number}"),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request["model"],
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": finish }],
    });
    if !rule.is_some_and(|rule| rule.no_usage) {
        body["usage"] = json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        });
    }
    body
}

/// An error body as the provider writes it.
pub(crate) fn error(message: &str, code: &str) -> String {
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } }).to_string()
}

/// The text of all messages.
pub(crate) fn prompt_of(request: &Value) -> String {
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let messages = request["messages"].as_array().into_iter().flatten();
    messages.map(|message| text(&message["content"])).collect::<Vec<_>>().join("\n")
}

fn default_content(request: &Value) -> String {
    let schema = &request["response_format"]["json_schema"]["schema"];
    if schema.is_object() { example_of(schema, 0).to_string() } else { "This is a scripted answer.".to_owned() }
}

/// A small value that fits the usual schemas: required properties by type, the first of an `enum`, the lower bound.
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
