//! Keys: who is let in, with which role, for which tenant.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};

/// A key. Its secret is not kept, only the hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// A change to the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
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
