//! Worker hosts: register, claim, acknowledge, heartbeat, report.

use axum::http::StatusCode;
use kapelle_api::{self as api, Outcome};

use crate::{
    call::{Call, json, ok},
    route::Answer,
    stream,
};

/// `POST /api/v1/hosts`
pub async fn register(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.register_host(&call.who, call.json()?).await?)
}

/// `DELETE /api/v1/hosts/{id}`
pub async fn leave(call: Call) -> Answer {
    ok(&call.app.remove_host(&call.who, call.param("id"))?)
}

/// `POST /api/v1/hosts/{id}/claim`
pub async fn claim(call: Call) -> Answer {
    let claimed = call.app.claim(&call.who, call.param("id"), call.json()?);
    ok(&stream::while_it_holds(&call.site, &call.who, claimed).await??)
}

/// `POST /api/v1/hosts/{id}/ack`
pub async fn ack(call: Call) -> Answer {
    call.app.acknowledge(&call.who, call.param("id"), &call.json()?)?;
    ok(&api::Acknowledged {})
}

/// `POST /api/v1/hosts/{id}/heartbeat`
pub async fn heartbeat(call: Call) -> Answer {
    ok(&call.app.heartbeat(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /api/v1/hosts/{id}/report`
pub async fn report(call: Call) -> Answer {
    ok(&call.app.report(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /api/v1/tasks/{id}/succeed`
pub async fn succeed(call: Call) -> Answer {
    single(call, Outcome::Succeed).await
}

/// `POST /api/v1/tasks/{id}/fail`
pub async fn fail(call: Call) -> Answer {
    single(call, Outcome::Fail).await
}

/// `POST /api/v1/tasks/{id}/release`
pub async fn release(call: Call) -> Answer {
    single(call, Outcome::Release).await
}

async fn single(call: Call, outcome: Outcome) -> Answer {
    ok(&call.app.report_one(&call.who, call.id()?, outcome, call.json()?).await?)
}
