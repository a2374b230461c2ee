//! Inputs and outputs as the engine carries them: by value while small, by id once stored, never parsed on the loop.

use std::sync::Arc;

/// Largest payload that is stored in its task's row, in bytes.
pub const INLINE_MAX: usize = 512;
/// Largest payload that is stored in a row, in bytes. A larger one is a file named by its hash.
pub const ROW_MAX: usize = 1 << 20;

/// Key of a write-once payload row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PayloadId(pub i64);

/// JSON text, or its location.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Empty; read as JSON `null`.
    #[default]
    None,
    /// JSON of at most [`INLINE_MAX`] bytes.
    Inline(#[serde(with = "text")] Arc<[u8]>),
    /// A separate row, written once, with its length.
    Row(PayloadId),
}

impl Payload {
    /// Returns the bytes if they are inline.
    #[must_use]
    pub fn inline(&self) -> Option<&[u8]> {
        match self {
            Payload::None => Some(b"null"),
            Payload::Inline(bytes) => Some(bytes),
            Payload::Row(_) => None,
        }
    }
}

/// Serialises bytes as the text that they are, or as numbers if they are not UTF-8.
pub mod text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    /// Serialises the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => bytes.serialize(serializer),
        }
    }

    /// Deserialises the bytes.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Arc::from(text.into_bytes()),
            Written::Bytes(bytes) => Arc::from(bytes),
        })
    }
}
