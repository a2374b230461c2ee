//! Streams that break, callers that leave, time that runs out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::time::Duration;

use kapelle_gateway::{Body, Operation, config::Kind, money::Account};
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
    assert_eq!(events.last().unwrap()["error"]["message"], "the provider broke off: scripted");
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
        assert_eq!((status, &body["error"]["code"]), (400, &"provider".into()), "{headers}: {body}");
    }
}

#[tokio::test]
async fn a_stream_that_nobody_counted_is_estimated() {
    let stage = Stage::with("[{ no_usage: true, reply: some words to count }]").await;
    events(stage.chat(&streams("hi")).await).await;
    assert!(stage.spent().0 > 0);
}
