//! Liveness, readiness and health of the server.

use axum::http::StatusCode;
use kapelle_api::{Alive, HealthStatus};

use crate::{
    call::{Call, json, ok, text},
    exposition::MEDIA,
    metrics,
    route::Answer,
};

/// `GET /livez`
pub async fn live(_call: Call) -> Answer {
    ok(&Alive { status: HealthStatus::Ok })
}

/// `GET /readyz`
pub async fn ready(call: Call) -> Answer {
    call.app.ready().await?;
    ok(&Alive { status: HealthStatus::Ok })
}

/// `GET /health`
pub async fn health(call: Call) -> Answer {
    let health = call.app.health();
    let well = !matches!(health.status, HealthStatus::Stopping | HealthStatus::Critical);
    json(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
}

/// `GET /api/v1/config`
pub async fn config(call: Call) -> Answer {
    ok(&call.app.config_report(&call.who).await?)
}

/// `GET /api/v1/doctor`
pub async fn doctor(call: Call) -> Answer {
    ok(&call.app.doctor(&call.who).await?)
}

/// `GET /metrics`
pub async fn metrics(call: Call) -> Answer {
    let site = std::sync::Arc::clone(&call.site);
    let scraped = call.app.list(move |_| Ok(metrics::scrape(&site))).await??;
    Ok(text(StatusCode::OK, MEDIA, scraped))
}
