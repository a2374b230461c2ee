//! Answers as event streams, and the ways in which they break.

use std::{io, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    http, messages, reply,
    reply::Said,
    script::{Flavour, Rule},
};

/// Builds the events of an answer, each with its blank line.
pub(crate) fn events(path: &str, request: &Value, rule: Option<&Rule>, number: u64) -> Vec<String> {
    if path.ends_with("/messages") {
        return messages::events(request, rule, number);
    }
    if path.ends_with("/responses") {
        return responses(request, rule, number);
    }
    chat(request, rule, number)
}

/// Adapts the events to a provider's deviations.
pub(crate) fn dressed(flavour: Flavour, mut events: Vec<String>) -> Vec<String> {
    match flavour {
        Flavour::Openai | Flavour::Aws => {}
        Flavour::Azure => {
            let verdict = json!([{ "prompt_index": 0, "content_filter_results": {} }]);
            let first = json!({ "id": "", "object": "", "created": 0, "model": "", "choices": [],
                "prompt_filter_results": verdict });
            events.insert(0, format!("data: {first}\n\n"));
        }
        Flavour::Google => {
            for event in &mut events {
                let Some(mut chunk) =
                    event.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok())
                else {
                    continue;
                };
                if chunk["choices"].as_array().is_some_and(|choices| !choices.is_empty()) {
                    chunk["usage"] = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
                    *event = format!("data: {chunk}\n\n");
                }
            }
        }
    }
    events
}

/// Splits an answer's text into pieces of a few characters.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|piece| piece.iter().collect()).collect()
}

fn chat(request: &Value, rule: Option<&Rule>, number: u64) -> Vec<String> {
    let said = Said::of(request, rule);
    let asked = request["stream_options"]["include_usage"] == Value::Bool(true);
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": request["model"], "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let piece = |delta: Value, finish: Value| {
        let null = asked.then_some(Value::Null);
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": finish }]), null)
    };
    let mut events = vec![piece(json!({ "role": "assistant", "content": "" }), Value::Null)];
    if said.calls.is_empty() {
        events.extend(pieces(&said.content).into_iter().map(|text| piece(json!({ "content": text }), Value::Null)));
    }
    for call in said.tool_calls() {
        events.push(piece(json!({ "tool_calls": [call] }), Value::Null));
    }
    if !rule.is_some_and(|rule| rule.no_finish) {
        events.push(piece(json!({}), json!(said.finish)));
    }
    if asked && !rule.is_some_and(|rule| rule.no_usage) {
        events.push(chunk(json!([]), Some(said.usage())));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn responses(request: &Value, rule: Option<&Rule>, number: u64) -> Vec<String> {
    let said = Said::of(request, rule);
    let whole = reply::response(request, rule, number);
    let mut sequence = 0;
    let mut event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(sequence);
        sequence += 1;
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let mut events = vec![event("response.created", json!({ "response": { "id": whole["id"], "usage": null } }))];
    for text in pieces(&said.content) {
        let delta = json!({ "output_index": 0, "content_index": 0, "delta": text });
        events.push(event("response.output_text.delta", delta));
    }
    if !rule.is_some_and(|rule| rule.no_finish) {
        events.push(event("response.completed", json!({ "response": whole })));
    }
    events
}

/// Sends a stream as the rule breaks it. Returns whether the connection stays open.
pub(crate) async fn send(
    stream: &mut TcpStream,
    headers: &[(String, String)],
    mut events: Vec<String>,
    rule: Option<&Rule>,
) -> io::Result<Ended> {
    let middle = events.len() / 2;
    let garbage = rule.and_then(|rule| {
        let line = rule.huge_line.map(|bytes| format!("data: {}\n\n", "x".repeat(bytes)));
        line.or_else(|| (rule.bad_sse || rule.malformed).then(|| "data: {\"choices\": [\n\n".to_owned()))
            .or_else(|| rule.error_event.then(|| "data: {\"error\":{\"message\":\"scripted\"}}\n\n".to_owned()))
    });
    if let Some(garbage) = garbage {
        events.insert(middle, garbage);
    }
    let cut = rule.and_then(|rule| rule.events_cut.or(rule.cut.then_some(middle)));
    let kept = cut.or(rule.and_then(|rule| rule.events_hang)).unwrap_or(events.len());
    let pause = rule.filter(|rule| rule.drip.is_some()).map(|rule| Duration::from_millis(rule.delay_ms));
    let mut all = headers.to_vec();
    if !all.iter().any(|(name, _)| name == "content-type") {
        all.push(("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()));
    }
    stream.write_all(http::head(200, &all, None).as_bytes()).await?;
    for event in events.iter().take(kept) {
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    if rule.is_some_and(|rule| rule.events_hang.is_some()) {
        // The caller sends nothing more: only its leaving can be read.
        let mut byte = [0];
        while matches!(stream.read(&mut byte).await, Ok(1)) {}
        return Ok(Ended::CallerLeft);
    }
    if cut.is_some() {
        return Ok(Ended::Closed);
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(Ended::Whole)
}

/// End of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was sent.
    Whole,
    /// The rule cut it.
    Closed,
    /// The caller left.
    CallerLeft,
}
