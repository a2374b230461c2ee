//! Queues.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use axum::http::StatusCode;
use kapelle::{
    core::{Name, task::StateKind},
    engine::command,
    store::{GateKind, Lane, LaneCount},
};
use kapelle_api as api;

use crate::{
    call::{Call, json, ok},
    problem::Problem,
    route::Answer,
    serving::{self, OTHER_SLOTS},
};

/// Warnings of one queue: there may be as many as there are workers.
const WARNINGS_MAX: usize = 20;

/// `GET /api/v1/queues`
pub async fn list(call: Call) -> Answer {
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let set_up = app.queues.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut queues: BTreeMap<Name, api::Queue> = BTreeMap::new();
        let fresh = |name: &Name| {
            let (slots, paused) = set_up.get(name).copied().unwrap_or((OTHER_SLOTS, false));
            let listeners = serving::listeners(app, tenant, name);
            let warnings = Vec::new();
            api::Queue { name: name.to_string(), slots, paused, ready: 0, running: 0, waiting: 0, listeners, warnings }
        };
        for name in set_up.keys() {
            queues.insert(name.clone(), fresh(name));
        }
        for gate in app.engine().reader().gates(tenant)?.into_iter().filter(|gate| gate.kind == GateKind::Queue) {
            queues.entry(gate.name.clone()).or_insert_with(|| fresh(&gate.name)).paused = gate.paused;
        }
        for count in app.engine().reader().open_tasks(tenant)? {
            let queue = queues.entry(count.queue.clone()).or_insert_with(|| fresh(&count.queue));
            match count.state {
                StateKind::Ready => {
                    queue.ready += count.tasks;
                    let LaneCount { queue: name, worker, requires, .. } = count;
                    let warning = serving::reason(app, &Lane { tenant, queue: name, worker, requires });
                    queue.warnings.extend(warning.filter(|_| queue.warnings.len() < WARNINGS_MAX));
                }
                StateKind::Running => queue.running += count.tasks,
                _ => queue.waiting += count.tasks,
            }
        }
        Ok(api::QueueList { queues: queues.into_values().collect() })
    });
    ok(&shown.await?)
}

/// `POST /api/v1/queues/{name}/pause`
pub async fn pause(call: Call) -> Answer {
    set(call, GateKind::Queue, true).await
}

/// `POST /api/v1/queues/{name}/resume`
pub async fn resume(call: Call) -> Answer {
    set(call, GateKind::Queue, false).await
}

/// `POST /api/v1/workers/{name}/pause`
pub async fn pause_worker(call: Call) -> Answer {
    set(call, GateKind::Worker, true).await
}

/// `POST /api/v1/workers/{name}/resume`
pub async fn resume_worker(call: Call) -> Answer {
    set(call, GateKind::Worker, false).await
}

async fn set(call: Call, kind: GateKind, paused: bool) -> Answer {
    let text = call.param("name");
    let name = Name::parse(text).map_err(|error| Problem::unprocessable(error.to_string()))?;
    let given: api::Reason = call.json()?;
    let by = format!("by {}", call.who.actor);
    let reason = match given.reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) => format!("{} ({by})", reason.chars().take(500).collect::<String>()),
        None => by,
    };
    let command = command::Pause { tenant: call.tenant(), kind, name: name.clone(), paused, reason: Arc::from(reason) };
    let action = format!("{}.{}", kind.as_str(), if paused { "pause" } else { "resume" });
    call.app.act(&call.who, &action, name.as_str(), command).await?;
    json(StatusCode::OK, &serde_json::json!({ "name": name.as_str(), "paused": paused }))
}
