//! API keys with their role, tenant and scope.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// An API key. Only the hash of its secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AccessKey {
    /// Public id.
    pub id: Arc<str>,
    /// Tenant whose data it opens.
    pub tenant: TenantId,
    /// Name for people.
    pub name: Arc<str>,
    /// Role as a word.
    pub role: Arc<str>,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Time of its revocation.
    pub revoked_at: Option<Timestamp>,
    /// Permissions beyond the role, and restrictions.
    pub scope: KeyScope,
}

/// The name in a list of workers or queues that stands for all of them.
pub const EVERY: &str = "*";

/// Permissions of a key beyond its role, and its restrictions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyScope {
    /// Workers that its hosts may serve. `None`: those that the server itself does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// Queues whose tasks its hosts may claim. `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Whether it may call models although its role may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// Whether it may approve although its role may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// Whether it may submit and see tasks and runs although its role may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub submit: bool,
}

impl KeyScope {
    /// Tells whether a list contains the name, or all names.
    #[must_use]
    pub fn names(list: &[String], name: &str) -> bool {
        list.iter().any(|entry| entry == EVERY || entry == name)
    }
}

/// A change to the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum AccessWrite {
    /// A new key.
    Add(AccessKey),
    /// A key is revoked; an earlier revocation is kept.
    Revoke {
        /// Id of the key.
        id: Arc<str>,
        at: Timestamp,
    },
}
