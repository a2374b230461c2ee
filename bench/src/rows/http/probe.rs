//! The throwaway server: as much of a server as costs time, and no more.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::StatusCode,
    routing::post,
};
use kapelle::{
    core::{Name, Payload, TaskId, TenantId, task::Report},
    engine::{Command, Engine, EngineError, NewPayload, Reply, Reported, SubmitTask, Wanted},
    serde_json::{Value, from_slice, json, to_vec},
};
use std::collections::HashMap;

use crate::bed::Bed;

/// A server over a bed.
pub struct Probe {
    pub bed: Bed,
    pub address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

type Refusal = (StatusCode, String);

impl Probe {
    pub async fn start(bed: Bed) -> anyhow::Result<Probe> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let engine = bed.kapelle.engine().clone();
        let router = Router::new()
            .route("/tasks", post(submit))
            .route("/batches", post(submit_batch))
            .route("/claim", post(claim))
            .route("/reports", post(report))
            .with_state(engine);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Probe { bed, address, serving })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.serving.abort();
        let _ = self.serving.await;
        self.bed.remove().await
    }
}

fn refuse(error: impl std::fmt::Display) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}

fn task(mut body: Value) -> Result<SubmitTask, Refusal> {
    let worker = Name::parse(body["worker"].as_str().unwrap_or_default()).map_err(refuse)?;
    let input = to_vec(&body["input"].take()).map_err(refuse)?;
    Ok(SubmitTask::new(worker, NewPayload::Bytes(Arc::from(input))))
}

async fn submit(
    State(engine): State<Engine>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let task = task(from_slice(&body).map_err(refuse)?)?;
    if query.contains_key("wait") {
        let task = engine.submit_and_wait(TenantId::DEFAULT, task).await.map_err(refuse)?;
        let output = engine.output(&task).map_err(refuse)?;
        let answer = json!({ "id": task.id.to_string(), "state": "succeeded", "output": output });
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let id = engine.submit(TenantId::DEFAULT, vec![task], None).await.map_err(refuse)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id.to_string(), "state": "ready", "attempt": 0 }))))
}

async fn submit_batch(State(engine): State<Engine>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let bodies: Vec<Value> = from_slice(&body).map_err(refuse)?;
    let tasks = bodies.into_iter().map(task).collect::<Result<Vec<_>, _>>()?;
    let count = tasks.len() as i64;
    let first = engine.submit(TenantId::DEFAULT, tasks, None).await.map_err(refuse)?;
    let ids = (0..count).map(|number| Value::from(TaskId(first.0 + number).to_string()));
    Ok(Json(Value::Array(ids.collect())))
}

async fn claim(State(engine): State<Engine>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let most: u32 = from_slice(&body).map_err(refuse)?;
    let workers: Arc<[Name]> = Arc::from([Name::new("remote")]);
    let wanted = Wanted { tenant: TenantId::DEFAULT, workers, queues: Arc::from([]), labels: Arc::default() };
    let reply = engine.ask(Command::Claim { host: 1, wanted, most }).await.map_err(refuse)?;
    let Reply::Claimed(tasks) = reply else { return Err(refuse("not claimed")) };
    let tasks = tasks.iter().map(|task| {
        let input = match &task.input {
            Payload::Row(_) => Value::Null,
            inline => from_slice(inline.inline().unwrap_or(b"null")).unwrap_or(Value::Null),
        };
        json!({ "id": task.id.0, "lease": [task.lease.epoch, task.lease.nonce], "input": input })
    });
    Ok(Json(Value::Array(tasks.collect())))
}

async fn report(State(engine): State<Engine>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let reports: Vec<Value> = from_slice(&body).map_err(refuse)?;
    // All are sent before the first is waited for, so that they share turns.
    let replies: Vec<_> = reports.iter().map(|report| one_report(&engine, report)).collect();
    let mut accepted = 0;
    for reply in replies {
        reply.await.map_err(refuse)?.map_err(refuse)?;
        accepted += 1;
    }
    Ok(Json(json!({ "accepted": accepted })))
}

/// Sends a report to the loop at once; the future waits for its commit.
fn one_report(engine: &Engine, report: &Value) -> tokio::task::JoinHandle<Result<Reply, EngineError>> {
    let lease = Report {
        task: TaskId(report["id"].as_i64().unwrap_or_default()),
        epoch: report["lease"][0].as_u64().and_then(|epoch| u32::try_from(epoch).ok()).unwrap_or_default(),
        nonce: report["lease"][1].as_u64().unwrap_or_default(),
    };
    let output = NewPayload::Bytes(Arc::from(report["output"].to_string().into_bytes()));
    let reported = Reported::Succeed { output, provenance: Arc::default() };
    let engine = engine.clone();
    tokio::spawn(async move { engine.ask(Command::Report { report: lease, reported }).await })
}
