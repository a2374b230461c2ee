//! The export of a run, sent line by line.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use kapelle_app::ExportFrom;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{call::Call, held::Feed, route::Answer, transfer};

/// `GET /api/v1/runs/{id}/export`
pub async fn run(call: Call) -> Answer {
    let id = call.app.has_run(&call.who, call.id()?)?;
    let permit = transfer::permit(&call)?;
    let (sender, receiver) = mpsc::channel(1);
    let (app, who) = (Arc::clone(&call.app), Arc::clone(&call.who));
    tokio::spawn(async move {
        let mut from = Some(ExportFrom::Run);
        while let Some(at) = from {
            let Ok(place) = sender.reserve().await else { return };
            let by = Arc::clone(&who);
            let made = app.list_for(who.tenant, move |app| app.export(&by, id, at)).await;
            let (text, next) = made.unwrap_or_else(|error| {
                // A response that has begun cannot be refused any more: the last line reports the fault.
                (format!("{}\n", json!({ "kind": "error", "detail": error.to_string() })), None)
            });
            from = next;
            place.send(Bytes::from(text));
        }
    });
    let mut response = Response::new(Body::new(Feed::new(receiver, permit)));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.ndjson\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
