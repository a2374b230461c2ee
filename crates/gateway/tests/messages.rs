//! Anthropic's Messages over every provider: natively, or through chat.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::time::Duration;

use kapelle_core::Money;
use kapelle_gateway::{Body, Operation, Reply, config::Kind, money::Account, price::Prices};
use serde_json::{Value, json};
use stage::{ALL, Stage, TENANT, events, header, model, task, whole};
use tokio::time::timeout;

const COUNTED: &str =
    "[{ reply: hello there, usage: { prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 400 } }]";

fn request(more: &Value) -> Value {
    let mut body = json!({"model": "fast", "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn ask(stage: &Stage, more: Value) -> Reply {
    stage.ask(&stage.token, Operation::Messages, &request(&more)).await
}

/// Puts the message of a stream together, as the SDKs do.
fn gathered(events: &[Value]) -> Value {
    assert_eq!(events[0]["type"], "message_start");
    assert_eq!(events.last().unwrap()["type"], "message_stop", "{events:?}");
    let mut message = events[0]["message"].clone();
    let mut inputs = vec![String::new(); events.len()];
    for event in events {
        let at = usize::try_from(event["index"].as_u64().unwrap_or(0)).unwrap();
        match event["type"].as_str().unwrap() {
            "content_block_start" => message["content"].as_array_mut().unwrap().push(event["content_block"].clone()),
            "content_block_delta" if event["delta"]["type"] == "text_delta" => {
                let known = message["content"][at]["text"].as_str().unwrap().to_owned();
                message["content"][at]["text"] = json!(known + event["delta"]["text"].as_str().unwrap());
            }
            "content_block_delta" => inputs[at].push_str(event["delta"]["partial_json"].as_str().unwrap()),
            "content_block_stop" if !inputs[at].is_empty() => {
                message["content"][at]["input"] = serde_json::from_str(&inputs[at]).unwrap();
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (name, count) in event["usage"].as_object().unwrap() {
                    message["usage"][name] = count.clone();
                }
            }
            _ => {}
        }
    }
    message
}

#[tokio::test]
async fn every_provider_answers_and_is_metered_whole_and_in_pieces() {
    for kind in ALL {
        let (price, _) = Prices::default().find("p", model(kind));
        let cost = Money(600 * price.input + 400 * price.cached + 200 * price.output);
        for stream in [false, true] {
            let stage = Stage::of(kind, COUNTED).await;
            let reply = ask(&stage, json!({ "stream": stream, "system": "Be brief." })).await;
            assert!(header(&reply, "request-id").is_some_and(|id| id.starts_with("req_")), "{kind:?}");
            let message = if stream { gathered(&events(reply).await) } else { whole(reply).await.1 };
            let said = (&message["type"], &message["role"], &message["stop_reason"]);
            assert_eq!(said, (&json!("message"), &json!("assistant"), &json!("end_turn")), "{kind:?} {message}");
            assert_eq!(message["content"], json!([{"type": "text", "text": "hello there"}]), "{kind:?}");
            let usage = &message["usage"];
            let counts = (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]);
            assert_eq!(counts, (&json!(600), &json!(400), &json!(200)), "{kind:?} {stream}");
            assert_eq!(stage.spent(), cost, "{kind:?} {stream}");
        }
    }
}

#[tokio::test]
async fn tools_are_called_and_answered_whole_and_in_pieces() {
    let tool =
        json!({"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}});
    for kind in ALL {
        for stream in [false, true] {
            let stage = Stage::of(kind, "[{ tool_calls: [{ name: weather, arguments: { city: Oslo } }] }]").await;
            let result = json!([{"type": "tool_result", "tool_use_id": "toolu_9", "content": "cold"}]);
            let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content":
                [{"type": "tool_use", "id": "toolu_9", "name": "weather", "input": {"city": "Bergen"}}]},
                {"role": "user", "content": result}]);
            let more = json!({"stream": stream, "tools": [tool], "tool_choice": {"type": "any"}, "messages": messages});
            let reply = ask(&stage, more).await;
            let message = if stream { gathered(&events(reply).await) } else { whole(reply).await.1 };
            let block = &message["content"][0];
            assert_eq!((&block["name"], &block["input"]), (&json!("weather"), &json!({"city": "Oslo"})), "{kind:?}");
            assert_eq!(message["stop_reason"], "tool_use", "{kind:?} {stream}");
            let sent = &stage.double.calls()[0].body;
            if kind == Kind::Anthropic {
                assert_eq!(sent["messages"], messages, "passed through");
            } else {
                assert_eq!((&sent["messages"][2]["role"], &sent["tool_choice"]), (&json!("tool"), &json!("required")));
            }
        }
    }
}

#[tokio::test]
async fn thinking_and_unknown_blocks_pass_between_two_that_speak_the_same() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","stop_reason":"end_turn","content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"text","text":"x"}],"usage":{"input_tokens":3,"output_tokens":2}}"#;
    let stage = Stage::of(Kind::Anthropic, &format!("[{{ body: '{body}' }}]")).await;
    let thought = json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "b"}]});
    let question =
        json!({"role": "user", "content": [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]});
    let more = json!({"messages": [question, thought, question], "thinking": {"type": "enabled", "budget_tokens": 100},
        "top_k": 7, "metadata": {"user_id": "u"}});
    let reply = ask(&stage, more.clone()).await;
    assert_eq!(reply.collect().await, body.as_bytes(), "the bytes are unchanged");
    let sent = &stage.double.calls()[0].body;
    for name in ["messages", "thinking", "top_k", "metadata"] {
        assert_eq!(sent[name], more[name], "{name}");
    }
}

#[tokio::test]
async fn a_bad_request_is_refused_in_anthropics_shape_before_it_costs() {
    let stage = Stage::with("[]").await;
    for (more, status, kind, word) in [
        (json!({"max_tokens": null}), 400, "invalid_request_error", "max_tokens"),
        (json!({"model": "nobody/x"}), 404, "not_found_error", "nobody/x"),
        (json!({"tool_choice": {"type": "maybe"}}), 400, "invalid_request_error", "tool_choice"),
        (json!({"api_base": "http://evil"}), 400, "invalid_request_error", "api_base"),
        (json!({"messages": [{"role": "user", "content": [{"type": "odd"}]}]}), 400, "invalid_request_error", "odd"),
    ] {
        let (got, body) = whole(ask(&stage, more.clone()).await).await;
        assert_eq!(
            (got, &body["type"], &body["error"]["type"]),
            (status, &json!("error"), &json!(kind)),
            "{more} {body}"
        );
        assert!(body["error"]["message"].as_str().unwrap().contains(word), "{more} {body}");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
    }
    let reply = stage.service.call(Operation::Messages, &stage.token, b"{no").await;
    assert_eq!(reply.status, 400);
    let (status, body) = whole(stage.service.call(Operation::Messages, "kap_wrong", b"{}").await).await;
    assert_eq!((status, &body["error"]["type"]), (401, &json!("authentication_error")));
    let long = vec![b' '; (32 << 20) + 1];
    let (status, body) = whole(stage.service.call(Operation::Messages, &stage.token, &long).await).await;
    assert_eq!((status, &body["error"]["type"]), (413, &json!("request_too_large")));
    assert_eq!((stage.double.calls().len(), stage.spent()), (0, Money::ZERO));
}

#[tokio::test]
async fn errors_of_the_provider_keep_their_status_and_kind() {
    for (kind, status, body, want) in [
        (Kind::Openai, 400, r#"{"error":{"message":"why","type":"invalid_request_error"}}"#, "invalid_request_error"),
        (Kind::Openai, 429, r#"{"error":{"message":"why","type":"rate_limit_error"}}"#, "rate_limit_error"),
        (
            Kind::Anthropic,
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"why"}}"#,
            "not_found_error",
        ),
        (
            Kind::Anthropic,
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"why"}}"#,
            "overloaded_error",
        ),
    ] {
        let stage = Stage::of(kind, &format!("[{{ status: {status}, body: '{body}' }}]")).await;
        let (got, said) = whole(ask(&stage, json!({})).await).await;
        let passes = if status == 529 { 503 } else { status };
        assert_eq!(
            (got, &said["error"]["type"], &said["error"]["message"]),
            (passes, &json!(want), &json!("why")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_cut_stream_ends_in_an_error_event_and_a_caller_that_leaves_closes_the_upstream() {
    for kind in [Kind::Openai, Kind::Anthropic] {
        let stage = Stage::of(kind, "[{ events_cut: 3, reply: a long enough answer }]").await;
        let events = events(ask(&stage, json!({"stream": true})).await).await;
        let last = events.last().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!("overloaded_error")), "{kind:?}");
        assert!(!events.iter().any(|event| event["type"] == "message_stop"));
        assert!(stage.spent().0 > 0, "{kind:?}: what came is paid for");
        let stage = Stage::of(kind, "[{ events_hang: 4, reply: a long enough answer }]").await;
        let Body::Stream(mut stream) = ask(&stage, json!({"stream": true})).await.body else { panic!("no stream") };
        assert!(stream.next().await.is_some());
        drop(stream);
        timeout(Duration::from_secs(1), stage.double.left(1)).await.unwrap();
        let standing = stage.ledger.standing(TENANT, &Account::Tenant);
        assert!(standing.reserved.0 == 0 && standing.spent.0 > 0, "{standing:?}");
    }
}

#[tokio::test]
async fn a_later_attempt_gets_the_same_answers_for_nothing() {
    for stream in [false, true] {
        let stage = Stage::with(COUNTED).await;
        let mut answers = Vec::new();
        for attempt in 1..=2 {
            let token = stage.grant(|grant| {
                grant.task = Some(task(5, 0));
                grant.payer.attempt = attempt;
            });
            let reply = stage.ask(&token, Operation::Messages, &request(&json!({"stream": stream}))).await;
            assert_eq!(header(&reply, "x-kapelle-source"), Some(if attempt == 1 { "provider" } else { "replay" }));
            answers.push(reply.collect().await);
        }
        assert_eq!(answers[0], answers[1], "{stream}");
        assert_eq!(stage.double.calls().len(), 1);
    }
}

#[tokio::test]
async fn tokens_are_counted_without_a_call_or_a_limit() {
    let stage = Stage::with("[]").await;
    let count = |body: Value| whole(stage.service.count(&stage.token, body.to_string().as_bytes()));
    let body =
        json!({"model": "fast", "system": "Be brief.", "messages": [{"role": "user", "content": "hello there"}]});
    let (status, answer) = count(body.clone()).await;
    assert!(status == 200 && answer["input_tokens"].as_u64().is_some_and(|n| (5..40).contains(&n)), "{answer}");
    let mut unknown = body;
    unknown["model"] = json!("nobody/x");
    assert_eq!(count(unknown).await.0, 404);
    assert_eq!(count(json!({"model": "fast"})).await.0, 400);
    assert_eq!((stage.double.calls().len(), stage.spent()), (0, Money::ZERO));
}

#[tokio::test]
async fn a_whole_answer_to_a_streamed_request_is_passed_on_as_a_stream() {
    let chat = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello there"}}],"usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;
    for operation in [Operation::Chat, Operation::Messages] {
        let stage = Stage::with(&format!("[{{ body: '{chat}' }}]")).await;
        let token = stage.grant(|grant| grant.task = Some(task(5, 0)));
        let events = events(stage.ask(&token, operation, &request(&json!({"stream": true}))).await).await;
        if operation == Operation::Chat {
            assert_eq!(stage::text(&events), "hello there");
            assert_eq!(events.last().unwrap(), "[DONE]");
            assert!(!events.iter().any(|event| event.get("usage").is_some()), "nobody asked for counts");
        } else {
            assert_eq!(gathered(&events)["content"][0]["text"], "hello there");
        }
        let (price, _) = Prices::default().find("p", "gpt-4o-mini");
        assert_eq!(stage.spent(), Money(1000 * price.input + 200 * price.output), "{operation:?}");
        let again = stage.grant(|grant| {
            grant.task = Some(task(5, 0));
            grant.payer.attempt = 2;
        });
        let reply = stage.ask(&again, operation, &request(&json!({"stream": true}))).await;
        assert_eq!(header(&reply, "x-kapelle-source"), Some("replay"), "{operation:?}: it was recorded");
        assert_eq!(stage::read(&reply.collect().await).len(), events.len());
    }
    let refused = r#"{"error":{"message":"no streams here","type":"invalid_request_error"}}"#;
    let stage = Stage::with(&format!("[{{ body: '{refused}' }}]")).await;
    let (status, body) = whole(stage.chat(&stage::streams("hi")).await).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!("no streams here")));
}
