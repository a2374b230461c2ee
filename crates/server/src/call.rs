//! A request that has passed the door, as its handler sees it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use kapelle_app::{App, Identity, Turn};
use kapelle_core::TenantId;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{problem::Problem, query, shares::Share, site::Site, strict};

/// A body with more bytes takes so long to be read that it would keep others waiting.
pub const LARGE: usize = 256 * 1024;

/// A request that has passed the door.
pub struct Call {
    /// The server's own state.
    pub site: Arc<Site>,
    /// The use cases.
    pub app: Arc<App>,
    /// Who asks.
    pub who: Arc<Identity>,
    /// Method, path and headers.
    pub parts: Parts,
    /// Parameters of the path.
    pub params: Vec<(String, String)>,
    /// The body, within the limit of the route.
    pub body: Bytes,
    /// The body as it comes, where the route takes it so. Behind a lock only because a body is not shared otherwise.
    pub stream: Mutex<Option<Body>>,
    /// The most bytes of a body.
    pub limit: usize,
    /// The turn at reading a large body, which is over when it was read.
    pub turn: Mutex<Option<Turn>>,
    /// The memory that a large body takes, until the answer is there.
    pub _memory: Option<Share>,
}

impl Call {
    /// Whose data it may touch.
    pub fn tenant(&self) -> TenantId {
        self.who.tenant
    }

    /// The text of a parameter of the path.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The id in the path. What is not an id does not exist.
    pub fn id<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        let text = self.param("id");
        text.parse().map_err(|_| Problem::not_found(text.chars().take(40).collect::<String>()))
    }

    /// The query of the path.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        query::read(&self.parts.uri)
    }

    /// Takes the turn at reading a large body. It is over when this is dropped.
    pub fn turn(&self) -> Option<Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body as JSON. An empty one is read as `{}`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let turn = self.turn();
        let read = aside(body.len(), || strict::read(body));
        drop(turn);
        read.map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::unprocessable(format!("the body: {error}")),
            _ => Problem::invalid(format!("the body is not JSON: {error}")),
        })
    }

    /// The idempotency key of the request. Returns `None` without one.
    pub fn key(&self) -> Result<Option<&str>, Problem> {
        let Some(key) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let wrong = |_| Problem::invalid("the Idempotency-Key has 1 to 255 visible ASCII characters");
        key.to_str().map(Some).map_err(wrong)
    }

    /// An answer that carries a mark of its state; only the mark when the client has that state already.
    pub fn tagged(&self, mark: &str, body: &impl Serialize) -> Result<Response, Problem> {
        let tag = format!("\"{mark}\"");
        let known = self.parts.headers.get_all(header::IF_NONE_MATCH).iter();
        let known = known.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let known = known.map(|value| value.trim().trim_start_matches("W/")).any(|value| value == tag || value == "*");
        let mut response = if known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            json(StatusCode::OK, body)?
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    }
}

/// Does something with so many bytes. With many it takes milliseconds: others are served by another thread meanwhile.
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > LARGE && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// An answer in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(text(status, "application/json", body))
}

/// An answer in JSON with status 200.
pub fn ok(body: &impl Serialize) -> Result<Response, Problem> {
    json(StatusCode::OK, body)
}

/// An answer of any kind.
pub fn text(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
