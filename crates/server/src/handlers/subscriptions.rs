//! Subscriptions to events.

use axum::http::StatusCode;

use crate::{
    call::{Call, json, ok},
    route::Answer,
};

/// `GET /api/v1/subscriptions`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.subscriptions(&call.who).await?)
}

/// `POST /api/v1/subscriptions`
pub async fn create(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.create_subscription(&call.who, call.json()?).await?)
}

/// `GET /api/v1/subscriptions/{name}`
pub async fn get(call: Call) -> Answer {
    ok(&call.app.subscription(&call.who, call.param("name")).await?)
}

/// `POST /api/v1/subscriptions/{name}/change`
pub async fn change(call: Call) -> Answer {
    ok(&call.app.change_subscription(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/subscriptions/{name}/pause`
pub async fn pause(call: Call) -> Answer {
    ok(&call.app.pause_subscription(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/subscriptions/{name}/resume`
pub async fn resume(call: Call) -> Answer {
    ok(&call.app.resume_subscription(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/subscriptions/{name}/rotate`
pub async fn rotate(call: Call) -> Answer {
    ok(&call.app.rotate_secret(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/subscriptions/{name}/test`
pub async fn test(call: Call) -> Answer {
    ok(&call.app.test_subscription(&call.who, call.param("name")).await?)
}

/// `GET /api/v1/subscriptions/{name}/deliveries`
pub async fn deliveries(call: Call) -> Answer {
    ok(&call.app.deliveries(&call.who, call.param("name"), call.query()?).await?)
}

/// `POST /api/v1/subscriptions/{name}/deliveries/{id}/replay`
pub async fn replay(call: Call) -> Answer {
    ok(&call.app.replay_delivery(&call.who, call.param("name"), call.param("id")).await?)
}

/// `DELETE /api/v1/subscriptions/{name}`
pub async fn remove(call: Call) -> Answer {
    ok(&call.app.delete_subscription(&call.who, call.param("name")).await?)
}
