//! Streams of events to one client: a bounded queue, a sign of life, and an end when the key does not hold any more.

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

/// Events on their way to one client. More wait where they come from.
const QUEUED: usize = 64;

/// Room for one more stream.
///
/// # Errors
/// When the key, its tenant, or the server has as many as there may be.
pub fn permit(site: &Site, who: &Identity) -> Result<Share, Problem> {
    site.streams.take(party(who), 1).map_err(|full| full.problem("live streams", 5))
}

/// A stream of server-sent events, and the way into it.
///
/// # Errors
/// As for [`permit`].
pub fn events(site: &Site, who: &Identity) -> Result<(mpsc::Sender<Bytes>, Response), Problem> {
    let permit = permit(site, who)?;
    let (sender, receiver) = mpsc::channel(QUEUED);
    let mut response = Response::new(Body::new(Feed::new(receiver, permit)));
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
pub async fn over(site: &Site, who: &Identity) {
    let mut draining = site.app.draining();
    tokio::select! {
        _ = draining.wait_for(|draining| *draining) => {}
        () = gone(site, who) => {}
    }
}

/// Ends when the key does not hold any more: at once when it is revoked, and within `recheck` of its end.
pub async fn gone(site: &Site, who: &Identity) {
    let (app, keyring) = (&site.app, site.app.keyring());
    let mut changes = keyring.changes();
    while keyring.still(who, app.now()) {
        let changed = async { changes.changed().await.is_ok() };
        let Some(left) = who.left(app.now()) else {
            changed.await;
            continue;
        };
        // The wall clock may be set: not all of the time that is left is waited at once.
        tokio::select! {
            _ = changed => {}
            () = tokio::time::sleep(left.min(site.limits.recheck)) => {}
        }
    }
}

/// The result of some work, unless the key stops to hold before it is there.
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

/// The answer to a request whose key was revoked or has expired while it waited.
pub fn revoked() -> Problem {
    let detail = "the key was revoked or has expired while the request waited";
    Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail)
}
