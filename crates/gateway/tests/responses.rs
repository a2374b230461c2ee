//! Responses over every provider: natively, or through chat.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use kapelle_core::Money;
use kapelle_gateway::{Operation, config::Kind, money::Account, price::Prices, wire::Feature};
use serde_json::{Value, json};
use stage::{ALL, Stage, TENANT, config, double, events, model, whole};

const COUNTED: &str =
    "[{ reply: hello there, usage: { prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 400 } }]";
const BRIDGED: [Kind; 3] = [Kind::Gemini, Kind::Vertex, Kind::Anthropic];

async fn ask(stage: &Stage, more: Value) -> kapelle_gateway::Reply {
    let mut body = json!({ "model": "fast", "input": "hi" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    stage.ask(&stage.token, Operation::Responses, &body).await
}

#[tokio::test]
async fn every_provider_answers_and_is_metered_whole_and_in_pieces() {
    for kind in ALL {
        let (price, _) = Prices::default().find("p", model(kind));
        let cost = Money(600 * price.input + 400 * price.cached + 200 * price.output);
        for stream in [false, true] {
            let stage = Stage::of(kind, COUNTED).await;
            let reply = ask(&stage, json!({ "stream": stream, "max_output_tokens": 200, "store": true })).await;
            let response = if stream {
                let events = events(reply).await;
                let text: String = events
                    .iter()
                    .filter(|e| e["type"] == "response.output_text.delta")
                    .filter_map(|e| e["delta"].as_str())
                    .collect();
                assert_eq!(text, "hello there", "{kind:?}");
                let last = events.last().unwrap();
                assert_eq!(last["type"], "response.completed", "{kind:?}");
                last["response"].clone()
            } else {
                let (status, body) = whole(reply).await;
                assert_eq!(status, 200, "{kind:?}: {body}");
                body
            };
            assert_eq!(
                (&response["object"], &response["status"]),
                (&json!("response"), &json!("completed")),
                "{kind:?}"
            );
            let message = &response["output"][0];
            assert_eq!(
                (&message["type"], &message["content"][0]["text"]),
                (&json!("message"), &json!("hello there")),
                "{kind:?} {response}"
            );
            let usage = &response["usage"];
            assert_eq!(
                (&usage["input_tokens"], &usage["output_tokens"], &usage["input_tokens_details"]["cached_tokens"]),
                (&json!(1000), &json!(200), &json!(400)),
                "{kind:?}"
            );
            assert_eq!(stage.spent(), cost, "{kind:?} {stream}");
            let call = &stage.double.calls()[0];
            let end = if !BRIDGED.contains(&kind) {
                "/responses"
            } else if kind == Kind::Anthropic {
                "/messages"
            } else {
                "/chat/completions"
            };
            assert!(call.path.ends_with(end), "{kind:?}: {}", call.path);
            let bound = if BRIDGED.contains(&kind) { "max_tokens" } else { "max_output_tokens" };
            assert_eq!(call.body[bound], 200, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn the_events_of_a_bridged_response_are_those_that_the_sdks_put_together() {
    for kind in BRIDGED {
        let stage = Stage::of(kind, COUNTED).await;
        let events = events(ask(&stage, json!({ "stream": true })).await).await;
        let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>(), "{kind:?}");
        let mut kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        kinds.dedup();
        assert_eq!(
            kinds,
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let id = events[0]["response"]["id"].clone();
        assert_eq!(id, events.last().unwrap()["response"]["id"], "{kind:?}");
        let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
        assert_eq!(done["item"], events.last().unwrap()["response"]["output"][0], "{kind:?}");
    }
}

#[tokio::test]
async fn tools_schemas_and_pictures_are_carried_over_both_ways() {
    let rule =
        "[{ tool_calls: [{ name: weather, arguments: { city: Bern } }, { name: weather, arguments: { city: Uri } }] }]";
    let tool = json!({ "type": "function", "name": "weather", "parameters": { "type": "object" }, "strict": false });
    for kind in BRIDGED {
        for stream in [false, true] {
            let stage = Stage::of(kind, rule).await;
            let reply = ask(&stage, json!({ "tools": [tool], "stream": stream })).await;
            let output = if stream {
                let events = events(reply).await;
                let parts: String = events
                    .iter()
                    .filter(|e| e["type"] == "response.function_call_arguments.delta")
                    .filter_map(|e| e["delta"].as_str())
                    .collect();
                assert_eq!(parts, r#"{"city":"Bern"}{"city":"Uri"}"#, "{kind:?}");
                events.last().unwrap()["response"]["output"].clone()
            } else {
                whole(reply).await.1["output"].clone()
            };
            let calls: Vec<(&Value, &Value)> =
                output.as_array().unwrap().iter().map(|call| (&call["type"], &call["arguments"])).collect();
            let call = json!("function_call");
            assert_eq!(
                calls,
                [(&call, &json!(r#"{"city":"Bern"}"#)), (&call, &json!(r#"{"city":"Uri"}"#))],
                "{kind:?} {output}"
            );
            assert!(output[0]["call_id"].is_string() && output[0]["call_id"] != output[1]["call_id"], "{output}");
        }
        let stage = Stage::of(kind, "[]").await;
        let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {"a": {"type": "integer"}}});
        let format = json!({ "type": "json_schema", "name": "n", "schema": schema, "strict": true });
        let picture = json!({ "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=" });
        let input = json!([{ "role": "user", "content": [{ "type": "input_text", "text": "see" }, picture] }]);
        let (status, answer) = whole(ask(&stage, json!({ "text": { "format": format }, "input": input })).await).await;
        assert_eq!(
            (status, &answer["output"][0]["content"][0]["text"]),
            (200, &json!(r#"{"a":1}"#)),
            "{kind:?} {answer}"
        );
        let sent = &stage.double.calls()[0].body["messages"][0]["content"][1];
        assert!(sent["type"] == "image_url" || sent["type"] == "image", "{kind:?}: {sent}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_incomplete_and_a_broken_stream_ends_in_an_error_event() {
    for kind in BRIDGED {
        for stream in [false, true] {
            let stage = Stage::of(kind, "[{ reply: half, finish_reason: length }]").await;
            let reply = ask(&stage, json!({ "stream": stream })).await;
            let response = match stream {
                true => {
                    let last = events(reply).await.pop().unwrap();
                    assert_eq!(last["type"], "response.incomplete", "{kind:?}");
                    last["response"].clone()
                }
                false => whole(reply).await.1,
            };
            assert_eq!(
                (&response["status"], &response["incomplete_details"]["reason"]),
                (&json!("incomplete"), &json!("max_output_tokens")),
                "{kind:?}"
            );
        }
        for rule in ["{ events_cut: 3, reply: a long enough answer }", "{ no_finish: true }", "{ bad_sse: true }"] {
            let stage = Stage::of(kind, &format!("[{rule}]")).await;
            let events = events(ask(&stage, json!({ "stream": true })).await).await;
            assert_eq!(events.last().unwrap()["type"], "error", "{kind:?} {rule}");
            assert!(!events.iter().any(|event| event["type"] == "response.completed"), "{kind:?} {rule}");
            assert_eq!(stage.ledger.standing(TENANT, &Account::Tenant).reserved, Money::ZERO);
        }
        for (rule, status) in
            [("{ status: 500 }", 503), ("{ status: 429 }", 429), ("{ status: 400 }", 400), ("{ malformed: true }", 502)]
        {
            let stage = Stage::of(kind, &format!("[{rule}]")).await;
            assert_eq!(ask(&stage, json!({})).await.status, status, "{kind:?} {rule}");
        }
    }
}

#[tokio::test]
async fn what_chat_cannot_say_is_refused_before_anything_is_reserved() {
    for kind in BRIDGED {
        let stage = Stage::of(kind, "[]").await;
        stage.ledger.limit(TENANT, Account::Tenant, Money(0));
        for (more, part) in [
            (json!({ "previous_response_id": "resp_1" }), "previous_response_id"),
            (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "item_reference"),
            (json!({ "tools": [{ "type": "custom", "name": "x" }] }), "custom"),
        ] {
            let (status, answer) = whole(ask(&stage, more).await).await;
            assert_eq!((status, &answer["error"]["code"]), (400, &json!("unsupported")), "{kind:?} {answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
        }
        assert_eq!(ask(&stage, json!({})).await.status, 402, "what can be said is a matter of money");
        assert_eq!(stage.double.calls().len(), 0);
    }
}

#[tokio::test]
async fn a_server_without_responses_and_chat_or_without_responses_alone_is_told_apart() {
    for (chat, status) in [(true, 200), (false, 400)] {
        let double = double(Kind::Compatible, "[]").await;
        let mut config = config(Kind::Compatible, &double);
        let supports = &mut config.providers.get_mut("p").unwrap().supports;
        supports.insert(Feature::Responses, false);
        supports.insert(Feature::Chat, chat);
        let stage = Stage::configured(double, &config);
        let (found, answer) = whole(ask(&stage, json!({})).await).await;
        assert_eq!(found, status, "{answer}");
    }
}
