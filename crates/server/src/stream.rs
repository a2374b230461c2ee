//! Streams of events to one client: a bounded queue, a sign of life, and an end when the key does not hold any more.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    response::Response,
};
use bytes::Bytes;
use kapelle_api::code;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{app::App, auth::Identity, feed::Feed, problem::Problem};

/// Events on their way to one client. More wait where they come from.
const QUEUED: usize = 64;

/// Room for one more stream.
pub fn permit(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = "as many streams are open as the server serves at once";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::TOO_MANY, detail).after(5)
    })
}

/// A stream of server-sent events, and the way into it.
pub fn events(app: &App) -> Result<(mpsc::Sender<Bytes>, Response), Problem> {
    let permit = permit(app)?;
    let (sender, receiver) = mpsc::channel(QUEUED);
    let mut response = Response::new(Body::new(Feed::holding(receiver, permit)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok((sender, response))
}

/// A server-sent event.
pub fn event(id: &str, kind: &str, body: &serde_json::Value) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {body}\n\n"))
}

/// A sign of life.
pub fn alive() -> Bytes {
    Bytes::from_static(b": alive\n\n")
}

/// Ends when the server goes down or the key does not hold any more.
pub async fn over(app: &App, who: &Identity) {
    let mut draining = app.draining.clone();
    let mut look = tokio::time::interval(app.limits.recheck);
    loop {
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            _ = look.tick() => if !app.auth.still(who, app.now()) { return },
        }
    }
}
