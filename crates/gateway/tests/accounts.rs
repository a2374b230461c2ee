//! Calls per provider, and the accounts that pay for them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kapelle_core::{DurationMs, Money, RunId, TaskId};
use kapelle_gateway::{
    Admission, Clock, GatewayConfig, Operation, Service,
    config::{Kind, LongPerMillion, PricePerMillion, RateLimits},
    money::Account,
};
use kapelle_testkit::rng::Rng;
use serde_json::{Value, json};
use stage::{Stage, TENANT, config, double, events, header, payer, says, streams, whole};
use tokio::task::JoinSet;

/// Prices a million received tokens at a dollar and sent tokens at nothing: the highest cost of a call is 500 tokens.
fn priced(config: &mut GatewayConfig) {
    let price =
        PricePerMillion { input: "$0".to_owned(), output: "$1".to_owned(), cached_input: None, long_prompts: None };
    config.prices.insert("p/*".to_owned(), price);
}

const WORST: u64 = 500 * 1_000;

async fn priced_stage(rules: &str) -> Stage {
    let double = double(Kind::Openai, rules).await;
    let mut config = config(Kind::Openai, &double);
    priced(&mut config);
    Stage::configured(double, &config)
}

#[tokio::test]
async fn a_thousand_calls_at_once_on_a_budget_for_ten_spend_exactly_that() {
    let stage = priced_stage("[{ usage: { prompt_tokens: 9, completion_tokens: 500 } }]").await;
    stage.ledger.limit(TENANT, Account::Day, Money(10 * WORST));
    let mut calls = JoinSet::new();
    for _ in 0..1_000 {
        let (service, token) = (Arc::clone(&stage.service), stage.token.clone());
        calls.spawn(
            async move { service.call(Operation::Chat, &token, says("hi").to_string().as_bytes()).await.status },
        );
    }
    let statuses = calls.join_all().await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|&&status| status == 402).count(), 990);
    assert_eq!((stage.spent(), stage.double.calls().len()), (Money(10 * WORST), 10));
}

#[tokio::test]
async fn a_long_prompt_is_charged_and_set_aside_at_its_own_price() {
    let rules = "[{ contains: short, usage: { prompt_tokens: 1000, completion_tokens: 10 } },
                  { usage: { prompt_tokens: 1001, completion_tokens: 10 } }]";
    let double = double(Kind::Openai, rules).await;
    let mut config = config(Kind::Openai, &double);
    let long = LongPerMillion { above: 1_000, input: "$2".to_owned(), output: "$3".to_owned(), cached_input: None };
    let price = PricePerMillion {
        input: "$1".to_owned(),
        output: "$2".to_owned(),
        cached_input: None,
        long_prompts: Some(long),
    };
    config.prices.insert("p/*".to_owned(), price);
    let stage = Stage::configured(double, &config);
    // More than a thousand bytes, so that each may have more than a thousand tokens; the provider counts them.
    let says = |word: &str, times: usize| {
        let mut body = says(&word.repeat(times));
        body["max_tokens"] = json!(500);
        body
    };
    let short = 1_000 * 1_000 + 10 * 2_000;
    assert_eq!(whole(stage.chat(&says("short ", 300)).await).await.0, 200);
    assert_eq!(stage.spent(), Money(short));
    assert_eq!(whole(stage.chat(&says("prompt ", 300)).await).await.0, 200);
    let spent = short + 1_001 * 2_000 + 10 * 3_000;
    assert_eq!(stage.spent(), Money(spent));
    // 2,100 bytes fit at the price of short prompts, but not at that of long ones written into a cache.
    stage.ledger.limit(TENANT, Account::Day, Money(spent + 3_000 * 2_000 + 500 * 3_000));
    assert_eq!(whole(stage.chat(&says("prompt ", 300)).await).await.0, 402);
    assert_eq!(whole(stage.chat(&says("prompt ", 10)).await).await.0, 200);
}

#[tokio::test]
async fn a_call_that_fits_once_others_settle_waits_for_them() {
    let stage = priced_stage("[{ usage: { prompt_tokens: 9, completion_tokens: 100 }, delay_ms: 20 }]").await;
    stage.ledger.limit(TENANT, Account::Day, Money(WORST + 9 * 100_000));
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let (service, token) = (Arc::clone(&stage.service), stage.token.clone());
        calls.spawn(
            async move { service.call(Operation::Chat, &token, says("hi").to_string().as_bytes()).await.status },
        );
    }
    assert_eq!(calls.join_all().await, [200; 10]);
    assert_eq!(stage.spent(), Money(10 * 100_000));
}

#[tokio::test]
async fn a_budget_that_is_raised_lets_the_same_call_through() {
    let stage = priced_stage("[]").await;
    stage.ledger.limit(TENANT, Account::Day, Money(WORST - 1));
    let (status, body) = whole(stage.chat(&says("hi")).await).await;
    assert_eq!((status, &body["error"]["code"]), (402, &"budget".into()), "{body}");
    stage.ledger.limit(TENANT, Account::Day, Money(WORST));
    assert_eq!(whole(stage.chat(&says("hi")).await).await.0, 200);
}

/// Sums what the provider would bill: every call that it began to answer, in full, even when the caller never saw it
/// all.
fn billed(stage: &Stage, tokens: impl Fn(&Value) -> u64 + Copy) -> u64 {
    stage.double.calls().iter().map(|call| tokens(&call.body) * 1_000).sum()
}

#[tokio::test]
async fn whatever_fails_the_provider_never_bills_more_than_was_charged_nor_the_charge_passes_the_budget() {
    let rules = "[
        { contains: refused, status: 400 }, { contains: broken, status: 500 }, { contains: reset, reset: true },
        { contains: cut, cut: true, usage: { prompt_tokens: 1, completion_tokens: 500 } },
        { contains: half, events_cut: 4, reply: a long enough answer },
        { contains: silent, hang: true }, { contains: uncounted, no_usage: true, reply: x },
        { contains: garbled, malformed: true }, { contains: noend, no_finish: true },
        { usage: { prompt_tokens: 9, completion_tokens: 321 } } ]";
    let words = ["refused", "broken", "reset", "cut", "half", "silent", "uncounted", "garbled", "noend", "fine"];
    // Refusals and server errors are not billed; all else is, in full even where it was cut.
    let bill = |body: &Value| match body["messages"][0]["content"].as_str().unwrap() {
        "refused" | "broken" => 0,
        "uncounted" => 1,
        // Faults of streams do not affect whole answers, and the reverse.
        "garbled" if body["stream"] == true => 7,
        "noend" => 7,
        "half" if body["stream"] != true => 6,
        "fine" => 321,
        _ => 500,
    };
    for seed in 0..6 {
        let stage = priced_stage(rules).await;
        let mut dice = Rng::new(seed);
        let limit = (15 + dice.below(40)) * WORST;
        stage.ledger.limit(TENANT, Account::Day, Money(limit));
        let token = stage.grant(|grant| grant.timeout = Duration::from_millis(300));
        let mut calls = JoinSet::new();
        for number in 0..60 {
            let word = words[dice.place(words.len())];
            let mut body = if dice.once_in(2) { says(word) } else { streams(word) };
            // Each call names its own model, so that no circuit opens.
            body["model"] = json!(format!("p/m{number}"));
            body["max_tokens"] = json!(500);
            let (service, token): (Arc<Service>, String) = (Arc::clone(&stage.service), token.clone());
            let leaves = dice.once_in(5);
            calls.spawn(async move {
                let reply = service.call(Operation::Chat, &token, body.to_string().as_bytes()).await;
                if !leaves {
                    reply.collect().await;
                }
            });
        }
        calls.join_all().await;
        let standing = stage.ledger.standing(TENANT, &Account::Day);
        assert_eq!(standing.reserved, Money::ZERO, "seed {seed}");
        assert!(standing.spent.0 <= limit, "seed {seed}: {standing:?}");
        let sent = billed(&stage, bill);
        assert!(sent <= standing.spent.0, "seed {seed}: billed {sent}, charged {}", standing.spent);
        assert!(stage.double.calls().len() > 5, "seed {seed}");
    }
}

#[tokio::test]
async fn every_account_of_a_payer_is_charged_the_same_and_calls_are_capped() {
    let stage = Stage::with("[{ status: 500, times: 1 }]").await;
    let accounts =
        vec![Account::Task(TaskId(7)), Account::Run(RunId(3)), Account::Worker("w".to_owned()), Account::Tenant];
    stage.ledger.limit_calls(TENANT, Account::Task(TaskId(7)), 3);
    let token = stage.grant(|grant| grant.payer.accounts = accounts.clone());
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(stage.ask(&token, Operation::Chat, &says("hi")).await.status);
    }
    assert_eq!(statuses, [503, 200, 200, 402], "a failed call is a physical call, too");
    for account in &accounts {
        assert_eq!(stage.ledger.standing(TENANT, account), stage.ledger.standing(TENANT, &Account::Tenant));
    }
}

#[tokio::test]
async fn an_unknown_price_is_dear_or_refused_and_never_free() {
    let stage = Stage::with("[]").await;
    let mut body = says("hi");
    body["model"] = json!("p/llama-9");
    assert_eq!(stage.chat(&body).await.status, 200);
    assert!(stage.spent().0 > 0);
    let strict = stage.grant(|grant| grant.known_price_only = true);
    let (status, answer) = whole(stage.ask(&strict, Operation::Chat, &body).await).await;
    assert_eq!(status, 402);
    assert!(answer["error"]["message"].as_str().unwrap().contains("give one under `prices`, as `p/llama-9`"));
    assert_eq!(stage.double.calls().len(), 1);
}

#[tokio::test]
async fn what_is_spoken_needs_a_price_of_its_own() {
    let stage = Stage::with("[]").await;
    let mut body = says("hi");
    body["modalities"] = json!(["text", "audio"]);
    body["model"] = json!("p/gpt-4o-audio-preview");
    assert_eq!(stage.chat(&body).await.status, 402);
    assert_eq!(stage.double.calls().len(), 0);
}

#[tokio::test]
async fn a_hundred_calls_and_streams_share_one_connection() {
    let stage = Stage::with("[]").await;
    for number in 0..100 {
        if number % 2 == 0 {
            whole(stage.chat(&says("hi")).await).await;
        } else {
            events(stage.chat(&streams("hi")).await).await;
        }
    }
    assert_eq!((stage.double.connections(), stage.double.calls().len()), (1, 100));
}

#[tokio::test]
async fn weights_share_the_calls_and_the_next_link_stands_in() {
    let double = double(Kind::Openai, "[{ model: bad, status: 500 }]").await;
    let mut config = config(Kind::Openai, &double);
    let mut alias = stage::alias(&["p/one", "p/two"]);
    alias.weights = vec![3, 1];
    config.models.insert("mixed".to_owned(), alias);
    config.models.insert("backed".to_owned(), stage::alias(&["p/bad", "p/good"]));
    let stage = Stage::configured(double, &config);
    for _ in 0..40 {
        stage.chat(&json!({ "model": "mixed", "messages": [] })).await;
    }
    let count = |stage: &Stage, model: &str| stage.double.calls().iter().filter(|c| c.body["model"] == model).count();
    assert_eq!((count(&stage, "one"), count(&stage, "two")), (30, 10));
    for _ in 0..20 {
        let reply = stage.chat(&json!({ "model": "backed", "messages": [] })).await;
        assert_eq!(header(&reply, "x-kapelle-model"), Some("good"));
        assert!(header(&reply, "x-kapelle-degraded").is_some(), "a fallback never pretends");
    }
    assert_eq!((count(&stage, "bad"), count(&stage, "good")), (5, 20), "after five failures it is left alone");
}

/// Makes a clock that the test moves.
fn hand() -> (Arc<AtomicU64>, Clock) {
    let now = Arc::new(AtomicU64::new(1_000));
    let read = Arc::clone(&now);
    (now, Clock::manual(move || read.load(Ordering::SeqCst)))
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_kept_and_then_it_is_asked_again() {
    let double = double(Kind::Openai, "[{ times: 1, status: 429, headers: { retry-after: '7' } }]").await;
    let (now, clock) = hand();
    let config = config(Kind::Openai, &double);
    let stage = Stage::clocked(double, &config, clock);
    assert_eq!(stage.chat(&says("hi")).await.status, 429);
    now.fetch_add(6_999, Ordering::SeqCst);
    let reply = stage.chat(&says("hi")).await;
    assert_eq!((reply.status, header(&reply, "retry-after-ms")), (503, Some("1")));
    assert_eq!(stage.gateway.rate_wait("fast"), Some(("p".to_owned(), DurationMs(1))));
    assert_eq!(stage.gateway.admit("fast", TaskId(1)), Admission::Wait(DurationMs(1)));
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(stage.chat(&says("hi")).await.status, 200);
    assert_eq!(stage.double.calls().len(), 2);
}

#[tokio::test]
async fn a_limit_of_sixty_a_minute_holds_for_six_hundred_calls_and_says_how_long_to_wait() {
    let double = double(Kind::Openai, "[]").await;
    let (now, clock) = hand();
    let mut config = config(Kind::Openai, &double);
    config.providers.get_mut("p").unwrap().limits =
        RateLimits { requests_per_minute: Some(60), tokens_per_minute: None };
    let stage = Stage::clocked(double, &config, clock);
    let token = stage.grant(|grant| grant.hold = true);
    let mut sent = Vec::new();
    while sent.len() < 600 {
        let wait = stage.gateway.rate_wait("fast").map_or(DurationMs(0), |(_, wait)| wait);
        let reply = stage.ask(&token, Operation::Chat, &says("hi")).await;
        if reply.status == 200 {
            assert_eq!(wait, DurationMs(0));
            sent.push(now.load(Ordering::SeqCst));
            continue;
        }
        let told: u64 = header(&reply, "retry-after-ms").unwrap().parse().unwrap();
        assert_eq!((reply.status, wait), (429, DurationMs(told)));
        now.fetch_add(told, Ordering::SeqCst);
    }
    assert!(sent.windows(61).all(|window| window[60] - window[0] > 60_000));
    assert_eq!(stage.double.calls().len(), 600);
}

#[tokio::test]
async fn a_call_that_was_promised_to_a_task_is_its_own_and_is_given_back_with_its_attempt() {
    let double = double(Kind::Openai, "[]").await;
    let (now, clock) = hand();
    let mut config = config(Kind::Openai, &double);
    config.providers.get_mut("p").unwrap().limits =
        RateLimits { requests_per_minute: Some(2), tokens_per_minute: None };
    let stage = Stage::clocked(double, &config, clock);
    let admit = |task: i64| stage.gateway.admit("fast", TaskId(task));
    assert_eq!((admit(1), admit(2), admit(1)), (Admission::Promised, Admission::Promised, Admission::Promised));
    assert!(matches!(admit(3), Admission::Wait(_)));
    let token = |task: i64| {
        stage.grant(|grant| {
            grant.hold = true;
            grant.payer.accounts.push(Account::Task(TaskId(task)));
        })
    };
    // A promised call is not available to others; the task that holds it does not wait.
    assert_eq!(stage.ask(&token(9), Operation::Chat, &says("hi")).await.status, 429);
    now.fetch_add(5_000, Ordering::SeqCst);
    assert_eq!(stage.ask(&token(1), Operation::Chat, &says("hi")).await.status, 200);
    stage.gateway.dismiss(TaskId(1));
    assert!(matches!(admit(3), Admission::Wait(_)), "what was used is not given back");
    stage.gateway.dismiss(TaskId(2));
    assert_eq!(admit(3), Admission::Promised);
    assert_eq!(stage.gateway.rate_wait("fast").unwrap().0, "p");
    // A promise that is not used within ten seconds is released.
    now.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(stage.ask(&token(9), Operation::Chat, &says("hi")).await.status, 200);
    assert_eq!(stage.ask(&token(3), Operation::Chat, &says("hi")).await.status, 429);
    assert_eq!(stage.double.calls().len(), 2);
    assert_eq!(stage.gateway.admit("nobody", TaskId(4)), Admission::Free);
}

#[tokio::test]
async fn what_the_provider_says_of_its_rate_is_learned() {
    let rules = "[{ headers: { x-ratelimit-remaining-requests: '0', x-ratelimit-reset-requests: 12s } }]";
    let double = double(Kind::Openai, rules).await;
    let (_, clock) = hand();
    let config = config(Kind::Openai, &double);
    let stage = Stage::clocked(double, &config, clock);
    let token = stage.grant(|grant| grant.hold = true);
    assert_eq!(stage.ask(&token, Operation::Chat, &says("hi")).await.status, 200);
    let reply = stage.ask(&token, Operation::Chat, &says("hi")).await;
    assert_eq!((reply.status, header(&reply, "retry-after")), (429, Some("12")));
    assert_eq!(stage.double.calls().len(), 1);
}

#[tokio::test]
async fn a_new_configuration_takes_effect_and_keeps_the_connection() {
    let stage = Stage::with("[]").await;
    stage.chat(&says("hi")).await;
    let mut config = config(Kind::Openai, &stage.double);
    config.models.insert("fast".to_owned(), stage::alias(&["p/gpt-4.1"]));
    stage.gateway.reload(&config, &stage::env).unwrap();
    let reply = stage.chat(&says("hi")).await;
    assert_eq!((header(&reply, "x-kapelle-model"), stage.double.connections()), (Some("gpt-4.1"), 1));
}

#[tokio::test]
async fn an_alias_that_is_offline_says_that_a_model_is_needed() {
    let stage = Stage::with("[]").await;
    let mut config = config(Kind::Openai, &stage.double);
    config.models.insert("fast".to_owned(), stage::alias(&["openai/gpt-4o-mini", "offline"]));
    stage.gateway.reload(&config, &stage::env).unwrap();
    let (status, body) = whole(stage.chat(&says("hi")).await).await;
    assert_eq!((status, &body["error"]["code"]), (503, &"model_required".into()));
    assert!(body["error"]["message"].as_str().unwrap().contains("no OPENAI_API_KEY"), "{body}");
    assert_eq!(payer().tenant, TENANT);
}
