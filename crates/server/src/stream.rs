//! Streams of events to one client: a bounded queue, keep-alive messages, and an end when the key is revoked or
//! expired.

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
use kapelle_app::Identity;
use tokio::sync::mpsc;

use crate::{auth::party, held::Feed, problem::Problem, shares::Share, site::Site};

/// Events queued for one client. Further ones wait at their source.
const QUEUED: usize = 64;

/// Reserves one more stream.
///
/// # Errors
/// When the key, its tenant, or the server has its maximum.
pub fn permit(site: &Site, who: &Identity) -> Result<Share, Problem> {
    site.streams.take(party(who), 1).map_err(|full| full.problem("live streams", 5))
}

/// Makes a stream of server-sent events, and its sender.
///
/// # Errors
/// As for [`permit`].
pub fn events(site: &Site, who: &Identity) -> Result<(mpsc::Sender<Bytes>, Response), Problem> {
    Ok(feed(permit(site, who)?, QUEUED, "text/event-stream"))
}

/// Makes a stream of lines of JSON, and its sender. One line waits in memory while another is written.
pub fn lines(permit: Share) -> (mpsc::Sender<Bytes>, Response) {
    feed(permit, 1, "application/x-ndjson")
}

fn feed(permit: Share, queued: usize, kind: &'static str) -> (mpsc::Sender<Bytes>, Response) {
    let (sender, receiver) = mpsc::channel(queued);
    let mut response = Response::new(Body::new(Feed::new(receiver, permit)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    (sender, response)
}

/// Formats a line of JSON.
pub fn line(body: &impl serde::Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(body).unwrap_or_else(|_| b"{}".to_vec());
    bytes.push(b'\n');
    Bytes::from(bytes)
}

/// Formats a server-sent event.
pub fn event(id: &str, kind: &str, body: &serde_json::Value) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {body}\n\n"))
}

/// Returns a keep-alive message.
pub fn alive() -> Bytes {
    Bytes::from_static(b": alive\n\n")
}

/// Completes when the server shuts down or the key is revoked or expired.
pub async fn over(site: &Site, who: &Identity) {
    let mut draining = site.app.draining();
    tokio::select! {
        _ = draining.wait_for(|draining| *draining) => {}
        () = gone(site, who) => {}
    }
}

/// Completes when the key is no longer valid: at once when it is revoked, and within `recheck` of its expiry.
pub async fn gone(site: &Site, who: &Identity) {
    let (app, keyring) = (&site.app, site.app.keyring());
    let mut changes = keyring.changes();
    while keyring.still(who, app.now()) {
        let changed = async { changes.changed().await.is_ok() };
        let Some(left) = who.left(app.now()) else {
            changed.await;
            continue;
        };
        // The wall clock may be set: the remaining time is waited in pieces.
        tokio::select! {
            _ = changed => {}
            () = tokio::time::sleep(left.min(site.limits.recheck)) => {}
        }
    }
}

/// Returns the result of `work`, unless the key becomes invalid first.
///
/// # Errors
/// When the key was revoked or has expired meanwhile.
pub async fn while_it_holds<T>(site: &Site, who: &Identity, work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::select! {
        biased;
        () = gone(site, who) => Err(revoked()),
        done = work => Ok(done),
    }
}

/// Returns the refusal for a request whose key was revoked or has expired while it waited.
pub fn revoked() -> Problem {
    let detail = "the key was revoked or has expired while the request waited";
    Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail)
}
