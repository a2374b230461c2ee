//! Keys and the trail of administrative acts.

use serde::{Deserialize, Serialize};

use crate::state::Role;

/// A key that somebody wants made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// `admin`, `operator`, `developer`, `viewer` or `worker`.
    pub role: String,
    /// Whose data it opens; the tenant of the maker when left out. Only tenant 1 makes keys for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
    /// It stops working after that long, 1,000 (a second) to a hundred years; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// For the role `worker`: the workers that its hosts may serve, by name; `*` stands for all. When left out: all but those
    /// that the server itself runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// For the role `worker`: the queues whose tasks its hosts may take, by name; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// For the role `worker`: it may ask models, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// For the roles `developer` and `viewer`: it may answer approvals, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// The most that it may spend on models, in nano-dollars. A `worker` key with a limit may ask models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_nanousd: Option<u64>,
}

/// A key was made. Its secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyCreated {
    /// What is to be sent as `Authorization: Bearer ...`.
    pub secret: String,
    /// The key.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub key: Key,
}

/// A key without its secret, of which only a hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose data it opens.
    pub tenant: u32,
    /// When it was made.
    pub created_at: String,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The workers that its hosts may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// The queues whose tasks its hosts may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// It may ask models although its role may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// It may answer approvals although its role may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
}

/// The keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyList {
    /// Also those that were taken back.
    pub keys: Vec<Key>,
}

/// A pass for opening one WebSocket, for those who cannot send headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ticket {
    /// To be sent as `?ticket=`.
    pub ticket: String,
    /// How long it is good for.
    pub expires_in_ms: u64,
}

/// An administrative act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: String,
    /// Whose data it touched.
    pub tenant: u32,
    /// The key that did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// SHA-256 over this entry and the hash of the one before.
    pub hash: String,
}

/// Administrative acts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The acts.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins, when there is one.
    pub next_cursor: Option<String>,
}
