//! Refusals, as RFC 9457 has them.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kapelle::{Error, engine::EngineError, store::StoreError};
use kapelle_api::code;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The kind, for programs.
    pub code: &'static str,
    /// What is wrong, where, and what to do.
    pub detail: String,
    /// Seconds after which to try again.
    pub retry_after: Option<u32>,
    /// The methods that the path has.
    pub allow: Option<String>,
}

impl Problem {
    /// A refusal.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), retry_after: None, allow: None }
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

    /// The thing is not in a state in which this can be done.
    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, code::CONFLICT, detail)
    }

    /// The attempt belongs to somebody else, or is over.
    pub fn lease_lost() -> Problem {
        let detail = "the lease is not valid: the task was given to another attempt, has ended, or never was yours; stop \
                      working on it";
        Problem::new(StatusCode::CONFLICT, code::LEASE_LOST, detail)
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Full(_) => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, code::STORAGE_FULL, error.to_string()).after(5)
            }
            other => {
                // Paths and the words of the system are for those who run the server.
                tracing::error!(error = %other, "the store failed");
                Problem::internal("the store failed; the server's log says how")
            }
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        use kapelle::core::task::Rejection;
        match error {
            EngineError::Task(Rejection::LeaseLost(_)) => Problem::lease_lost(),
            EngineError::Task(_) | EngineError::Run(_) => Problem::conflict(error.to_string()),
            EngineError::KeyReused(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::KEY_REUSED, error.to_string())
            }
            EngineError::UnknownWorker { .. } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::UNKNOWN_WORKER, error.to_string())
            }
            EngineError::NoSuchTask(id) => Problem::not_found(id),
            EngineError::NoSuchRun(id) => Problem::not_found(id),
            EngineError::Store(error) => match &*error {
                StoreError::Full(_) => {
                    Problem::new(StatusCode::INSUFFICIENT_STORAGE, code::STORAGE_FULL, error.to_string()).after(5)
                }
                other => {
                    tracing::error!(error = %other, "the store failed");
                    Problem::internal("the store failed; the server's log says how")
                }
            },
            EngineError::Stopped => Problem::unavailable("the server is stopping"),
            other => Problem::unprocessable(other.to_string()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Engine(error) => error.into(),
            Error::Store(error) => error.into(),
            other => Problem::unprocessable(other.to_string()),
        }
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
