//! Memos of tenants.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};

use super::{Rig, on_every_store};
use crate::{Batch, Commit, MemoRow, MemoWrite};

on_every_store!(a_memo_is_written_against_its_revision, memos_are_listed_by_collection_and_tenant);

fn memo(tenant: u32, collection: &str, key: &str, revision: u32) -> MemoRow {
    MemoRow {
        tenant: TenantId(tenant),
        collection: Arc::from(collection),
        key: Arc::from(key),
        value: Arc::from(format!("{{\"revision\":{revision}}}")),
        revision,
        at: Timestamp(i64::from(revision)),
    }
}

fn put(row: MemoRow) -> MemoWrite {
    let expected = row.revision.checked_sub(1).filter(|revision| *revision > 0);
    MemoWrite::Put { row, expected }
}

fn delete(key: &str, expected: u32) -> MemoWrite {
    MemoWrite::Delete { tenant: TenantId(1), collection: Arc::from("facts"), key: Arc::from(key), expected }
}

fn batch(memos: Vec<MemoWrite>) -> Batch<'static> {
    Batch { memos, ..Batch::default() }
}

fn a_memo_is_written_against_its_revision(mut rig: Rig) {
    let taken = Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true };
    let (first, second) = (memo(1, "facts", "a", 1), memo(1, "facts", "a", 2));
    rig.done(&batch(vec![put(first.clone())]));
    for stale in [put(first), put(memo(1, "facts", "a", 3)), put(memo(1, "facts", "b", 2)), delete("a", 2)] {
        // Nothing of a batch is written when one of its memos conflicts.
        let other = put(memo(1, "facts", "c", 1));
        assert_eq!(rig.store.commit(&batch(vec![other, stale])).unwrap(), taken);
    }
    assert_eq!(rig.reader.memos(TenantId(1), "facts", None, 10).unwrap().len(), 1);
    rig.done(&batch(vec![put(second.clone())]));
    assert_eq!(rig.store.memo(TenantId(1), "facts", "a").unwrap(), Some(second.clone()));
    assert_eq!(rig.reader.memo(TenantId(1), "facts", "a").unwrap(), Some(second));
    // Two changes of one memo in a turn follow each other.
    rig.done(&batch(vec![put(memo(1, "facts", "a", 3)), delete("a", 3)]));
    assert_eq!(rig.store.memo(TenantId(1), "facts", "a").unwrap(), None);
}

fn memos_are_listed_by_collection_and_tenant(mut rig: Rig) {
    let rows = [memo(1, "facts", "a", 1), memo(1, "facts", "b", 1), memo(1, "goals", "a", 1), memo(2, "facts", "a", 1)];
    rig.done(&batch(rows.iter().cloned().map(put).collect()));
    assert_eq!(rig.reader.memos(TenantId(1), "facts", None, 10).unwrap(), rows[..2]);
    assert_eq!(rig.reader.memos(TenantId(1), "facts", Some("a"), 10).unwrap(), rows[1..2]);
    assert_eq!(rig.reader.memos(TenantId(1), "facts", None, 1).unwrap(), rows[..1]);
    assert_eq!(rig.reader.memos(TenantId(2), "facts", None, 10).unwrap(), rows[3..]);
    assert_eq!(rig.reader.memo(TenantId(2), "goals", "a").unwrap(), None);
}
