//! Streams that break, callers that leave, time that runs out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::time::Duration;

use kapelle_gateway::{Body, ChatRequest, Limits, Message, Operation, Route, config::Kind, money::Account};
use serde_json::json;
use stage::{ALL, Stage, TENANT, events, says, streams, whole};
use tokio::time::timeout;

#[tokio::test]
async fn a_broken_stream_ends_in_an_error_frame_and_is_settled() {
    for kind in ALL {
        for (rule, part) in [
            ("{ events_cut: 3, reply: a long enough answer }", "cut"),
            ("{ no_finish: true }", "without a"),
            ("{ bad_sse: true }", "garbled"),
            ("{ huge_line: 11000000 }", "longer than 10 MiB"),
        ] {
            let stage = Stage::of(kind, &format!("[{rule}]")).await;
            let events = events(stage.chat(&streams("hi")).await).await;
            let last = events.last().unwrap();
            assert!(last["error"]["message"].as_str().unwrap().contains(part), "{kind:?} {rule}: {last}");
            assert!(!events.iter().any(|event| event == "[DONE]" || event["choices"][0]["finish_reason"] == "stop"));
            let standing = stage.ledger.standing(TENANT, &Account::Tenant);
            assert_eq!(standing.reserved.0, 0, "{kind:?} {rule}: not settled");
            assert!(standing.spent.0 > 0, "{kind:?} {rule}: what came is paid for");
        }
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_passed_on_in_words() {
    let stage = Stage::with("[{ error_event: true }]").await;
    let events = events(stage.chat(&streams("hi")).await).await;
    assert_eq!(events.last().unwrap()["error"]["message"], "scripted");
}

#[tokio::test]
async fn a_cut_response_ends_in_an_event_that_the_sdks_know() {
    let stage = Stage::with("[{ no_finish: true }]").await;
    let body = json!({ "model": "fast", "input": "hi", "stream": true });
    let events = events(stage.ask(&stage.token, Operation::Responses, &body).await).await;
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["code"]), (&"error".into(), &"unavailable".into()));
}

#[tokio::test]
async fn a_caller_that_leaves_closes_the_upstream_and_pays_for_what_came() {
    for kind in [Kind::Openai, Kind::Anthropic] {
        let stage = Stage::of(kind, "[{ events_hang: 4, reply: a long enough answer }]").await;
        let Body::Stream(mut stream) = stage.chat(&streams("hi")).await.body else { panic!("no stream") };
        assert!(stream.next().await.is_some());
        drop(stream);
        timeout(Duration::from_secs(1), stage.double.left(1)).await.unwrap();
        let standing = stage.ledger.standing(TENANT, &Account::Tenant);
        assert!(standing.reserved.0 == 0 && standing.spent.0 > 0, "{standing:?}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_is_settled_at_the_reservation() {
    let stage = Stage::with("[{ hang: true }]").await;
    let (body, call) = (says("hi"), stage.double.called(1));
    tokio::select! {
        _ = stage.chat(&body) => panic!("answered"),
        () = call => {}
    }
    let standing = stage.ledger.standing(TENANT, &Account::Tenant);
    assert!(standing.reserved.0 == 0 && standing.unknown.0 > 0 && standing.spent == standing.unknown, "{standing:?}");
}

#[tokio::test]
async fn a_token_that_ends_cuts_its_call_within_a_second() {
    let stage = Stage::with("[{ events_hang: 4, reply: a long enough answer }]").await;
    let Body::Stream(mut stream) = stage.chat(&streams("hi")).await.body else { panic!("no stream") };
    assert!(stage.service.tokens().revoke(stage.id));
    let mut last = Vec::new();
    while let Some(piece) = timeout(Duration::from_secs(1), stream.next()).await.unwrap() {
        last = piece;
    }
    assert!(String::from_utf8(last).unwrap().contains("token_ended"));
    timeout(Duration::from_secs(1), stage.double.left(1)).await.unwrap();
    assert_eq!(whole(stage.chat(&says("hi")).await).await.0, 401);
}

#[tokio::test]
async fn deadlines_hold_for_the_head_and_for_the_pieces() {
    for (rule, stream) in [("{ hang: true }", false), ("{ hang: true }", true), ("{ events_hang: 3 }", true)] {
        let stage = Stage::with(&format!("[{rule}]")).await;
        let token = stage.grant(|grant| grant.timeout = Duration::from_millis(200));
        let body = if stream { streams("hi") } else { says("hi") };
        let work = async { stage.ask(&token, Operation::Chat, &body).await.collect().await };
        let bytes = timeout(Duration::from_secs(5), work).await.unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("timeout"), "{rule}");
    }
}

#[tokio::test]
async fn a_stream_of_the_wrong_type_or_packed_is_refused_before_its_first_byte() {
    for headers in ["content-type: application/json", "content-type: text/html", "content-encoding: gzip"] {
        let stage = Stage::with(&format!("[{{ headers: {{ {headers} }} }}]")).await;
        let (status, body) = whole(stage.chat(&streams("hi")).await).await;
        assert_eq!((status, &body["error"]["code"]), (502, &"provider".into()), "{headers}: {body}");
    }
}

#[tokio::test]
async fn a_stream_that_nobody_counted_is_estimated() {
    let stage = Stage::with("[{ no_usage: true, reply: some words to count }]").await;
    events(stage.chat(&streams("hi")).await).await;
    assert!(stage.spent().0 > 0);
}

/// Builds a stream of a provider with that JSON text as the one piece of its answer.
fn saying(kind: Kind, text: &str) -> String {
    let events = match kind {
        Kind::Anthropic => [
            r#"{"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":3,"output_tokens":1}}}"#
                .to_owned(),
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{text}}}}}"#),
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#.to_owned(),
            r#"{"type":"message_stop"}"#.to_owned(),
        ],
        _ => [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#.to_owned(),
            format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}}]}}"#),
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":{text}}}}}]}}}}]}}"#
            ),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned(),
            "[DONE]".to_owned(),
        ],
    };
    events.map(|event| format!("data: {event}\n\n")).concat()
}

#[tokio::test]
async fn half_of_a_surrogate_pair_does_not_cut_a_stream() {
    for kind in ALL {
        for text in [r#""a \ud83d""#, r#""\ude00 b""#] {
            let sent = saying(kind, text);
            let rules = json!([{ "body": sent, "headers": { "content-type": "text/event-stream" } }]).to_string();
            let stage = Stage::of(kind, &rules).await;
            let mut body = streams("hi");
            body["stream_options"] = json!({ "include_usage": true });
            let bytes = String::from_utf8(stage.chat(&body).await.collect().await).unwrap();
            assert!(bytes.ends_with("data: [DONE]\n\n") && !bytes.contains("garbled"), "{kind:?} {bytes}");
            if kind != Kind::Anthropic {
                assert_eq!(bytes, sent, "{kind:?}: it is passed on as it came");
            }
        }
    }
}

#[tokio::test]
async fn half_of_a_surrogate_pair_does_not_throw_a_whole_answer_away() {
    for kind in ALL {
        let sent = match kind {
            Kind::Anthropic => {
                r#"{"id":"m","model":"c","content":[{"type":"text","text":"a \ud83d"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#
            }
            _ => {
                r#"{"id":"c","choices":[{"index":0,"message":{"content":"a \ud83d"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#
            }
        };
        let stage = Stage::of(kind, &json!([{ "body": sent }]).to_string()).await;
        let token = stage.grant(|grant| grant.task = Some(stage::task(1, 0)));
        let reply = stage.ask(&token, Operation::Chat, &says("hi")).await;
        assert_eq!(reply.status, 200, "{kind:?}");
        let bytes = String::from_utf8(reply.collect().await).unwrap();
        if kind != Kind::Anthropic {
            assert_eq!(bytes, sent, "{kind:?}");
        }
        let again = String::from_utf8(stage.ask(&token, Operation::Chat, &says("hi")).await.collect().await).unwrap();
        assert!(again.contains("a "), "{kind:?}");
        let request = ChatRequest { messages: vec![Message::text("user", "hi")], ..ChatRequest::default() };
        let Route::Answer(answer) = stage.gateway.complete("fast", &request, &Limits::default()).await.unwrap() else {
            panic!("offline")
        };
        assert_eq!(answer.content, "a \u{fffd}", "{kind:?}");
    }
}
