//! Worker hosts: register, claim, acknowledge, heartbeat.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use kapelle::{
    core::task::Report,
    engine::{ClaimedTask, Command, Reply, Reported, Wanted},
};
use kapelle_api as api;
use serde_json::json as value;

use super::{reports, submission, tasks::WAIT_MAX_MS};
use crate::{
    app::App,
    call::{Call, json, ok},
    hosts::{ALIVE_MS, Host, Introduction},
    problem::Problem,
    route::Answer,
    shown,
};

/// Workers that one host serves.
const WORKERS_MAX: usize = 1_000;
/// Tasks of one claim.
const CLAIM_MAX: u32 = 1_000;
/// Three heartbeats may be lost before a lease is.
const HEARTBEAT_MS: u64 = ALIVE_MS / 3;

/// `POST /api/v1/hosts`
pub async fn register(call: Call) -> Answer {
    let given: api::Register = call.json()?;
    let wrong = |what: String| Err(Problem::unprocessable(what));
    if given.workers.is_empty() || given.workers.len() > WORKERS_MAX {
        return wrong(format!("workers: there are {}, and 1 to {WORKERS_MAX} are possible", given.workers.len()));
    }
    if given.slots == 0 || given.labels.len() > 100 || given.name.len() > 200 {
        return wrong("slots: at least 1; labels: at most 100; name: at most 200 bytes".to_owned());
    }
    let introduction = Introduction {
        tenant: call.tenant(),
        specs: given.workers.iter().map(submission::spec).collect::<Result<_, _>>()?,
        queues: submission::names("queues", &given.queues)?,
        name: given.name,
        slots: given.slots,
        labels: given.labels,
        ack: given.ack,
    };
    let host = call.app.hosts.register(introduction, call.app.steady_ms());
    let host = host.ok_or_else(|| Problem::unavailable("there are as many worker hosts as one tenant may have"))?;
    // Before it is told: a server that is started anew then knows what this host was told that it serves.
    let number = host.id;
    let written = call.app.list(move |app| Ok(app.before.write(&app.hosts, number, app.steady_ms())));
    if let Err(error) = written.await? {
        tracing::warn!(%error, "what worker hosts serve cannot be written down: it is not known after a restart");
    }
    call.app.hub.publish(host.tenant, value!({ "event": "host_joined", "host": id(&host), "name": host.name }));
    json(StatusCode::CREATED, &api::Registered { id: id(&host), lease_ttl_ms: ALIVE_MS, heartbeat_ms: HEARTBEAT_MS })
}

fn id(host: &Host) -> String {
    format!("host_{}", host.id)
}

/// The host of the path. One that is not known is to register again, as after a restart of the server.
fn host(call: &Call) -> Result<Arc<Host>, Problem> {
    let text = call.param("id");
    let number = text.strip_prefix("host_").and_then(|number| number.parse().ok());
    let host = number.and_then(|number| call.app.hosts.get(call.tenant(), number, call.app.steady_ms()));
    host.ok_or_else(|| Problem::not_found(format!("host {}", text.chars().take(40).collect::<String>())))
}

/// `DELETE /api/v1/hosts/{id}`
pub async fn leave(call: Call) -> Answer {
    let host = host(&call)?;
    call.app.hosts.remove(call.tenant(), host.id);
    call.app.hub.publish(host.tenant, value!({ "event": "host_left", "host": id(&host), "name": host.name }));
    ok(&value!({ "id": id(&host) }))
}

/// `POST /api/v1/hosts/{id}/claim`
pub async fn claim(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Claim = call.json()?;
    if !(1..=CLAIM_MAX).contains(&given.max_tasks) || given.wait_ms > WAIT_MAX_MS {
        let detail = format!("max_tasks: 1 to {CLAIM_MAX} are possible; wait_ms: at most {WAIT_MAX_MS}");
        return Err(Problem::unprocessable(detail));
    }
    if call.app.is_draining() {
        return Err(Problem::unavailable("the server is stopping: try again soon"));
    }
    let polling = host.polling();
    let wanted = Wanted { tenant: host.tenant, workers: Arc::clone(&host.workers), queues: Arc::clone(&host.queues) };
    let mut draining = call.app.draining.clone();
    let claimed = call.app.engine().claim(host.id, wanted, given.max_tasks, Duration::from_millis(given.wait_ms));
    let claimed = tokio::select! {
        claimed = claimed => claimed?,
        _ = draining.wait_for(|draining| *draining) => Vec::new(),
    };
    drop(polling);
    host.heard(call.app.steady_ms());
    host.claimed.fetch_add(claimed.len() as u64, std::sync::atomic::Ordering::Relaxed);
    let tasks = claimed.iter().map(|task| task_of(&call.app, task)).collect::<Result<Vec<_>, _>>();
    let leases: Vec<Report> = claimed.iter().map(lease).collect();
    match tasks {
        Ok(tasks) => {
            if host.ack && !leases.is_empty() {
                host.sent(&leases);
                tokio::spawn(take_back(Arc::clone(&call.app), host, leases));
            }
            ok(&api::Claimed { tasks })
        }
        Err(problem) => {
            release(&call.app, leases).await;
            Err(problem)
        }
    }
}

fn lease(task: &ClaimedTask) -> Report {
    Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce }
}

fn task_of(app: &App, task: &ClaimedTask) -> Result<api::ClaimedTask, Problem> {
    Ok(api::ClaimedTask {
        id: task.id.to_string(),
        attempt: task.lease.epoch,
        lease_token: reports::write(&lease(task)),
        lease_ttl_ms: ALIVE_MS,
        timeout_ms: task.timeout.0,
        last_attempt: task.last_attempt,
        worker: task.worker.to_string(),
        run: task.step.as_ref().map(|(run, _)| run.to_string()),
        step: task.step.as_ref().map(|(_, path)| path.clone()),
        input: shown::raw(app, &task.input)?,
    })
}

/// Gives to another what did not arrive, long before its lease is over.
async fn take_back(app: Arc<App>, host: Arc<Host>, leases: Vec<Report>) {
    tokio::time::sleep(app.limits.ack).await;
    release(&app, host.lost(&leases)).await;
}

async fn release(app: &App, leases: Vec<Report>) {
    for report in leases {
        // Reported meanwhile, or taken away: then there is nothing to give back.
        let _ = app.engine().ask(Command::Report { report, reported: Reported::Release }).await;
    }
}

/// `POST /api/v1/hosts/{id}/ack`
pub async fn ack(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Ack = call.json()?;
    let leases = given.lease_tokens.iter().map(|token| reports::read(token)).collect::<Result<Vec<_>, _>>()?;
    host.arrived(leases.iter());
    ok(&value!({}))
}

/// `POST /api/v1/hosts/{id}/heartbeat`
pub async fn heartbeat(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Beat = call.json()?;
    // What cannot be read is no lease: the attempt is to stop.
    let read: Vec<Option<Report>> = given.tasks.iter().map(|task| reports::read(&task.lease_token).ok()).collect();
    let leases: Arc<[Report]> = read.iter().flatten().copied().collect();
    host.arrived(leases.iter());
    let mut alive = if leases.is_empty() {
        Vec::new()
    } else {
        match call.app.engine().ask(Command::Heartbeat { reports: leases }).await? {
            Reply::Alive(alive) => alive,
            _ => return Err(Problem::internal("the loop answered something else")),
        }
    }
    .into_iter();
    let mut cancel = Vec::new();
    for (task, lease) in given.tasks.iter().zip(read) {
        match lease.filter(|_| alive.next().unwrap_or(false)) {
            Some(lease) => {
                if let Some(done) = task.progress {
                    call.app.progress.tell(lease, done, task.message.as_deref());
                }
            }
            None => cancel.push(task.lease_token.clone()),
        }
    }
    ok(&api::BeatAnswer { cancel, lease_ttl_ms: ALIVE_MS })
}
