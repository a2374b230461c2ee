//! Runs.

use axum::http::StatusCode;
use kapelle_api as api;
use serde::Deserialize;

use super::tasks::Look;
use crate::{
    call::{Call, json, ok, text},
    route::Answer,
    stream,
};

/// The query of the states of all items.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    step: String,
}

/// `POST /api/v1/runs`
pub async fn start(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.start(&call.who, call.json()?, call.key()?).await?)
}

/// `POST /api/v1/runs/estimate`
pub async fn estimate(call: Call) -> Answer {
    ok(&call.app.estimate(&call.who, call.json()?).await?)
}

/// `GET /api/v1/runs/{id}/estimate`
pub async fn run_estimate(call: Call) -> Answer {
    ok(&call.app.run_estimate(&call.who, call.id()?).await?)
}

/// `GET /api/v1/runs/{id}`
pub async fn get(call: Call) -> Answer {
    let (id, look) = (call.id()?, call.query::<Look>()?);
    let wait = look.duration()?;
    if look.details {
        return ok(&call.app.run_details(&call.who, id).await?);
    }
    let found = call.app.run(&call.who, id, wait);
    let (run, mark) = match wait {
        None => found.await?,
        Some(_) => stream::while_it_holds(&call.site, &call.who, found).await??,
    };
    call.tagged(&mark, &run)
}

/// `GET /api/v1/runs/{id}/explain`
pub async fn explain(call: Call) -> Answer {
    ok(&call.app.explain_run(&call.who, call.id()?).await?)
}

/// `GET /api/v1/runs`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.runs(&call.who, call.query()?).await?)
}

/// `GET /api/v1/runs/{id}/steps`
pub async fn steps(call: Call) -> Answer {
    ok(&call.app.steps(&call.who, call.id()?, call.query()?).await?)
}

/// `GET /api/v1/runs/{id}/graph`
pub async fn graph(call: Call) -> Answer {
    ok(&call.app.run_graph(&call.who, call.id()?).await?)
}

/// `GET /api/v1/runs/{id}/items`
pub async fn items(call: Call) -> Answer {
    let id = call.app.has_run(&call.who, call.id()?)?;
    ok(&call.app.items(&call.who, id, call.query()?).await?)
}

/// `GET /api/v1/runs/{id}/items/states`
pub async fn item_states(call: Call) -> Answer {
    let id = call.app.has_run(&call.who, call.id()?)?;
    let Of { step } = call.query()?;
    let states = call.app.item_states(&call.who, id, step).await?;
    Ok(text(StatusCode::OK, "application/octet-stream", states))
}

/// `GET /api/v1/runs/{id}/journal`
pub async fn journal(call: Call) -> Answer {
    ok(&call.app.journal(&call.who, call.id()?, call.query()?).await?)
}

/// `POST /api/v1/runs/{id}/cancel`
pub async fn cancel(call: Call) -> Answer {
    ok(&call.app.cancel_run(&call.who, call.id()?, call.json()?).await?)
}

/// `POST /api/v1/runs/{id}/pause`
pub async fn pause(call: Call) -> Answer {
    ok(&call.app.pause_run(&call.who, call.id()?).await?)
}

/// `POST /api/v1/runs/{id}/resume`
pub async fn resume(call: Call) -> Answer {
    ok(&call.app.resume_run(&call.who, call.id()?).await?)
}

/// `POST /api/v1/runs/{id}/signals/{name}`
pub async fn signal(call: Call) -> Answer {
    let given = (call.param("name"), call.json()?);
    ok(&call.app.signal(&call.who, call.id()?, given, call.key()?).await?)
}

/// `POST /api/v1/runs/{id}/rerun`
pub async fn rerun(call: Call) -> Answer {
    let id = call.app.rerun(&call.who, call.id()?, call.json()?, call.key()?).await?;
    json(StatusCode::CREATED, &api::StartedRun { id: id.to_string(), state: api::RunState::Running })
}

/// `POST /api/v1/runs/bulk`
pub async fn bulk(call: Call) -> Answer {
    ok(&call.app.bulk_runs(&call.who, call.json()?).await?)
}
