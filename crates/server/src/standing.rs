//! The duty that looks once a second: which hosts came and went without a word, and whether the checks that the user of
//! the server set up hold.

use std::{
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use kapelle::{
    HealthCheck, Measure,
    core::{Name, task::StateKind},
    store::LaneCount,
};
use serde::Serialize;

use crate::{app::App, handlers::hosts, problem::Problem};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Results that are older are no results: the store did not answer meanwhile.
const STALE_MS: u64 = 10_000;

/// How a check stands.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// `ok`, `warning` or `critical`.
    pub status: &'static str,
    /// What was measured.
    pub value: f64,
    /// Why it is as it is.
    pub reason: String,
}

/// The checks and their last results.
#[derive(Debug, Default)]
pub struct Checks {
    checks: Vec<HealthCheck>,
    last: RwLock<(u64, Vec<Checked>)>,
}

impl Checks {
    /// Checks that have not been looked at.
    pub fn new(checks: Vec<HealthCheck>, now_ms: u64) -> Checks {
        Checks { checks, last: RwLock::new((now_ms, Vec::new())) }
    }

    /// The last results; one that says so when there are none of late.
    pub fn results(&self, now_ms: u64) -> Vec<Checked> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let age = now_ms.saturating_sub(last.0);
        if self.checks.is_empty() || age <= STALE_MS {
            return last.1.clone();
        }
        let reason = format!("the checks could not be made for {} s: the store does not answer", age / 1_000);
        vec![Checked { name: "checks".to_owned(), status: "critical", value: age as f64 / 1_000.0, reason }]
    }

    /// Whether one that is critical fails.
    pub fn critical(&self, now_ms: u64) -> Option<Checked> {
        self.results(now_ms).into_iter().find(|checked| checked.status == "critical")
    }
}

/// Looks until the server ends.
pub async fn watch(app: Arc<App>) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        look_at_hosts(&app);
        hosts::evict(&app).await;
        if !app.checks.checks.is_empty() {
            let results = app.list(measure).await;
            match results {
                Ok(results) => {
                    *app.checks.last.write().unwrap_or_else(PoisonError::into_inner) = (app.steady_ms(), results);
                }
                Err(problem) => tracing::warn!(detail = %problem.detail, "the health checks could not be made"),
            }
        }
    }
}

/// Tells of hosts that fell silent, and of those that were heard of again.
fn look_at_hosts(app: &App) {
    let now_ms = app.steady_ms();
    for host in app.hosts.every() {
        let alive = host.is_alive(now_ms);
        if host.present.swap(alive, Ordering::Relaxed) != alive {
            hosts::tell(app, &host, if alive { "host_back" } else { "host_lost" });
        }
    }
}

fn measure(app: &App) -> Result<Vec<Checked>, Problem> {
    let reader = app.engine().reader();
    let mut open: Vec<LaneCount> = Vec::new();
    for tenant in reader.busy_tenants()? {
        open.extend(reader.open_tasks(tenant)?);
    }
    let runs = reader.open_run_count()?;
    Ok(app.checks.checks.iter().map(|check| judge(app, check, &open, runs)).collect())
}

fn judge(app: &App, check: &HealthCheck, open: &[LaneCount], runs: u64) -> Checked {
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
        Measure::Hosts => (app.hosts.alive(app.steady_ms()) as f64, "worker hosts are alive".to_owned()),
        Measure::FailureRate => {
            let (failed, ended) = app.stats.recent(&Name::new(of.unwrap_or_default()));
            if ended < check.at_least {
                let reason = format!("{ended} tasks{shown} have ended, and {} are needed to judge", check.at_least);
                return Checked { name: check.name.clone(), status: "ok", value: 0.0, reason };
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
        (false, _) => "ok",
        (true, false) => "warning",
        (true, true) => "critical",
    };
    Checked { name: check.name.clone(), status, value, reason }
}
