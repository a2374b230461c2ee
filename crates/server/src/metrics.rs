//! The content of `/metrics`. Labels never contain ids.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use kapelle_api::HealthStatus;
use kapelle_app::Measures;
use kapelle_core::Money;

use crate::{
    exposition::{Exposition, seconds},
    problem::Problem,
    site::Site,
};

/// Counters that are updated as things happen.
#[derive(Debug, Default)]
pub struct Metrics {
    classes: [AtomicU64; 6],
    refused_connections: AtomicU64,
}

impl Metrics {
    /// Counts a response.
    pub fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.classes.get(usize::from(status.as_u16() / 100)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection that was refused.
    pub fn refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the text for a scrape. Tasks, calls and budgets are read from the store, so the numbers are current.
pub fn scrape(site: &Site) -> Result<String, Problem> {
    let measures = site.app.measures()?;
    let mut all = Exposition::default();
    of_server(site, &mut all);
    of_tasks(&measures, &mut all);
    of_models(&measures, &mut all);
    of_scripts(&measures, &mut all);
    of_store(&measures, &mut all);
    Ok(all.into_text())
}

fn of_server(site: &Site, all: &mut Exposition) {
    let app = &site.app;
    let mut requests = all.counters("http_requests_total", "Requests answered, by class of status");
    for (class, counter) in site.metrics.classes.iter().enumerate().skip(1) {
        requests.add(&[("class", &format!("{class}xx"))], counter.load(Ordering::Relaxed));
    }
    let refused = site.metrics.refused_connections.load(Ordering::Relaxed);
    all.counters("refused_connections_total", "Connections refused because there were too many").add(&[], refused);
    all.gauges("connections", "Open connections").add(&[], site.connections.count());
    all.gauges("uptime_seconds", "Time since the start").add(&[], app.uptime_ms() / 1_000);
    all.gauges("hosts", "Worker hosts that are alive").add(&[], app.alive_hosts());
    let mut checks = all.gauges(
        "health_check_failing",
        "1 while a health check fails: one of the configuration, or a built-in one, which is absent while it passes",
    );
    for checked in app.checks() {
        checks.add(&[("check", &checked.name)], i32::from(checked.status != HealthStatus::Ok));
    }
}

fn of_tasks(measures: &Measures, all: &mut Exposition) {
    let mut ended = all.counters("tasks_ended_total", "Tasks that ended since the start");
    for (worker, succeeded, failed) in &measures.ended {
        for (outcome, count) in [("succeeded", succeeded), ("failed", failed)] {
            ended.add(&[("worker", worker), ("outcome", outcome)], count);
        }
    }
    let mut open = all.gauges("tasks_open", "Tasks that have not ended, by tenant");
    for depth in &measures.queues {
        let tenant = depth.tenant.to_string();
        open.add(&[("tenant", &tenant), ("queue", &depth.queue), ("state", depth.state.as_str())], depth.tasks);
    }
    let mut oldest = all.gauges("oldest_task_age_seconds", "Age of the oldest open task since its submission");
    for depth in &measures.queues {
        let tenant = depth.tenant.to_string();
        let labels = [("tenant", tenant.as_str()), ("queue", &depth.queue), ("state", depth.state.as_str())];
        oldest.add(&labels, seconds(depth.oldest_ms));
    }
    all.gauges("runs_open", "Runs that have not ended, of all tenants").add(&[], measures.open_runs);
    let help = "Time from submission to the start of the attempt that succeeded";
    let mut waits = all.histograms("task_wait_seconds", help);
    for (queue, histogram) in &measures.waits {
        waits.spread(("queue", queue), histogram);
    }
    let mut durations = all.histograms("task_duration_seconds", "Duration of attempts that succeeded");
    for (worker, histogram) in &measures.durations {
        durations.spread(("worker", worker), histogram);
    }
    let mut slots = all.gauges("host_slots", "Slots of the worker hosts that are alive, by tenant");
    for (tenant, count) in &measures.host_slots {
        slots.add(&[("tenant", &tenant.to_string())], count);
    }
}

fn of_models(measures: &Measures, all: &mut Exposition) {
    let mut calls = all.counters("model_calls_total", "Settled calls of models, since the folder was made");
    for (model, total) in &measures.models {
        calls.add(&[("model", model)], total.calls);
    }
    let mut tokens = all.counters("model_tokens_total", "Tokens of settled calls, since the folder was made");
    for (model, total) in &measures.models {
        tokens.add(&[("model", model), ("direction", "input")], total.input_tokens);
        tokens.add(&[("model", model), ("direction", "output")], total.output_tokens);
    }
    let mut cost = all.counters("model_cost_dollars_total", "Cost of settled calls, since the folder was made");
    for (model, total) in &measures.models {
        cost.add(&[("model", model)], dollars(total.cost));
    }
    let help = "Calls that failed at the provider since the start: failed for a passing reason, or refused";
    let mut errors = all.counters("provider_errors_total", help);
    for link in &measures.links {
        errors.add(&[("model", &link.link), ("kind", "failed")], link.failed);
        errors.add(&[("model", &link.link), ("kind", "refused")], link.refused);
    }
    let help = "1 while calls are held back, after failures or because the provider named a wait";
    let mut held = all.gauges("provider_held_back", help);
    for link in &measures.links {
        held.add(&[("model", &link.link)], i32::from(link.held_back));
    }
    let mut limits = all.gauges("budget_limit_dollars", "Limit of a budget; `day` is that of today (UTC)");
    for budget in &measures.budgets {
        limits.add(&[("tenant", &budget.tenant.to_string()), ("account", &budget.account)], dollars(budget.limit));
    }
    let mut used = all.gauges("budget_used_dollars", "Spending of a budget; `day` is that of today (UTC)");
    for budget in &measures.budgets {
        used.add(&[("tenant", &budget.tenant.to_string()), ("account", &budget.account)], dollars(budget.spent));
    }
}

fn of_scripts(measures: &Measures, all: &mut Exposition) {
    let mut processes = all.gauges("script_processes", "Processes of scripts, by state");
    for (state, count) in &measures.processes {
        processes.add(&[("state", state)], count);
    }
    let mut restarts = all.counters("script_restarts_total", "Restarts of processes since the start, by script");
    for (script, count) in &measures.restarts {
        restarts.add(&[("script", script)], count);
    }
}

fn of_store(measures: &Measures, all: &mut Exposition) {
    let disk = measures.disk;
    all.gauges("store_database_bytes", "Length of the database").add(&[], disk.database);
    all.gauges("store_log_bytes", "Length of the write-ahead log of the database").add(&[], disk.log);
    let mut free = all.gauges("store_disk_free_bytes", "Bytes that may still be written to the disk of the state");
    if let Some(bytes) = disk.free() {
        free.add(&[], bytes);
    }
}

/// Converts an amount to dollars. Metrics are floating-point numbers; the ledger is not.
fn dollars(amount: Money) -> f64 {
    amount.0 as f64 / 1e9
}
