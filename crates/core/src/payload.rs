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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Payload {
    /// Empty; read as JSON `null`.
    #[default]
    None,
    /// JSON of at most [`INLINE_MAX`] bytes.
    Inline(Arc<[u8]>),
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
