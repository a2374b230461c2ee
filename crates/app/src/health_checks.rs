//! The check that runs once a second: hosts that fell silent or came back, and the health checks of the server's user.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use kapelle_api::{CheckResult, HealthStatus};
use kapelle_core::{Name, task::StateKind};
use kapelle_store::LaneCount;

use crate::{
    app::App,
    app_error::AppError,
    health_config::{HealthCheck, Measure},
};

/// Interval between two checks.
const EVERY: Duration = Duration::from_secs(1);
/// Age above which results are invalid, in milliseconds: the store did not answer meanwhile.
const STALE_MS: u64 = 10_000;

/// The latest results of the checks.
#[derive(Debug, Default)]
pub(crate) struct Results(RwLock<(u64, Vec<CheckResult>)>);

impl Results {
    /// Makes results before the first check.
    pub(crate) fn new(now_ms: u64) -> Results {
        Results(RwLock::new((now_ms, Vec::new())))
    }

    /// Returns the latest results; one that reports their age when they are too old.
    pub(crate) fn results(&self, now_ms: u64, no_checks: bool) -> Vec<CheckResult> {
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let age = now_ms.saturating_sub(last.0);
        if no_checks || age <= STALE_MS {
            return last.1.clone();
        }
        let reason = format!("the checks could not be made for {} s: the store does not answer", age / 1_000);
        let (name, value) = ("checks".to_owned(), age as f64 / 1_000.0);
        vec![CheckResult { name, status: HealthStatus::Critical, value, reason }]
    }
}

impl App {
    /// Runs the checks until the future is dropped.
    pub async fn look_after(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            self.look_at_hosts();
            self.evict_hosts().await;
            self.look_at_built_in().await;
            let settings = self.settings();
            if settings.checks.is_empty() {
                continue;
            }
            match self.list(move |app| measure(app, &settings.checks)).await {
                Ok(results) => {
                    *self.memory.checks.0.write().unwrap_or_else(PoisonError::into_inner) = (self.steady_ms(), results);
                }
                Err(error) => tracing::warn!(%error, "the health checks could not run"),
            }
        }
    }
}

fn measure(app: &App, checks: &[HealthCheck]) -> Result<Vec<CheckResult>, AppError> {
    let reader = app.reader();
    let mut open: Vec<LaneCount> = Vec::new();
    for tenant in reader.busy_tenants()? {
        open.extend(reader.open_tasks(tenant)?);
    }
    let runs = reader.open_run_count()?;
    Ok(checks.iter().map(|check| judge(app, check, &open, runs)).collect())
}

fn judge(app: &App, check: &HealthCheck, open: &[LaneCount], runs: u64) -> CheckResult {
    let of = check.of.as_deref();
    let named = |name: &Name| of.is_none_or(|of| name.as_str() == of);
    let count = |wanted: &dyn Fn(&LaneCount) -> bool| -> f64 {
        open.iter().filter(|count| wanted(count)).map(|count| count.tasks).sum::<u64>() as f64
    };
    let shown = of.map_or_else(String::new, |of| format!(" of `{of}`"));
    let (value, what) = match check.measure {
        Measure::ActiveRuns => (runs as f64, "active runs".to_owned()),
        Measure::QueueDepth => {
            let waits = |count: &LaneCount| count.state == StateKind::Ready && named(&count.queue);
            (count(&waits), format!("tasks{shown} wait for a slot"))
        }
        Measure::RunningTasks => {
            let runs =
                |count: &LaneCount| count.state == StateKind::Running && (named(&count.queue) || named(&count.worker));
            (count(&runs), format!("tasks{shown} are under way"))
        }
        Measure::Hosts => (app.alive_hosts() as f64, "worker hosts are alive".to_owned()),
        Measure::FailureRate => {
            let (failed, ended) = app.memory.stats.recent(&Name::new(of.unwrap_or_default()));
            if ended < check.at_least {
                let reason = format!("{ended} tasks{shown} have ended, and {} are needed to judge", check.at_least);
                return CheckResult { name: check.name.clone(), status: HealthStatus::Ok, value: 0.0, reason };
            }
            (f64::from(failed) / f64::from(ended), format!("of the last {ended} tasks{shown} failed"))
        }
    };
    let (fails, bound) = match (check.over, check.under) {
        (Some(over), _) => (value > over, format!("more than {over}")),
        (None, under) => (value < under.unwrap_or(0.0), format!("fewer than {}", under.unwrap_or(0.0))),
    };
    let amount =
        if check.measure == Measure::FailureRate { format!("{:.0} %", value * 100.0) } else { value.to_string() };
    let reason = if fails { format!("{amount} {what}, {bound}") } else { format!("{amount} {what}") };
    let status = match (fails, check.critical) {
        (false, _) => HealthStatus::Ok,
        (true, false) => HealthStatus::Warning,
        (true, true) => HealthStatus::Critical,
    };
    CheckResult { name: check.name.clone(), status, value, reason }
}
