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
    ok(&call.app.retry_dead(&call.who, call.id()?, call.key()?).await?)
}

/// `POST /api/v1/dead/{id}/discard`
pub async fn discard(call: Call) -> Answer {
    ok(&call.app.discard_dead(&call.who, call.id()?, call.json()?).await?)
}

/// `POST /api/v1/dead/bulk`
pub async fn bulk(call: Call) -> Answer {
    ok(&call.app.bulk_dead(&call.who, call.json()?).await?)
}

/// `GET /api/v1/dead/groups`
pub async fn groups(call: Call) -> Answer {
    ok(&call.app.dead_groups(&call.who).await?)
}
