//! One matrix of behaviour over every provider, each against a double of its own wire format.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::time::Duration;

use kapelle_core::Money;
use kapelle_gateway::{Operation, config::Kind, money::Account, price::Prices, replay::CallLog};
use serde_json::{Value, json};
use stage::{ALL, KEY, Stage, TENANT, base, events, header, model, says, streams, text, whole};

const COUNTED: &str =
    "[{ reply: hello there, usage: { prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 400 } }]";

/// Computes the cost of the counted answer.
fn price(kind: Kind) -> Money {
    let (price, known) = Prices::default().find("p", model(kind));
    assert!(known, "{kind:?}");
    Money(600 * price.input + 400 * price.cached + 200 * price.output)
}

#[tokio::test]
async fn a_whole_answer_is_metered_with_its_cache_and_the_key_goes_where_it_belongs() {
    for kind in ALL {
        let stage = Stage::of(kind, COUNTED).await;
        let reply = stage.chat(&says("hi")).await;
        assert_eq!(header(&reply, "x-kapelle-cost-nanousd"), Some(price(kind).0.to_string().as_str()), "{kind:?}");
        let (status, body) = whole(reply).await;
        assert_eq!(status, 200, "{kind:?}: {body}");
        let choice = &body["choices"][0];
        assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&"hello there".into(), &"stop".into()));
        assert_eq!(
            (&body["usage"]["prompt_tokens"], &body["usage"]["completion_tokens"]),
            (&1_000.into(), &200.into())
        );
        assert_eq!(stage.spent(), price(kind), "{kind:?}");
        let call = &stage.double.calls()[0];
        let path = if kind == Kind::Anthropic { "messages" } else { "chat/completions" };
        assert_eq!(call.path, format!("{}/{path}", base(kind)));
        let limit = if matches!(kind, Kind::Openai | Kind::Azure) { "max_completion_tokens" } else { "max_tokens" };
        assert_eq!((&call.body["model"], &call.body[limit]), (&model(kind).into(), &500.into()));
        let (name, value) = match kind {
            Kind::Azure => ("api-key", KEY.to_owned()),
            Kind::Anthropic => ("x-api-key", KEY.to_owned()),
            _ => ("authorization", format!("Bearer {KEY}")),
        };
        assert_eq!(call.headers[name], value, "{kind:?}");
    }
}

#[tokio::test]
async fn a_stream_is_metered_whether_or_not_the_caller_asks_for_counts() {
    for kind in ALL {
        for asked in [false, true] {
            let stage = Stage::of(kind, COUNTED).await;
            let mut body = streams("hi");
            if asked {
                body["stream_options"] = json!({ "include_usage": true });
            }
            let events = events(stage.chat(&body).await).await;
            assert_eq!(text(&events), "hello there", "{kind:?}");
            assert_eq!(events.last().unwrap(), "[DONE]");
            let finishes = events.iter().filter(|event| event["choices"][0]["finish_reason"] == "stop").count();
            let counts = events.iter().filter(|event| event["usage"]["prompt_tokens"] == 1_000).count();
            assert_eq!((finishes, counts), (1, usize::from(asked)), "{kind:?}");
            assert_eq!(stage.spent(), price(kind), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_the_same_format_passes_byte_for_byte() {
    let stage = Stage::with("[]").await;
    let mut body = streams("hi");
    body["stream_options"] = json!({ "include_usage": true });
    let through = stage.chat(&body).await.collect().await;
    body["model"] = json!("gpt-4o-mini");
    let bare = stage_client(&stage, &body).await;
    assert_eq!(String::from_utf8(through).unwrap().replace("chatcmpl-1", "chatcmpl-2"), bare);
}

/// Returns what the double sends to a client without the gateway.
async fn stage_client(stage: &Stage, body: &Value) -> String {
    let url = format!("{}/chat/completions", stage.double.base_url());
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let response = client.post(url).bearer_auth(KEY).json(body).send().await.unwrap();
    response.text().await.unwrap()
}

#[tokio::test]
async fn tools_are_called_whole_and_in_pieces() {
    let rule = "[{ tool_calls: [{ name: weather, arguments: { city: Bern } }] }]";
    let tools = json!([{ "type": "function", "function": { "name": "weather", "parameters": { "type": "object" } } }]);
    for kind in ALL {
        let stage = Stage::of(kind, rule).await;
        let mut body = says("How is the weather?");
        body["tools"] = tools.clone();
        let (_, answer) = whole(stage.chat(&body).await).await;
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{kind:?}");
        let call = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!((&call["name"], &call["arguments"]), (&"weather".into(), &r#"{"city":"Bern"}"#.into()), "{kind:?}");
        body["stream"] = json!(true);
        let events = events(stage.chat(&body).await).await;
        let parts =
            events.iter().filter_map(|e| e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
        assert_eq!(parts.collect::<String>(), r#"{"city":"Bern"}"#, "{kind:?}");
    }
}

#[tokio::test]
async fn answers_fit_a_schema_everywhere() {
    let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {"a": {"type": "integer"}}});
    for kind in ALL {
        for stream in [false, true] {
            let stage = Stage::of(kind, "[]").await;
            let mut body = says("a number");
            body["response_format"] =
                json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } });
            body["stream"] = json!(stream);
            let reply = stage.chat(&body).await;
            let content = if stream {
                text(&events(reply).await)
            } else {
                whole(reply).await.1["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
            };
            assert_eq!(content, r#"{"a":1}"#, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn pictures_reach_every_provider_in_its_own_words() {
    for kind in ALL {
        let stage = Stage::of(kind, "[]").await;
        let picture = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } });
        let body = json!({ "model": "fast", "messages": [{ "role": "user", "content": [picture] }] });
        assert_eq!(whole(stage.chat(&body).await).await.0, 200, "{kind:?}");
        let sent = &stage.double.calls()[0].body["messages"][0]["content"][0];
        let want = if kind == Kind::Anthropic {
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}})
        } else {
            picture
        };
        assert_eq!(sent, &want, "{kind:?}");
    }
}

#[tokio::test]
async fn embeddings_are_answered_where_they_exist_and_refused_before_anything_is_reserved_elsewhere() {
    for kind in ALL {
        let stage = Stage::of(kind, COUNTED).await;
        let body = json!({ "model": "fast", "input": "hi" });
        let (status, answer) = whole(stage.ask(&stage.token, Operation::Embeddings, &body).await).await;
        if [Kind::Bedrock, Kind::Vertex, Kind::Anthropic].contains(&kind) {
            assert_eq!((status, &answer["error"]["code"]), (400, &"unsupported".into()), "{kind:?} {answer}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains("it cannot do what is asked: embeddings"), "{message}");
            assert_eq!(stage.double.calls().len(), 0, "{kind:?}");
            stage.ledger.limit(TENANT, Account::Tenant, Money(0));
            let again = stage.ask(&stage.token, Operation::Embeddings, &body).await;
            assert_eq!(again.status, 400, "{kind:?}: with no money at all it is still not about money");
        } else {
            assert_eq!((status, answer["data"].is_array()), (200, true), "{kind:?} {answer}");
        }
    }
}

#[tokio::test]
async fn a_streamed_response_ends_with_its_own_event_and_is_metered() {
    let stage = Stage::with(COUNTED).await;
    let body = json!({ "model": "fast", "input": "hi", "stream": true });
    let events = events(stage.ask(&stage.token, Operation::Responses, &body).await).await;
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    assert_eq!(stage.spent(), price(Kind::Openai));
    assert_eq!(stage.double.calls()[0].body["max_output_tokens"], 500);
}

#[tokio::test]
async fn errors_have_the_shape_of_openai_and_no_key_in_them() {
    for kind in ALL {
        for (rule, status, code) in [
            ("{ status: 500 }", 503, "unavailable"),
            ("{ status: 400 }", 400, "provider"),
            ("{ status: 429, headers: { retry-after: '7' } }", 429, "rate_limited"),
            ("{ status: 429 }", 429, "rate_limited"),
            ("{ status: 529 }", 503, "unavailable"),
            ("{ cut: true }", 503, "unavailable"),
            ("{ body_bytes: 12000000 }", 502, "provider"),
            (
                "{ status: 401, body: '{\"error\":{\"message\":\"bad sk-canary-1234567890abcdef\"}}' }",
                502,
                "provider_key",
            ),
            ("{ reset: true }", 503, "unavailable"),
            ("{ malformed: true }", 502, "provider"),
            ("{ status: 301, headers: { location: 'http://127.0.0.1:9/' } }", 502, "provider"),
            ("{ headers: { content-encoding: gzip } }", 502, "provider"),
            ("{ headers: { content-type: text/html } }", 502, "provider"),
        ] {
            let stage = Stage::of(kind, &format!("[{rule}]")).await;
            let reply = stage.chat(&says("hi")).await;
            assert_eq!(header(&reply, "x-should-retry"), Some("false"));
            assert_eq!(header(&reply, "retry-after"), rule.contains("'7'").then_some("7"), "{kind:?} {rule}");
            let (found, body) = whole(reply).await;
            let own = match kind {
                Kind::Azure | Kind::Bedrock => "provider",
                Kind::Gemini | Kind::Vertex => "SCRIPTED",
                _ => "scripted",
            };
            let code = if status == 400 { own } else { code };
            assert_eq!((found, &body["error"]["code"]), (status, &code.into()), "{kind:?} {rule}: {body}");
            assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string());
            assert!(!body.to_string().contains("canary"), "the key leaked: {body}");
            if rule.contains("status: 4") && !rule.contains("401") || rule.contains("status: 5") {
                let said = body["error"]["message"].as_str().unwrap();
                assert!(said.contains("scripted status"), "{kind:?} {rule}: what it said is lost: {said}");
            }
            assert_eq!(stage.double.calls().len(), 1, "the gateway does not retry");
        }
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_in_time_whole_and_in_pieces() {
    for kind in ALL {
        for stream in [false, true] {
            let stage = Stage::of(kind, "[{ hang: true }]").await;
            let token = stage.grant(|grant| grant.timeout = Duration::from_millis(150));
            let mut body = says("hi");
            body["stream"] = json!(stream);
            let (status, answer) = whole(stage.ask(&token, Operation::Chat, &body).await).await;
            assert_eq!((status, &answer["error"]["code"]), (504, &"timeout".into()), "{kind:?} {answer}");
        }
    }
}

#[tokio::test]
async fn what_a_model_thinks_is_counted_apart_where_the_provider_says_it() {
    let rule = "[{ usage: { prompt_tokens: 100, completion_tokens: 80, reasoning_tokens: 60 } }]";
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::Anthropic) {
        for stream in [false, true] {
            let stage = Stage::of(kind, rule).await;
            let token = stage.grant(|grant| grant.task = Some(stage::task(1, 0)));
            let mut body = says("hi");
            body["stream"] = json!(stream);
            stage.ask(&token, Operation::Chat, &body).await.collect().await;
            let usage = stage.log.recorded(stage::task(1, 0)).await.unwrap()[0].usage;
            assert_eq!((usage.input, usage.output, usage.reasoning), (100, 80, 60), "{kind:?} {stream}");
        }
    }
}

#[tokio::test]
async fn a_link_that_cannot_do_what_is_asked_is_passed_over() {
    let (anthropic, openai) = (stage::double(Kind::Anthropic, "[]").await, stage::double(Kind::Openai, "[]").await);
    let mut config = stage::config(Kind::Openai, &openai);
    config.providers.insert("a".to_owned(), stage::provider(Kind::Anthropic, &anthropic));
    config.models.insert("fast".to_owned(), stage::alias(&["a/claude-haiku-4-5", "p/gpt-4o-mini"]));
    let stage = Stage::configured(openai, &config);
    let mut body = says("hi");
    let reply = stage.chat(&body).await;
    assert_eq!(header(&reply, "x-kapelle-provider"), Some("a"));
    body["n"] = json!(2);
    let reply = stage.chat(&body).await;
    assert_eq!(header(&reply, "x-kapelle-provider"), Some("p"));
    assert_eq!((anthropic.calls().len(), stage.double.calls().len()), (1, 1));
}

#[tokio::test]
async fn the_list_of_models_is_that_of_the_aliases() {
    let stage = Stage::with("[]").await;
    let (status, list) = whole(stage.service.models(&stage.token)).await;
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!((status, ids), (200, vec!["cheap", "embed", "fast", "smart"]));
    assert_eq!(whole(stage.service.models("sk-kapelle-x")).await.0, 401);
}

#[tokio::test]
async fn a_key_in_a_file_is_read_for_each_call() {
    let folder = std::env::temp_dir().join(format!("kapelle-key-{}", std::process::id()));
    std::fs::write(&folder, "old").unwrap();
    let double = stage::double(Kind::Vertex, "[]").await;
    let mut config = stage::config(Kind::Vertex, &double);
    config.providers.get_mut("p").unwrap().api_key_file = Some(folder.clone());
    let stage = Stage::configured(double, &config);
    assert_eq!(whole(stage.chat(&says("hi")).await).await.0, 502);
    std::fs::write(&folder, format!("{KEY}\n")).unwrap();
    assert_eq!(whole(stage.chat(&says("hi")).await).await.0, 200);
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(whole(stage.chat(&says("hi")).await).await.0, 503);
}
