//! A provider's count is believed up to the reservation; missing counts and cut streams are estimated.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use kapelle_core::Money;
use kapelle_gateway::{Body, Operation, config::Kind, money::Account, replay::CallLog};
use serde_json::{Value, json};
use stage::{ALL, Stage, TENANT, header, says, streams, task, whole};

/// Builds a whole answer or a stream in a provider's format, with that usage.
fn counted(kind: Kind, stream: bool, usage: &Value) -> String {
    let body = match (kind, stream) {
        (Kind::Anthropic, false) => json!({"id": "m", "model": "c", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hello there"}], "usage": usage})
        .to_string(),
        (Kind::Anthropic, true) => [
            json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage": usage}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello there"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
            json!({"type": "message_stop"}),
        ]
        .map(|event| format!("data: {event}\n\n"))
        .concat(),
        (_, false) => {
            json!({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello there"},
            "finish_reason": "stop"}], "usage": usage})
            .to_string()
        }
        (_, true) => [
            json!({"choices": [{"index": 0, "delta": {"content": "hello there"}}]}).to_string(),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}).to_string(),
            "[DONE]".to_owned(),
        ]
        .map(|event| format!("data: {event}\n\n"))
        .concat(),
    };
    let headers = if stream { json!({"content-type": "text/event-stream"}) } else { json!({}) };
    json!([{ "body": body, "headers": headers }]).to_string()
}

/// Builds the counts under the provider's names.
fn usage(kind: Kind, input: &Value, output: &Value) -> Value {
    match kind {
        Kind::Anthropic => json!({"input_tokens": input, "output_tokens": output}),
        _ => json!({"prompt_tokens": input, "completion_tokens": output}),
    }
}

#[tokio::test]
async fn a_count_beyond_the_reservation_is_charged_at_the_reservation_and_marked() {
    let most = [json!(1_000_000_000_000_000_000_u64), json!(u64::MAX), json!(1e30), json!(100_000)];
    for kind in ALL {
        for stream in [false, true] {
            for (at, count) in most.iter().enumerate() {
                for (input, output) in [(count, &json!(1)), (&json!(1), count), (count, count)] {
                    let stage = Stage::of(kind, &counted(kind, stream, &usage(kind, input, output))).await;
                    let token = stage.grant(|grant| grant.task = Some(task(1, 0)));
                    let body = if stream { streams("hi") } else { says("hi") };
                    let reply = stage.ask(&token, Operation::Chat, &body).await;
                    assert_eq!(reply.status, 200, "{kind:?} {stream} {at}");
                    reply.collect().await;
                    let standing = stage.ledger.standing(TENANT, &Account::Tenant);
                    assert!(
                        standing.spent > Money(0) && standing.spent < Money(20_000_000),
                        "{kind:?} {count}: {standing:?}"
                    );
                    assert_eq!(
                        (standing.unknown, standing.reserved),
                        (standing.spent, Money(0)),
                        "{kind:?}: it is marked"
                    );
                    let kept = stage.log.recorded(task(1, 0)).await.unwrap()[0].usage;
                    assert!(kept.input < 2_000 && kept.output <= 500, "{kind:?} {stream}: {kept:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_count_that_is_none_is_estimated_and_never_free() {
    let none = [json!("12"), json!(1.5), json!(-4), Value::Null, json!([]), json!(0)];
    for kind in ALL {
        for stream in [false, true] {
            let body = || if stream { streams("hello, how are you today?") } else { says("hello, how are you today?") };
            let absent = Stage::of(kind, &counted(kind, stream, &Value::Null)).await;
            absent.chat(&body()).await.collect().await;
            let want = absent.spent();
            assert!(want > Money(0));
            for count in &none {
                let stage = Stage::of(kind, &counted(kind, stream, &usage(kind, count, count))).await;
                stage.chat(&body()).await.collect().await;
                assert_eq!(stage.spent(), want, "{kind:?} {stream} {count}");
                let half = Stage::of(kind, &counted(kind, stream, &usage(kind, count, &json!(3)))).await;
                half.chat(&body()).await.collect().await;
                let other = Stage::of(kind, &counted(kind, stream, &usage(kind, &json!(9), count))).await;
                other.chat(&body()).await.collect().await;
                for standing in [half, other].map(|stage| stage.ledger.standing(TENANT, &Account::Tenant)) {
                    assert!(
                        standing.spent.0 * 4 > want.0 && standing.unknown == Money(0),
                        "{kind:?} {count}: {standing:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn details_beyond_the_whole_are_cut_to_it() {
    for stream in [false, true] {
        let odd = json!({"prompt_tokens": 20, "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": u64::MAX}, "completion_tokens_details": {"reasoning_tokens": u64::MAX}});
        let stage = Stage::of(Kind::Openai, &counted(Kind::Openai, stream, &odd)).await;
        stage.chat(&if stream { streams("hi") } else { says("hi") }).await.collect().await;
        assert_eq!(stage.spent(), Money(20 * 75 + 2 * 600));
    }
    let odd = json!({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX});
    let stage = Stage::of(Kind::Anthropic, &counted(Kind::Anthropic, false, &odd)).await;
    stage.chat(&says("hi")).await.collect().await;
    let standing = stage.ledger.standing(TENANT, &Account::Tenant);
    assert_eq!(standing.unknown, standing.spent);
}

#[tokio::test]
async fn embeddings_are_bounded_too() {
    let body = json!({"object": "list", "data": [], "usage": {"prompt_tokens": u64::MAX, "total_tokens": u64::MAX}});
    let stage = Stage::with(&json!([{ "body": body.to_string() }]).to_string()).await;
    let reply = stage
        .ask(&stage.token, Operation::Embeddings, &json!({"model": "p/text-embedding-3-small", "input": "hi"}))
        .await;
    assert_eq!(whole(reply).await.0, 200);
    let standing = stage.ledger.standing(TENANT, &Account::Tenant);
    assert!(
        standing.spent > Money(0) && standing.spent < Money(1_000_000) && standing.unknown == standing.spent,
        "{standing:?}"
    );
}

#[tokio::test]
async fn the_input_of_a_cut_stream_costs_what_that_of_a_whole_one_does() {
    let words = "word ".repeat(10_000);
    for kind in [Kind::Openai, Kind::Anthropic, Kind::Compatible] {
        let whole = Stage::of(kind, "[{ no_usage: true, reply: a }]").await;
        whole.chat(&streams(&words)).await.collect().await;
        let estimated = match kind {
            Kind::Anthropic => None,
            _ => Some(whole.spent().0),
        };
        for leaves in [true, false] {
            let rule = if leaves {
                "[{ events_hang: 4, reply: a long enough answer }]"
            } else {
                "[{ events_cut: 4, reply: a long enough answer }]"
            };
            let stage = Stage::of(kind, rule).await;
            let Body::Stream(mut stream) = stage.chat(&streams(&words)).await.body else { panic!("no stream") };
            if leaves {
                assert!(stream.next().await.is_some());
                drop(stream);
            } else {
                while stream.next().await.is_some() {}
            }
            // 10,000 words of five bytes: 12,500 tokens by the estimate, more than 50,000 by the bytes.
            let (input, output) = if kind == Kind::Anthropic { (1_000, 5_000) } else { (150, 600) };
            let spent = stage.spent().0;
            assert!(spent >= 12_500 * input && spent <= 12_600 * input + 600 * output, "{kind:?} {leaves}: {spent}");
            if let Some(estimated) = estimated {
                assert!(spent.abs_diff(estimated) <= 600 * output, "{kind:?} {leaves}: {spent} and {estimated}");
            }
        }
    }
}

#[tokio::test]
async fn limits_that_a_model_teaches_hold_for_that_model() {
    let headers = "headers: { x-ratelimit-remaining-requests: '0', x-ratelimit-reset-requests: 6m0s }";
    for kind in ALL {
        for rule in [headers, "status: 429, headers: { retry-after: '300' }"] {
            let stage = Stage::of(kind, &format!("[{{ model: first, times: 1, {rule} }}]")).await;
            let token = stage.grant(|grant| grant.hold = true);
            let ask = async |model: &str| {
                let mut body = says("hi");
                body["model"] = json!(format!("p/{model}"));
                stage.ask(&token, Operation::Chat, &body).await
            };
            ask("first").await;
            let held = ask("first").await;
            assert!(matches!(held.status, 429 | 503), "{kind:?} {rule}");
            assert!(header(&held, "retry-after").is_some());
            assert_eq!(ask("second").await.status, 200, "{kind:?} {rule}: another model waits, too");
        }
    }
}
