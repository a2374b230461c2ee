//! The OpenAPI description of this interface.

use axum::http::StatusCode;

use crate::{
    call::{Call, text},
    openapi::page as rendered,
    route::Answer,
    routes::routes,
};

/// `GET /openapi.json`
pub async fn json(call: Call) -> Answer {
    Ok(text(StatusCode::OK, "application/json", call.site.description.clone()))
}

/// `GET /docs`
pub async fn page(_call: Call) -> Answer {
    Ok(text(StatusCode::OK, "text/html; charset=utf-8", rendered(&routes())))
}
