//! Workers and how they are doing.

use std::{collections::HashMap, sync::Arc};

use kapelle::{
    WorkerSpec,
    core::{Name, task::StateKind},
    engine::{command, turn::Directory},
};
use kapelle_api as api;

use crate::{
    app::App,
    call::{Call, ok},
    hosts::Host,
    problem::Problem,
    route::Answer,
    shown,
};

/// `GET /api/v1/workers`
pub async fn list(call: Call) -> Answer {
    let workers = call.app.specs(call.tenant()).iter().map(|spec| shown::worker(spec)).collect();
    ok(&api::WorkerList { workers })
}

/// `GET /api/v1/workers/{name}`
pub async fn get(call: Call) -> Answer {
    let text = call.param("name");
    let name = Name::parse(text).ok();
    let spec = name.and_then(|name| call.app.spec(call.tenant(), &name));
    let spec =
        spec.ok_or_else(|| Problem::not_found(format!("worker {}", text.chars().take(90).collect::<String>())))?;
    ok(&shown::worker(&spec))
}

/// `DELETE /api/v1/workers/{name}`
pub async fn forget(call: Call) -> Answer {
    let text = call.param("name");
    let missing = || Problem::not_found(format!("worker {}", text.chars().take(90).collect::<String>()));
    let name = Name::parse(text).map_err(|_| missing())?;
    let tenant = call.tenant();
    call.app.hosts.spec(tenant, &name).ok_or_else(missing)?;
    let serving = call.app.hosts.present(tenant, call.app.steady_ms());
    if serving.iter().any(|host| host.workers.contains(&name)) {
        return Err(Problem::conflict(format!("a worker host serves `{name}` at the moment: end that host first")));
    }
    let command = command::ForgetWorker { tenant, worker: name.clone() };
    call.app.act(&call.who, "worker.forget", name.as_str(), command).await?;
    call.app.hosts.forget(tenant, &name);
    ok(&serde_json::json!({ "name": name.as_str(), "forgotten": true }))
}

/// `GET /workers/status`
pub async fn status(call: Call) -> Answer {
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let mut counts: HashMap<(Name, StateKind), u64> = HashMap::new();
        for count in app.engine().reader().open_tasks(tenant)? {
            *counts.entry((count.worker, count.state)).or_default() += count.tasks;
        }
        let hosts = app.hosts.of(tenant);
        let now_ms = app.steady_ms();
        let health = |spec: &Arc<WorkerSpec>| {
            let count = |state| counts.get(&(spec.name.clone(), state)).copied().unwrap_or(0);
            let serving = hosts.iter().filter(|host| host.workers.contains(&spec.name) && host.is_alive(now_ms));
            let stats = app.stats.of(tenant, &spec.name);
            let here = app.engine().registry().local(tenant, &spec.name).is_some();
            let hosts = u32::try_from(serving.count()).unwrap_or(u32::MAX);
            let (running, ended) = (count(StateKind::Running), stats.succeeded + stats.failed);
            api::Health {
                name: spec.name.to_string(),
                state: if running > 0 {
                    "busy"
                } else if here || hosts > 0 {
                    "idle"
                } else {
                    "absent"
                }
                .to_owned(),
                queue: spec.queue.to_string(),
                here,
                hosts,
                running,
                ready: count(StateKind::Ready),
                succeeded: stats.succeeded,
                failed: stats.failed,
                failure_rate: if ended == 0 { 0.0 } else { stats.failed as f64 / ended as f64 },
                mean_ms: (stats.succeeded > 0).then(|| stats.busy_ms as f64 / stats.succeeded as f64),
                last_run: stats.last_run.map(shown::time),
                last_success: stats.last_success.map(shown::time),
                last_error: stats.last_error.as_deref().map(str::to_owned),
            }
        };
        // Scripts are those of the folder's owner.
        let scripts = app.kapelle.fleet().filter(|_| tenant == kapelle::core::TenantId::DEFAULT);
        let workers: Vec<api::Health> = app.specs(tenant).iter().map(health).collect();
        let active = workers.iter().filter(|worker| worker.state != "absent").count();
        Ok(api::WorkersStatus {
            uptime_ms: now_ms - app.started_ms,
            active: u32::try_from(active).unwrap_or(u32::MAX),
            workers,
            hosts: hosts.iter().map(|host| info(app, host)).collect(),
            scripts: scripts.map(|fleet| super::scripts::all(app, fleet)).unwrap_or_default(),
        })
    });
    ok(&shown.await?)
}

fn info(app: &App, host: &Host) -> api::HostInfo {
    use std::sync::atomic::Ordering::Relaxed;
    let now_ms = app.steady_ms();
    api::HostInfo {
        id: host.shown_id(),
        name: host.name.clone(),
        slots: host.slots,
        workers: host.workers.iter().map(ToString::to_string).collect(),
        queues: host.queues.iter().map(ToString::to_string).collect(),
        labels: (*host.labels).clone(),
        alive: host.is_alive(now_ms),
        silent_ms: host.silent_ms(now_ms),
        claimed: host.claimed.load(Relaxed),
        succeeded: host.succeeded.load(Relaxed),
        failed: host.failed.load(Relaxed),
    }
}
