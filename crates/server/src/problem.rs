//! Refusals, as RFC 9457 has them.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kapelle_api::code;
use kapelle_app::AppError;
use kapelle_store::StoreError;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The kind, for programs.
    pub code: &'static str,
    /// What is wrong, where, and what to do.
    pub detail: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// Seconds after which to try again.
    pub retry_after: Option<u32>,
    /// The methods that the path has.
    pub allow: Option<String>,
}

impl Problem {
    /// A refusal.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), field: None, retry_after: None, allow: None }
    }

    /// The request itself cannot be read.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail)
    }

    /// The request can be read, and asks for something that cannot be.
    pub fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_INPUT, detail)
    }

    /// There is no such thing, or it is somebody else's: the two are not told apart.
    pub fn not_found(what: impl std::fmt::Display) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, code::NOT_FOUND, format!("{what} does not exist"))
    }

    /// The body is larger than is taken.
    pub fn too_large(most: usize) -> Problem {
        let detail = format!("the body has more than {most} bytes, which this takes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail)
    }

    /// The server is on its way down.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail).after(1)
    }

    /// Something went wrong here.
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, detail)
    }

    /// The same, with the time after which to try again.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
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
        let body = kapelle_api::Problem {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            field: self.field,
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&body).unwrap_or_default()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}
