//! Workflows and their versions.

use axum::http::StatusCode;

use crate::{
    call::{Call, json, ok},
    route::Answer,
};

/// `GET /api/v1/workflows`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.workflows(&call.who, call.query()?).await?)
}

/// `GET /api/v1/workflows/{name}`
pub async fn versions(call: Call) -> Answer {
    ok(&call.app.versions(&call.who, call.param("name"), call.query()?).await?)
}

/// `GET /api/v1/workflows/{name}/{number}`
pub async fn get(call: Call) -> Answer {
    let found = call.app.version(&call.who, call.param("name"), call.param("number")).await?;
    call.tagged(&found.version.sha256, &found)
}

/// `POST /api/v1/workflows`
pub async fn publish(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.publish(&call.who, call.json()?).await?)
}

/// `POST /api/v1/workflows/{name}/rollback`
pub async fn rollback(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.rollback(&call.who, call.param("name"), call.json()?).await?)
}

/// `GET /api/v1/workflows/{name}/diff`
pub async fn diff(call: Call) -> Answer {
    ok(&call.app.diff(&call.who, call.param("name"), call.query()?).await?)
}

/// `DELETE /api/v1/workflows/{name}/{number}`
pub async fn remove(call: Call) -> Answer {
    ok(&call.app.delete_version(&call.who, call.param("name"), call.param("number")).await?)
}

/// `GET /api/v1/workflows/catalog`
pub async fn catalog(call: Call) -> Answer {
    ok(&call.app.catalog(&call.who).await?)
}

/// `POST /api/v1/workflows/check`
pub async fn check(call: Call) -> Answer {
    ok(&call.app.check_source(&call.who, call.json()?).await?)
}

/// `GET /api/v1/search`
pub async fn search(call: Call) -> Answer {
    ok(&call.app.search(&call.who, call.query()?).await?)
}

/// `GET /api/v1/workflows/{name}/{number}/graph`
pub async fn graph(call: Call) -> Answer {
    ok(&call.app.workflow_graph(&call.who, call.param("name"), call.param("number")).await?)
}
