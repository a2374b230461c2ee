//! API keys and the audit trail.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};

use super::{Rig, on_every_store};
use crate::{AccessKey, AccessWrite, Act, AuditRow, Batch, Commit, KeyScope, Page};

on_every_store! {
    keys_are_kept_and_taken_back,
    the_trail_is_kept_in_order_and_by_tenant,
    an_entry_that_was_written_meanwhile_is_a_conflict,
}

fn key(id: &str, number: u8) -> AccessKey {
    AccessKey {
        id: Arc::from(id),
        tenant: TenantId(2),
        name: Arc::from("a name"),
        role: Arc::from("viewer"),
        sha256: [number; 32],
        created_at: Timestamp(i64::from(number)),
        expires_at: Some(Timestamp(50)),
        revoked_at: None,
        scope: KeyScope { workers: Some(vec!["far".to_owned()]), ask: true, ..KeyScope::default() },
    }
}

fn keys_are_kept_and_taken_back(mut rig: Rig) {
    let (one, two) = (key("key_a", 1), key("key_b", 2));
    let access = vec![AccessWrite::Add(one.clone()), AccessWrite::Add(two.clone())];
    rig.done(&Batch { access, ..Batch::default() });
    assert_eq!(rig.reader.access_keys().unwrap(), [one, two.clone()]);
    for at in [7, 8] {
        let access = vec![AccessWrite::Revoke { id: Arc::from("key_a"), at: Timestamp(at) }];
        rig.done(&Batch { access, ..Batch::default() });
    }
    assert_eq!(rig.reader.access_keys().unwrap()[0].revoked_at, Some(Timestamp(7)));
    let again = Batch { access: vec![AccessWrite::Add(two)], ..Batch::default() };
    assert_eq!(
        rig.store.commit(&again).unwrap(),
        Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true }
    );
}

fn act(tenant: u32, resource: &str) -> Act {
    let text = Arc::<str>::from;
    Act { tenant: TenantId(tenant), actor: text("token"), action: text("key.create"), resource: text(resource) }
}

fn the_trail_is_kept_in_order_and_by_tenant(mut rig: Rig) {
    assert_eq!(rig.store.audit_head().unwrap(), None);
    let mut rows: Vec<AuditRow> = Vec::new();
    for number in 0..6_u32 {
        let head = rig.store.audit_head().unwrap();
        let row = AuditRow::after(head, Timestamp(i64::from(number)), act(1 + number % 2, "x"));
        rig.done(&Batch { audit: vec![row.clone()], ..Batch::default() });
        rows.push(row);
    }
    assert_eq!(rig.store.audit_head().unwrap(), rows.last().map(AuditRow::head));
    assert_eq!(rig.reader.audit_from(0, 100).unwrap(), rows);
    assert_eq!(rig.reader.audit_from(4, 1).unwrap(), rows[4..5]);
    let page = |before| rig.reader.audit(Some(TenantId(1)), Page { before, most: 2 }).unwrap();
    assert_eq!(page(None), [rows[4].clone(), rows[2].clone()]);
    assert_eq!(page(Some(3)), [rows[0].clone()]);
    let of_all = |before| rig.reader.audit(None, Page { before, most: 2 }).unwrap();
    assert_eq!(of_all(None), [rows[5].clone(), rows[4].clone()]);
    assert_eq!(of_all(Some(2)), [rows[0].clone()]);
}

fn an_entry_that_was_written_meanwhile_is_a_conflict(mut rig: Rig) {
    let row = AuditRow::after(None, Timestamp(1), act(1, "x"));
    let batch = Batch { audit: vec![row], ..Batch::default() };
    rig.done(&batch);
    assert_eq!(
        rig.store.commit(&batch).unwrap(),
        Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true }
    );
}
