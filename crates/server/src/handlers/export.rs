//! A run as a whole, for keeping elsewhere: the run, its steps and its journal, one JSON object a line.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use kapelle::{RunId, TaskId, core::TenantId, core::run::RunStatus};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::runs;
use crate::{app::App, call::Call, held::Feed, problem::Problem, route::Answer, shown, transfer};

/// Rows read at a time.
const PAGE: u32 = 200;
/// Bytes of lines that are made at a time, about. They are made when they can be sent, so that a slow reader keeps
/// neither a thread nor a connection of the store.
const PART: usize = 64 * 1024;

/// Where an export goes on.
#[derive(Debug, Clone, Copy)]
enum From {
    Run,
    /// The steps behind this one.
    Steps(TaskId),
    /// The journal from this entry on.
    Journal(u64),
}

/// `GET /api/v1/runs/{id}/export`
pub async fn run(call: Call) -> Answer {
    let run = runs::one(&call, call.id()?)?;
    let permit = transfer::permit(&call)?;
    let (sender, receiver) = mpsc::channel(1);
    let (app, tenant, id) = (Arc::clone(&call.app), call.tenant(), run.id);
    tokio::spawn(async move {
        let mut from = Some(From::Run);
        while let Some(at) = from {
            let Ok(place) = sender.reserve().await else { return };
            let made = app.list_for(tenant, move |app| lines(app, tenant, id, at)).await;
            let (text, next) = made.unwrap_or_else(|problem| {
                // Begun answers cannot be refused any more: the last line tells of a fault.
                (format!("{}\n", json!({ "kind": "error", "detail": problem.detail })), None)
            });
            from = next;
            place.send(Bytes::from(text));
        }
    });
    let mut response = Response::new(Body::new(Feed::new(receiver, permit)));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.ndjson\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The next lines, and where to go on; nowhere at the end.
fn lines(app: &App, tenant: TenantId, id: RunId, from: From) -> Result<(String, Option<From>), Problem> {
    match from {
        From::Run => Ok((format!("{}\n", head(app, tenant, id)?), Some(From::Steps(TaskId(0))))),
        From::Steps(after) => steps(app, id, after),
        From::Journal(from) => journal(app, id, from),
    }
}

fn head(app: &App, tenant: TenantId, id: RunId) -> Result<Value, Problem> {
    let reader = app.engine().reader();
    let Some(row) = reader.run(tenant, id)? else { return Err(Problem::not_found(id)) };
    let mut run = shown::run(&row);
    if let RunStatus::Succeeded { outputs, .. } = &row.status {
        run.outputs = Some(app.engine().value(outputs)?);
    }
    let mut first = value(&run, "run")?;
    first["inputs"] = app.engine().value(&row.inputs)?;
    if let Some(version) = reader.version(tenant, row.version)? {
        first["version"] = json!(version.number);
        first["source"] = json!(String::from_utf8_lossy(&version.source));
    }
    Ok(first)
}

fn steps(app: &App, id: RunId, mut after: TaskId) -> Result<(String, Option<From>), Problem> {
    let steps = app.engine().reader().steps(id, after, PAGE)?;
    let (mut text, mut taken) = (String::new(), 0);
    for step in &steps {
        let mut line = value(&shown::whole_task(app, step)?, "step")?;
        line["step"] = json!(step.origin.as_ref().map(|origin| origin.path.to_string()));
        line["input"] = app.engine().value(&step.input)?;
        text += &format!("{line}\n");
        (after, taken) = (step.id, taken + 1);
        if text.len() >= PART {
            break;
        }
    }
    let is_last = taken == steps.len() && steps.len() < PAGE as usize;
    Ok((text, Some(if is_last { From::Journal(0) } else { From::Steps(after) })))
}

fn journal(app: &App, id: RunId, mut from: u64) -> Result<(String, Option<From>), Problem> {
    let entries = app.engine().reader().journal(id, from, PAGE)?;
    let (mut text, mut taken) = (String::new(), 0);
    for entry in &entries {
        text += &format!("{}\n", value(&runs::entry(entry), "journal")?);
        (from, taken) = (entry.seq + 1, taken + 1);
        if text.len() >= PART {
            break;
        }
    }
    let is_last = taken == entries.len() && entries.len() < PAGE as usize;
    Ok((text, (!is_last).then_some(From::Journal(from))))
}

fn value(of: &impl serde::Serialize, kind: &str) -> Result<Value, Problem> {
    let mut line = json!({ "kind": kind });
    let shown = serde_json::to_value(of).map_err(|error| Problem::internal(error.to_string()))?;
    if let (Some(line), Value::Object(shown)) = (line.as_object_mut(), shown) {
        line.extend(shown);
    }
    Ok(line)
}
