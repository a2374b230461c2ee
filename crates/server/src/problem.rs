//! Refusals in the format of RFC 9457.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kapelle_api::code;
use kapelle_app::AppError;
use kapelle_store::StoreError;

/// A refused request.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    /// The problem, its place, and what to do.
    pub detail: String,
    pub field: Option<String>,
    /// Seconds after which to retry.
    pub retry_after: Option<u32>,
    /// The methods of the path.
    pub allow: Option<String>,
    /// The first wrong items of a batch, and the number of all.
    pub items: Option<Box<(Vec<kapelle_api::ItemProblem>, u64)>>,
}

impl Problem {
    /// Makes a refusal.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), field: None, retry_after: None, allow: None, items: None }
    }

    /// Refuses a request that cannot be parsed.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail)
    }

    /// Refuses a request that is well-formed but impossible.
    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_INPUT, detail)
    }

    /// Refuses access to a missing thing, or to a thing of somebody else: the two are not distinguished.
    pub fn not_found(what: impl std::fmt::Display) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, code::NOT_FOUND, format!("{what} does not exist"))
    }

    /// Refuses a body above the limit.
    pub fn too_large(most: usize) -> Problem {
        let detail = format!("the body has more than {most} bytes, the limit of this route");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail)
    }

    /// Refuses because the server is shutting down.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail).after(1)
    }

    /// Refuses because of an internal failure.
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, detail)
    }

    /// Adds the time after which to retry.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
    }
}

impl Problem {
    /// Returns it as it is sent.
    pub fn body(self) -> kapelle_api::Problem {
        let (errors, errors_total) = self.items.map(|items| (items.0, Some(items.1))).unwrap_or_default();
        kapelle_api::Problem {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            field: self.field,
            errors,
            errors_total,
        }
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Problem {
        Problem {
            status: StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.code,
            detail: error.to_string(),
            field: error.field,
            retry_after: error.retry_after,
            allow: None,
            items: (error.items_total > 0).then(|| Box::new((error.items, error.items_total))),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        AppError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after, allow) = (self.status, self.retry_after, self.allow.clone());
        let mut response = Response::new(Body::from(serde_json::to_vec(&self.body()).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}
