//! Tasks.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, StatusCode, header};
use kapelle::{
    core::{
        Name, TaskId,
        task::{StateKind, Task},
    },
    engine::{EngineError, command},
    store::TaskFilter,
};
use kapelle_api as api;
use serde::Deserialize;

use super::submission;
use crate::{
    app::App,
    call::{Call, json, ok},
    cursor,
    problem::Problem,
    route::Answer,
    shown, stream,
};

/// The longest wait for an end.
pub const WAIT_MAX_MS: u64 = 60_000;
/// Tasks of one batch.
const BATCH_MAX: usize = 10_000;

/// The query of those who wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    wait_ms: Option<u64>,
}

impl Wait {
    /// How long to wait; none when not at all.
    pub fn duration(&self) -> Result<Option<Duration>, Problem> {
        match self.wait_ms {
            None | Some(0) => Ok(None),
            Some(ms @ 1..=WAIT_MAX_MS) => Ok(Some(Duration::from_millis(ms))),
            Some(ms) => Err(Problem::invalid(format!("wait_ms={ms}: at most {WAIT_MAX_MS} are possible"))),
        }
    }
}

/// `POST /api/v1/tasks`
pub async fn submit(call: Call) -> Answer {
    let wait = call.query::<Wait>()?.duration()?;
    let given: api::SubmitTask = call.json()?;
    let key = call.idempotency(&given)?;
    let (tenant, delayed) = (call.tenant(), given.delay_ms > 0);
    refuse_while_draining(&call)?;
    let task = if call.app.is_quick(tenant, &given.worker, &given.input) {
        submission::task(&call.app, tenant, given)?
    } else {
        call.app.check(tenant, move |app| submission::task(app, tenant, given)).await?
    };
    let engine = call.app.engine();
    let (id, ended) = match (wait, key) {
        (Some(wait), None) => {
            let (id, ended) = engine.submit_watched(tenant, task).await?;
            let ended = stream::while_it_holds(&call.app, &call.who, tokio::time::timeout(wait, ended)).await?;
            (id, ended.ok().and_then(Result::ok))
        }
        (wait, key) => {
            let id = engine.submit(tenant, vec![task], key).await?;
            (
                id,
                match wait {
                    Some(wait) => {
                        let ended = tokio::time::timeout(wait, engine.wait(tenant, id));
                        stream::while_it_holds(&call.app, &call.who, ended).await?.ok().transpose()?
                    }
                    None => None,
                },
            )
        }
    };
    let mut response = match (wait, ended) {
        (None, _) => {
            let state = if delayed { StateKind::Scheduled } else { StateKind::Ready };
            json(
                StatusCode::CREATED,
                &api::Submitted { id: id.to_string(), state: state.as_str().to_owned(), attempt: 0 },
            )?
        }
        (Some(_), Some(task)) => json(StatusCode::CREATED, &shown::whole_task(&call.app, &task)?)?,
        (Some(_), None) => json(StatusCode::CREATED, &shown::whole_task(&call.app, &*one(&call, id)?)?)?,
    };
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/tasks/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// `POST /api/v1/tasks/batch`
pub async fn submit_batch(call: Call) -> Answer {
    let given: api::SubmitBatch = call.json()?;
    if given.tasks.is_empty() || given.tasks.len() > BATCH_MAX {
        return Err(Problem::unprocessable(format!(
            "tasks: there are {}, and 1 to {BATCH_MAX} are possible",
            given.tasks.len()
        )));
    }
    refuse_while_draining(&call)?;
    let key = call.idempotency(&given)?;
    let tenant = call.tenant();
    let check = move |app: &App| {
        let tasks = given.tasks.into_iter().enumerate().map(|(number, task)| {
            submission::task(app, tenant, task)
                .map_err(|problem| Problem { detail: format!("tasks[{number}]: {}", problem.detail), ..problem })
        });
        tasks.collect::<Result<Vec<_>, _>>()
    };
    let tasks = call.app.check(tenant, check).await?;
    let count = tasks.len() as i64;
    let first = call.app.engine().submit(tenant, tasks, key).await?;
    let ids = (0..count).map(|number| TaskId(first.0 + number).to_string()).collect();
    json(StatusCode::CREATED, &api::BatchSubmitted { ids })
}

/// `GET /api/v1/tasks/{id}`
pub async fn get(call: Call) -> Answer {
    let id: TaskId = call.id()?;
    let task = match call.query::<Wait>()?.duration()? {
        None => one(&call, id)?,
        Some(wait) => {
            let mut draining = call.app.draining.clone();
            let ended = call.app.engine().wait(call.tenant(), id);
            tokio::select! {
                ended = tokio::time::timeout(wait, ended) => match ended {
                    Ok(Ok(task)) => task,
                    Ok(Err(EngineError::Stopped)) | Err(_) => one(&call, id)?,
                    Ok(Err(error)) => return Err(error.into()),
                },
                _ = draining.wait_for(|draining| *draining) => one(&call, id)?,
                () = stream::gone(&call.app, &call.who) => return Err(stream::revoked()),
            }
        }
    };
    call.tagged(&format!("{}-{}", task.id, task.revision), &shown::whole_task(&call.app, &task)?)
}

/// The query of a list of tasks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    state: Option<String>,
    queue: Option<String>,
    worker: Option<String>,
    dead: Option<bool>,
    steps: Option<bool>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/tasks`
pub async fn list(call: Call) -> Answer {
    let given: Filter = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let state = given.state.as_deref().map(|word| {
        let words = StateKind::ALL.map(StateKind::as_str);
        let known = StateKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| Problem::invalid(format!("state: there are {}", words.join(", "))))
    });
    let name = |field: &str, given: Option<String>| {
        let parsed = given.map(|text| Name::parse(&text)).transpose();
        parsed.map_err(|error| Problem::invalid(format!("{field}: {error}")))
    };
    let filter = TaskFilter {
        state: state.transpose()?,
        queue: name("queue", given.queue)?,
        worker: name("worker", given.worker)?,
        dead: given.dead.unwrap_or(false),
        steps: given.steps.unwrap_or(false),
    };
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let rows = app.engine().reader().tasks(tenant, &filter, page)?;
        let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
        Ok(api::TaskPage { tasks: rows.iter().map(|row| shown::task(app, row)).collect(), next_cursor })
    });
    ok(&shown.await?)
}

/// `POST /api/v1/tasks/{id}/cancel`
pub async fn cancel(call: Call) -> Answer {
    let task = one(&call, call.id()?)?;
    let reason = reason(&call)?;
    call.app.act(&call.who, "task.cancel", &task.id.to_string(), command::Cancel { task: task.id, reason }).await?;
    ok(&shown::whole_task(&call.app, &*one(&call, task.id)?)?)
}

/// `POST /api/v1/tasks/{id}/retry`
pub async fn retry(call: Call) -> Answer {
    let task = one(&call, call.id()?)?;
    call.app.act(&call.who, "task.retry", &task.id.to_string(), command::RetryByHand { task: task.id }).await?;
    ok(&shown::whole_task(&call.app, &*one(&call, task.id)?)?)
}

fn one(call: &Call, id: TaskId) -> Result<Arc<Task>, Problem> {
    let task = call.app.engine().reader().task(call.tenant(), id)?;
    task.map(Arc::new).ok_or_else(|| Problem::not_found(id))
}

/// Why something is to end, with who wants it.
pub fn reason(call: &Call) -> Result<Arc<str>, Problem> {
    let given: api::Reason = call.json()?;
    let by = &call.who.actor;
    Ok(match given.reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) => {
            let reason: String = reason.chars().take(500).collect();
            Arc::from(format!("{reason} (by {by})"))
        }
        None => Arc::from(format!("cancelled by {by}")),
    })
}

/// Takes nothing more on the way down.
pub fn refuse_while_draining(call: &Call) -> Result<(), Problem> {
    if call.app.is_draining() { Err(Problem::unavailable("the server is stopping: try again soon")) } else { Ok(()) }
}
