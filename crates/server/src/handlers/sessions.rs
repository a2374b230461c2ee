//! Sessions of the web console, and the caller itself.

use axum::http::StatusCode;

use crate::{
    call::{Call, json, ok},
    route::Answer,
};

/// `POST /api/v1/sessions/codes`
pub async fn code(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.session_code(&call.who)?)
}

/// `POST /api/v1/sessions`
pub async fn open(call: Call) -> Answer {
    match call.app.open_session(&call.json()?).await {
        Ok(session) => json(StatusCode::CREATED, &session),
        Err(error) if error.code == kapelle_api::code::UNAUTHORIZED => {
            Err(call.site.auth.count(call.from, call.app.now(), error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `DELETE /api/v1/sessions/current`
pub async fn end(call: Call) -> Answer {
    ok(&call.app.end_session(&call.who).await?)
}

/// `GET /api/v1/me`
pub async fn me(call: Call) -> Answer {
    ok(&call.app.me(&call.who)?)
}
