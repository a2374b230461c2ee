//! Keys: who is let in, with which role, for which tenant.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// A key. Its secret is not kept, only the hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// What it is called by.
    pub id: Arc<str>,
    /// Whose data it opens.
    pub tenant: TenantId,
    /// What people call it.
    pub name: Arc<str>,
    /// What it may do, as a word.
    pub role: Arc<str>,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// What it may do besides its role, and what it is kept to.
    pub scope: KeyScope,
}

/// The name in a list of workers or queues that stands for all of them.
pub const EVERY: &str = "*";

/// What a key may do besides its role, and what it is kept to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyScope {
    /// The workers that its hosts may serve. `None`: those that the server itself does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// The queues whose tasks its hosts may take. `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// It may ask models although its role may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// It may approve although its role may not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
}

impl KeyScope {
    /// Whether a list names something, or all there is.
    #[must_use]
    pub fn names(list: &[String], name: &str) -> bool {
        list.iter().any(|entry| entry == EVERY || entry == name)
    }
}

/// A change to the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessWrite {
    /// A new key.
    Add(AccessKey),
    /// A key is taken back; nothing changes when it was before.
    Revoke {
        /// Which.
        id: Arc<str>,
        /// When.
        at: Timestamp,
    },
}
