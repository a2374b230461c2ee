//! A whole answer as a stream, for a caller that asked for a stream of a provider that does not stream.

use serde_json::{Value, json};

use crate::wire::{ModelCall, Operation, json, sse::frame};

/// Writes the events of an answer in the caller's format.
///
/// # Errors
/// When the answer is not JSON.
pub(crate) fn events(call: &ModelCall, body: &[u8]) -> Result<Vec<u8>, String> {
    let answer: Value = json::read(body).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    match call.operation {
        Operation::Chat | Operation::Embeddings => chat(&answer, call.wants_usage, &mut out),
        Operation::Responses => response(&answer, &mut out),
        Operation::Messages => message(&answer, &mut out),
    }
    Ok(out)
}

fn chat(answer: &Value, wants_usage: bool, out: &mut Vec<u8>) {
    let mut head = answer.clone();
    head["object"] = json!("chat.completion.chunk");
    if let Some(head) = head.as_object_mut() {
        head.remove("usage");
    }
    for choice in answer["choices"].as_array().into_iter().flatten() {
        let mut delta = choice["message"].clone();
        for (at, call) in delta["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
            call["index"] = json!(at);
        }
        for (delta, finish) in [(delta, &Value::Null), (json!({}), &choice["finish_reason"])] {
            head["choices"] = json!([{ "index": choice["index"], "delta": delta, "finish_reason": finish }]);
            out.extend(frame(None, &head.to_string()));
        }
    }
    if wants_usage && answer["usage"].is_object() {
        head["choices"] = json!([]);
        head["usage"] = answer["usage"].clone();
        out.extend(frame(None, &head.to_string()));
    }
    out.extend(frame(None, "[DONE]"));
}

/// Writes named events, numbered if their format numbers them.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    sequence: Option<u64>,
}

impl Writer<'_> {
    fn event(&mut self, kind: &str, mut data: Value) {
        data["type"] = json!(kind);
        if let Some(sequence) = &mut self.sequence {
            data["sequence_number"] = json!(*sequence);
            *sequence += 1;
        }
        self.out.extend(frame(Some(kind), &data.to_string()));
    }
}

fn response(answer: &Value, out: &mut Vec<u8>) {
    let mut to = Writer { out, sequence: Some(0) };
    let mut begun = answer.clone();
    (begun["status"], begun["output"], begun["usage"]) = (json!("in_progress"), json!([]), Value::Null);
    for kind in ["response.created", "response.in_progress"] {
        to.event(kind, json!({ "response": begun }));
    }
    for (at, item) in answer["output"].as_array().into_iter().flatten().enumerate() {
        let mut bare = item.clone();
        bare["status"] = json!("in_progress");
        match item["type"].as_str() {
            Some("message") => bare["content"] = json!([]),
            Some("function_call") => bare["arguments"] = json!(""),
            _ => {}
        }
        to.event("response.output_item.added", json!({ "output_index": at, "item": bare }));
        for (part_at, part) in item["content"].as_array().into_iter().flatten().enumerate() {
            let place = json!({ "item_id": item["id"], "output_index": at, "content_index": part_at });
            let with = |name: &str, value: &Value| {
                let mut data = place.clone();
                data[name] = value.clone();
                data
            };
            let mut empty = part.clone();
            if part["type"] == "output_text" {
                empty["text"] = json!("");
            }
            to.event("response.content_part.added", with("part", &empty));
            if part["type"] == "output_text" {
                to.event("response.output_text.delta", with("delta", &part["text"]));
                to.event("response.output_text.done", with("text", &part["text"]));
            }
            to.event("response.content_part.done", with("part", part));
        }
        if item["type"] == "function_call" {
            let (id, arguments) = (&item["id"], &item["arguments"]);
            let delta = json!({ "item_id": id, "output_index": at, "delta": arguments });
            to.event("response.function_call_arguments.delta", delta);
            let done = json!({ "item_id": id, "output_index": at, "name": item["name"], "arguments": arguments });
            to.event("response.function_call_arguments.done", done);
        }
        to.event("response.output_item.done", json!({ "output_index": at, "item": item }));
    }
    let kind = if answer["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
    to.event(kind, json!({ "response": answer }));
}

fn message(answer: &Value, out: &mut Vec<u8>) {
    let mut to = Writer { out, sequence: None };
    let mut begun = answer.clone();
    (begun["content"], begun["stop_reason"], begun["stop_sequence"]) = (json!([]), Value::Null, Value::Null);
    begun["usage"]["output_tokens"] = json!(0);
    to.event("message_start", json!({ "message": begun }));
    for (at, block) in answer["content"].as_array().into_iter().flatten().enumerate() {
        let mut bare = block.clone();
        let mut deltas = Vec::new();
        let mut moves = |field: &str, kind: &str, name: &str| {
            if let Some(text) = block[field].as_str() {
                bare[field] = json!("");
                deltas.push(json!({ "type": kind, name: text }));
            }
        };
        match block["type"].as_str().unwrap_or("") {
            "text" => moves("text", "text_delta", "text"),
            "thinking" => {
                moves("thinking", "thinking_delta", "thinking");
                moves("signature", "signature_delta", "signature");
            }
            "tool_use" => {
                bare["input"] = json!({});
                deltas.push(json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() }));
            }
            _ => {}
        }
        to.event("content_block_start", json!({ "index": at, "content_block": bare }));
        for delta in deltas {
            to.event("content_block_delta", json!({ "index": at, "delta": delta }));
        }
        to.event("content_block_stop", json!({ "index": at }));
    }
    let delta = json!({ "stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"] });
    to.event("message_delta", json!({ "delta": delta, "usage": answer["usage"] }));
    to.event("message_stop", json!({}));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::pieces::{Gathered, chunks};

    fn written(operation: Operation, request: Value, answer: Value) -> Vec<Value> {
        let call = ModelCall::parse(operation, request.to_string().as_bytes()).unwrap();
        chunks(&events(&call, answer.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn a_completion_is_gathered_from_its_pieces_again() {
        let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "hi", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        let request = json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
        let pieces = written(Operation::Chat, request, answer.clone());
        assert_eq!(pieces.last().unwrap()["usage"], answer["usage"]);
        let mut gathered = Gathered::default();
        pieces.iter().for_each(|piece| gathered.take(piece, |_, _| ()).unwrap());
        let whole = gathered.completion(None);
        assert_eq!(whole["choices"], answer["choices"]);
    }

    #[test]
    fn a_message_and_a_response_begin_and_end() {
        let request = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        let answer = json!({"id": "m1", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "hi"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
            "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 2}});
        let pieces = written(Operation::Messages, request, answer);
        let deltas: Vec<&str> = pieces.iter().filter_map(|piece| piece["delta"]["type"].as_str()).collect();
        assert_eq!(deltas, ["thinking_delta", "signature_delta", "text_delta", "input_json_delta"]);
        assert_eq!(pieces[pieces.len() - 2]["usage"]["output_tokens"], 2);
        let answer = json!({"id": "r", "status": "completed", "output": [
            {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "hi"}]},
            {"type": "function_call", "id": "f", "name": "f", "arguments": "{}"}]});
        let pieces = written(Operation::Responses, json!({"model": "m", "input": "x"}), answer.clone());
        assert_eq!(pieces.last().unwrap()["response"], answer);
        assert!(pieces.iter().any(|piece| piece["delta"] == "hi") && pieces.iter().any(|piece| piece["delta"] == "{}"));
    }
}
