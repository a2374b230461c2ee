//! Inputs and outputs as the engine carries them: by value while small, by id once stored, never parsed on the loop.

use std::sync::Arc;

/// Up to this many bytes a payload lives in its task's row.
pub const INLINE_MAX: usize = 512;
/// Above this many bytes a payload is a file named by its hash.
pub const ROW_MAX: usize = 1 << 20;

/// The key of a write-once payload row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PayloadId(pub i64);

/// JSON text, or where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Payload {
    /// Nothing: read as JSON `null`.
    #[default]
    None,
    /// At most [`INLINE_MAX`] bytes of JSON.
    Inline(Arc<[u8]>),
    /// A row of its own, written once, with its length.
    Row(PayloadId),
}

impl Payload {
    /// The bytes, when they are at hand.
    #[must_use]
    pub fn inline(&self) -> Option<&[u8]> {
        match self {
            Payload::None => Some(b"null"),
            Payload::Inline(bytes) => Some(bytes),
            Payload::Row(_) => None,
        }
    }
}
