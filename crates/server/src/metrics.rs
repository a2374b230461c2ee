//! The content of `/metrics`, in the text format of Prometheus. Labels never contain ids.

use axum::http::StatusCode;
use kapelle_api::HealthStatus;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{problem::Problem, site::Site};

type Labels<const N: usize> = [(&'static str, String); N];

/// Counters that are updated as things happen.
#[derive(Debug, Default)]
pub struct Metrics {
    classes: [Counter; 6],
    pub refused_connections: Counter,
}

impl Metrics {
    /// Counts a response.
    pub fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.classes.get(usize::from(status.as_u16() / 100)) {
            counter.inc();
        }
    }
}

/// Returns the text for a scrape. Tasks are counted in the store, so the numbers are current.
pub fn scrape(site: &Site) -> Result<String, Problem> {
    let app = &site.app;
    let mut registry = Registry::with_prefix("kapelle");
    let requests = Family::<Labels<1>, Counter>::default();
    for (class, counter) in site.metrics.classes.iter().enumerate().skip(1) {
        requests.get_or_create(&[("class", format!("{class}xx"))]).inc_by(counter.get());
    }
    registry.register("http_requests", "Requests answered, by class of status", requests);
    let refused = site.metrics.refused_connections.clone();
    registry.register("refused_connections", "Connections refused because there were too many", refused);
    let gauge = |value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    registry.register("connections", "Open connections", gauge(site.connections.count() as u64));
    registry.register("hosts", "Worker hosts that are alive", gauge(app.alive_hosts()));
    let uptime = gauge(app.uptime_ms() / 1_000);
    registry.register("uptime_seconds", "Time since the start", uptime);
    let ended = Family::<Labels<2>, Counter>::default();
    for (worker, succeeded, failed) in app.ended_by_worker() {
        for (outcome, count) in [("succeeded", succeeded), ("failed", failed)] {
            ended.get_or_create(&[("worker", worker.to_string()), ("outcome", outcome.to_owned())]).inc_by(count);
        }
    }
    registry.register("tasks_ended", "Tasks that ended since the start", ended);
    let (work, runs) = app.open_work()?;
    let open = Family::<Labels<3>, Gauge>::default();
    for count in work {
        let state = count.state.to_string();
        let labels = [("tenant", count.tenant.to_string()), ("queue", count.queue), ("state", state)];
        open.get_or_create(&labels).inc_by(i64::try_from(count.tasks).unwrap_or(i64::MAX));
    }
    registry.register("tasks_open", "Tasks that have not ended, by tenant", open);
    registry.register("runs_open", "Runs that have not ended, of all tenants", gauge(runs));
    let checks = Family::<Labels<1>, Gauge>::default();
    for checked in app.checks() {
        checks.get_or_create(&[("check", checked.name)]).set(i64::from(checked.status != HealthStatus::Ok));
    }
    registry.register("health_check_failing", "1 while a health check of the configuration fails", checks);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(text)
}
