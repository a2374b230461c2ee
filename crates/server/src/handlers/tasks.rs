//! Tasks.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use kapelle_api as api;
use kapelle_app::AppError;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    call::{Call, aside, json, ok},
    problem::Problem,
    route::Answer,
    stream, strict,
};

/// The longest wait for an end, in milliseconds.
const WAIT_MAX_MS: u64 = 60_000;

/// The query of requests that wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    wait_ms: Option<u64>,
}

/// The query of requests for one task or run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    wait_ms: Option<u64>,
    /// Whether everything that is known is wanted.
    #[serde(default)]
    pub details: bool,
}

impl Look {
    /// Returns how long to wait; `None` for not at all.
    pub fn duration(&self) -> Result<Option<Duration>, Problem> {
        Wait { wait_ms: self.wait_ms }.duration()
    }
}

impl Wait {
    /// Returns how long to wait; `None` for not at all.
    pub fn duration(&self) -> Result<Option<Duration>, Problem> {
        match self.wait_ms {
            None | Some(0) => Ok(None),
            Some(ms @ 1..=WAIT_MAX_MS) => Ok(Some(Duration::from_millis(ms))),
            Some(ms) => Err(Problem::invalid(format!("wait_ms={ms}: at most {WAIT_MAX_MS} are possible"))),
        }
    }
}

/// The query of a submission.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    wait_ms: Option<u64>,
    results: Option<String>,
}

/// `POST /api/v1/tasks`
pub async fn submit(call: Call) -> Answer {
    let Submission { wait_ms, results } = call.query()?;
    let wait = Wait { wait_ms }.duration()?;
    let given: api::SubmitTask = call.json()?;
    let Some(wait) = wait else {
        let made = call.app.submit_to(&call.who, given, call.key()?, results.as_deref()).await?;
        return created(&made.id, json(StatusCode::CREATED, &made)?);
    };
    if results.is_some() {
        return Err(Problem::invalid("wait_ms: the answer has the result; expected wait_ms or results, not both"));
    }
    let watched = call.app.submit_watched(&call.who, given, call.key()?).await?;
    let ended = call.app.ended(&call.who, watched, wait);
    let task = stream::while_it_holds(&call.site, &call.who, ended).await??;
    created(&task.id, json(StatusCode::CREATED, &task)?)
}

fn created(id: &str, mut response: Response) -> Answer {
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/tasks/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The query of a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    results: Option<String>,
}

/// `POST /api/v1/tasks/batch`
pub async fn submit_batch(call: Call) -> Answer {
    let Batch { results } = call.query()?;
    let given = match call.json() {
        Ok(given) => given,
        Err(unread) => return Err(unreadable(&call, unread).await),
    };
    let made = call.app.submit_batch_to(&call.who, given, call.key()?, results.as_deref()).await?;
    json(StatusCode::CREATED, &made)
}

/// A batch whose tasks are read one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBatch {
    tasks: Vec<Box<RawValue>>,
}

/// Returns the refusal of a batch that cannot be read: `unread`, unless the fault is in single tasks.
async fn unreadable(call: &Call, unread: Problem) -> Problem {
    let Ok(RawBatch { tasks }) = call.json() else { return unread };
    let read = |task: Box<RawValue>| {
        strict::read(task.get().as_bytes()).map_err(|error| {
            let text = error.to_string();
            // The place is that within the task, which says nothing beside its index.
            AppError::unprocessable(text.split(" at line ").next().unwrap_or(&text))
        })
    };
    let read = aside(call.body.len(), || tasks.into_iter().map(read).collect());
    match call.app.refuse_batch(&call.who, read).await {
        Err(error) => error.into(),
        Ok(()) => unread,
    }
}

/// `GET /api/v1/tasks/{id}`
pub async fn get(call: Call) -> Answer {
    let (id, look) = (call.id()?, call.query::<Look>()?);
    let wait = look.duration()?;
    if look.details {
        return ok(&call.app.task_details(&call.who, id)?);
    }
    let found = call.app.task(&call.who, id, wait);
    let (task, mark) = match wait {
        None => found.await?,
        Some(_) => stream::while_it_holds(&call.site, &call.who, found).await??,
    };
    call.tagged(&mark, &task)
}

/// `GET /api/v1/tasks/{id}/explain`
pub async fn explain(call: Call) -> Answer {
    ok(&call.app.explain_task(&call.who, call.id()?)?)
}

/// `GET /api/v1/tasks`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.tasks(&call.who, call.query()?).await?)
}

/// `POST /api/v1/tasks/{id}/cancel`
pub async fn cancel(call: Call) -> Answer {
    ok(&call.app.cancel_task(&call.who, call.id()?, call.json()?).await?)
}

/// `POST /api/v1/tasks/{id}/retry`
pub async fn retry(call: Call) -> Answer {
    ok(&call.app.retry_task(&call.who, call.id()?, call.key()?).await?)
}

/// `POST /api/v1/tasks/bulk`
pub async fn bulk(call: Call) -> Answer {
    ok(&call.app.bulk_tasks(&call.who, call.json()?).await?)
}
