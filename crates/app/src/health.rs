//! Liveness, readiness and health of the application. They need no key and therefore reveal nobody's data.

use std::sync::{Arc, atomic::Ordering};

use kapelle_api::{self as api, LiveKind};
use kapelle_core::TenantId;

use crate::{app::App, app_error::AppError};

/// Time for which one check of the store is valid, in milliseconds.
const FRESH_MS: u64 = 100;
const FIRST: kapelle_store::Page = kapelle_store::Page { before: None, most: 1 };

impl App {
    /// Checks whether requests can be answered now.
    ///
    /// # Errors
    /// When the application is draining, the store does not answer, or a critical check fails.
    pub async fn ready(self: &Arc<Self>) -> Result<(), AppError> {
        if self.is_draining() {
            return Err(AppError::unavailable("the server is stopping"));
        }
        if !self.store_answers().await {
            return Err(AppError::unavailable("the store does not answer"));
        }
        let failing = self.checks().into_iter().find(|checked| checked.status == api::HealthStatus::Critical);
        match failing {
            None => Ok(()),
            Some(check) => Err(AppError::unavailable(format!("the check `{}` fails: {}", check.name, check.reason))),
        }
    }

    /// Says whether the store answers. Anybody may ask, so simultaneous requests share one check.
    async fn store_answers(self: &Arc<Self>) -> bool {
        let mut last = self.memory.store_answered.lock().await;
        let now_ms = self.steady_ms();
        if let Some((at_ms, answered)) = *last
            && now_ms.saturating_sub(at_ms) < FRESH_MS
        {
            return answered;
        }
        let read = self.list(|app| Ok(app.reader().versions(TenantId::DEFAULT, None, FIRST)?)).await;
        *last = Some((self.steady_ms(), read.is_ok()));
        read.is_ok()
    }

    /// Returns the built-in checks that fail, then the latest results of the health checks of the configuration.
    #[must_use]
    pub fn checks(&self) -> Vec<api::CheckResult> {
        let mut checks = self.failing_built_in();
        checks.extend(self.memory.checks.results(self.steady_ms(), self.settings().checks.is_empty()));
        checks
    }

    /// Returns the overall health.
    #[must_use]
    pub fn health(&self) -> api::ServerHealth {
        let checks = self.checks();
        let worst = |status| checks.iter().any(|checked| checked.status == status);
        let critical = worst(api::HealthStatus::Critical);
        let status = match (self.is_draining(), critical, worst(api::HealthStatus::Warning)) {
            (true, ..) => api::HealthStatus::Stopping,
            (_, true, _) => api::HealthStatus::Critical,
            (.., true) => api::HealthStatus::Warning,
            _ => api::HealthStatus::Ok,
        };
        api::ServerHealth {
            status,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: self.uptime_ms(),
            workers: api::WorkerCounts {
                here: self.engine.registry().specs(TenantId::DEFAULT).len(),
                scripts: self.script_counts(),
            },
            hosts: api::HostCounts { alive: self.alive_hosts() },
            checks,
        }
    }

    /// Returns the number of alive worker hosts of all tenants.
    #[must_use]
    pub fn alive_hosts(&self) -> u64 {
        self.memory.hosts.alive(self.steady_ms())
    }

    /// Publishes which hosts fell silent, and which came back.
    pub(crate) fn look_at_hosts(&self) {
        let now_ms = self.steady_ms();
        for host in self.memory.hosts.every() {
            let alive = host.is_alive(now_ms);
            if host.present.swap(alive, Ordering::Relaxed) != alive {
                self.tell_of_host(&host, if alive { LiveKind::HostBack } else { LiveKind::HostLost });
            }
        }
    }

    /// Returns the open tasks by lane and tenant, and the number of open runs of all tenants.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open_work(&self) -> Result<(Vec<api::OpenTasks>, u64), AppError> {
        let reader = self.reader();
        let mut open = Vec::new();
        for tenant in reader.busy_tenants()? {
            for count in reader.open_tasks(tenant)? {
                open.push(api::OpenTasks {
                    tenant: tenant.0,
                    queue: count.queue.to_string(),
                    worker: count.worker.to_string(),
                    state: crate::to_api::state(count.state),
                    tasks: count.tasks,
                });
            }
        }
        Ok((open, reader.open_run_count()?))
    }
}
