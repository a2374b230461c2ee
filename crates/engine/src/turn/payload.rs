//! JSON to be stored.

use std::sync::Arc;

use kapelle_core::payload::INLINE_MAX;
use kapelle_store::PayloadBody;
use serde::{Deserialize, Serialize};

/// JSON that has not been stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewPayload {
    /// JSON `null`.
    #[default]
    None,
    /// The text itself, at most 1 MiB.
    Bytes(#[serde(with = "kapelle_core::payload::text")] Arc<[u8]>),
    /// A file in `blobs/`.
    File {
        /// 64 hex digits.
        sha256: String,
        /// Length in bytes.
        bytes: u64,
    },
}

impl NewPayload {
    /// Tells whether it is small enough for its task's row.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        match self {
            NewPayload::None => true,
            NewPayload::Bytes(bytes) => bytes.len() <= INLINE_MAX,
            NewPayload::File { .. } => false,
        }
    }

    pub(super) fn body(&self) -> PayloadBody {
        match self {
            NewPayload::None => PayloadBody::Bytes(Arc::from(&b"null"[..])),
            NewPayload::Bytes(bytes) => PayloadBody::Bytes(Arc::clone(bytes)),
            NewPayload::File { sha256, bytes } => PayloadBody::File { sha256: sha256.clone(), bytes: *bytes },
        }
    }
}
