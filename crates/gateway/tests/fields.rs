//! Request fields that are sent to a provider, their names there, and the reservation for them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use kapelle_core::Money;
use kapelle_gateway::{
    Operation,
    config::{Kind, LimitField, PricePerMillion},
    money::Account,
};
use serde_json::{Value, json};
use stage::{ALL, Stage, TENANT, config, double, header, says, whole};

fn merged(body: Value, more: &Value) -> Value {
    let mut body = body;
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name_unless_the_provider_may_have_it() {
    for kind in ALL {
        for field in [
            "search_parameters",
            "enable_search",
            "user_config",
            "langfuse_host",
            "deployment_id",
            "api_base",
            "extra_body",
        ] {
            let stage = Stage::of(kind, "[]").await;
            let body = merged(says("hi"), &json!({ field: { "api_base": "http://evil" } }));
            let (status, answer) = whole(stage.chat(&body).await).await;
            let told = &answer["error"];
            assert_eq!(
                (status, &told["param"], &told["type"]),
                (400, &field.into(), &"invalid_request_error".into()),
                "{kind:?}"
            );
            assert!(told["message"].as_str().unwrap().contains("providers.p.pass"), "{told}");
            assert_eq!(stage.double.calls().len(), 0, "{kind:?} {field}");
        }
        let double = double(kind, "[]").await;
        let mut config = config(kind, &double);
        config.providers.get_mut("p").unwrap().pass = vec!["documents".to_owned()];
        let stage = Stage::configured(double, &config);
        let body = merged(says("hi"), &json!({ "documents": ["d"], "user": null }));
        assert_eq!(whole(stage.chat(&body).await).await.0, 200, "{kind:?}");
        assert_eq!(stage.double.calls()[0].body["documents"], json!(["d"]), "{kind:?}");
    }
}

#[tokio::test]
async fn a_link_that_may_not_have_a_field_is_passed_over() {
    let (first, second) = (double(Kind::Openai, "[]").await, double(Kind::Compatible, "[]").await);
    let mut config = config(Kind::Openai, &first);
    let mut other = stage::provider(Kind::Compatible, &second);
    other.pass = vec!["documents".to_owned()];
    config.providers.insert("q".to_owned(), other);
    config.models.insert("fast".to_owned(), stage::alias(&["p/gpt-4o-mini", "q/gpt-4o-mini"]));
    let stage = Stage::configured(first, &config);
    let reply = stage.chat(&merged(says("hi"), &json!({ "documents": [] }))).await;
    assert_eq!(header(&reply, "x-kapelle-provider"), Some("q"));
    assert_eq!((stage.double.calls().len(), second.calls().len()), (0, 1));
}

#[tokio::test]
async fn a_field_of_another_type_is_refused() {
    let stage = Stage::with("[]").await;
    for (more, field) in [
        (json!({"background": "true"}), "background"),
        (json!({"tools": {"type": "web_search"}}), "tools"),
        (json!({"tools": [{"type": "function", "function": {"name": "f"}}, {"google_search": {}}]}), "tools"),
        (json!({"service_tier": ["priority"]}), "service_tier"),
        (json!({"max_tokens": "1"}), "max_tokens"),
        (json!({"stream": "yes"}), "stream"),
    ] {
        for operation in [Operation::Chat, Operation::Responses] {
            let base = json!({"model": "fast"});
            let (status, answer) = whole(stage.ask(&stage.token, operation, &merged(base, &more)).await).await;
            if operation == Operation::Responses && field == "max_tokens" {
                continue;
            }
            assert_eq!((status, &answer["error"]["param"]), (400, &field.into()), "{answer}");
        }
    }
    assert_eq!(stage.double.calls().len(), 0);
}

#[tokio::test]
async fn the_callers_name_for_the_limit_is_kept_and_a_missing_one_follows_the_provider() {
    for kind in ALL {
        let usual = if matches!(kind, Kind::Openai | Kind::Azure) { "max_completion_tokens" } else { "max_tokens" };
        for (given, want) in [
            (json!({}), json!({ usual: 500 })),
            (json!({"max_tokens": 7}), json!({"max_tokens": 7})),
            (json!({"max_completion_tokens": 7}), json!({"max_completion_tokens": 7})),
        ] {
            // Messages has one name only.
            let want = match kind {
                Kind::Anthropic => json!({"max_tokens": want.as_object().unwrap().values().next().unwrap()}),
                _ => want,
            };
            let stage = Stage::of(kind, "[]").await;
            let mut body = merged(says("hi"), &given);
            body["temperature"] = json!(1);
            body["model"] = json!(if given == json!({}) { "fast" } else { "p/my-o3-deployment" });
            assert_eq!(whole(stage.chat(&body).await).await.0, 200, "{kind:?} {given}");
            let sent = &stage.double.calls()[0].body;
            let limits: serde_json::Map<String, Value> = ["max_tokens", "max_completion_tokens", "max_output_tokens"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), sent.get(name)?.clone())))
                .collect();
            assert_eq!(Value::Object(limits), want, "{kind:?} {given}");
            assert!(sent["temperature"].is_number(), "{kind:?}: a parameter of the caller is gone");
        }
    }
}

#[tokio::test]
async fn the_name_of_the_limit_can_be_chosen_for_a_provider_and_for_a_model() {
    for (provider, alias, want) in [
        (Some(LimitField::MaxTokens), None, Some("max_tokens")),
        (None, Some(LimitField::MaxTokens), Some("max_tokens")),
        (Some(LimitField::MaxTokens), Some(LimitField::MaxCompletionTokens), Some("max_completion_tokens")),
        (Some(LimitField::None), None, None),
        (None, Some(LimitField::None), None),
        (None, None, Some("max_completion_tokens")),
    ] {
        for operation in [Operation::Chat, Operation::Responses] {
            let double = double(Kind::Openai, "[]").await;
            let mut config = config(Kind::Openai, &double);
            config.providers.get_mut("p").unwrap().limit_field = provider;
            config.models.get_mut("fast").unwrap().limit_field = alias;
            let stage = Stage::configured(double, &config);
            let body = match operation {
                Operation::Responses => json!({"model": "fast", "input": "hi"}),
                _ => says("hi"),
            };
            assert_eq!(whole(stage.ask(&stage.token, operation, &body).await).await.0, 200);
            let sent = &stage.double.calls()[0].body;
            let names = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
            let found: Vec<&str> = names.into_iter().filter(|name| sent[*name] == 500).collect();
            let want = want.map(|name| if operation == Operation::Responses { "max_output_tokens" } else { name });
            assert_eq!(found, want.into_iter().collect::<Vec<_>>(), "{provider:?} {alias:?}");
        }
    }
    let text = r#"{"models": {"m": {"chain": ["openai/x"], "limit_field": "max_completion_tokens"}}}"#;
    assert!(serde_json::from_str::<kapelle_gateway::GatewayConfig>(text).is_ok());
}

#[tokio::test]
async fn parts_that_are_not_known_are_set_aside_at_the_size_of_a_context() {
    for (part, known) in [
        (json!({"type": "text", "text": "x"}), true),
        (json!({"type": "video_url", "video_url": {"url": "u"}}), false),
        (json!({"type": "document", "document": {"url": "u"}}), false),
        (json!({"type": "input_video"}), false),
        (json!({"video": "u"}), false),
    ] {
        let double = double(Kind::Openai, "[{ usage: { prompt_tokens: 1000000, completion_tokens: 5 } }]").await;
        let mut config = config(Kind::Openai, &double);
        let price =
            PricePerMillion { input: "$5".into(), output: "$20".into(), cached_input: None, long_prompts: None };
        config.prices.insert("p/*".to_owned(), price);
        let stage = Stage::configured(double, &config);
        stage.ledger.limit(TENANT, Account::Tenant, Money(200_000_000));
        let body = json!({"model": "fast", "max_tokens": 5, "messages": [{"role": "user", "content": [part]}]});
        let (status, answer) = whole(stage.chat(&body).await).await;
        assert_eq!(status, if known { 200 } else { 402 }, "{part}: {answer}");
        assert!(stage.spent() <= Money(200_000_000), "{part}: {}", stage.spent());
    }
}

#[tokio::test]
async fn halves_of_surrogate_pairs_reach_the_provider_as_they_were_sent() {
    for kind in ALL {
        let stage = Stage::of(kind, "[]").await;
        let body = br#"{"model":"fast","messages":[{"role":"user","content":"half \ud83d of a pair"}]}"#;
        let reply = stage.service.call(Operation::Chat, &stage.token, body).await;
        assert_eq!(whole(reply).await.0, 200, "{kind:?}");
        assert_eq!(stage.double.calls().len(), 1);
    }
}

#[tokio::test]
async fn numbers_that_a_double_cannot_hold_keep_their_digits() {
    const DIGITS: &str = "12345678901234567890123.000000000000000001";
    for kind in ALL {
        let answer = match kind {
            Kind::Anthropic => format!(
                r#"{{"id":"m","content":[{{"type":"tool_use","id":"t","name":"f","input":{{"n":{DIGITS}}}}}],"stop_reason":"tool_use","usage":{{"input_tokens":3,"output_tokens":2}}}}"#
            ),
            _ => format!(
                r#"{{"id":"c","n":{DIGITS},"choices":[{{"index":0,"message":{{"content":"n {DIGITS}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2}}}}"#
            ),
        };
        let stage = Stage::of(kind, &json!([{ "body": answer }]).to_string()).await;
        let body = format!(
            r#"{{"model":"fast","messages":[{{"role":"user","content":"hi"}}],"tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object","properties":{{"n":{{"const":{DIGITS}}}}}}}}}}}]}}"#
        );
        let reply = stage.service.call(Operation::Chat, &stage.token, body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{kind:?}");
        let bytes = String::from_utf8(reply.collect().await).unwrap();
        assert!(bytes.contains(DIGITS), "{kind:?}: {bytes}");
        assert!(stage.double.calls()[0].body.to_string().contains(DIGITS), "{kind:?}: what is sent is rounded");
    }
}
