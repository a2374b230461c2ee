//! Parts of a request whose tokens its bytes do not bound: pictures, files, recordings, and unknown parts.

use serde_json::{Map, Value};

/// Reserved input of a call whose length is not in the request (an earlier response, a stored file, a video), in
/// tokens.
pub(super) const CONTEXT_TOKENS: u64 = 1_048_576;
/// Highest known count of a picture, in tokens: 2,833 and eight tiles of 5,667 (gpt-4o-mini).
pub(super) const PICTURE_TOKENS: u64 = 50_000;

/// Parts that are text: their bytes bound their tokens.
const TEXTS: &[&str] = &[
    "text",
    "input_text",
    "output_text",
    "refusal",
    "summary_text",
    "reasoning_text",
    "thinking",
    "redacted_thinking",
    "reasoning",
    "tool_use",
    "tool-call",
    "tool_call",
];
const PICTURES: &[&str] = &["image_url", "input_image", "image"];
/// Items of a response that are text, besides messages.
const ITEMS: &[&str] = &[
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "compaction",
];
/// Fields of a message that are text, or parts that are checked themselves.
const MESSAGE: &[&str] = &[
    "annotations",
    "cache_control",
    "content",
    "function_call",
    "id",
    "name",
    "partial",
    "phase",
    "prefix",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "role",
    "status",
    "thinking_blocks",
    "tool_call_id",
    "tool_calls",
    "type",
    "weight",
];

/// Parts of a request whose tokens its bytes do not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unbounded {
    pictures: u64,
    /// Whether a part has an unknown length.
    open: bool,
}

impl Unbounded {
    /// Returns the largest number of tokens of these parts.
    pub(super) fn tokens(self) -> u64 {
        let open = if self.open { CONTEXT_TOKENS } else { 0 };
        self.pictures.saturating_mul(PICTURE_TOKENS).saturating_add(open)
    }

    /// Examines every message, item and part of a request.
    pub(super) fn of(fields: &Map<String, Value>) -> Unbounded {
        let mut all = Unbounded::default();
        let set = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        all.open = ["previous_response_id", "conversation", "prompt"].iter().any(|name| set(name));
        for message in fields.get("messages").and_then(Value::as_array).into_iter().flatten() {
            all.message(message);
        }
        for item in fields.get("input").and_then(Value::as_array).into_iter().flatten() {
            all.item(item);
        }
        all
    }

    fn message(&mut self, message: &Value) {
        let Some(fields) = message.as_object() else {
            self.open |= !message.is_string();
            return;
        };
        let filled = |value: &Value| match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
        };
        self.open |= fields.iter().any(|(name, value)| !MESSAGE.contains(&name.as_str()) && filled(value));
        self.content(&message["content"]);
    }

    fn item(&mut self, item: &Value) {
        match item["type"].as_str() {
            None | Some("message") if item.is_object() => self.message(item),
            Some(kind) if ITEMS.contains(&kind) => {
                for name in ["output", "summary", "content"] {
                    self.content(&item[name]);
                }
            }
            // Inputs of embeddings are texts or lists of tokens.
            None if item.is_string() || item.is_number() || is_tokens(item) => {}
            _ => self.open = true,
        }
    }

    fn content(&mut self, content: &Value) {
        match content {
            Value::Null | Value::String(_) => {}
            Value::Array(parts) => parts.iter().for_each(|part| self.part(part)),
            _ => self.open = true,
        }
    }

    fn part(&mut self, part: &Value) {
        match part["type"].as_str() {
            _ if part.is_string() => {}
            Some(kind) if TEXTS.contains(&kind) => {}
            Some(kind) if PICTURES.contains(&kind) => self.pictures += 1,
            Some("tool_result" | "tool-result") => self.content(&part["content"]),
            _ => self.open = true,
        }
    }
}

fn is_tokens(item: &Value) -> bool {
    item.as_array().is_some_and(|list| list.iter().all(Value::is_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tokens(body: Value) -> u64 {
        Unbounded::of(body.as_object().unwrap()).tokens()
    }

    #[test]
    fn text_is_bounded_by_its_bytes_and_pictures_by_the_most_that_is_known() {
        for body in [
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}], "annotations": [], "audio": null},
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "y"}]}]}),
            json!({"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "reasoning_content": "hm"}]}),
            json!({"input": "x"}),
            json!({"input": ["a", "b"]}),
            json!({"input": [[1, 2], [3]]}),
            json!({"input": [1, 2]}),
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "y"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "zz"}]}),
            json!({"tools": [{"type": "function", "function": {"parameters": {"type": "video_url"}}}]}),
        ] {
            assert_eq!(tokens(body.clone()), 0, "{body}");
        }
        let picture = json!({"type": "image_url", "image_url": {"url": "u"}});
        assert_eq!(tokens(json!({"messages": [{"content": [picture, picture]}]})), 2 * PICTURE_TOKENS);
        let result = json!({"type": "function_call_output", "output": [{"type": "input_image", "image_url": "u"}]});
        assert_eq!(tokens(json!({"input": [result]})), PICTURE_TOKENS);
    }

    #[test]
    fn everything_else_counts_as_the_whole_context() {
        for part in [
            json!({"type": "video_url", "video_url": {"url": "u"}}),
            json!({"type": "document", "source": {"type": "url", "url": "u"}}),
            json!({"type": "file", "file": {"file_id": "f"}}),
            json!({"type": "input_file", "file_url": "u"}),
            json!({"type": "input_audio", "input_audio": {}}),
            json!({"type": "audio_url"}),
            json!({"video": "u"}),
            json!({"type": 7}),
            json!(7),
            json!({"type": "tool_result", "content": [{"type": "document"}]}),
        ] {
            assert_eq!(tokens(json!({"messages": [{"role": "user", "content": [part]}]})), CONTEXT_TOKENS, "{part}");
            assert_eq!(tokens(json!({"input": [{"role": "user", "content": [part]}]})), CONTEXT_TOKENS, "{part}");
        }
        for body in [
            json!({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}),
            json!({"messages": [{"role": "user", "content": "x", "images": ["u"]}]}),
            json!({"messages": [{"role": "user", "content": {"type": "video_url"}}]}),
            json!({"input": [{"type": "item_reference", "id": "i"}]}),
            json!({"input": [{"type": "file_search_call", "id": "i"}]}),
            json!({"input": [{"type": "computer_call_output", "output": {}}]}),
            json!({"previous_response_id": "r"}),
            json!({"prompt": {"id": "p"}}),
        ] {
            assert_eq!(tokens(body.clone()), CONTEXT_TOKENS, "{body}");
        }
    }
}
