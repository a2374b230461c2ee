//! The pieces of a chat stream as the events of a message.

use serde_json::{Value, json};

use super::{super::pieces::Pieces, answer};
use crate::{
    providers::{
        dialect::Seen,
        format::used,
        pieces::{Added, Gathered},
    },
    wire::{ModelCall, sse::frame},
};

/// Writes the pieces of a chat stream as the events of a message.
pub(crate) struct MessagePieces {
    call: ModelCall,
    gathered: Gathered,
    refused: bool,
    written: Written,
}

/// Events written so far.
#[derive(Default)]
struct Written {
    begun: bool,
    /// Number of blocks that were begun.
    blocks: usize,
    /// Number of the open block of text.
    text: Option<usize>,
    /// Number of the block of each call. Calls may come interleaved, so their blocks end with the message.
    calls: Vec<usize>,
}

impl MessagePieces {
    pub(crate) fn new(call: &ModelCall) -> MessagePieces {
        let (gathered, written) = (Gathered::default(), Written::default());
        MessagePieces { call: call.clone(), gathered, refused: false, written }
    }

    fn begin(&mut self, chunk: &Value, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.written.begun, true) {
            return;
        }
        let message = answer::begun(chunk, self.call.input_estimate());
        event("message_start", json!({ "message": message }), out);
        event("ping", json!({}), out);
    }
}

impl Pieces for MessagePieces {
    fn piece(&mut self, chunk: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        self.begin(chunk, out);
        if let Some(text) = chunk["choices"][0]["delta"]["refusal"].as_str().filter(|text| !text.is_empty()) {
            self.refused = true;
            self.written.text(text, out);
        }
        let written = &mut self.written;
        self.gathered.take(chunk, |so_far, added| written.add(so_far, added, out))
    }

    fn end(&mut self, seen: &Seen, out: &mut Vec<u8>) -> Vec<u8> {
        self.begin(&Value::Null, out);
        self.written.close(out);
        let counted = used(&self.call, seen.usage, seen.tokens);
        let calls = !self.gathered.calls.is_empty();
        let reason = answer::stop_reason(self.gathered.finish.as_deref(), calls, self.refused);
        let mut last = Vec::new();
        let delta = json!({ "stop_reason": reason, "stop_sequence": null });
        event("message_delta", json!({ "delta": delta, "usage": answer::counts(&counted) }), &mut last);
        event("message_stop", json!({}), &mut last);
        last
    }

    fn comment(&mut self, out: &mut Vec<u8>) -> bool {
        event("ping", json!({}), out);
        true
    }
}

fn event(kind: &str, mut data: Value, out: &mut Vec<u8>) {
    data["type"] = json!(kind);
    out.extend(frame(Some(kind), &data.to_string()));
}

impl Written {
    fn open(&mut self, block: &Value, out: &mut Vec<u8>) -> usize {
        let at = self.blocks;
        self.blocks += 1;
        event("content_block_start", json!({ "index": at, "content_block": block }), out);
        at
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        let at = match self.text {
            Some(at) => at,
            None => self.open(&json!({ "type": "text", "text": "" }), out),
        };
        self.text = Some(at);
        let delta = json!({ "type": "text_delta", "text": text });
        event("content_block_delta", json!({ "index": at, "delta": delta }), out);
    }

    fn add(&mut self, so_far: &Gathered, added: Added<'_>, out: &mut Vec<u8>) {
        match added {
            Added::Text(text) => self.text(text, out),
            Added::Call(number, arguments) => {
                if let Some(at) = self.text.take() {
                    event("content_block_stop", json!({ "index": at }), out);
                }
                while let Some(call) = so_far.calls.get(self.calls.len()) {
                    let block = answer::tool_use(self.calls.len(), &json!(call.id), &json!(call.name));
                    let at = self.open(&block, out);
                    self.calls.push(at);
                }
                let Some(at) = self.calls.get(number).filter(|_| !arguments.is_empty()) else { return };
                let delta = json!({ "type": "input_json_delta", "partial_json": arguments });
                event("content_block_delta", json!({ "index": at, "delta": delta }), out);
            }
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        for at in self.calls.drain(..).chain(self.text.take()) {
            event("content_block_stop", json!({ "index": at }), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        providers::{
            bridge::pieces::Bridged,
            dialect::{Dialect, Events},
            format::OpenaiFormat,
            pieces::chunks,
        },
        wire::{Features, Operation, sse::Event},
    };

    fn run(pieces: &[Value]) -> Vec<Value> {
        let body = br#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        let call = ModelCall::parse(Operation::Messages, body).unwrap();
        let chat = super::super::chat(&call).unwrap();
        let format = OpenaiFormat { features: Features::of_openai() };
        let mut reader = Bridged::new(format.events(&chat), MessagePieces::new(&call));
        let mut out = Vec::new();
        for piece in pieces {
            let data = piece.to_string();
            let raw = frame(None, &data);
            reader.event(Event { raw: &raw, data: data.as_bytes() }, &mut out).unwrap();
        }
        out.extend(reader.close().unwrap());
        chunks(&out)
    }

    fn piece(delta: Value, finish: Option<&str>) -> Value {
        json!({"id": "c1", "model": "gpt", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    }

    #[test]
    fn text_and_interleaved_calls_come_as_blocks() {
        let call = |index: u64, id: &str, name: &str, arguments: &str| {
            let function = json!({"name": name, "arguments": arguments});
            piece(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}), None)
        };
        let events = run(&[
            piece(json!({"role": "assistant", "content": "Let me "}), None),
            piece(json!({"content": "see"}), None),
            call(0, "a", "f", ""),
            call(1, "b", "g", "{}"),
            call(0, "", "", "{\"x\":1}"),
            piece(json!({}), Some("tool_calls")),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}),
        ]);
        let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        let (start, delta, stop) = ("content_block_start", "content_block_delta", "content_block_stop");
        let want = [
            "message_start",
            "ping",
            start,
            delta,
            delta,
            stop,
            start,
            start,
            delta,
            delta,
            stop,
            stop,
            "message_delta",
            "message_stop",
        ];
        assert_eq!(kinds, want);
        assert_eq!((&events[9]["index"], &events[9]["delta"]["partial_json"]), (&json!(1), &json!("{\"x\":1}")));
        let end = &events[12];
        assert_eq!((&end["delta"]["stop_reason"], &end["usage"]["input_tokens"]), (&json!("tool_use"), &json!(7)));
    }

    #[test]
    fn a_refusal_and_an_empty_answer_are_messages_too() {
        let events = run(&[piece(json!({"refusal": "no"}), Some("stop"))]);
        assert_eq!(events[3]["delta"]["text"], "no");
        assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "refusal");
        let events = run(&[piece(json!({}), Some("stop"))]);
        assert_eq!(events.len(), 4);
        assert_eq!(events[2]["delta"]["stop_reason"], "end_turn");
    }
}
