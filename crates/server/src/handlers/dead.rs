//! Dead letters.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/dead`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.dead_letters(&call.who, call.query()?).await?)
}

/// `POST /api/v1/dead/{id}/retry`
pub async fn retry(call: Call) -> Answer {
    ok(&call.app.retry_dead(&call.who, call.id()?).await?)
}

/// `POST /api/v1/dead/{id}/discard`
pub async fn discard(call: Call) -> Answer {
    ok(&call.app.discard_dead(&call.who, call.id()?, call.json()?).await?)
}
