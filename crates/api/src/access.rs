//! Keys and the trail of administrative acts.

use serde::{Deserialize, Serialize};

use crate::state::Role;

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its name for people.
    pub name: String,
    /// `admin`, `operator`, `developer`, `viewer` or `worker`.
    pub role: String,
    /// The tenant whose data it opens; the maker's by default. Only tenant 1 makes keys for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<u32>,
    /// Lifetime, 1,000 (a second) to a hundred years; unlimited by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// For the role `worker`: the workers that its hosts may serve, by name; `*` stands for all. Default: all but those
    /// that the server itself runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// For the role `worker`: the queues whose tasks its hosts may take, by name; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// For the role `worker`: it may also ask models.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// For the role `worker`: it may also submit tasks, start runs, and see all tasks and runs of its tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submit: bool,
    /// For the roles `developer` and `viewer`: it may also answer approvals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// The most that it may spend on models, in nano-dollars. A `worker` key with a limit may ask models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_nanousd: Option<u64>,
}

/// A new key. Its secret is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct KeyCreated {
    /// The secret, to be sent as `Authorization: Bearer ...`.
    pub secret: String,
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub key: Key,
}

/// A key without its secret, of which only a hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Key {
    pub id: String,
    /// Its name for people.
    pub name: String,
    pub role: Role,
    /// The tenant whose data it opens.
    pub tenant: u32,
    /// Time of its creation.
    pub created_at: String,
    /// Time of its expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Time of its revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The workers that its hosts may serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// The queues whose tasks its hosts may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Whether it may ask models although its role may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// Whether it may answer approvals although its role may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// Whether it may submit and see tasks and runs although its role may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submit: bool,
}

/// The keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyList {
    /// All keys, including revoked ones.
    pub keys: Vec<Key>,
}

/// A ticket for opening one WebSocket, for clients that cannot send headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Ticket {
    /// The ticket, to be sent as `?ticket=`.
    pub ticket: String,
    pub expires_in_ms: u64,
}

/// An administrative act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AuditEntry {
    pub seq: u64,
    /// Time.
    pub at: String,
    /// The tenant whose data it touched.
    pub tenant: u32,
    /// The key that did it.
    pub actor: String,
    pub action: String,
    /// The thing that it changed.
    pub resource: String,
    /// SHA-256 over this entry and the hash of the one before.
    pub hash: String,
}

/// Returns administrative acts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// The result of a check of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditCheck {
    /// Whether every hash is right.
    pub ok: bool,
    /// The number of entries.
    pub entries: u64,
    /// The newest entry, as `SEQ:HASH`, to be kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Heads of the session log that agree with the trail.
    pub heads: u64,
    /// The newest entry that a head confirms; 0 without one.
    pub known: u64,
    /// The faults, at most ten.
    pub faults: Vec<String>,
}

/// The token of the folder was replaced. The new one stands in the file `token` of the folder alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenRotated {
    /// Time.
    pub rotated_at: String,
}
