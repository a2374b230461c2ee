//! Administrative acts.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/audit`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.audit(&call.who, call.query()?).await?)
}
