//! Dead letters: tasks of their own that were given up, until somebody deals with them.

use std::sync::Arc;

use kapelle::{
    core::{
        Name, TaskId,
        task::{StateKind, Task},
    },
    engine::command,
    store::TaskFilter,
};
use kapelle_api as api;
use serde::Deserialize;

use super::tasks::reason;
use crate::{
    call::{Call, ok},
    cursor,
    problem::Problem,
    route::Answer,
    shown,
};

/// The query of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    worker: Option<String>,
    queue: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/dead`
pub async fn list(call: Call) -> Answer {
    let given: Filter = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let name = |field: &str, given: Option<String>| {
        let parsed = given.map(|text| Name::parse(&text)).transpose();
        parsed.map_err(|error| Problem::invalid(format!("{field}: {error}")))
    };
    let filter = TaskFilter {
        state: Some(StateKind::Failed),
        queue: name("queue", given.queue)?,
        worker: name("worker", given.worker)?,
        ..TaskFilter::default()
    };
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let rows = app.engine().reader().tasks(tenant, &filter, page)?;
        let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id.0));
        Ok(api::TaskPage { tasks: rows.iter().map(|row| shown::task(app, row)).collect(), next_cursor })
    });
    ok(&shown.await?)
}

/// The dead letter of the path.
fn letter(call: &Call) -> Result<Arc<Task>, Problem> {
    let id: TaskId = call.id()?;
    let task = call.app.engine().reader().task(call.tenant(), id)?;
    let task = task.ok_or_else(|| Problem::not_found(id))?;
    if let Some(origin) = &task.origin {
        return Err(Problem::conflict(format!(
            "{id} is a step of {}: POST /api/v1/runs/{}/rerun",
            origin.run, origin.run
        )));
    }
    Ok(Arc::new(task))
}

/// `POST /api/v1/dead/{id}/retry`
pub async fn retry(call: Call) -> Answer {
    let task = letter(&call)?;
    call.app.act(&call.who, "dead.retry", &task.id.to_string(), command::RetryByHand { task: task.id }).await?;
    ok(&shown::whole_task(&call.app, &*letter(&call)?)?)
}

/// `POST /api/v1/dead/{id}/discard`
pub async fn discard(call: Call) -> Answer {
    let task = letter(&call)?;
    let reason = reason(&call)?;
    call.app.act(&call.who, "dead.discard", &task.id.to_string(), command::Discard { task: task.id, reason }).await?;
    ok(&shown::whole_task(&call.app, &*letter(&call)?)?)
}
