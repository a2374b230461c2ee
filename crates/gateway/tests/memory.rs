//! Answers that already exist, and the callers that may have them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kapelle_core::{Money, TaskId, TenantId};
use kapelle_gateway::{
    Grant, Operation, Service,
    config::Kind,
    money::{Account, Ledger, Pending},
    replay::{CallLog, Fingerprint, LogError},
    tokens::{Leased, Leases, TokenIssuer},
};
use kapelle_testkit::{
    hostile::Dice,
    rng::Rng,
    scripted_openai::{Script, ScriptedOpenai},
};
use serde_json::{Value, json};
use stage::{KEY, Stage, TENANT, events, header, payer, says, streams, task, text, whole};
use tokio::task::JoinSet;

/// Makes the gateway of a process that replaces a dead one: the ledger and the log survive.
fn reborn(stage: &Stage) -> Service {
    stage.ledger.recover();
    Service::new(Arc::clone(&stage.gateway))
}

fn token(service: &Service, change: impl FnOnce(&mut Grant)) -> String {
    let mut grant = Grant::of(payer());
    change(&mut grant);
    service.tokens().issue(grant).unwrap().1
}

async fn call(service: &Service, token: &str, body: &Value) -> kapelle_gateway::Reply {
    service.call(Operation::Chat, token, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn a_crash_after_k_of_n_calls_costs_n_and_the_call_in_flight() {
    for stream in [false, true] {
        let stage = Stage::with("[{ contains: call-3, times: 1, hang: true }]").await;
        let body =
            |number: usize| if stream { streams(&format!("call-{number}")) } else { says(&format!("call-{number}")) };
        let first = stage.grant(|grant| grant.task = Some(task(7, 0)));
        let mut before = Vec::new();
        for number in 0..3 {
            before.push(stage.ask(&first, Operation::Chat, &body(number)).await.collect().await);
        }
        let paid = stage.spent();
        let doomed = body(3);
        tokio::select! {
            _ = stage.ask(&first, Operation::Chat, &doomed) => panic!("answered"),
            () = stage.double.called(4) => {}
        }
        let service = reborn(&stage);
        let second = token(&service, |grant| grant.task = Some(task(7, 0)));
        for number in 0..5 {
            let reply = call(&service, &second, &body(number)).await;
            let source = header(&reply, "x-kapelle-source").unwrap().to_owned();
            let bytes = reply.collect().await;
            assert_eq!(source, if number < 3 { "replay" } else { "provider" });
            if let Some(known) = before.get(number) {
                assert_eq!(&bytes, known, "an answer replays byte for byte");
            }
        }
        assert_eq!(stage.double.calls().len(), 5 + 1);
        let standing = stage.ledger.standing(TENANT, &Account::Tenant);
        assert!(standing.unknown.0 > 0 && standing.spent > paid && standing.reserved == Money::ZERO);
    }
}

#[tokio::test]
async fn equal_calls_of_a_task_are_samples_and_replay_in_their_order() {
    let rules = "[{ times: 1, reply: heads }, { times: 1, reply: tails }, { reply: edge }]";
    let stage = Stage::with(rules).await;
    let said = async |service: &Service, token: &str| {
        let (_, body) = whole(call(service, token, &says("flip")).await).await;
        body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let first = stage.grant(|grant| {
        grant.task = Some(task(1, 0));
        grant.cache = None;
    });
    assert_eq!(
        (said(&stage.service, &first).await, said(&stage.service, &first).await),
        ("heads".into(), "tails".into())
    );
    let service = reborn(&stage);
    let second = token(&service, |grant| grant.task = Some(task(1, 0)));
    assert_eq!((said(&service, &second).await, said(&service, &second).await), ("heads".into(), "tails".into()));
    assert_eq!(said(&service, &second).await, "edge", "the first new call is asked");
    let other = token(&service, |grant| grant.task = Some(task(2, 0)));
    assert_eq!(said(&service, &other).await, "edge", "another task has answers of its own");
    let fresh = token(&service, |grant| grant.task = Some(task(1, 1)));
    assert_eq!(said(&service, &fresh).await, "edge", "a new epoch begins anew");
}

/// Stored state of one attempt on a worker host.
struct Far {
    leased: Leased,
    given: Mutex<Vec<(Fingerprint, u32)>>,
    broken: AtomicBool,
}

impl Leases for Far {
    fn leased(&self, task: TaskId) -> Option<Leased> {
        Some(self.leased).filter(|leased| leased.task.task == task)
    }

    fn given(&self, _task: TaskId, attempt: u32) -> Result<Vec<(Fingerprint, u32)>, LogError> {
        assert_eq!(attempt, self.leased.attempt);
        Ok(self.given.lock().unwrap().clone())
    }

    fn give(&self, _task: TaskId, _attempt: u32, given: (Fingerprint, u32)) -> Pending<'_, Result<(), LogError>> {
        Box::pin(async move {
            if self.broken.load(Ordering::Relaxed) {
                return Err(LogError("the disk is full".to_owned()));
            }
            let mut all = self.given.lock().unwrap();
            all.retain(|(of, _)| *of != given.0);
            all.push(given);
            Ok(())
        })
    }
}

#[tokio::test]
async fn an_attempt_that_outlives_its_server_is_not_given_an_answer_twice() {
    let stage = Stage::with("[{ times: 1, reply: heads }, { times: 1, reply: tails }, { reply: edge }]").await;
    let leased = Leased { task: task(1, 0), attempt: 2, nonce: 9, timeout: Duration::from_secs(60), recorded: false };
    let far = Arc::new(Far { leased, given: Mutex::default(), broken: AtomicBool::new(false) });
    let served = || {
        let token_issuer = TokenIssuer::new(Arc::new(reborn(&stage)), Arc::clone(&stage.ledger) as Arc<dyn Ledger>);
        token_issuer.keep_tokens([1; 32], Arc::clone(&far) as Arc<dyn Leases>);
        token_issuer
    };
    let flip = async |token_issuer: &TokenIssuer, token: &str| {
        let (status, body) = whole(call(token_issuer.service(), token, &says("flip")).await).await;
        let said = body["choices"][0]["message"]["content"].as_str();
        said.map_or_else(|| format!("{status}"), str::to_owned)
    };
    let first = stage.grant(|grant| {
        grant.task = Some(task(1, 0));
        grant.payer.attempt = 1;
    });
    for _ in 0..2 {
        stage.ask(&first, Operation::Chat, &says("flip")).await.collect().await;
    }
    let before = served();
    let token = before.issue_leased_token(&leased).unwrap().token;
    assert_eq!(flip(&before, &token).await, "heads");
    // The next server recognises the token, and knows the answers it was given.
    let after = served();
    after.bring_back(&token);
    far.broken.store(true, Ordering::Relaxed);
    assert_eq!(flip(&after, &token).await, "500", "what cannot be kept is not given");
    far.broken.store(false, Ordering::Relaxed);
    let after = served();
    after.bring_back(&token);
    assert_eq!((flip(&after, &token).await, stage.double.calls().len()), ("tails".to_owned(), 2));
    assert_eq!((flip(&after, &token).await, stage.double.calls().len()), ("edge".to_owned(), 3));
    let last = served();
    last.bring_back(&token);
    assert_eq!((flip(&last, &token).await, stage.double.calls().len()), ("edge".to_owned(), 4), "a new sample");
}

#[tokio::test]
async fn failures_are_not_recorded_and_an_answer_that_cannot_be_recorded_is_not_delivered() {
    let stage = Stage::with("[{ times: 1, status: 400 }, { contains: cut, events_cut: 3, times: 1 }]").await;
    let token = stage.grant(|grant| grant.task = Some(task(1, 0)));
    assert_eq!(stage.ask(&token, Operation::Chat, &says("a")).await.status, 400);
    events(stage.ask(&token, Operation::Chat, &streams("cut")).await).await;
    assert!(stage.log.recorded(task(1, 0)).await.unwrap().is_empty());
    stage.log.set_broken(true);
    let (status, body) = whole(stage.ask(&token, Operation::Chat, &says("a")).await).await;
    assert_eq!(status, 500, "{body}");
    let list = events(stage.ask(&token, Operation::Chat, &streams("b")).await).await;
    assert!(list.last().unwrap()["error"]["message"].as_str().unwrap().contains("the answer is lost"));
    assert!(!list.iter().any(|event| event == "[DONE]"));
    stage.log.set_broken(false);
    let list = events(stage.ask(&token, Operation::Chat, &streams("b")).await).await;
    assert_eq!((list.last().unwrap(), text(&list).is_empty()), (&json!("[DONE]"), false));
    assert_eq!(stage.log.recorded(task(1, 0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_hundred_equal_calls_at_once_are_one_upstream() {
    for stream in [false, true] {
        let stage = Stage::with("[{ delay_ms: 30 }]").await;
        let token = stage.grant(|grant| grant.cache = Some(Duration::from_secs(60)));
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let (service, token) = (Arc::clone(&stage.service), token.clone());
            let body = if stream { streams("hi") } else { says("hi") };
            calls.spawn(async move { call(&service, &token, &body).await.collect().await });
        }
        let answers = calls.join_all().await;
        assert!(answers.iter().all(|answer| answer == &answers[0] && !answer.is_empty()));
        assert_eq!(stage.double.calls().len(), 1);
        let reply = call(&stage.service, &token, &if stream { streams("hi") } else { says("hi") }).await;
        assert_eq!(header(&reply, "x-kapelle-source"), Some("cache"));
    }
}

#[tokio::test]
async fn whoever_follows_a_caller_that_leaves_leads_and_a_refusal_holds_for_all() {
    let stage =
        Stage::with("[{ contains: once, times: 1, hang: true }, { contains: bad, status: 400, delay_ms: 50 }]").await;
    let token = stage.grant(|grant| grant.cache = Some(Duration::from_secs(60)));
    let (service, own) = (Arc::clone(&stage.service), token.clone());
    let leader = tokio::spawn(async move { call(&service, &own, &says("once")).await.status });
    stage.double.called(1).await;
    let (service, own) = (Arc::clone(&stage.service), token.clone());
    let follower = tokio::spawn(async move { call(&service, &own, &says("once")).await.status });
    leader.abort();
    assert_eq!(follower.await.unwrap(), 200);
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (service, token) = (Arc::clone(&stage.service), token.clone());
        calls.spawn(async move { call(&service, &token, &says("bad")).await.status });
    }
    assert_eq!(calls.join_all().await, [400; 20]);
    assert_eq!(stage.double.calls().len(), 3);
}

#[tokio::test]
async fn an_empty_purse_of_one_does_not_refuse_those_who_wait_with_it() {
    let stage = Stage::with("[{ delay_ms: 20 }]").await;
    stage.ledger.limit(TENANT, Account::Worker("poor".to_owned()), Money(1));
    let cached = |grant: &mut Grant| grant.cache = Some(Duration::from_secs(60));
    let poor = stage.grant(|grant| {
        cached(grant);
        grant.payer.accounts = vec![Account::Worker("poor".to_owned())];
    });
    let rich = stage.grant(cached);
    let body = says("hi");
    let (one, two) = tokio::join!(stage.ask(&poor, Operation::Chat, &body), stage.ask(&rich, Operation::Chat, &body));
    assert_eq!((one.status, two.status), (402, 200));
}

#[tokio::test]
async fn tenants_share_nothing_and_free_answers_are_never_blocked() {
    let stage = Stage::with("[]").await;
    let cached = |grant: &mut Grant| grant.cache = Some(Duration::from_secs(60));
    let mine = stage.grant(cached);
    let theirs = stage.grant(|grant| {
        cached(grant);
        grant.payer.tenant = TenantId(2);
    });
    for token in [&mine, &theirs, &mine, &theirs] {
        assert_eq!(stage.ask(token, Operation::Chat, &says("hi")).await.status, 200);
    }
    assert_eq!(stage.double.calls().len(), 2);
    stage.ledger.limit(TENANT, Account::Tenant, Money(1));
    assert_eq!(stage.ask(&mine, Operation::Chat, &says("hi")).await.status, 200, "from the cache");
    assert_eq!(stage.ask(&mine, Operation::Chat, &says("new")).await.status, 402);
    let fresh = stage.grant(|grant| {
        cached(grant);
        grant.fresh = true;
        grant.payer.tenant = TenantId(2);
    });
    assert_eq!(stage.ask(&fresh, Operation::Chat, &says("hi")).await.status, 200);
    assert_eq!(stage.double.calls().len(), 3, "who wants a new answer gets one");
}

#[tokio::test]
async fn a_token_asks_what_it_was_granted() {
    let stage = Stage::with("[]").await;
    let token = stage.grant(|grant| grant.models = vec!["fast".to_owned()]);
    assert_eq!(stage.ask(&token, Operation::Chat, &says("hi")).await.status, 200);
    let mut body = says("hi");
    body["model"] = json!("p/gpt-5");
    let (status, answer) = whole(stage.ask(&token, Operation::Chat, &body).await).await;
    assert_eq!((status, &answer["error"]["code"]), (403, &"model_not_granted".into()));
    body["model"] = json!("nobody/x");
    assert_eq!(stage.chat(&body).await.status, 404);
    assert_eq!(stage.ask("sk-kapelle-", Operation::Chat, &body).await.status, 401);
    assert_eq!(stage.ask(KEY, Operation::Chat, &body).await.status, 401);
}

#[tokio::test]
async fn ten_thousand_hostile_bodies_send_the_key_nowhere_else() {
    let evil = ScriptedOpenai::start(Script::default()).await.unwrap();
    let address = format!("http://{}", evil.address());
    let stage = Stage::of(Kind::Openai, "[]").await;
    let mut dice = Dice(Rng::new(39));
    let mut answered = 0;
    for number in 0..10_000 {
        let mut fields = dice.fields(&address, 0);
        if dice.below(4) > 0 {
            fields.insert("messages".to_owned(), json!([{ "role": "user", "content": address }]));
        }
        if dice.below(20) > 0 {
            let names = ["fast", "p/gpt-4o-mini", "p/../../evil", "p/x?url=http://evil", "p/\r\nHost: evil", &address];
            fields.insert("model".to_owned(), json!(names[dice.below(names.len())]));
        }
        let operation = [Operation::Chat, Operation::Responses, Operation::Embeddings][dice.below(3)];
        let reply = stage.ask(&stage.token, operation, &Value::Object(fields)).await;
        answered += usize::from(reply.status == 200);
        let headers = format!("{:?}", reply.headers);
        let body = String::from_utf8(reply.collect().await).unwrap();
        assert!(!body.contains(KEY) && !headers.contains(KEY), "body {number} gave the key to its caller");
    }
    assert_eq!(evil.connections(), 0, "somebody else was asked");
    assert!(answered > 400, "{answered}: too few got through to show anything");
    let paths = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"];
    for call in stage.double.calls() {
        assert!(paths.contains(&call.path.as_str()), "{}", call.path);
        assert_eq!(call.headers["host"], stage.double.address().to_string());
        assert_eq!(call.headers["authorization"], format!("Bearer {KEY}"));
        for name in ["api_base", "base_url", "extra_body", "litellm_params", "headers", "fallbacks", "proxy"] {
            assert!(call.body.get(name).is_none(), "{name} went through");
        }
    }
}
