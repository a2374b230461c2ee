//! Assembly of the pieces of a chat stream. It is for an answer that is watched while it is written but wanted whole,
//! and for the formats that are built from it.

use serde_json::{Value, json};

use crate::{
    answer::Usage,
    wire::{json, sse::Parser},
};

/// Size limit of an answer, as of a whole one, in bytes.
const ANSWER_MAX: usize = 10 << 20;

/// Pieces of the first choice so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    id: Value,
    model: Value,
    created: Value,
    pub(crate) content: String,
    refusal: String,
    pub(crate) calls: Vec<Called>,
    pub(crate) finish: Option<String>,
}

/// A function that the model calls.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// Number among the calls, if the provider sends it.
    index: Option<u64>,
}

/// Content that one piece added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added<'a> {
    /// Text of the answer.
    Text(&'a str),
    /// The call at that index of the list continues with these arguments; it is new when they are its first.
    Call(usize, &'a str),
}

/// Parses the JSON of all events in bytes that hold whole events. Other content (the end mark) is skipped.
pub(crate) fn chunks(bytes: &[u8]) -> Vec<Value> {
    let mut parser = Parser::default();
    parser.push(bytes);
    let mut chunks = Vec::new();
    while let Ok(Some(event)) = parser.next() {
        chunks.extend(json::read::<Value>(event.data));
    }
    chunks
}

impl Gathered {
    /// Takes a piece and reports what it added.
    ///
    /// # Errors
    /// When the answer is too long.
    pub(crate) fn take(&mut self, chunk: &Value, mut tell: impl FnMut(&Gathered, Added<'_>)) -> Result<(), String> {
        for (own, name) in [(&mut self.id, "id"), (&mut self.model, "model"), (&mut self.created, "created")] {
            if own.is_null() {
                *own = chunk[name].clone();
            }
        }
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(choice) = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0) else {
            return Ok(());
        };
        let delta = &choice["delta"];
        if let Some(text) = delta["content"].as_str().filter(|text| !text.is_empty()) {
            self.content.push_str(text);
            tell(self, Added::Text(text));
        }
        self.refusal.push_str(delta["refusal"].as_str().unwrap_or(""));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = self.call(call);
            let arguments = call["function"]["arguments"].as_str().unwrap_or("");
            if let Some(known) = self.calls.get_mut(at) {
                known.arguments.push_str(arguments);
            }
            tell(self, Added::Call(at, arguments));
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
        if self.length() > ANSWER_MAX {
            return Err("the answer is larger than 10 MiB".to_owned());
        }
        Ok(())
    }

    fn length(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len() + call.name.len()).sum();
        self.content.len() + self.refusal.len() + calls
    }

    /// Finds the index of the call that a piece belongs to. For providers that send no numbers, a name begins a new
    /// call.
    fn call(&mut self, call: &Value) -> usize {
        let index = call["index"].as_u64();
        let name = call["function"]["name"].as_str().filter(|name| !name.is_empty());
        let known = match index {
            Some(_) => self.calls.iter().position(|known| known.index == index),
            None => name.is_none().then(|| self.calls.len().checked_sub(1)).flatten(),
        };
        if let Some(at) = known {
            return at;
        }
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let name = name.unwrap_or("").to_owned();
        self.calls.push(Called { id: text(&call["id"]), name, arguments: String::new(), index });
        self.calls.len() - 1
    }

    /// Builds the whole completion.
    pub(crate) fn completion(&self, usage: Option<&Usage>) -> Value {
        let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        let mut message = json!({ "role": "assistant", "content": text(&self.content) });
        if !self.refusal.is_empty() {
            message["refusal"] = text(&self.refusal);
        }
        if !self.calls.is_empty() {
            let call = |call: &Called| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            };
            message["tool_calls"] = self.calls.iter().map(call).collect();
        }
        let mut completion = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{ "index": 0, "message": message, "finish_reason": self.finish }],
        });
        if let Some(usage) = usage {
            completion["usage"] = json!({
                "prompt_tokens": usage.input, "completion_tokens": usage.output,
                "total_tokens": usage.input.saturating_add(usage.output),
                "prompt_tokens_details": { "cached_tokens": usage.cached },
                "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
            });
        }
        completion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(delta: Value) -> Value {
        json!({ "id": "c1", "model": "m", "created": 3, "choices": [{ "index": 0, "delta": delta }] })
    }

    #[test]
    fn texts_and_calls_are_put_together_with_and_without_numbers() {
        let call = |index: Value, id: &str, name: &str, part: &str| {
            let mut call = json!({ "id": id, "function": { "name": name, "arguments": part } });
            if !index.is_null() {
                call["index"] = index;
            }
            piece(json!({ "tool_calls": [call] }))
        };
        for numbered in [true, false] {
            let index = |n: u64| if numbered { json!(n) } else { Value::Null };
            let mut all = Gathered::default();
            let mut told = Vec::new();
            for chunk in [
                piece(json!({ "role": "assistant", "content": "" })),
                piece(json!({ "content": "Let me " })),
                piece(json!({ "content": "see" })),
                call(index(0), "a", "f", "{\"x\":"),
                call(index(0), "", "", "1}"),
                call(index(1), "b", "g", "{}"),
                json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] }),
                json!({ "choices": [] }),
            ] {
                all.take(&chunk, |_, added| told.push(format!("{added:?}"))).unwrap();
            }
            let whole = all.completion(Some(&Usage { input: 3, output: 4, reasoning: 1, ..Usage::default() }));
            let choice = &whole["choices"][0];
            assert_eq!(
                (&choice["message"]["content"], &choice["finish_reason"]),
                (&json!("Let me see"), &json!("tool_calls"))
            );
            let calls = choice["message"]["tool_calls"].as_array().unwrap();
            assert_eq!(calls.len(), 2);
            assert_eq!(calls[0]["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
            assert_eq!((&whole["id"], &whole["usage"]["total_tokens"]), (&json!("c1"), &json!(7)));
            assert_eq!(told.len(), 5, "{told:?}");
        }
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let mut all = Gathered::default();
        let chunk = piece(json!({ "content": "x".repeat(1 << 20) }));
        assert!((0..11).any(|_| all.take(&chunk, |_, _| ()).is_err()));
    }

    #[test]
    fn only_whole_events_with_json_are_chunks() {
        assert_eq!(chunks(b"data: {\"a\":1}\n\n: alive\n\ndata: [DONE]\n\n"), [json!({ "a": 1 })]);
    }
}
