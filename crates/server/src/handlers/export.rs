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
use crate::{app::App, call::Call, feed::Feed, problem::Problem, route::Answer, shown, stream};

/// Rows read at a time.
const PAGE: u32 = 500;
/// Pages on their way.
const PAGES: usize = 4;

/// `GET /api/v1/runs/{id}/export`
pub async fn run(call: Call) -> Answer {
    let run = runs::one(&call, call.id()?)?;
    let permit = stream::permit(&call.app)?;
    let (sender, receiver) = mpsc::channel(PAGES);
    let (app, tenant, id) = (Arc::clone(&call.app), call.tenant(), run.id);
    drop(tokio::task::spawn_blocking(move || {
        // Begun answers cannot be refused any more: the last line tells of a fault.
        if let Err(problem) = write(&app, tenant, id, &sender) {
            let line = json!({ "kind": "error", "detail": problem.detail });
            let _ = sender.blocking_send(Bytes::from(format!("{line}\n")));
        }
    }));
    let mut response = Response::new(Body::new(Feed::holding(receiver, permit)));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.ndjson\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn write(app: &App, tenant: TenantId, id: RunId, sender: &mpsc::Sender<Bytes>) -> Result<(), Problem> {
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
    if !send(sender, &[first]) {
        return Ok(());
    }
    let mut after = TaskId(0);
    loop {
        let steps = reader.steps(id, after, PAGE)?;
        let lines = steps.iter().map(|step| {
            let mut line = value(&shown::whole_task(app, step)?, "step")?;
            line["step"] = json!(step.origin.as_ref().map(|origin| origin.path.to_string()));
            line["input"] = app.engine().value(&step.input)?;
            Ok(line)
        });
        let lines = lines.collect::<Result<Vec<_>, Problem>>()?;
        after = steps.last().map_or(after, |step| step.id);
        if !send(sender, &lines) || steps.len() < PAGE as usize {
            break;
        }
    }
    let mut from = 0;
    loop {
        let entries = reader.journal(id, from, PAGE)?;
        let lines = entries.iter().map(|entry| value(&runs::entry(entry), "journal"));
        let lines = lines.collect::<Result<Vec<_>, Problem>>()?;
        from = entries.last().map_or(from, |entry| entry.seq + 1);
        if !send(sender, &lines) || entries.len() < PAGE as usize {
            return Ok(());
        }
    }
}

fn value(of: &impl serde::Serialize, kind: &str) -> Result<Value, Problem> {
    let mut line = json!({ "kind": kind });
    let shown = serde_json::to_value(of).map_err(|error| Problem::internal(error.to_string()))?;
    if let (Some(line), Value::Object(shown)) = (line.as_object_mut(), shown) {
        line.extend(shown);
    }
    Ok(line)
}

/// Whether somebody still listens.
fn send(sender: &mpsc::Sender<Bytes>, lines: &[Value]) -> bool {
    if lines.is_empty() {
        return !sender.is_closed();
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    sender.blocking_send(Bytes::from(text)).is_ok()
}
