//! Workers.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/workers`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.workers(&call.who)?)
}

/// `GET /api/v1/workers/{name}`
pub async fn get(call: Call) -> Answer {
    ok(&call.app.worker(&call.who, call.param("name"))?)
}

/// `DELETE /api/v1/workers/{name}`
pub async fn forget(call: Call) -> Answer {
    ok(&call.app.forget_worker(&call.who, call.param("name")).await?)
}

/// `GET /workers/status`
pub async fn status(call: Call) -> Answer {
    ok(&call.app.workers_status(&call.who).await?)
}
