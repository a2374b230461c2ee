//! Administrative acts.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/audit`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.audit(&call.who, call.query()?).await?)
}

/// `GET /api/v1/audit/verify`
pub async fn verify(call: Call) -> Answer {
    ok(&call.app.verify_audit(&call.who).await?)
}
