//! Schedules.

use axum::http::StatusCode;

use crate::{
    call::{Call, json, ok},
    route::Answer,
};

/// `GET /api/v1/schedules`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.schedules(&call.who, call.query()?).await?)
}

/// `POST /api/v1/schedules`
pub async fn create(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.create_schedule(&call.who, call.json()?).await?)
}

/// `GET /api/v1/schedules/{name}`
pub async fn get(call: Call) -> Answer {
    ok(&call.app.schedule(&call.who, call.param("name")).await?)
}

/// `GET /api/v1/schedules/{name}/next`
pub async fn next(call: Call) -> Answer {
    ok(&call.app.next_fires(&call.who, call.param("name"), call.query()?).await?)
}

/// `POST /api/v1/schedules/{name}/pause`
pub async fn pause(call: Call) -> Answer {
    ok(&call.app.pause_schedule(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/schedules/{name}/resume`
pub async fn resume(call: Call) -> Answer {
    ok(&call.app.resume_schedule(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/schedules/{name}/fire`
pub async fn fire(call: Call) -> Answer {
    ok(&call.app.fire_schedule(&call.who, call.param("name"), call.key()?).await?)
}

/// `POST /api/v1/schedules/{name}/backfill`
pub async fn backfill(call: Call) -> Answer {
    ok(&call.app.backfill_schedule(&call.who, call.param("name"), call.json()?).await?)
}

/// `DELETE /api/v1/schedules/{name}`
pub async fn remove(call: Call) -> Answer {
    ok(&call.app.delete_schedule(&call.who, call.param("name")).await?)
}
