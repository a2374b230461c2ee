//! All kinds of provider failures, over real HTTP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

use std::time::Duration;

use kapelle_core::{Category, Money};
use kapelle_gateway::{Answer, ChatRequest, Gateway, GatewayConfig, GatewayError, Limits, LinkState, Message, Route};
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::json;

const KEY: &str = "sk-canary-1234567890abcdef";

struct Stage {
    double: ScriptedOpenai,
    gateway: Gateway,
}

impl Stage {
    async fn with(rules: &str) -> Stage {
        Stage::keyed(rules, KEY).await
    }

    async fn keyed(rules: &str, key: &str) -> Stage {
        let script = Script::from_yaml(&format!("key: {KEY}\nrules: {rules}\n")).unwrap();
        let double = ScriptedOpenai::start(script).await.unwrap();
        let gateway = gateway(&GatewayConfig::default(), &double.base_url(), key);
        Stage { double, gateway }
    }

    async fn ask(&self, limits: &Limits) -> Result<Route, GatewayError> {
        self.gateway.complete("fast", &request(), limits).await
    }

    async fn fail(&self) -> GatewayError {
        let error = self.ask(&Limits::default()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "the key leaked: {error:?}");
        error
    }
}

fn gateway(config: &GatewayConfig, base: &str, key: &str) -> Gateway {
    let env = |name: &str| match name {
        "OPENAI_BASE_URL" => Some(base.to_owned()),
        "OPENAI_API_KEY" if !key.is_empty() => Some(key.to_owned()),
        _ => None,
    };
    Gateway::new(config, &env).unwrap()
}

fn request() -> ChatRequest {
    ChatRequest { messages: vec![Message::text("user", "Say something.")], ..ChatRequest::default() }
}

fn answer(route: Route) -> Answer {
    match route {
        Route::Answer(answer) => answer,
        Route::Offline { reason, .. } => panic!("went offline: {reason:?}"),
    }
}

fn offline_reason(route: Route) -> String {
    match route {
        Route::Offline { reason, .. } => reason.unwrap(),
        Route::Answer(answer) => panic!("answered: {answer:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_metered_to_the_nano_dollar() {
    let rules = "[{ reply: hello, usage: { prompt_tokens: 1000, completion_tokens: 200 } }]";
    let stage = Stage::with(rules).await;
    let answer = answer(stage.ask(&Limits::default()).await.unwrap());
    assert_eq!((answer.content.as_str(), answer.provider.as_str(), answer.calls), ("hello", "openai", 1));
    assert_eq!(answer.cost, Money(100 * 1_000 + 500 * 200));
    assert_eq!(answer.degraded, None);
    let call = &stage.double.calls()[0];
    assert_eq!((&call.body["model"], &call.body["max_completion_tokens"]), (&"gpt-6-luna".into(), &4_096.into()));
    assert_eq!(call.headers["authorization"], format!("Bearer {KEY}"));
    assert!(!call.headers.contains_key("accept-encoding"), "a compressed answer could unpack to any size");
}

#[tokio::test]
async fn tokens_that_nobody_counted_are_not_free() {
    let stage = Stage::with("[{ reply: hello there, no_usage: true }]").await;
    let answer = answer(stage.ask(&Limits::default()).await.unwrap());
    assert!(answer.usage.input > 0 && answer.usage.output > 0 && answer.cost > Money::ZERO);
}

#[tokio::test]
async fn a_hundred_calls_share_one_connection_and_none_is_opened_before() {
    let stage = Stage::with("[]").await;
    assert_eq!(stage.double.connections(), 0);
    for _ in 0..100 {
        stage.ask(&Limits::default()).await.unwrap();
    }
    assert_eq!((stage.double.connections(), stage.double.calls().len()), (1, 100));
}

#[tokio::test]
async fn without_a_key_nothing_is_sent() {
    let stage = Stage::keyed("[]", "").await;
    assert_eq!(offline_reason(stage.ask(&Limits::default()).await.unwrap()), "no OPENAI_API_KEY");
    let strict = Limits { no_fallback: true, ..Limits::default() };
    let error = stage.ask(&strict).await.unwrap_err().error;
    assert_eq!((error.category, error.retryable), (Category::ModelRequired, false));
    assert_eq!(stage.double.connections(), 0);
}

#[tokio::test]
async fn a_refused_key_falls_back_like_a_missing_one() {
    let stage = Stage::keyed("[]", "sk-canary-wrong").await;
    let reason = offline_reason(stage.ask(&Limits::default()).await.unwrap());
    assert_eq!(reason, "OPENAI_API_KEY was refused (401)");
    let status = &stage.gateway.status()[0];
    assert_eq!((status.live, status.links[0].state), (false, LinkState::KeyRefused));
    let strict = Limits { no_fallback: true, ..Limits::default() };
    let error = stage.ask(&strict).await.unwrap_err().error;
    assert_eq!((error.category, error.retryable), (Category::Provider, false));
    assert!(!error.message.contains("canary"), "{error}");
}

#[tokio::test]
async fn an_account_without_money_is_not_asked_to_wait() {
    let body = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    let stage = Stage::with(&format!("[{{ status: 429, body: '{body}' }}]")).await;
    let reason = offline_reason(stage.ask(&Limits::default()).await.unwrap());
    assert_eq!(reason, "OPENAI_API_KEY has no quota left (429)");
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    for (headers, wait) in [
        ("{ retry-after: '7' }", Some(7_000)),
        ("{ retry-after: 'Wed, 21 Oct 2026 07:28:30 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }", Some(30_000)),
        ("{}", None),
    ] {
        let error = Stage::with(&format!("[{{ status: 429, headers: {headers} }}]")).await.fail().await.error;
        assert_eq!((error.category, error.retryable), (Category::RateLimited, true));
        assert_eq!(error.retry_after.map(|d| d.0), wait, "{headers}");
    }
}

#[tokio::test]
async fn faults_of_the_provider_have_their_categories() {
    for (rule, category, retryable, part) in [
        ("{ status: 500 }", Category::Unavailable, true, "the provider failed (500): scripted status 500"),
        ("{ status: 503, body: <html> }", Category::Unavailable, true, "(503): <html>"),
        ("{ status: 400 }", Category::Provider, false, "the request was refused (400)"),
        ("{ status: 404 }", Category::Provider, false, "(404)"),
        ("{ reset: true }", Category::Unavailable, true, "the connection was cut"),
        ("{ cut: true }", Category::Unavailable, true, "the connection was cut"),
        ("{ malformed: true }", Category::Provider, true, "not a chat completion"),
        ("{ body: '{\"choices\":[]}' }", Category::Provider, true, "no choice"),
        ("{ body_bytes: 12000000 }", Category::Provider, false, "larger than 10 MiB"),
        ("{ finish_reason: content_filter }", Category::Provider, false, "content filter"),
    ] {
        let stage = Stage::with(&format!("[{rule}]")).await;
        let failure = stage.fail().await;
        let error = &failure.error;
        assert_eq!((error.category, error.retryable), (category, retryable), "{rule}: {error}");
        assert!(error.message.starts_with("openai/gpt-6-luna: ") && error.message.contains(part), "{rule}: {error}");
        assert_eq!((failure.calls(), stage.double.calls().len()), (1, 1), "the gateway does not retry");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let evil = ScriptedOpenai::start(Script::default()).await.unwrap();
    let to = format!("{}/chat/completions", evil.base_url());
    for status in [301, 307] {
        let stage = Stage::with(&format!("[{{ status: {status}, headers: {{ location: '{to}' }} }}]")).await;
        let error = stage.fail().await.error;
        assert!(error.message.contains("a redirect"), "{error}");
    }
    assert_eq!(evil.connections(), 0);
}

#[tokio::test]
async fn a_provider_that_hangs_or_drips_ends_in_a_timeout() {
    for rule in ["{ hang: true }", "{ drip: 1, delay_ms: 50 }"] {
        let stage = Stage::with(&format!("[{rule}]")).await;
        let limits = Limits { timeout: Duration::from_millis(200), ..Limits::default() };
        let error = stage.ask(&limits).await.unwrap_err().error;
        assert_eq!((error.category, error.retryable), (Category::Timeout, true), "{rule}");
    }
}

#[tokio::test]
async fn a_passing_fault_is_answered_offline_only_in_the_last_attempt() {
    let gateway = gateway(&GatewayConfig::default(), "http://127.0.0.1:9/v1", KEY);
    let ask =
        async |last_attempt| gateway.complete("fast", &request(), &Limits { last_attempt, ..Limits::default() }).await;
    let error = ask(false).await.unwrap_err().error;
    assert_eq!((error.category, error.retryable), (Category::Unavailable, true));
    assert!(offline_reason(ask(true).await.unwrap()).starts_with("cannot be reached"));
}

#[tokio::test]
async fn the_next_model_answers_for_one_that_fails_and_every_hop_is_told() {
    let script = Script::from_yaml("rules: [{ model: first, status: 500 }, { reply: from the second }]").unwrap();
    let double = ScriptedOpenai::start(script).await.unwrap();
    let mut config = GatewayConfig::default();
    config.models.get_mut("fast").unwrap().chain = vec!["openai/first".into(), "openai/second".into()];
    let gateway = gateway(&config, &double.base_url(), KEY);
    let answer = answer(gateway.complete("fast", &request(), &Limits::default()).await.unwrap());
    assert_eq!((answer.content.as_str(), answer.model.as_str(), answer.calls), ("from the second", "second", 2));
    assert_eq!(answer.hops.len(), 1);
    assert!(answer.degraded.unwrap().contains("the provider failed (500)"));
    assert!(!answer.price_known && answer.cost > Money::ZERO, "an unknown model is never free");
}

#[tokio::test]
async fn a_call_over_its_price_cap_is_not_sent() {
    let stage = Stage::with("[]").await;
    let limits = Limits { max_cost: Some(Money(1_000)), ..Limits::default() };
    let error = stage.ask(&limits).await.unwrap_err().error;
    assert_eq!((error.category, error.retryable), (Category::Budget, false));
    assert_eq!(stage.double.calls().len(), 0);
}

#[tokio::test]
async fn a_schema_goes_along_as_a_response_format() {
    let stage = Stage::with("[]").await;
    let schema =
        json!({"type":"object","required":["a"],"additionalProperties":false,"properties":{"a":{"type":"integer"}}});
    let shaped = request().shaped("thing", &schema);
    let answer = answer(stage.gateway.complete("fast", &shaped, &Limits::default()).await.unwrap());
    assert_eq!(answer.content, r#"{"a":1}"#);
    let format = &stage.double.calls()[0].body["response_format"];
    assert_eq!((&format["type"], &format["json_schema"]["strict"]), (&"json_schema".into(), &true.into()));
}

#[tokio::test]
async fn an_unknown_alias_is_named() {
    let stage = Stage::with("[]").await;
    let error = stage.gateway.complete("quick", &request(), &Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("unknown model alias `quick`; there are: cheap, embed, fast"), "{error}");
}
