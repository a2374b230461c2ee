//! Files that are uploaded once and referred to by their hash.

use serde::{Deserialize, Serialize};

/// A file. Inputs refer to it by `{"$file": "sha256:..."}`; the whole of this object may stand there as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Artifact {
    /// `sha256:` and 64 hex digits.
    #[serde(rename = "$file")]
    pub file: String,
    /// The uploader's name for it.
    pub name: String,
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Time of the first upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// Files, by their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ArtifactPage {
    pub artifacts: Vec<Artifact>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}
