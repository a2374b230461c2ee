//! Steps that wait for a person.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/approvals`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.approvals(&call.who).await?)
}

/// `POST /api/v1/approvals/{id}/approve`
pub async fn approve(call: Call) -> Answer {
    ok(&call.app.answer(&call.who, call.id()?, true, call.json()?).await?)
}

/// `POST /api/v1/approvals/{id}/deny`
pub async fn deny(call: Call) -> Answer {
    ok(&call.app.answer(&call.who, call.id()?, false, call.json()?).await?)
}
