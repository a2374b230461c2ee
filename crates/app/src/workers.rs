//! Workers and their state.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use kapelle_api as api;
use kapelle_core::{Name, TenantId, task::StateKind, worker::WorkerSpec};
use kapelle_engine::{command, turn::Directory};
use kapelle_gateway::AliasStatus;
use kapelle_store::{GateKind, Reader as _, SqliteReader};

use crate::{
    app::App,
    app_error::AppError,
    backup::DATABASE,
    caller::{Caller, Permission},
    error::Error,
    host_registry::Host,
    to_api,
};

/// Characters of a wrong name that are shown.
const SHOWN: usize = 90;

fn missing(text: &str) -> AppError {
    AppError::not_found(format!("worker {}", text.chars().take(SHOWN).collect::<String>()))
}

/// Numbers of open tasks by worker and state.
type OpenTasks = HashMap<(Name, StateKind), u64>;

/// Returns the names of the workers that hosts of any tenant serve or served. A folder without data has none.
///
/// # Errors
/// When the store fails.
pub fn hosted_workers(folder: &Path) -> Result<Vec<String>, Error> {
    if !folder.join(DATABASE).is_file() {
        return Ok(Vec::new());
    }
    let reader = SqliteReader::open_read_only(folder)?;
    Ok(reader.host_workers()?.into_iter().map(|row| row.spec.name.to_string()).collect())
}

impl App {
    /// Returns the workers that tasks can be submitted to, by name.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub fn workers(&self, by: &Caller) -> Result<api::WorkerList, AppError> {
        by.allow(Permission::Read)?;
        let workers = self.specs(by.tenant).iter().map(|spec| api::Worker::from(&**spec)).collect();
        Ok(api::WorkerList { workers })
    }

    /// Returns a worker.
    ///
    /// # Errors
    /// When the tenant has no worker of that name.
    pub fn worker(&self, by: &Caller, text: &str) -> Result<api::Worker, AppError> {
        by.allow(Permission::Read)?;
        let spec = Name::parse(text).ok().and_then(|name| self.spec(by.tenant, &name));
        Ok(api::Worker::from(&*spec.ok_or_else(|| missing(text))?))
    }

    /// Forgets a worker that only hosts served.
    ///
    /// # Errors
    /// When the worker was never served by a host, or is at the moment.
    pub async fn forget_worker(&self, by: &Caller, text: &str) -> Result<api::Forgotten, AppError> {
        by.allow(Permission::Operate)?;
        let name = Name::parse(text).map_err(|_| missing(text))?;
        let (tenant, hosts) = (by.tenant, &self.memory.hosts);
        hosts.spec(tenant, &name).ok_or_else(|| missing(text))?;
        let serving = hosts.present(tenant, self.steady_ms());
        if serving.iter().any(|host| host.workers.contains(&name)) {
            let message = format!("a worker host serves `{name}` at the moment: end that host first");
            return Err(AppError::conflict(message));
        }
        let command = command::ForgetWorker { tenant, worker: name.clone() };
        self.act(by, "worker.forget", name.as_str(), command).await?;
        hosts.forget(tenant, &name);
        Ok(api::Forgotten { name: name.to_string(), forgotten: true })
    }

    /// Returns the state of the workers, the hosts that serve them, and the scripts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn workers_status(self: &Arc<Self>, by: &Caller) -> Result<api::WorkersStatus, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let mut counts: HashMap<(Name, StateKind), u64> = HashMap::new();
            for count in app.reader().open_tasks(tenant)? {
                *counts.entry((count.worker, count.state)).or_default() += count.tasks;
            }
            let hosts = app.memory.hosts.of(tenant);
            let specs = app.specs(tenant);
            let gates = app.reader().gates(tenant)?;
            let aliases = app.gateway.status();
            let workers = specs.iter().map(|spec| {
                let paused =
                    gates.iter().find(|gate| gate.kind == GateKind::Worker && gate.paused && gate.name == spec.name);
                let model = spec.model.as_ref().map(|alias| {
                    let offline = |status: &&AliasStatus| status.alias == alias.as_str() && !status.live;
                    let mark = if aliases.iter().any(|status| offline(&status)) { " (offline)" } else { "" };
                    format!("{alias}{mark}")
                });
                api::Health {
                    paused: paused.is_some(),
                    paused_reason: paused.map(|gate| gate.reason.to_string()),
                    model,
                    ..app.health_of(tenant, spec, (&counts, &hosts))
                }
            });
            let workers: Vec<api::Health> = workers.collect();
            let active = workers.iter().filter(|worker| worker.state != api::WorkerState::Absent).count();
            Ok(api::WorkersStatus {
                uptime_ms: app.uptime_ms(),
                active: u32::try_from(active).unwrap_or(u32::MAX),
                workers,
                hosts: hosts.iter().map(|host| app.host_info(host)).collect(),
                scripts: app.all_scripts(tenant),
            })
        });
        let mut status = listed.await?;
        if let Some(scripts) = self.described_scripts(tenant).await {
            status.scripts = scripts;
        }
        Ok(status)
    }

    fn health_of(
        &self,
        tenant: TenantId,
        spec: &WorkerSpec,
        (counts, hosts): (&OpenTasks, &[Arc<Host>]),
    ) -> api::Health {
        let count = |state| counts.get(&(spec.name.clone(), state)).copied().unwrap_or(0);
        let now_ms = self.steady_ms();
        let serving = hosts.iter().filter(|host| host.workers.contains(&spec.name) && host.is_alive(now_ms));
        let stats = self.memory.stats.of(tenant, &spec.name);
        let here = self.rest.is_none() && self.engine.registry().local(tenant, &spec.name).is_some();
        let hosts = u32::try_from(serving.count()).unwrap_or(u32::MAX);
        let (running, ended) = (count(StateKind::Running), stats.succeeded + stats.failed);
        let state = match (running > 0, here || hosts > 0) {
            (true, _) => api::WorkerState::Busy,
            (false, true) => api::WorkerState::Idle,
            (false, false) => api::WorkerState::Absent,
        };
        let waiting = [StateKind::Scheduled, StateKind::Retrying, StateKind::Held, StateKind::Parked];
        api::Health {
            name: spec.name.to_string(),
            description: spec.description.clone(),
            source: self.source(tenant, spec),
            state,
            paused: false,
            paused_reason: None,
            model: None,
            queue: spec.queue.to_string(),
            here,
            hosts,
            running,
            ready: count(StateKind::Ready),
            waiting: waiting.into_iter().map(count).sum(),
            succeeded: stats.succeeded,
            failed: stats.failed,
            failure_rate: if ended == 0 { 0.0 } else { stats.failed as f64 / ended as f64 },
            mean_ms: (stats.succeeded > 0).then(|| stats.busy_ms as f64 / stats.succeeded as f64),
            last_run: stats.last_run.map(to_api::time),
            last_success: stats.last_success.map(to_api::time),
            last_error: stats.last_error.as_deref().map(str::to_owned),
        }
    }

    /// Returns the origin of a worker.
    fn source(&self, tenant: TenantId, spec: &WorkerSpec) -> api::WorkerSource {
        let name = spec.name.as_str();
        let shipped = self.shipped.get(name);
        if self.engine.registry().spec(tenant, &spec.name).is_none() {
            api::WorkerSource::Host
        } else if shipped.is_some_and(|shipped| shipped.spec() == spec) {
            api::WorkerSource::BuiltIn
        } else if self.is_described(&spec.name) || self.all_scripts(tenant).iter().any(|script| script.name == name) {
            api::WorkerSource::Script
        } else if !spec.version.is_empty() {
            api::WorkerSource::File
        } else {
            api::WorkerSource::Program
        }
    }

    fn host_info(&self, host: &Host) -> api::HostInfo {
        let now_ms = self.steady_ms();
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
}
