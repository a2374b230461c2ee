//! JSON on its way into the store.

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
    Bytes(#[serde(with = "text")] Arc<[u8]>),
    /// A file that has been put among the blobs.
    File {
        /// 64 hex digits.
        sha256: String,
        /// Its length.
        bytes: u64,
    },
}

impl NewPayload {
    /// Small enough to live in its task's row.
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

/// Bytes that are written down as the text that they are; as numbers should they be none.
mod text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => bytes.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Arc::from(text.into_bytes()),
            Written::Bytes(bytes) => Arc::from(bytes),
        })
    }
}
