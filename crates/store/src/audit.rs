//! The audit trail of administrative acts. A hash binds each entry to the one before, so that a changed or removed
//! entry is noticed. Missing newest entries are noticed by comparing the last hash with one that was noted elsewhere.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An administrative act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Tenant whose data it touched.
    pub tenant: TenantId,
    /// Key that did it.
    pub actor: Arc<str>,
    /// Verb of the act.
    pub action: Arc<str>,
    /// Object of the act.
    pub resource: Arc<str>,
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AuditRow {
    /// Number: 1, 2, 3, ... without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub act: Act,
    /// SHA-256 over the hash before and this entry.
    pub hash: [u8; 32],
}

/// End of the trail: the number and the hash of the last entry.
pub type AuditHead = (u64, [u8; 32]);

impl AuditRow {
    /// Makes the entry that follows `head`.
    #[must_use]
    pub fn after(head: Option<AuditHead>, at: Timestamp, act: Act) -> AuditRow {
        let (seq, before) = head.map_or((1, [0; 32]), |(seq, hash)| (seq + 1, hash));
        let hash = hash(&before, seq, at, &act);
        AuditRow { seq, at, act, hash }
    }

    /// Returns its number and hash.
    #[must_use]
    pub fn head(&self) -> AuditHead {
        (self.seq, self.hash)
    }

    /// Checks that it is the entry written after `head`.
    ///
    /// # Errors
    /// The fault.
    pub fn follows(&self, head: Option<AuditHead>) -> Result<(), String> {
        let expected = AuditRow::after(head, self.at, self.act.clone());
        if self.seq != expected.seq {
            return Err(format!("entry {} is missing: entry {} follows instead", expected.seq, self.seq));
        }
        if self.hash != expected.hash {
            return Err(format!("entry {} was changed, or one before it was replaced", self.seq));
        }
        Ok(())
    }
}

/// Hashes an entry. Every part is preceded by its length, so that no byte can move from one part to the next.
fn hash(before: &[u8; 32], seq: u64, at: Timestamp, act: &Act) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_be_bytes());
    hash.update(at.0.to_be_bytes());
    hash.update(act.tenant.0.to_be_bytes());
    for text in [&act.actor, &act.action, &act.resource] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(resource: &str) -> Act {
        let text = Arc::<str>::from;
        Act { tenant: TenantId(1), actor: text("token"), action: text("queue.pause"), resource: text(resource) }
    }

    #[test]
    fn every_change_to_the_trail_is_noticed() {
        let mut rows: Vec<AuditRow> = Vec::new();
        for number in 0..5 {
            let head = rows.last().map(AuditRow::head);
            rows.push(AuditRow::after(head, Timestamp(number), act(&format!("q{number}"))));
        }
        let fault = |rows: &[AuditRow]| {
            let mut head = None;
            rows.iter().find_map(|row| {
                let found = row.follows(head).err();
                head = Some(row.head());
                found
            })
        };
        assert_eq!(fault(&rows), None);
        let mut changed = rows.clone();
        changed[2].act.resource = Arc::from("other");
        assert_eq!(fault(&changed).unwrap(), "entry 3 was changed, or one before it was replaced");
        let mut moved = rows.clone();
        moved[2].act.actor = Arc::from("tokenqueue");
        moved[2].act.action = Arc::from(".pause");
        assert!(fault(&moved).is_some());
        let mut without = rows.clone();
        without.remove(1);
        assert_eq!(fault(&without).unwrap(), "entry 2 is missing: entry 3 follows instead");
        assert!(fault(&rows[1..]).is_some());
    }
}
