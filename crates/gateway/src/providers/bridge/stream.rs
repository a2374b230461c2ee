//! The pieces of a chat stream as the events of a response.

use serde_json::{Value, json};

use super::{answer, pieces::Pieces};
use crate::{
    providers::{
        dialect::Seen,
        pieces::{Added, Gathered},
    },
    wire::{ModelCall, sse::frame},
};

/// Writes the pieces of a chat stream as the events of a response.
pub(crate) struct ResponsePieces {
    call: ModelCall,
    gathered: Gathered,
    written: Written,
}

/// Output written so far.
#[derive(Default)]
struct Written {
    sequence: u64,
    /// The first piece, which names the response.
    head: Value,
    open: Option<Open>,
    items: u64,
}

/// An item that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Message,
    Call(usize),
}

impl ResponsePieces {
    pub(crate) fn new(call: &ModelCall) -> ResponsePieces {
        ResponsePieces { call: call.clone(), gathered: Gathered::default(), written: Written::default() }
    }
}

impl Pieces for ResponsePieces {
    fn piece(&mut self, chunk: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        if self.written.head.is_null() {
            self.written.head = chunk.clone();
            let response = answer::frame(&self.call, chunk);
            for kind in ["response.created", "response.in_progress"] {
                self.written.event(kind, json!({ "response": response }), out);
            }
        }
        let written = &mut self.written;
        self.gathered.take(chunk, |so_far, added| written.add(so_far, added, out))
    }

    fn end(&mut self, seen: &Seen, out: &mut Vec<u8>) -> Vec<u8> {
        self.written.close(&self.gathered, out);
        let usage = seen.usage;
        let response = answer::response(&self.call, &self.gathered.completion(usage.as_ref()), usage.as_ref());
        let kind = if response["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
        let mut last = Vec::new();
        self.written.event(kind, json!({ "response": response }), &mut last);
        last
    }

    fn comment(&mut self, _: &mut Vec<u8>) -> bool {
        false
    }
}

impl Written {
    fn event(&mut self, kind: &str, mut data: Value, out: &mut Vec<u8>) {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        out.extend(frame(Some(kind), &data.to_string()));
    }

    fn id(&self) -> String {
        self.head["id"].as_str().unwrap_or("0").to_owned()
    }

    fn add(&mut self, so_far: &Gathered, added: Added<'_>, out: &mut Vec<u8>) {
        let open = match added {
            Added::Text(_) => Open::Message,
            Added::Call(at, _) => Open::Call(at),
        };
        if self.open != Some(open) {
            self.close(so_far, out);
            self.begin(so_far, open, out);
        }
        let at = self.items;
        match added {
            Added::Text(text) => {
                let data = json!({ "item_id": format!("msg_{}", self.id()), "output_index": at, "content_index": 0,
                    "delta": text, "logprobs": [] });
                self.event("response.output_text.delta", data, out);
            }
            Added::Call(number, arguments) if !arguments.is_empty() => {
                let item = format!("fc_{}_{number}", self.id());
                let data = json!({ "item_id": item, "output_index": at, "delta": arguments });
                self.event("response.function_call_arguments.delta", data, out);
            }
            Added::Call(..) => {}
        }
    }

    fn begin(&mut self, so_far: &Gathered, open: Open, out: &mut Vec<u8>) {
        self.open = Some(open);
        let (id, at) = (self.id(), self.items);
        let item = match open {
            Open::Message => answer::message(&id, "in_progress", Vec::new()),
            Open::Call(number) => call(&id, so_far, number, ("in_progress", "")),
        };
        self.event("response.output_item.added", json!({ "output_index": at, "item": item }), out);
        if open == Open::Message {
            let part = json!({ "type": "output_text", "text": "", "annotations": [] });
            let data = json!({ "item_id": format!("msg_{id}"), "output_index": at, "content_index": 0, "part": part });
            self.event("response.content_part.added", data, out);
        }
    }

    fn close(&mut self, so_far: &Gathered, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        let (id, at) = (self.id(), self.items);
        self.items += 1;
        let item = match open {
            Open::Message => {
                let item_id = format!("msg_{id}");
                let text = &so_far.content;
                let data =
                    json!({ "item_id": item_id, "output_index": at, "content_index": 0, "text": text, "logprobs": [] });
                self.event("response.output_text.done", data, out);
                let part = json!({ "type": "output_text", "text": text, "annotations": [] });
                let data = json!({ "item_id": item_id, "output_index": at, "content_index": 0, "part": part });
                self.event("response.content_part.done", data, out);
                answer::message(&id, "completed", vec![part])
            }
            Open::Call(number) => {
                let sent = so_far.calls.get(number).map_or("", |call| call.arguments.as_str());
                let arguments = answer::given(sent);
                if arguments != sent {
                    let data =
                        json!({ "item_id": format!("fc_{id}_{number}"), "output_index": at, "delta": arguments });
                    self.event("response.function_call_arguments.delta", data, out);
                }
                let name = so_far.calls.get(number).map_or("", |call| call.name.as_str());
                let data = json!({ "item_id": format!("fc_{id}_{number}"), "output_index": at, "name": name,
                    "arguments": arguments });
                self.event("response.function_call_arguments.done", data, out);
                call(&id, so_far, number, ("completed", arguments))
            }
        };
        self.event("response.output_item.done", json!({ "output_index": at, "item": item }), out);
    }
}

fn call(id: &str, so_far: &Gathered, number: usize, standing: (&str, &str)) -> Value {
    let known = so_far.calls.get(number);
    let (call, name) = known.map_or((Value::Null, Value::Null), |call| (json!(call.id), json!(call.name)));
    answer::function_call(id, number, standing, &call, &name)
}
