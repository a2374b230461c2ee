//! Whether the server lives, is ready, and how it is. Without a key: so nothing is told of anybody's data.

use std::sync::Arc;

use axum::http::StatusCode;
use kapelle::core::TenantId;
use serde_json::json as value;

use crate::{
    app::App,
    call::{Call, json, ok, text},
    metrics,
    problem::Problem,
    route::Answer,
};

/// `GET /livez`
pub async fn live(_call: Call) -> Answer {
    ok(&value!({ "status": "ok" }))
}

/// `GET /readyz`
pub async fn ready(call: Call) -> Answer {
    if call.app.is_draining() {
        return Err(Problem::unavailable("the server is stopping"));
    }
    if !stored(&call.app).await {
        return Err(Problem::unavailable("the store does not answer"));
    }
    match call.app.checks.critical(call.app.steady_ms()) {
        None => ok(&value!({ "status": "ok" })),
        Some(check) => Err(Problem::unavailable(format!("the check `{}` fails: {}", check.name, check.reason))),
    }
}

/// Whether the store answers. Asked for anybody, so those who ask at once share one look.
async fn stored(app: &Arc<App>) -> bool {
    let mut last = app.store_answered.lock().await;
    let now_ms = app.steady_ms();
    if let Some((at_ms, answered)) = *last
        && now_ms.saturating_sub(at_ms) < FRESH_MS
    {
        return answered;
    }
    let read = app.list(|app| Ok(app.engine().reader().versions(TenantId::DEFAULT, None, FIRST)?)).await;
    *last = Some((app.steady_ms(), read.is_ok()));
    read.is_ok()
}

/// How long one look at the store is good for.
const FRESH_MS: u64 = 100;
const FIRST: kapelle::store::Page = kapelle::store::Page { before: None, most: 1 };

/// `GET /health`
pub async fn health(call: Call) -> Answer {
    let app = &call.app;
    let draining = app.is_draining();
    let mut workers = value!({ "here": app.engine().registry().specs(TenantId::DEFAULT).len() });
    if let Some(fleet) = app.kapelle.fleet() {
        workers["scripts"] = serde_json::to_value(fleet.counts()).unwrap_or_default();
    }
    let checks = app.checks.results(app.steady_ms());
    let worst = |status: &str| checks.iter().any(|checked| checked.status == status);
    let status = match (draining, worst("critical"), worst("warning")) {
        (true, ..) => "stopping",
        (_, true, _) => "critical",
        (.., true) => "warning",
        _ => "ok",
    };
    let body = value!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_ms": app.steady_ms() - app.started_ms,
        "workers": workers,
        "hosts": { "alive": app.hosts.alive(app.steady_ms()) },
        "checks": checks,
    });
    json(if draining || status == "critical" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &body)
}

/// `GET /metrics`
pub async fn metrics(call: Call) -> Answer {
    let scraped = call.app.list(metrics::scrape).await?;
    Ok(text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", scraped))
}
