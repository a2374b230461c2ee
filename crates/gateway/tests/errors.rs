//! A provider's own error reaches the caller: status, type, code, parameter and message, in every shape.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use kapelle_core::{Category, Money};
use kapelle_gateway::{ChatRequest, Limits, Message, Operation, config::Kind};
use serde_json::{Value, json};
use stage::{ALL, KEY, Stage, events, header, says, streams, whole};

/// Makes a rule that answers with that body.
fn answers(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!([{ "status": status, "headers": headers, "body": body }]).to_string()
}

fn with_body(status: u16, body: &Value) -> String {
    answers(status, &[], &body.to_string())
}

fn error(message: &str, kind: &str, param: Value, code: Value) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

async fn told(kind: Kind, rules: &str, stream: bool) -> (u16, Value, Stage) {
    let stage = Stage::of(kind, rules).await;
    let body = if stream { streams("hi") } else { says("hi") };
    let reply = stage.chat(&body).await;
    assert_eq!(header(&reply, "x-should-retry"), Some("false"));
    let (status, answer) = whole(reply).await;
    assert!(!answer.to_string().contains("canary"), "{kind:?}: the key leaked: {answer}");
    (status, answer["error"].clone(), stage)
}

#[tokio::test]
async fn errors_of_the_request_keep_status_type_code_parameter_and_message() {
    for kind in ALL {
        for stream in [false, true] {
            for (status, code, param) in [
                (400, json!("context_length_exceeded"), json!("messages")),
                (400, json!("content_filter"), json!("prompt")),
                (404, json!("model_not_found"), Value::Null),
                (413, Value::Null, Value::Null),
                (422, json!("unprocessable"), json!("tools[0]")),
            ] {
                let body = error("in its own words", "invalid_request_error", param, code);
                let (found, told, stage) = told(kind, &with_body(status, &body), stream).await;
                assert_eq!((found, &told), (status, &body["error"]), "{kind:?} {stream}");
                assert_eq!((stage.spent(), stage.double.calls().len()), (Money(0), 1), "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn errors_of_every_shape_are_read() {
    for (status, body, want, kind, code) in [
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "why"}, "request_id": "r"}),
            400,
            "invalid_request_error",
            json!("provider"),
        ),
        (
            404,
            json!({"type": "error", "error": {"type": "not_found_error", "message": "why"}}),
            404,
            "not_found_error",
            json!("provider"),
        ),
        (
            400,
            json!([{"error": {"code": 400, "message": "why", "status": "INVALID_ARGUMENT"}}]),
            400,
            "invalid_request_error",
            json!("INVALID_ARGUMENT"),
        ),
        (
            400,
            json!({"message": "why", "__type": "ValidationException"}),
            400,
            "invalid_request_error",
            json!("ValidationException"),
        ),
        (
            400,
            json!({"object": "error", "message": "why", "type": "BadRequestError", "code": 400}),
            400,
            "BadRequestError",
            json!("provider"),
        ),
        (404, json!({"detail": "why"}), 404, "invalid_request_error", json!("provider")),
        (400, json!({"error": "why"}), 400, "invalid_request_error", json!("provider")),
        (
            529,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "why"}}),
            503,
            "overloaded_error",
            json!("unavailable"),
        ),
        (402, error("why", "billing", Value::Null, Value::Null), 402, "billing", json!("insufficient_quota")),
        (
            429,
            error("why", "insufficient_quota", Value::Null, json!("insufficient_quota")),
            429,
            "insufficient_quota",
            json!("insufficient_quota"),
        ),
        (429, error("why", "tokens", Value::Null, json!("rate_limit_exceeded")), 429, "tokens", json!("rate_limited")),
        (401, error("why", "x", Value::Null, json!("invalid_api_key")), 502, "server_error", json!("provider_key")),
        (403, error("why", "x", Value::Null, json!("unsupported_country")), 502, "server_error", json!("provider_key")),
        (403, error("why", "x", Value::Null, json!("model_not_found")), 403, "x", json!("model_not_found")),
    ] {
        for provider in ALL {
            for stream in [false, true] {
                let (found, told, _) = told(provider, &with_body(status, &body), stream).await;
                assert_eq!((found, &told["type"], &told["code"]), (want, &kind.into(), &code), "{provider:?} {body}");
                assert!(told["message"].as_str().unwrap().contains("why"), "{provider:?} {body}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_inside_an_answer_of_success_is_the_providers_error() {
    for kind in ALL {
        for stream in [false, true] {
            for (body, status, code) in [
                (error("why", "requests", Value::Null, json!("rate_limit_exceeded")), 429, json!("rate_limited")),
                (json!({"error": {"message": "why", "code": 429}}), 429, json!("rate_limited")),
                (json!({"error": {"message": "why", "code": "400"}}), 400, json!("provider")),
                (json!({"error": {"message": "why", "code": 404}}), 404, json!("provider")),
                (json!({"error": {"message": "why", "code": 503}}), 503, json!("unavailable")),
                (json!({"error": {"message": "why"}}), 502, json!("provider")),
                (json!({"error": "why"}), 502, json!("provider")),
                (
                    json!({"type": "error", "error": {"type": "invalid_request_error", "message": "why"}}),
                    400,
                    json!("provider"),
                ),
                (
                    json!({"choices": [{"error": {"message": "why", "code": 422}, "finish_reason": "error"}]}),
                    422,
                    json!("provider"),
                ),
            ] {
                let (found, told, stage) = told(kind, &with_body(200, &body), stream).await;
                assert_eq!(
                    (found, &told["code"], &told["message"]),
                    (status, &code, &"why".into()),
                    "{kind:?} {stream} {body}: {told}"
                );
                assert_eq!(stage.spent(), Money(0), "{kind:?} {body}: nothing was answered");
            }
        }
    }
}

#[tokio::test]
async fn an_error_inside_an_answer_of_success_says_how_long_to_wait() {
    for stream in [false, true] {
        let rules = answers(200, &[("retry-after", "7")], r#"{"error":{"message":"why","code":429}}"#);
        let stage = Stage::with(&rules).await;
        let reply = stage.chat(&if stream { streams("hi") } else { says("hi") }).await;
        assert_eq!((reply.status, header(&reply, "retry-after")), (429, Some("7")));
    }
}

#[tokio::test]
async fn an_error_in_a_stream_reaches_the_caller_in_full() {
    for kind in ALL {
        let body = match kind {
            Kind::Anthropic => json!({"type": "error", "error": {"type": "rate_limit_error", "message": "why"}}),
            _ => error("why", "requests", json!("model"), json!("rate_limit_exceeded")),
        };
        let rules = answers(200, &[("content-type", "text/event-stream")], &format!("data: {body}\n\n"));
        let stage = Stage::of(kind, &rules).await;
        let events = events(stage.chat(&streams("hi")).await).await;
        let told = &events.last().unwrap()["error"];
        assert_eq!((&told["message"], &told["type"]), (&"why".into(), &body["error"]["type"]), "{kind:?} {told}");
        if kind != Kind::Anthropic {
            assert_eq!((&told["code"], &told["param"]), (&"rate_limited".into(), &"model".into()), "{kind:?}");
        }
        assert_eq!(stage.spent(), Money(0), "{kind:?}: refused before it began");
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_gateway_that_says_so() {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>";
    let html = [("content-type", "text/html; charset=utf-8")];
    let plain = [("content-type", "text/plain")];
    let moved = [("location", "https://login.example/?next=sk-canary-1234567890abcdef")];
    for kind in ALL {
        for stream in [false, true] {
            for (rules, part) in [
                (answers(200, &html, page), "a web page (HTML) with the title `Sign in`"),
                (answers(200, &[], page), "HTML"),
                (answers(404, &html, page), "a web page (HTML)"),
                (answers(403, &html, page), "a web page (HTML)"),
                (answers(302, &moved, ""), "a redirect (302) to login.example"),
                (answers(200, &[], ""), "an empty body"),
                (answers(200, &plain, "upstream gone"), "upstream gone"),
                (answers(204, &[], ""), "an empty body"),
            ] {
                let (status, told, stage) = told(kind, &rules, stream).await;
                assert_eq!(
                    (status, &told["type"], &told["code"]),
                    (502, &"server_error".into(), &"provider".into()),
                    "{kind:?} {rules} {told}"
                );
                assert!(told["message"].as_str().unwrap().contains(part), "{kind:?} {stream} {rules}: {told}");
                assert_eq!(stage.double.calls().len(), 1);
            }
        }
    }
}

#[tokio::test]
async fn no_message_holds_the_key() {
    for kind in ALL {
        for body in [
            error(&format!("no {KEY}!"), KEY, json!(KEY), json!(KEY)),
            json!({"error": format!("the key {KEY}")}),
            json!({"detail": [{"loc": ["body", KEY], "msg": KEY}]}),
        ] {
            for status in [200, 400, 401, 404, 429, 500] {
                told(kind, &with_body(status, &body), false).await;
                told(kind, &with_body(status, &body), true).await;
            }
        }
    }
}

#[tokio::test]
async fn a_prompt_worker_retries_what_passes_and_nothing_else() {
    for (status, body, category, retryable) in [
        (200, json!({"error": {"message": "why", "code": 429}}), Category::RateLimited, true),
        (200, json!({"error": {"message": "why", "code": 400}}), Category::Provider, false),
        (422, json!({"error": {"message": "why"}}), Category::Provider, false),
        (200, json!({"error": {"message": "why"}}), Category::Provider, true),
        (500, json!({"error": {"message": "why"}}), Category::Unavailable, true),
    ] {
        let stage = Stage::with(&with_body(status, &body)).await;
        let request = ChatRequest { messages: vec![Message::text("user", "hi")], ..ChatRequest::default() };
        let failure = stage.gateway.complete("fast", &request, &Limits::default()).await.unwrap_err().error;
        assert_eq!((failure.category, failure.retryable), (category, retryable), "{status} {body}: {failure}");
        assert!(failure.message.contains("why"), "{failure}");
    }
}

#[tokio::test]
async fn a_failed_response_says_why() {
    let failed = json!({"id": "r", "object": "response", "status": "failed", "output": [],
        "error": {"code": "rate_limit_exceeded", "message": "why"}});
    let body = json!({ "model": "fast", "input": "hi" });
    let stage = Stage::with(&with_body(200, &failed)).await;
    let (status, told) = whole(stage.ask(&stage.token, Operation::Responses, &body).await).await;
    assert_eq!((status, &told["error"]["code"]), (429, &"rate_limited".into()), "{told}");
    for event in [
        json!({"type": "response.failed", "response": failed}),
        json!({"type": "error", "code": "rate_limit_exceeded", "message": "why", "param": null}),
        error("why", "requests", Value::Null, json!("rate_limit_exceeded")),
    ] {
        let rules = answers(200, &[("content-type", "text/event-stream")], &format!("data: {event}\n\n"));
        let stage = Stage::with(&rules).await;
        let body = json!({ "model": "fast", "input": "hi", "stream": true });
        let events = events(stage.ask(&stage.token, Operation::Responses, &body).await).await;
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["code"], &last["message"]),
            (&"error".into(), &"rate_limited".into(), &"why".into())
        );
    }
}
