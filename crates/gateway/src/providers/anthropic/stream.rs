//! The events of a message as the pieces of a chat completion.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ANSWER_TOOL, answer};
use crate::{
    providers::{
        dialect::{Broken, Events, Seen, Step, json_of},
        told::Told,
    },
    request::estimate_tokens,
    wire::{
        sse::{Event, frame},
        usage::count,
    },
};

/// Kind of an open block, which decides where its pieces go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    /// The tool call with that number.
    Call(u64),
    /// The input of the tool that stands for the answer.
    Answer,
    /// Thinking, and other content that a chat completion cannot hold.
    Hidden,
}

/// An open block.
struct Open {
    block: Block,
    /// The input that the block began with; its pieces replace it.
    input: Value,
    /// Whether a piece has arrived.
    begun: bool,
}

/// State of one stream.
pub(super) struct MessageEvents {
    wants_usage: bool,
    id: Value,
    model: Value,
    /// Open blocks by number.
    blocks: BTreeMap<u64, Open>,
    calls: u64,
    shaped: bool,
    counts: Value,
    finish: Option<&'static str>,
    seen: Seen,
}

impl MessageEvents {
    pub(super) fn new(wants_usage: bool) -> MessageEvents {
        MessageEvents {
            wants_usage,
            id: Value::Null,
            model: Value::Null,
            blocks: BTreeMap::new(),
            calls: 0,
            shaped: false,
            counts: json!({}),
            finish: None,
            seen: Seen::default(),
        }
    }

    fn piece(&self, delta: &Value, finish: Option<&str>) -> Vec<u8> {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        self.chunk(&choices, &Value::Null)
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> Vec<u8> {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": 0, "model": self.model, "choices": choices,
        });
        if !usage.is_null() {
            chunk["usage"] = usage.clone();
        }
        frame(None, &chunk.to_string())
    }

    /// Updates the counts. Later counts replace earlier ones; a count that is not repeated stays.
    fn count(&mut self, usage: &Value) {
        for (name, value) in usage.as_object().into_iter().flatten().filter(|(_, value)| count(value).is_some()) {
            self.counts[name] = value.clone();
        }
    }

    fn start_block(&mut self, number: u64, block: &Value, out: &mut Vec<u8>) {
        let kind = match block["type"].as_str() {
            Some("text") => Block::Text,
            Some("tool_use") if block["name"] == ANSWER_TOOL => {
                self.shaped = true;
                Block::Answer
            }
            Some("tool_use") => {
                let number = self.calls;
                self.calls += 1;
                let function = json!({ "name": block["name"], "arguments": "" });
                let call = json!({ "index": number, "id": block["id"], "type": "function", "function": function });
                out.extend(self.piece(&json!({ "tool_calls": [call] }), None));
                Block::Call(number)
            }
            _ => Block::Hidden,
        };
        self.blocks.insert(number, Open { block: kind, input: block["input"].clone(), begun: false });
        if let Some(text) = block["text"].as_str().filter(|text| !text.is_empty()) {
            self.give(number, text, out);
        }
    }

    fn delta(&mut self, number: u64, delta: &Value, out: &mut Vec<u8>) {
        let text = ["text", "partial_json", "thinking"].iter().find_map(|name| delta[*name].as_str()).unwrap_or("");
        self.seen.tokens += estimate_tokens(text).max(1);
        self.give(number, text, out);
    }

    fn give(&mut self, number: u64, text: &str, out: &mut Vec<u8>) {
        let Some(open) = self.blocks.get_mut(&number).filter(|_| !text.is_empty()) else { return };
        open.begun = true;
        match open.block {
            Block::Text | Block::Answer => out.extend(self.piece(&json!({ "content": text }), None)),
            Block::Call(number) => {
                let call = json!({ "index": number, "function": { "arguments": text } });
                out.extend(self.piece(&json!({ "tool_calls": [call] }), None));
            }
            Block::Hidden => {}
        }
    }

    /// Ends a block. A tool without arguments sends no pieces, and an empty text is not JSON, so an empty object is
    /// written.
    fn stop_block(&mut self, number: u64, out: &mut Vec<u8>) {
        if let Some(open) = self.blocks.get(&number)
            && !open.begun
            && matches!(open.block, Block::Call(_) | Block::Answer)
        {
            let input = answer::arguments(&open.input);
            self.give(number, &input, out);
        }
        self.blocks.remove(&number);
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<Step, Broken> {
        let finish = self.finish.ok_or_else(|| Broken::garbled("the stream ended without a stop reason"))?;
        let left: Vec<u64> = self.blocks.keys().copied().collect();
        for number in left {
            self.stop_block(number, out);
        }
        let mut last = self.piece(&json!({}), Some(finish));
        if self.wants_usage
            && let Some(usage) = &self.seen.usage
        {
            last.extend(self.chunk(&json!([]), &answer::written(usage)));
        }
        last.extend(frame(None, "[DONE]"));
        Ok(Step::Last(last))
    }
}

impl Events for MessageEvents {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken> {
        if event.is_comment() {
            return Ok(Step::More);
        }
        let event = json_of(event.data)?;
        let number = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or("") {
            "message_start" => {
                let message = &event["message"];
                (self.id, self.model) = (message["id"].clone(), message["model"].clone());
                self.count(&message["usage"]);
                out.extend(self.piece(&json!({ "role": "assistant", "content": "" }), None));
            }
            "content_block_start" => self.start_block(number, &event["content_block"], out),
            "content_block_delta" => self.delta(number, &event["delta"], out),
            "content_block_stop" => self.stop_block(number, out),
            "message_delta" => {
                self.count(&event["usage"]);
                self.seen.usage = answer::usage(&self.counts);
                if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                    self.finish = Some(answer::finish(Some(reason), self.shaped));
                }
            }
            "message_stop" => return self.end(out),
            // Pings, and event types added later.
            _ => {
                if let Some(told) = Told::of(&event) {
                    return Err(Broken::Told(Box::new(told), self.seen.usage));
                }
            }
        }
        Ok(Step::More)
    }

    fn close(&mut self) -> Option<Vec<u8>> {
        // Without `message_stop` the answer may be cut, even when its stop reason arrived.
        None
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: &[Value], wants_usage: bool) -> (Vec<Value>, Result<Step, Broken>) {
        let mut reader = MessageEvents::new(wants_usage);
        let mut out = Vec::new();
        let mut last = Ok(Step::More);
        for event in events {
            let data = event.to_string().into_bytes();
            last = reader.event(Event { raw: &[], data: &data }, &mut out);
        }
        let mut bytes = out;
        if let Ok(Step::Last(end)) = &last {
            bytes.extend(end);
        }
        let text = String::from_utf8(bytes).unwrap();
        let pieces = text.split("\n\n").filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
        (pieces.collect(), last)
    }

    #[test]
    fn text_calls_and_counts_come_as_pieces() {
        let (pieces, last) = run(
            &[
                json!({"type": "message_start", "message": {"id": "m1", "model": "c", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "ping"}),
                json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
                json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
                json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 12}}),
                json!({"type": "message_stop"}),
            ],
            true,
        );
        assert!(matches!(last, Ok(Step::Last(_))));
        let delta = |at: usize| &pieces[at]["choices"][0]["delta"];
        assert_eq!(delta(1)["content"], "Hi");
        assert_eq!(delta(2)["tool_calls"][0]["id"], "t");
        assert_eq!(delta(3)["tool_calls"][0]["function"]["arguments"], "{\"a\":");
        assert_eq!(pieces[5]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(
            (&pieces[6]["usage"]["prompt_tokens"], &pieces[6]["usage"]["completion_tokens"]),
            (&9.into(), &12.into())
        );
    }

    #[test]
    fn a_stop_without_a_reason_and_an_error_end_the_stream() {
        assert!(run(&[json!({"type": "message_stop"})], false).1.is_err());
        let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        let Err(Broken::Told(told, None)) = run(&[overloaded], false).1 else { panic!("no error") };
        assert_eq!(
            (told.status, told.kind.as_deref(), told.message.as_str()),
            (Some(529), Some("overloaded_error"), "Overloaded")
        );
    }

    /// Joins the argument pieces of each call, as a client does.
    fn arguments(pieces: &[Value]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for call in pieces.iter().filter_map(|piece| piece["choices"][0]["delta"]["tool_calls"].as_array()).flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            all.resize(all.len().max(at + 1), String::new());
            all[at].push_str(call["function"]["arguments"].as_str().unwrap());
        }
        all
    }

    #[test]
    fn tools_without_arguments_have_an_empty_object_for_them_also_beside_others() {
        let start = |at: u64, input: Value| {
            json!({"type": "content_block_start", "index": at, "content_block":
            {"type": "tool_use", "id": format!("t{at}"), "name": "f", "input": input}})
        };
        let delta = |at: u64, text: &str| {
            json!({"type": "content_block_delta", "index": at,
            "delta": {"type": "input_json_delta", "partial_json": text}})
        };
        let stop = |at: u64| json!({"type": "content_block_stop", "index": at});
        let end = [
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
            json!({"type": "message_stop"}),
        ];
        let with = |events: &[Value]| {
            let (pieces, last) = run(&[events, &end].concat(), false);
            assert!(matches!(last, Ok(Step::Last(_))));
            arguments(&pieces)
        };
        assert_eq!(with(&[start(0, json!({})), stop(0)]), ["{}"]);
        assert_eq!(with(&[start(0, json!({})), delta(0, ""), stop(0)]), ["{}"]);
        assert_eq!(with(&[start(0, Value::Null)]), ["{}"], "without an end of the block");
        assert_eq!(with(&[start(0, json!({"a": 1})), stop(0)]), [r#"{"a":1}"#], "whole at the start");
        assert_eq!(
            with(&[start(0, json!({})), stop(0), start(1, json!({})), delta(1, "{\"a\":1}"), stop(1)]),
            ["{}", "{\"a\":1}"]
        );
        let mixed = [start(0, json!({})), start(1, json!({})), delta(1, "{\"a\":"), stop(0), delta(1, "1}"), stop(1)];
        assert_eq!(with(&mixed), ["{}", "{\"a\":1}"]);
    }
}
