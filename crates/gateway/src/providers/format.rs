//! OpenAI's format, which most servers speak: bodies pass through, answers are only read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    anthropic::native,
    dialect::{Asked, Broken, Dialect, Events, Seen, Step, Whole, json_of, object},
    skim::{self, Choice, Piece, ResponseEvent},
    told::Told,
};
use crate::{
    answer::Usage,
    request::estimate_tokens,
    wire::{Features, ModelCall, Operation, json, sse::Event, usage},
};

/// A server of this format. Kinds differ in features, addresses and keys.
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
                if may_not_think(ask.model) && written_for_any_model(call) {
                    last.push(("reasoning_effort", "none".into()));
                } else if call.of_worker && thinks(ask.model) {
                    // Newer model families refuse it, and a worker's file is written for any model.
                    last.push(("temperature", Value::Null));
                }
                limit(call, ask, &mut last);
                if ask.stream && ask.count {
                    last.push(("stream_options", json!({ "include_usage": true })));
                }
            }
            Operation::Responses => {
                let limit_name = ask.limit.map(|_| "max_output_tokens");
                limit(call, &Asked { limit: limit_name, ..*ask }, &mut last);
            }
            Operation::Embeddings => {}
            // Some of these servers also speak the other format.
            Operation::Messages => return Ok(native::body(call, ask)),
        }
        Ok(object(&[("model", Value::from(ask.model))], (&call.fields, &call.raw), &last))
    }

    fn whole(&self, operation: Operation, body: Vec<u8>) -> Result<Whole, Broken> {
        let skimmed = match operation {
            Operation::Chat => skim::completion(&body),
            Operation::Embeddings => skim::embeddings(&body).map(|usage| (0, usage)),
            // All its text counts.
            Operation::Responses => None,
            Operation::Messages => return native::whole(body),
        };
        if let Some((text_tokens, usage)) = skimmed {
            return Ok(Whole { usage, body, text_tokens });
        }
        let answer: Value = match json::read(&body) {
            Ok(answer) => answer,
            Err(error) => return Err(Broken::Garbled(error.to_string(), body)),
        };
        if let Some(told) = Told::of(&answer) {
            return Err(Broken::Told(Box::new(told), usage::read(&answer["usage"])));
        }
        let list = |name: &str| answer[name].as_array();
        let text_tokens = match operation {
            Operation::Chat => {
                list("choices").map(|list| list.iter().map(|choice| tokens_of(&choice["message"])).sum())
            }
            Operation::Responses => {
                list("output").map(|list| list.iter().map(|item| estimate_tokens(&item.to_string())).sum())
            }
            Operation::Embeddings => list("data").map(|_| 0),
            Operation::Messages => list("content").map(|_| 0),
        };
        let Some(text_tokens) = text_tokens else {
            let name = match operation {
                Operation::Chat => "choices",
                Operation::Responses => "output",
                Operation::Embeddings => "data",
                Operation::Messages => "content",
            };
            return Err(Broken::Garbled(format!("it has no `{name}`"), body));
        };
        Ok(Whole { usage: usage::read(&answer["usage"]), body, text_tokens })
    }

    fn events(&self, call: &ModelCall) -> Box<dyn Events> {
        match call.operation {
            Operation::Responses => Box::new(ResponseEvents::default()),
            Operation::Messages => native::events(),
            _ => Box::new(ChatEvents { hide_usage: !call.wants_usage, ..ChatEvents::default() }),
        }
    }
}

/// Tells whether a model of that name thinks before it answers and requires the new name of the limit.
pub(crate) fn thinks(model: &str) -> bool {
    let name = model.strip_prefix("ft:").unwrap_or(model);
    let numbered = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let family = name.strip_prefix("gpt-").map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    numbered || family.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|family| family >= 5)
}

/// Tells whether a model of that name thinks unless it is told not to, and refuses tools and sampling while it thinks.
fn may_not_think(model: &str) -> bool {
    // Read in OpenAI's documentation on 2026-12-01; the others of these families always think.
    ["gpt-5.6-luna", "gpt-5.6-terra", "gpt-6-luna", "gpt-6-sol", "gpt-6.1-terra"]
        .iter()
        .any(|name| model.starts_with(name))
}

/// Tells whether a call says nothing about thinking, but has tools or sampling, or an answer's length, of any model.
fn written_for_any_model(call: &ModelCall) -> bool {
    let given = |name: &str| call.fields.get(name).is_some_and(|value| !value.is_null()) || call.raw.contains_key(name);
    let any = ["tools", "functions", "temperature", "top_p", "logprobs"].into_iter().any(given);
    !given("reasoning_effort") && (call.of_worker || any)
}

/// Tells whether a model of that name may think without showing it, so that a cut stream reveals little of its cost.
pub(crate) fn hides_thinking(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let old = name.starts_with("gemini-1") || name.starts_with("gemini-2.0");
    thinks(name) || (name.starts_with("gemini-") && !old)
}

/// Estimates the tokens of a message or of a piece of one: its texts and the arguments of its calls.
fn tokens_of(message: &Value) -> u64 {
    let text = |name: &str| message[name].as_str().map_or(0, estimate_tokens);
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let arguments = calls.map(|call| estimate_tokens(call["function"]["arguments"].as_str().unwrap_or("")) + 1);
    text("content") + text("refusal") + text("reasoning_content") + arguments.sum::<u64>()
}

/// Reader of the pieces of a chat completion.
#[derive(Default)]
struct ChatEvents {
    hide_usage: bool,
    /// Choices seen, and whether each has its finish reason.
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
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken> {
        if event.is_done() {
            if !self.finished() {
                return Err(Broken::garbled("the stream ended without a finish reason"));
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
        // Some servers omit the end mark; the answer is complete when every choice has its finish reason.
        (self.finished() && !self.ended).then(|| b"data: [DONE]\n\n".to_vec())
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// Reads a piece of unusual form.
fn in_full(data: &[u8]) -> Result<Piece, Broken> {
    let piece = json_of(data)?;
    if let Some(told) = Told::of(&piece) {
        return Err(Broken::Told(Box::new(told), usage::read(&piece["usage"])));
    }
    let choice = |choice: &Value| Choice {
        index: choice["index"].as_u64().unwrap_or(0),
        finished: choice["finish_reason"].is_string(),
        tokens: tokens_of(&choice["delta"]),
    };
    let choices = piece["choices"].as_array().into_iter().flatten().map(choice).collect();
    Ok(Piece { choices, usage: usage::read(&piece["usage"]) })
}

/// Reader of the events of a response.
#[derive(Default)]
struct ResponseEvents {
    seen: Seen,
}

impl Events for ResponseEvents {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken> {
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
        let piece = json_of(event.data)?;
        match piece["type"].as_str().unwrap_or("") {
            "response.completed" | "response.incomplete" => {
                self.seen.usage = usage::read(&piece["response"]["usage"]);
                return Ok(Step::Last(event.raw.to_vec()));
            }
            "response.failed" => {
                self.seen.usage = usage::read(&piece["response"]["usage"]);
                return Err(failed(&piece["response"]));
            }
            "error" => return Err(failed(&piece)),
            "" => {
                if let Some(told) = Told::of(&piece) {
                    return Err(Broken::Told(Box::new(told), None));
                }
            }
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

/// Builds the error of an event that reports one.
fn failed(piece: &Value) -> Broken {
    let nameless = || Told { message: "no reason given".to_owned(), ..Told::default() };
    Broken::Told(Box::new(Told::of(piece).unwrap_or_else(nameless)), None)
}

/// Writes the length limit of the answer. It is written under the caller's names if the caller set a longer one, under
/// the provider's name if the caller set none.
fn limit(call: &ModelCall, ask: &Asked<'_>, last: &mut Vec<(&str, Value)>) {
    let Some(longest) = ask.longest else { return };
    let mut named = false;
    for (name, limit) in call.limits() {
        named = true;
        if limit.is_none_or(|limit| limit > longest) {
            last.push((name, Value::from(longest)));
        }
    }
    if let (false, Some(name)) = (named, ask.limit) {
        last.push((name, Value::from(longest)));
    }
}

/// Estimates the usage that the provider did not report.
pub(crate) fn estimated(call: &ModelCall, output: u64) -> Usage {
    Usage { input: call.input_estimate(), output, ..Usage::default() }
}

/// Returns the usage of a call, by the provider's count or else by estimate. A server that omits
/// a count, or writes an invalid one, is not free.
pub(crate) fn used(call: &ModelCall, counted: Option<Usage>, tokens: u64) -> Usage {
    let guess = estimated(call, tokens);
    let Some(mut usage) = counted else { return guess };
    if usage.input == 0 {
        usage.input = guess.input;
    }
    if usage.output == 0 && call.operation != Operation::Embeddings {
        usage.output = guess.output;
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> ModelCall {
        ModelCall::parse(Operation::Chat, body.as_bytes()).unwrap()
    }

    fn take(events: &mut dyn Events, data: &str, out: &mut Vec<u8>) -> Result<Step, Broken> {
        let raw = format!("data: {data}\n\n").into_bytes();
        events.event(Event { raw: &raw, data: data.as_bytes() }, out)
    }

    fn sent(body: &str, model: &str, limit: Option<&str>) -> Value {
        let limit = limit.map(|name| if name == "max_tokens" { "max_tokens" } else { "max_completion_tokens" });
        let format = OpenaiFormat { features: Features::all() };
        let ask = Asked { model, longest: Some(7), limit, stream: false, count: true };
        serde_json::from_slice(&format.body(&call(body), &ask).unwrap()).unwrap()
    }

    #[test]
    fn the_callers_names_are_kept_and_only_a_missing_limit_is_added() {
        for (given, limit, want) in [
            (json!({}), Some("max_tokens"), json!({"max_tokens": 7})),
            (json!({}), Some("max_completion_tokens"), json!({"max_completion_tokens": 7})),
            (json!({}), None, json!({})),
            (json!({"max_tokens": 5}), Some("max_completion_tokens"), json!({"max_tokens": 5})),
            (json!({"max_tokens": 9}), Some("max_completion_tokens"), json!({"max_tokens": 7})),
            (json!({"max_tokens": -1}), None, json!({"max_tokens": 7})),
            (json!({"max_completion_tokens": 5}), Some("max_tokens"), json!({"max_completion_tokens": 5})),
            (
                json!({"max_completion_tokens": 5, "max_tokens": 9}),
                None,
                json!({"max_completion_tokens": 5, "max_tokens": 7}),
            ),
            (json!({"max_tokens": null, "temperature": 1}), None, json!({"temperature": 1})),
        ] {
            for model in ["my-o3-deployment", "o3-mini", "llama"] {
                let mut body = json!({"model": "x", "messages": []});
                body.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
                let mut wanted = json!({"model": model, "messages": []});
                wanted.as_object_mut().unwrap().extend(want.as_object().unwrap().clone());
                assert_eq!(sent(&body.to_string(), model, limit), wanted, "{given} {limit:?}");
            }
        }
    }

    #[test]
    fn what_the_file_of_a_worker_says_is_fitted_to_the_model() {
        let body = r#"{"model":"x","x_kapelle_worker":true,"messages":[],"temperature":1,"max_tokens":7}"#;
        let plain = json!({"model": "llama", "messages": [], "temperature": 1, "max_tokens": 7});
        assert_eq!(sent(body, "llama", Some("max_tokens")), plain);
        let thinking = json!({"model": "o4-mini", "messages": [], "max_completion_tokens": 7});
        assert_eq!(sent(body, "o4-mini", Some("max_completion_tokens")), thinking);
        let quick = json!({
            "model": "gpt-6-luna", "messages": [], "temperature": 1, "max_completion_tokens": 7, "reasoning_effort": "none",
        });
        assert_eq!(sent(body, "gpt-6-luna", Some("max_completion_tokens")), quick);
    }

    #[test]
    fn a_model_thinks_only_where_the_call_allows_it() {
        for (given, effort) in [
            (json!({}), Value::Null),
            (json!({"temperature": 0}), json!("none")),
            (json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), json!("none")),
            (json!({"temperature": 0, "reasoning_effort": "low"}), json!("low")),
            (json!({"temperature": null}), Value::Null),
        ] {
            let mut body = json!({"model": "x", "messages": []});
            body.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            assert_eq!(sent(&body.to_string(), "gpt-6-luna", None)["reasoning_effort"], effort, "{given}");
            let always = if effort == "none" { Value::Null } else { effort };
            assert_eq!(sent(&body.to_string(), "gpt-6.2-sol", None)["reasoning_effort"], always, "{given}");
        }
        assert!(["o3", "gpt-5-mini", "gpt-5.6", "gpt-6.2-sol", "gpt-10"].into_iter().all(thinks));
        assert!(!["gpt-4o", "gpt-4.1-mini", "gpt-oss-120b", "llama"].into_iter().any(thinks));
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
            r#"{"usage":{"prompt_tokens":-1},"error":null,"choices":[]}"#,
        ] {
            assert_eq!(skim::piece(data.as_bytes()), Some(in_full(data.as_bytes()).unwrap()), "{data}");
        }
        let mut events = ChatEvents::default();
        let mut out = Vec::new();
        for data in [r#"{"error":{"message":"overloaded"}}"#, r#"{"message":"overloaded"}"#] {
            let Err(Broken::Told(told, None)) = take(&mut events, data, &mut out) else { panic!("{data}") };
            assert_eq!(told.message, "overloaded");
        }
        let Err(Broken::Garbled(why, _)) = take(&mut events, r#"{"choices":[}"#, &mut out) else { panic!("taken") };
        assert!(why.contains("garbled"), "{why}");
        let half = r#"{"choices":[{"index":0,"delta":{"content":"\ud800 and more"}}]}"#;
        assert_eq!(take(&mut events, half, &mut out), Ok(Step::More));
        assert!(out.ends_with(format!("data: {half}\n\n").as_bytes()) && events.seen.tokens > 1);
        let mut events = ChatEvents::default();
        let odd = r#"{"choices":[{"index":1.5,"delta":{"content":["four char"]},"finish_reason":true}]}"#;
        assert_eq!(take(&mut events, odd, &mut out), Ok(Step::More));
        assert_eq!((events.seen.tokens, events.finished()), (0, false));
        assert!(out.ends_with(format!("data: {odd}\n\n").as_bytes()), "it is passed on as it came");
    }
}
