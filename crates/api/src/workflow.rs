//! Workflows and their versions.

use serde::{Deserialize, Serialize};

/// One version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Version {
    /// Name of the workflow.
    pub workflow: String,
    /// 1 for its first version.
    pub number: u32,
    /// SHA-256 of its text.
    pub sha256: String,
    /// The file that it came in.
    pub file: String,
    /// Time of its storage.
    pub created_at: String,
    /// The file of the project that is run by that name instead of any stored version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<String>,
}

/// Versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionPage {
    /// The versions, without their texts.
    pub versions: Vec<Version>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// Returns a version and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionSource {
    /// The version.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub version: Version,
    /// The text, as it was given.
    pub source: String,
}

/// A text to be published as a version of its workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The workflow as YAML or JSON. Its `name` decides which workflow it is a version of.
    pub source: String,
    /// The name of its file, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// An earlier version that becomes the newest again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Its number.
    pub number: u32,
}

/// The difference between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionDiff {
    /// Name of the workflow.
    pub workflow: String,
    /// The number of the one version.
    pub from: u32,
    /// The number of the other.
    pub to: u32,
    /// The difference as a unified diff; empty for equal texts.
    pub diff: String,
}

/// A version was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionDeleted {
    /// Name of the workflow.
    pub workflow: String,
    /// Number of the version.
    pub deleted: u32,
}
