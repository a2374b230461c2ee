//! Keys.

use axum::http::StatusCode;

use crate::{
    call::{Call, json, ok},
    route::Answer,
};

/// `GET /api/v1/keys`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.keys(&call.who).await?)
}

/// `POST /api/v1/keys`
pub async fn create(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.create_key(&call.who, call.json()?).await?)
}

/// `DELETE /api/v1/keys/{id}`
pub async fn revoke(call: Call) -> Answer {
    ok(&call.app.revoke_key(&call.who, call.param("id")).await?)
}

/// `POST /api/v1/token/rotate`
pub async fn rotate(call: Call) -> Answer {
    ok(&call.app.rotate_token(&call.who).await?)
}
