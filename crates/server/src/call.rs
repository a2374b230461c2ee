//! A request that has passed the gatekeeper, as its handler receives it.

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

/// Bytes above which reading a body takes long enough to hold up other requests.
pub const LARGE: usize = 256 * 1024;

/// A request that has passed the gatekeeper.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Call {
    /// The server's own state.
    pub site: Arc<Site>,
    pub app: Arc<App>,
    /// The identity of the caller.
    pub who: Arc<Identity>,
    /// The address that the request came from.
    pub from: std::net::IpAddr,
    /// Method, path and headers.
    pub parts: Parts,
    /// Parameters of the path.
    pub params: Vec<(String, String)>,
    /// The body, within the limit of the route.
    pub body: Bytes,
    /// The body as a stream, where the route takes it so. The lock exists only because a body cannot be shared
    /// otherwise.
    pub stream: Mutex<Option<Body>>,
    /// The most bytes of a body.
    pub limit: usize,
    /// The turn for reading a large body; it ends when the body was read.
    pub turn: Mutex<Option<Turn>>,
    /// The memory of a large body, held until the response is ready.
    pub _memory: Option<Share>,
}

impl Call {
    /// Returns the tenant whose data it may touch.
    pub fn tenant(&self) -> TenantId {
        self.who.tenant
    }

    /// Returns a parameter of the path.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Parses the id in the path. Anything else is answered as not found.
    pub fn id<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        let text = self.param("id");
        text.parse().map_err(|_| Problem::not_found(text.chars().take(40).collect::<String>()))
    }

    /// Parses the query of the path.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        query::read(&self.parts.uri)
    }

    /// Takes the turn for reading a large body. It ends when this is dropped.
    pub fn turn(&self) -> Option<Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Parses the body as JSON. An empty body counts as `{}`.
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

    /// Returns the idempotency key of the request; `None` without one.
    pub fn key(&self) -> Result<Option<&str>, Problem> {
        let Some(key) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let wrong = |_| Problem::invalid("the Idempotency-Key has 1 to 255 visible ASCII characters");
        key.to_str().map(Some).map_err(wrong)
    }

    /// Returns a response with an `ETag`; only the tag when the client has that state already.
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

/// Runs `work` over this many bytes. Many bytes take milliseconds: then another thread serves other requests meanwhile.
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > LARGE && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// Returns a response in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(text(status, "application/json", body))
}

/// Returns a response in JSON with status 200.
pub fn ok(body: &impl Serialize) -> Result<Response, Problem> {
    json(StatusCode::OK, body)
}

/// Returns a response of any media type.
pub fn text(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
