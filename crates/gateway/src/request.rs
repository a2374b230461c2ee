//! A request to a model: the few fields that Kapelle reads, and all others passed through.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A chat request without the model's name, which the alias decides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ChatRequest {
    pub messages: Vec<Message>,
    /// Length limit of the answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// JSON Schema of the answer, in OpenAI's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
    /// All other fields, passed on as far as the provider may get them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Text, or a list of parts.
    pub content: Value,
    /// All other fields, passed through.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// Makes a message of text.
    #[must_use]
    pub fn text(role: &str, content: impl Into<String>) -> Message {
        Message { role: role.to_owned(), content: Value::String(content.into()), extra: Map::new() }
    }
}

impl ChatRequest {
    /// Requires an answer that matches the schema. Strict mode is used if the schema allows it.
    #[must_use]
    pub fn shaped(mut self, name: &str, schema: &Value) -> ChatRequest {
        let strict = strict_capable(schema);
        let shape = json!({ "name": name, "strict": strict, "schema": schema });
        self.response_format = Some(json!({ "type": "json_schema", "json_schema": shape }));
        self
    }

    /// Estimates the tokens of the messages, on the safe side.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        let of_messages: u64 = self.messages.iter().map(|m| 4 + tokens_of(&m.content)).sum();
        of_messages + self.response_format.as_ref().map_or(0, |shape| estimate_tokens(&shape.to_string()))
    }
}

fn tokens_of(content: &Value) -> u64 {
    match content {
        Value::String(text) => estimate_tokens(text),
        other => estimate_tokens(&other.to_string()),
    }
}

/// Estimates the tokens of a text: one for four ASCII characters, or for one character of any other script. The
/// estimate is close for English and high for most other languages, so that limits hold.
#[must_use]
pub fn estimate_tokens(text: &str) -> u64 {
    let count = |is: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| is(byte)).count() as u64;
    // Every other character begins with such a byte, and has no second one.
    let (ascii, other) = (count(u8::is_ascii), count(|byte| *byte >= 0xc0));
    ascii.div_ceil(4) + other
}

/// Tells whether the provider's strict mode accepts the schema: closed objects whose properties are all required.
fn strict_capable(schema: &Value) -> bool {
    let Some(map) = schema.as_object() else { return true };
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
        let required: Vec<&str> =
            map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let all = properties.keys().all(|key| required.contains(&key.as_str()));
        if !(closed && all && properties.values().all(strict_capable)) {
            return false;
        }
    } else if map.get("type") == Some(&Value::from("object")) {
        return false;
    }
    let unsupported = ["oneOf", "allOf", "not", "if", "patternProperties", "uniqueItems", "default"];
    if map.keys().any(|key| unsupported.contains(&key.as_str())) {
        return false;
    }
    map.get("items").is_none_or(strict_capable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_is_asked_for_only_where_it_can_be_had() {
        let closed =
            json!({"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"string"}}});
        let open = json!({"type":"object","properties":{"a":{"type":"string"}}});
        let shaped = |schema: &Value| {
            ChatRequest::default().shaped("x", schema).response_format.unwrap()["json_schema"]["strict"].clone()
        };
        assert_eq!(shaped(&closed), true);
        assert_eq!(shaped(&open), false);
        assert_eq!(shaped(&json!({"type":"array","items":open})), false);
    }

    #[test]
    fn tokens_are_estimated_on_the_safe_side() {
        assert_eq!(estimate_tokens("four char"), 3);
        assert_eq!(estimate_tokens("日本語"), 3);
        assert_eq!(estimate_tokens("aé€😀b"), 1 + 3);
        assert_eq!(estimate_tokens(""), 0);
    }
}
