//! The format of OpenAI, which most servers speak: bodies pass through, answers are only read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    dialect::{Asked, Dialect, Events, Seen, Step, Whole, object},
    skim::{self, Choice, Piece, ResponseEvent},
};
use crate::{
    answer::Usage,
    request::estimate_tokens,
    wire::{Features, ModelCall, Operation, sse::Event, usage},
};

/// A server that speaks it. What tells one kind from another are features, addresses and keys.
pub(crate) struct OpenaiFormat {
    pub(crate) features: Features,
}

impl Dialect for OpenaiFormat {
    fn features(&self) -> Features {
        self.features
    }

    fn body(&self, call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String> {
        let mut last: Vec<(&str, Value)> = Vec::new();
        if ask.stream {
            last.push(("stream", Value::Bool(true)));
        }
        match call.operation {
            Operation::Chat => {
                // The newer families refuse the old name of this field; other servers know only the old one.
                let (own, other) = if thinks(ask.model) {
                    last.push(("temperature", Value::Null));
                    ("max_completion_tokens", "max_tokens")
                } else {
                    ("max_tokens", "max_completion_tokens")
                };
                last.push((own, ask.longest.map_or(Value::Null, Value::from)));
                last.push((other, Value::Null));
                if ask.stream && ask.count {
                    last.push(("stream_options", json!({ "include_usage": true })));
                }
            }
            Operation::Responses => {
                last.push(("max_output_tokens", ask.longest.map_or(Value::Null, Value::from)));
            }
            Operation::Embeddings => {}
        }
        Ok(object(&[("model", Value::from(ask.model))], &call.fields, &last))
    }

    fn whole(&self, operation: Operation, body: Vec<u8>) -> Result<Whole, String> {
        let skimmed = match operation {
            Operation::Chat => skim::completion(&body),
            Operation::Embeddings => skim::embeddings(&body).map(|usage| (0, usage)),
            // Everything in it counts.
            Operation::Responses => None,
        };
        if let Some((text_tokens, usage)) = skimmed {
            return Ok(Whole { usage, body, text_tokens });
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let text_tokens = match operation {
            Operation::Chat => {
                let choices = answer["choices"].as_array().ok_or("it has no `choices`")?;
                choices.iter().map(|choice| tokens_of(&choice["message"])).sum()
            }
            Operation::Responses => {
                let output = answer["output"].as_array().ok_or("it has no `output`")?;
                if let Some(message) = answer["error"]["message"].as_str() {
                    return Err(format!("the model failed: {message}"));
                }
                output.iter().map(|item| estimate_tokens(&item.to_string())).sum()
            }
            Operation::Embeddings => {
                answer["data"].as_array().ok_or("it has no `data`")?;
                0
            }
        };
        Ok(Whole { usage: usage::read(&answer["usage"]), body, text_tokens })
    }

    fn events(&self, call: &ModelCall) -> Box<dyn Events> {
        match call.operation {
            Operation::Responses => Box::new(ResponseEvents::default()),
            _ => Box::new(ChatEvents { hide_usage: !call.wants_usage, ..ChatEvents::default() }),
        }
    }
}

/// Whether a model of that name thinks before it answers and wants its limit under the new name.
pub(crate) fn thinks(model: &str) -> bool {
    let name = model.strip_prefix("ft:").unwrap_or(model);
    let numbered = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || name.starts_with("gpt-5")
}

/// Whether a model of that name may think without showing it, so that a cut stream says little of what was paid for.
pub(crate) fn hides_thinking(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let old = name.starts_with("gemini-1") || name.starts_with("gemini-2.0");
    thinks(name) || (name.starts_with("gemini-") && !old)
}

/// About how many tokens a message or a piece of one is: its texts and the arguments of its calls.
fn tokens_of(message: &Value) -> u64 {
    let text = |name: &str| message[name].as_str().map_or(0, estimate_tokens);
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let arguments = calls.map(|call| estimate_tokens(call["function"]["arguments"].as_str().unwrap_or("")) + 1);
    text("content") + text("refusal") + text("reasoning_content") + arguments.sum::<u64>()
}

/// The pieces of a chat completion.
#[derive(Default)]
struct ChatEvents {
    hide_usage: bool,
    /// The choices seen, and whether each has its finish reason.
    choices: BTreeMap<u64, bool>,
    seen: Seen,
    ended: bool,
}

impl ChatEvents {
    fn finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|&finished| finished)
    }
}

impl Events for ChatEvents {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, String> {
        if event.is_done() {
            if !self.finished() {
                return Err("the stream ended without a finish reason".to_owned());
            }
            self.ended = true;
            return Ok(Step::Last(event.raw.to_vec()));
        }
        if event.is_comment() {
            out.extend_from_slice(event.raw);
            return Ok(Step::More);
        }
        let piece = skim::piece(event.data).map_or_else(|| in_full(event.data), Ok)?;
        for choice in &piece.choices {
            *self.choices.entry(choice.index).or_default() |= choice.finished;
            self.seen.tokens += choice.tokens;
        }
        if let Some(counted) = piece.usage {
            self.seen.usage = Some(counted);
            if piece.choices.is_empty() && self.hide_usage {
                return Ok(Step::More);
            }
        }
        out.extend_from_slice(event.raw);
        Ok(Step::More)
    }

    fn close(&mut self) -> Option<Vec<u8>> {
        // Some servers end without the mark; what counts is that every answer said why it stopped.
        (self.finished() && !self.ended).then(|| b"data: [DONE]\n\n".to_vec())
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// A piece that is not as they usually are.
fn in_full(data: &[u8]) -> Result<Piece, String> {
    let piece: Value = serde_json::from_slice(data).map_err(|e| format!("the stream is garbled: {e}"))?;
    if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
        return Err(said(error));
    }
    let choice = |choice: &Value| Choice {
        index: choice["index"].as_u64().unwrap_or(0),
        finished: choice["finish_reason"].is_string(),
        tokens: tokens_of(&choice["delta"]),
    };
    let choices = piece["choices"].as_array().into_iter().flatten().map(choice).collect();
    Ok(Piece { choices, usage: usage::read(&piece["usage"]) })
}

/// The events of a response.
#[derive(Default)]
struct ResponseEvents {
    seen: Seen,
}

impl Events for ResponseEvents {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, String> {
        if event.is_comment() || event.is_done() {
            out.extend_from_slice(event.raw);
            return Ok(Step::More);
        }
        if let Some(skimmed) = skim::response_event(event.data) {
            if let ResponseEvent::Delta(tokens) = skimmed {
                self.seen.tokens += tokens;
            }
            out.extend_from_slice(event.raw);
            return Ok(Step::More);
        }
        let piece: Value = serde_json::from_slice(event.data).map_err(|e| format!("the stream is garbled: {e}"))?;
        match piece["type"].as_str().unwrap_or("") {
            "response.completed" | "response.incomplete" => {
                self.seen.usage = usage::read(&piece["response"]["usage"]);
                return Ok(Step::Last(event.raw.to_vec()));
            }
            "response.failed" => return Err(said(&piece["response"]["error"])),
            "error" => return Err(said(&piece)),
            kind if kind.ends_with(".delta") => {
                self.seen.tokens += piece["delta"].as_str().map_or(1, estimate_tokens).max(1);
            }
            _ => {}
        }
        out.extend_from_slice(event.raw);
        Ok(Step::More)
    }

    fn close(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }
}

fn said(error: &Value) -> String {
    let text = error["message"].as_str().or_else(|| error.as_str()).unwrap_or("no reason given");
    format!("the provider broke off: {text}")
}

/// The usage that stands in for one that the provider did not give.
pub(crate) fn estimated(call: &ModelCall, output: u64) -> Usage {
    Usage { input: call.input_estimate(), output, ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> ModelCall {
        ModelCall::parse(Operation::Chat, body.as_bytes()).unwrap()
    }

    fn take(events: &mut dyn Events, data: &str, out: &mut Vec<u8>) -> Result<Step, String> {
        let raw = format!("data: {data}\n\n").into_bytes();
        events.event(Event { raw: &raw, data: data.as_bytes() }, out)
    }

    #[test]
    fn the_limit_has_the_name_that_the_model_knows_and_usage_is_asked_for() {
        let format = OpenaiFormat { features: Features::all() };
        let call = call(r#"{"model":"x","messages":[],"temperature":1,"max_tokens":7,"stream":true,"seed":3}"#);
        let body = |model, count| -> Value {
            serde_json::from_slice(
                &format.body(&call, &Asked { model, longest: Some(7), stream: true, count }).unwrap(),
            )
            .unwrap()
        };
        let plain = json!({"model": "llama", "messages": [], "temperature": 1, "seed": 3, "stream": true,
            "max_tokens": 7, "stream_options": {"include_usage": true}});
        assert_eq!(body("llama", true), plain);
        let thinking =
            json!({"model": "o4-mini", "messages": [], "seed": 3, "stream": true, "max_completion_tokens": 7});
        assert_eq!(body("o4-mini", false), thinking);
    }

    #[test]
    fn an_end_without_a_finish_reason_is_a_fault() {
        let mut events = ChatEvents::default();
        let mut out = Vec::new();
        take(&mut events, r#"{"choices":[{"index":0,"delta":{"content":"hi"}}]}"#, &mut out).unwrap();
        assert_eq!(events.close(), None);
        assert!(take(&mut events, "[DONE]", &mut out).is_err());
        take(&mut events, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#, &mut out).unwrap();
        assert_eq!(events.close().unwrap(), b"data: [DONE]\n\n");
        assert!(matches!(take(&mut events, "[DONE]", &mut out), Ok(Step::Last(_))));
    }

    #[test]
    fn skimmed_or_read_in_full_a_piece_says_the_same() {
        for data in [
            r#"{"choices":[{"index":2,"delta":{"content":"some words","refusal":"no","reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"a\":1}"}},{"index":1}]}}],"x":[[{}]]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"\u65e5\u672c\ud83d\ude00"},"finish_reason":"length"},{"index":1}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":9}}"#,
            r#"{"usage":{"prompt_tokens":-1},"error":null,"choices":null}"#,
            "{}",
        ] {
            assert_eq!(skim::piece(data.as_bytes()), Some(in_full(data.as_bytes()).unwrap()), "{data}");
        }
        let mut events = ChatEvents::default();
        let mut out = Vec::new();
        for (data, why) in [
            (r#"{"error":{"message":"overloaded"}}"#, "broke off: overloaded"),
            (r#"{"choices":[}"#, "garbled"),
            (r#"{"choices":[{"delta":{"content":"\ud800"}}]}"#, "garbled"),
        ] {
            assert!(take(&mut events, data, &mut out).unwrap_err().contains(why), "{data}");
        }
        let odd = r#"{"choices":[{"index":1.5,"delta":{"content":["four char"]},"finish_reason":true}]}"#;
        assert_eq!(take(&mut events, odd, &mut out), Ok(Step::More));
        assert_eq!((events.seen.tokens, events.finished()), (0, false));
        assert!(out.ends_with(format!("data: {odd}\n\n").as_bytes()), "it is passed on as it came");
    }
}
