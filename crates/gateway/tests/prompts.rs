//! Calls of prompt workers take the pipeline of every other call.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::time::Duration;

use kapelle_core::{Category, Money, TaskId};
use kapelle_gateway::{
    Answer, ChatRequest, Gateway, GatewayError, Grant, Limits, Message, Operation, PromptCall, Route, config::Kind,
    money::Account, replay::CallLog,
};
use serde_json::json;
use stage::{Stage, TENANT, config, double, header, says, task, whole};

/// Grants an attempt of a task, with a cache.
fn cached(number: i64, attempt: u32) -> Grant {
    Grant { cache: Some(Duration::from_secs(60)), ..Grant::of_task(task(number, 0), attempt) }
}

async fn ask(gateway: &Gateway, prompt: &PromptCall<'_>, text: &str) -> Result<Route, GatewayError> {
    let request = ChatRequest { messages: vec![Message::text("user", text)], ..ChatRequest::default() };
    gateway.complete_for(prompt, "fast", &request, &Limits::default()).await
}

fn answer(route: Result<Route, GatewayError>) -> Answer {
    match route.unwrap() {
        Route::Answer(answer) => answer,
        Route::Offline { reason, .. } => panic!("went offline: {reason:?}"),
    }
}

#[tokio::test]
async fn equal_calls_of_two_tasks_and_a_script_are_one_upstream_where_a_cache_is_granted() {
    let stage = Stage::with("[{ delay_ms: 30 }]").await;
    let (one, two) = (PromptCall::new(cached(1, 1)), PromptCall::new(cached(2, 1)));
    let script = stage.grant(|grant| grant.cache = Some(Duration::from_secs(60)));
    let body = says("hi");
    let (one, two, script) = tokio::join!(
        ask(&stage.gateway, &one, "hi"),
        ask(&stage.gateway, &two, "hi"),
        stage.ask(&script, Operation::Chat, &body),
    );
    let (one, two) = (answer(one), answer(two));
    assert_eq!((one.content == two.content, one.calls, two.calls), (true, 1, 0));
    assert!(one.cost > Money::ZERO && two.cost == Money::ZERO);
    assert_eq!((stage.double.calls().len(), header(&script, "x-kapelle-source")), (1, Some("shared")));
    for number in [1, 2] {
        assert_eq!(stage.log.recorded(task(number, 0)).await.unwrap().len(), 1, "each task has it in its record");
    }
    assert_eq!(stage.ledger.standing(TENANT, &Account::Task(TaskId(2))).calls, 0);
    let later = answer(ask(&stage.gateway, &PromptCall::new(cached(3, 1)), "hi").await);
    assert_eq!((later.content, stage.double.calls().len()), (one.content, 1));
}

#[tokio::test]
async fn without_a_cache_and_within_one_task_equal_calls_are_samples() {
    let stage = Stage::with("[{ delay_ms: 30 }]").await;
    let plain = |number| PromptCall::new(Grant::of_task(task(number, 0), 1));
    let (one, two) = (plain(1), plain(2));
    let (one, two) = tokio::join!(ask(&stage.gateway, &one, "hi"), ask(&stage.gateway, &two, "hi"));
    assert_eq!((answer(one).calls, answer(two).calls, stage.double.calls().len()), (1, 1, 2));
    let same = PromptCall::new(cached(3, 1));
    let (one, two) = tokio::join!(ask(&stage.gateway, &same, "hi"), ask(&stage.gateway, &same, "hi"));
    assert_eq!((answer(one).calls, answer(two).calls, stage.double.calls().len()), (1, 1, 4));
}

#[tokio::test]
async fn an_answer_that_its_worker_cannot_use_is_recorded_and_not_cached() {
    let stage = Stage::with("[{ times: 1, reply: bad }, { reply: good }]").await;
    let asked = async |number| {
        let prompt = PromptCall::new(cached(number, 1)).fitting(|text| text == "good");
        answer(ask(&stage.gateway, &prompt, "hi").await).content
    };
    assert_eq!((asked(1).await, asked(2).await, asked(3).await), ("bad".into(), "good".into(), "good".into()));
    assert_eq!(stage.double.calls().len(), 2);
    assert_eq!(stage.log.recorded(task(1, 0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_prompt_worker_takes_no_answer_of_a_script_that_it_cannot_use() {
    let rules =
        "[{ times: 1, reply: bad }, { times: 1, contains: filter, finish_reason: content_filter }, { reply: good }]";
    let stage = Stage::with(rules).await;
    let script = stage.grant(|grant| grant.cache = Some(Duration::from_secs(60)));
    for (number, text) in [(1, "hi"), (2, "filter")] {
        assert_eq!(stage.ask(&script, Operation::Chat, &says(text)).await.status, 200);
        let prompt = PromptCall::new(cached(number, 1)).fitting(|text| text == "good");
        assert_eq!(answer(ask(&stage.gateway, &prompt, text).await).content, "good");
        let replayed = PromptCall::new(cached(number, 2));
        assert_eq!(answer(ask(&stage.gateway, &replayed, text).await).content, "good");
    }
    assert_eq!(stage.double.calls().len(), 4);
}

#[tokio::test]
async fn who_may_go_offline_does_not_fail_with_who_may_not() {
    let double = double(Kind::Openai, "[{ status: 500, delay_ms: 30 }]").await;
    let mut config = config(Kind::Openai, &double);
    config.models.insert("fast".to_owned(), stage::alias(&["p/gpt-4o-mini", "offline"]));
    let stage = Stage::configured(double, &config);
    let request = ChatRequest { messages: vec![Message::text("user", "hi")], ..ChatRequest::default() };
    let asked = async |number, last_attempt| {
        let limits = Limits { last_attempt, ..Limits::default() };
        stage.gateway.complete_for(&PromptCall::new(cached(number, 2)), "fast", &request, &limits).await
    };
    let (first, last) = tokio::join!(asked(1, false), asked(2, true));
    assert_eq!(first.unwrap_err().error.category, Category::Unavailable);
    assert!(matches!(last.unwrap(), Route::Offline { reason: Some(why), .. } if why.contains("(500)")));
}

#[tokio::test]
async fn an_answer_without_a_text_is_no_answer_of_a_prompt_worker_here_or_on_a_host() {
    let stage = Stage::with("[{ finish_reason: content_filter }]").await;
    let prompt = PromptCall::new(Grant::of_task(task(1, 0), 1));
    let error = ask(&stage.gateway, &prompt, "hi").await.unwrap_err().error;
    assert_eq!((error.category, error.retryable), (Category::Provider, false));
    let token = stage.grant(|grant| grant.task = Some(task(2, 0)));
    let mut body = says("hi");
    body["x_kapelle_worker"] = json!(true);
    let (status, refused) = whole(stage.ask(&token, Operation::Chat, &body).await).await;
    assert!(status == 422 && refused["error"]["message"].as_str().unwrap().contains("content filter"), "{refused}");
    assert_eq!(stage.ask(&token, Operation::Chat, &says("hi")).await.status, 200, "a script gets what was answered");
    assert_eq!(stage.log.recorded(task(1, 0)).await.unwrap().len(), 0);
    assert_eq!(stage.log.recorded(task(2, 0)).await.unwrap().len(), 1);
    assert!(stage.ledger.standing(TENANT, &Account::Task(TaskId(1))).spent > Money::ZERO, "it is paid for");
}

#[tokio::test]
async fn a_gateway_without_a_store_replays_from_memory() {
    let double = double(Kind::Openai, "[{ reply: hello }]").await;
    let gateway = Gateway::new(&config(Kind::Openai, &double), &stage::env).unwrap();
    for (attempt, calls) in [(1, 1), (2, 0)] {
        let prompt = PromptCall::new(Grant::of_task(task(1, 0), attempt));
        let answer = answer(ask(&gateway, &prompt, "hi").await);
        assert_eq!((answer.content.as_str(), answer.calls), ("hello", calls));
    }
    assert_eq!(double.calls().len(), 1);
}
