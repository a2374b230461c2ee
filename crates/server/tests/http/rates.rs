//! Tasks that wait for providers, and the visibility of costs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::models::Stage;

/// Time limit for everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds a prompt worker that asks `fast`.
fn asks(stage: &Stage) {
    let worker = "kind: prompt\nname: asks\nslots: 4\nmax_output_tokens: 100\nprompt: '{{ text }}'\n";
    stage.place.kapelle.register_prompt(worker).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_of_the_first_tenant_see_the_money_of_all_and_others_their_own() {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 20 } }]").await;
    let (developer, _) = stage.place.key("developer", 2).await;
    let (admin, _) = stage.place.key("admin", 2).await;
    stage.chat(&developer, "hi").await.json(200);
    stage.chat(&stage.place.token.clone(), "hi").await.json(200);
    stage.spent("tenant", "tenant 2", 1).await;
    stage.spent("tenant", "tenant 1", 1).await;
    let budget = json!({ "account": "day", "limit_nanousd": 7_000_000 });
    stage.place.ask_as(&admin, "POST", "/api/v1/budgets", budget).await.json(200);
    let seen = async |key: &str, path: &str, list: &str| {
        let listed = stage.place.ask_as(key, "GET", path, Value::Null).await.json(200);
        listed[list].as_array().unwrap().clone()
    };
    let token = stage.place.token.clone();
    let (viewer, _) = stage.place.key("viewer", 1).await;
    for (key, tenants) in [(&token, 2), (&viewer, 1), (&admin, 1), (&developer, 1)] {
        assert_eq!(seen(key, "/api/v1/cost?by=tenant", "rows").await.len(), tenants, "{key}");
    }
    assert_eq!(seen(&admin, "/api/v1/cost?by=tenant", "rows").await[0]["name"], "tenant 2");
    assert_eq!(seen(&token, "/api/v1/budgets", "budgets").await[0]["tenant"], 2);
    assert_eq!(seen(&admin, "/api/v1/budgets", "budgets").await.len(), 1);
    assert!(seen(&viewer, "/api/v1/budgets", "budgets").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_for_each_tenant_and_the_day_for_all_together() {
    let rules = "[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 100 } }]";
    let file = "budgets: { day: $0.0003, tenant: $0.00015, tenants: { 3: { tenant: $0.0001 } } }";
    let stage = Stage::with(rules, file).await;
    let owner = stage.place.token.clone();
    let (second, _) = stage.place.key("developer", 2).await;
    let (third, _) = stage.place.key("developer", 3).await;
    let (admin, _) = stage.place.key("admin", 2).await;
    let asks = async |key: &str| stage.chat(key, "hi").await.status;
    // Each call costs $0.0001: one for each tenant, and three for the day.
    assert_eq!([asks(&second).await, asks(&second).await], [200, 402]);
    stage.spent("tenant", "tenant 2", 1).await;
    assert_eq!([asks(&third).await, asks(&third).await, asks(&owner).await], [200, 402, 200]);
    let set = async |key: &str, body: Value| stage.place.ask_as(key, "POST", "/api/v1/budgets", body).await;
    for account in ["day", "tenant"] {
        let more = json!({ "account": account, "limit_nanousd": 1_000_000_000 });
        set(&admin, more).await.refused(403, "forbidden", &["granted to"]);
    }
    let others = json!({ "account": "tenant", "limit_nanousd": 1, "tenant": 1 });
    set(&admin, others).await.refused(403, "forbidden", &["tenant 1"]);
    set(&admin, json!({ "account": "tenant", "limit_nanousd": 140_000 })).await.json(200);
    let given = json!({ "account": "tenant", "limit_nanousd": 900_000, "tenant": 2 });
    assert_eq!(set(&owner, given).await.json(200)["limit_nanousd"], 140_000, "the tenant allows itself less");
    set(&admin, json!({ "account": "tenant", "limit_nanousd": 800_000 })).await.json(200);
    assert_eq!(asks(&second).await, 402, "the day is spent");
    set(&owner, json!({ "account": "day", "limit_nanousd": 400_000 })).await.json(200);
    assert_eq!([asks(&second).await, asks(&second).await], [200, 402]);
    let seen = stage.place.ask_as(&admin, "GET", "/api/v1/budgets", Value::Null).await.json(200);
    let rows: Vec<_> =
        seen["budgets"].as_array().unwrap().iter().map(|row| (&row["tenant"], &row["account"])).collect();
    assert_eq!(rows, [(&json!(2), &json!("tenant")), (&json!(1), &json!("day"))], "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_wait_in_their_queue_for_a_provider_at_its_rate_and_hold_no_slot() {
    let limits = "providers: { openai: { kind: openai, base_url_env: OPENAI_BASE_URL, api_key_env: OPENAI_API_KEY, \
                  limits: { requests_per_minute: 3 } } }";
    let stage = Stage::with("[{ reply: hello }]", limits).await;
    asks(&stage);
    let tasks: Vec<Value> = (0..20).map(|n| json!({ "worker": "asks", "input": { "text": n } })).collect();
    stage.place.post("/api/v1/tasks/batch", json!({ "tasks": tasks })).await.json(201);
    let count = async |state: &str| {
        let listed = stage.place.get(&format!("/api/v1/tasks?state={state}")).await.json(200);
        listed["tasks"].as_array().unwrap().len()
    };
    let done = async {
        while count("succeeded").await < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, done).await.unwrap();
    assert_eq!((count("ready").await, count("running").await, stage.double.calls().len()), (17, 0, 3));
    let waiting = stage.place.get("/api/v1/tasks?state=ready").await.json(200);
    let why = waiting["tasks"][0]["reason"].as_str().unwrap();
    assert!(why.contains("the rate of provider `openai` is used up for another"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_the_provider_names_is_kept_by_the_queue_and_every_task_gets_its_turn() {
    let rules =
        "[{ reply: hello, headers: { x-ratelimit-remaining-requests: '0', x-ratelimit-reset-requests: 200ms } }]";
    let stage = Stage::new(rules).await;
    asks(&stage);
    let begun = tokio::time::Instant::now();
    let mut tasks = vec![stage.place.submit("asks", json!({ "text": "first" })).await];
    stage.place.get(&format!("/api/v1/tasks/{}?wait_ms=20000", tasks[0])).await.json(200);
    for n in 0..4 {
        tasks.push(stage.place.submit("asks", json!({ "text": n })).await);
    }
    for id in &tasks {
        let shown = stage.place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
        assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)), "{shown}");
    }
    assert_eq!(stage.double.calls().len(), 5);
    assert!(begun.elapsed() >= Duration::from_millis(200), "nobody waited");
}
