//! Queues, and pauses of queues and workers.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/queues`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.queues(&call.who).await?)
}

/// `POST /api/v1/queues/{name}/pause`
pub async fn pause(call: Call) -> Answer {
    ok(&call.app.pause_queue(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/queues/{name}/resume`
pub async fn resume(call: Call) -> Answer {
    ok(&call.app.resume_queue(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/workers/{name}/pause`
pub async fn pause_worker(call: Call) -> Answer {
    ok(&call.app.pause_worker(&call.who, call.param("name"), call.json()?).await?)
}

/// `POST /api/v1/workers/{name}/resume`
pub async fn resume_worker(call: Call) -> Answer {
    ok(&call.app.resume_worker(&call.who, call.param("name"), call.json()?).await?)
}
