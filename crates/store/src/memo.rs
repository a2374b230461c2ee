//! Memos: small JSON values that workers keep for a tenant, by collection and key.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// A value under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct MemoRow {
    pub tenant: TenantId,
    /// Keys of different collections do not meet.
    pub collection: Arc<str>,
    pub key: Arc<str>,
    /// JSON.
    pub value: Arc<str>,
    /// Number of the change, from 1.
    pub revision: u32,
    /// Time of the last change.
    pub at: Timestamp,
}

/// A change of a memo. One whose row has another revision than the expected is a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum MemoWrite {
    Put {
        row: MemoRow,
        /// Revision that the row must have. `None` for a new row.
        expected: Option<u32>,
    },
    Delete {
        tenant: TenantId,
        collection: Arc<str>,
        key: Arc<str>,
        /// Revision that the row must have.
        expected: u32,
    },
}

impl MemoWrite {
    /// Returns tenant, collection and key.
    #[must_use]
    pub fn place(&self) -> (TenantId, &Arc<str>, &Arc<str>) {
        match self {
            MemoWrite::Put { row, .. } => (row.tenant, &row.collection, &row.key),
            MemoWrite::Delete { tenant, collection, key, .. } => (*tenant, collection, key),
        }
    }

    /// Returns the revision that the row must have; `None` when there must be no row.
    #[must_use]
    pub fn expected(&self) -> Option<u32> {
        match self {
            MemoWrite::Put { expected, .. } => *expected,
            MemoWrite::Delete { expected, .. } => Some(*expected),
        }
    }

    /// Returns the revision that the row has afterwards; `None` when it is deleted.
    #[must_use]
    pub fn revision(&self) -> Option<u32> {
        match self {
            MemoWrite::Put { row, .. } => Some(row.revision),
            MemoWrite::Delete { .. } => None,
        }
    }
}
