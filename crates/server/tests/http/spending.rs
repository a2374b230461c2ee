//! Amounts that were really spent on tasks, in lists and alone.

use serde_json::{Value, json};

use crate::models::{Stage, token};

const RULES: &str = "[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 20 } }]";
/// The cost of one call.
const COST: u64 = 20_000;

/// A task and a step that paid a call and failed. Returns the stage, the task and the run.
async fn failed() -> (Stage, String, String) {
    let stage = Stage::new(RULES).await;
    let host = stage.host().await;
    let source = "name: flow\nsteps:\n  one: { worker: far }\n";
    let made = stage.place.post("/api/v1/tasks", json!({ "worker": "far" })).await.json(201);
    let run = stage.place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    for _ in 0..2 {
        let claimed = stage.claim(&host).await;
        stage.chat(token(&claimed), claimed["id"].as_str().unwrap()).await.json(200);
        let error = json!({ "category": "invalid_input", "message": "no", "retryable": false });
        let told = stage.report(&host, &claimed, json!({ "outcome": "fail", "error": error })).await;
        assert_eq!(told["accepted"], true, "{told}");
    }
    let text = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let (task, run) = (text(&made), text(&run));
    stage.place.get(&format!("/api/v1/runs/{run}?wait_ms=20000")).await.json(200);
    assert_eq!(stage.spent("worker", "far", 2).await, (2 * COST, 2));
    (stage, task, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_shows_what_was_paid_wherever_it_is_shown() {
    let (stage, task, run) = failed().await;
    let paid = (&json!(COST), &json!(1), &json!(20));
    let of = async |path: &str| stage.place.get(path).await.json(200);
    let lists = [
        ("/api/v1/tasks".to_owned(), "tasks"),
        ("/api/v1/tasks?state=failed&steps=true".to_owned(), "tasks"),
        ("/api/v1/dead".to_owned(), "tasks"),
        (format!("/api/v1/runs/{run}/steps"), "steps"),
        (format!("/api/v1/runs/{run}/steps?outputs=false"), "steps"),
    ];
    for (path, list) in lists {
        let page = of(&path).await;
        let rows = page[list].as_array().unwrap();
        assert!(!rows.is_empty(), "{path}");
        for row in rows {
            assert_eq!((&row["cost_nanousd"], &row["calls"], &row["output_tokens"]), paid, "{path}: {row}");
        }
    }
    let alone = of(&format!("/api/v1/tasks/{task}")).await;
    assert_eq!((&alone["cost_nanousd"], &alone["calls"], &alone["output_tokens"]), paid);
    assert_eq!(of("/api/v1/runs").await["runs"][0]["cost_nanousd"], json!(COST));
    assert_eq!(of(&format!("/api/v1/runs/{run}")).await["cost_nanousd"], json!(COST));
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_that_only_a_worker_reports_are_summed_over_its_failed_attempts() {
    let stage = Stage::new("[]").await;
    let host = stage.host().await;
    let made = stage.place.post("/api/v1/tasks", json!({ "worker": "far" })).await.json(201);
    let claimed = stage.claim(&host).await;
    let (provenance, output) = (json!({ "cost_nanousd": 70, "calls": 1 }), json!("done"));
    stage.report(&host, &claimed, json!({ "outcome": "succeed", "output": output, "provenance": provenance })).await;
    let listed = stage.place.get("/api/v1/tasks").await.json(200);
    assert_eq!((&listed["tasks"][0]["id"], &listed["tasks"][0]["cost_nanousd"]), (&made["id"], &json!(70)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_divide_spending_adds_up_to_one_figure() {
    let (stage, task, run) = failed().await;
    let of = async |query: &str| stage.place.get(&format!("/api/v1/cost?{query}")).await.json(200);
    let sum = |list: &Value| {
        let rows = list.as_array().unwrap();
        rows.iter().map(|row| row["cost_nanousd"].as_u64().unwrap()).sum::<u64>()
    };
    let since = "from=2020-01-01T00:00:00Z";
    for query in ["", "by=model", "by=day", "by=tenant", "by=task", since, &format!("{since}&by=task,day")] {
        let report = of(query).await;
        let total = (&report["total"]["cost_nanousd"], &report["total"]["calls"]);
        assert_eq!((total, sum(&report["rows"])), ((&json!(2 * COST), &json!(2)), 2 * COST), "{query}: {report}");
    }
    for query in ["per=hour", "per=day", "per=month", "per=day&by=worker,model", "per=month&by=run"] {
        let report = of(query).await;
        let periods = report["periods"].as_array().unwrap().len();
        assert_eq!(sum(&report["total"]["periods"]), 2 * COST, "{query}: {report}");
        assert!(report["from"].is_string() && report["to"].is_string(), "{query}: {report}");
        for row in report["rows"].as_array().unwrap() {
            assert_eq!(row["periods"].as_array().unwrap().len(), periods, "{query}: {row}");
            assert_eq!(json!(sum(&row["periods"])), row["cost_nanousd"], "{query}: {row}");
        }
    }
    let by_run = of(&format!("per=day&run={run}")).await;
    assert_eq!((sum(&by_run["rows"]), &by_run["total"]["calls"]), (COST, &json!(1)), "{by_run}");
    let by_task = of(&format!("{since}&by=task&limit=1")).await;
    assert_eq!(
        (sum(&by_task["rows"]), &by_task["total"]["cost_nanousd"]),
        (COST, &json!(2 * COST)),
        "{task}: {by_task}"
    );
    assert_eq!(of("to=2020-01-01T00:00:00Z&per=day").await["total"]["calls"], json!(0));
    for (query, said) in
        [("per=week", "hour, day or month"), ("per=day&from=x", "is not a time"), ("by=x", "is not one of")]
    {
        let refused = stage.place.get(&format!("/api/v1/cost?{query}")).await.json(400);
        assert!(refused["detail"].as_str().unwrap().contains(said), "{query}: {refused}");
    }
}
