//! Errors in the format of RFC 9457.

use serde::{Deserialize, Serialize};

/// A refused request (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Problem {
    /// Always `about:blank`: the code tells the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    pub status: u16,
    /// The problem of this request, its place, and what to do.
    pub detail: String,
    /// The machine-readable code, one of those in [`code`].
    pub code: String,
    /// The invalid field of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The wrong items of a batch: the first 20, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ItemProblem>,
    /// Number of wrong items of a batch. The check ends with the 1,000th.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_total: Option<u64>,
}

/// A wrong item of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemProblem {
    /// Its place in the batch; the first is 0.
    pub index: u64,
    /// The machine-readable code, as of a single request.
    pub code: String,
    /// The problem, and what to do.
    pub detail: String,
    /// The invalid field of the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The codes of problems. A code never changes its meaning.
pub mod code {
    #![expect(missing_docs, reason = "the words say it, and docs/guides/server.md lists them")]

    pub const INVALID_REQUEST: &str = "invalid_request";
    pub const INVALID_INPUT: &str = "invalid_input";
    pub const UNAUTHORIZED: &str = "unauthorized";
    pub const FORBIDDEN: &str = "forbidden";
    pub const NOT_FOUND: &str = "not_found";
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    pub const CONFLICT: &str = "conflict";
    pub const LEASE_LOST: &str = "lease_lost";
    pub const TOO_LARGE: &str = "too_large";
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    pub const WRONG_HOST: &str = "wrong_host";
    pub const UNKNOWN_WORKER: &str = "unknown_worker";
    pub const KEY_REUSED: &str = "idempotency_key_reused";
    pub const TOO_MANY: &str = "too_many";
    pub const TIMEOUT: &str = "timeout";
    pub const UNAVAILABLE: &str = "unavailable";
    pub const STORAGE_FULL: &str = "storage_full";
    pub const INTERNAL: &str = "internal";

    /// Returns the HTTP status of a code; 500 for an unknown code.
    #[must_use]
    pub fn status(code: &str) -> u16 {
        match code {
            INVALID_REQUEST => 400,
            UNAUTHORIZED => 401,
            FORBIDDEN => 403,
            NOT_FOUND => 404,
            METHOD_NOT_ALLOWED => 405,
            TIMEOUT => 408,
            CONFLICT | LEASE_LOST => 409,
            TOO_LARGE => 413,
            UNSUPPORTED_MEDIA_TYPE => 415,
            WRONG_HOST => 421,
            INVALID_INPUT | UNKNOWN_WORKER | KEY_REUSED => 422,
            TOO_MANY => 429,
            UNAVAILABLE => 503,
            STORAGE_FULL => 507,
            _ => 500,
        }
    }
}
