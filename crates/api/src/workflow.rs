//! Workflows and their versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The workflow.
    pub workflow: String,
    /// 1 for its first version.
    pub number: u32,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The file it was given in.
    pub file: String,
    /// When it was first run.
    pub created_at: String,
}

/// Versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionPage {
    /// The versions, without their texts.
    pub versions: Vec<Version>,
    /// Where the next page begins, when there is one.
    pub next_cursor: Option<String>,
}

/// A version and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionSource {
    /// Which.
    #[serde(flatten)]
    pub version: Version,
    /// The text, as it was given.
    pub source: String,
}
