//! Subscriptions to events, and the outbox of their deliveries.

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    subscription::{BodyFormat, SubscriptionSpec, SubscriptionState},
};

use super::{Rig, on_every_store};
use crate::{Batch, Commit, DeliveryRow, DeliveryState, DeliveryWrite, Retention, SubscriptionRow, SubscriptionWrite};

on_every_store! {
    a_subscription_is_kept_changed_and_deleted_with_its_deliveries,
    due_deliveries_wait_for_their_time_and_for_those_before_them,
    a_delivery_is_changed_against_its_revision,
    deliveries_that_ended_are_pruned,
}

const CONFLICT: Commit = Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true };

fn row(tenant: u32, name: &str, revision: u32) -> SubscriptionRow {
    let spec = SubscriptionSpec {
        url: "https://example.com/".into(),
        format: BodyFormat::Slack,
        types: [Arc::from("kapelle.run.*")].into(),
        condition: Some("event.data.run == 'run_1'".into()),
        ordered: true,
        by: Some("key_1".into()),
        created_at: Timestamp(1),
    };
    let state = SubscriptionState::new("salt".into());
    SubscriptionRow { tenant: TenantId(tenant), name: name.into(), spec: Arc::new(spec), state, revision }
}

fn put(row: &SubscriptionRow, expected: Option<u32>) -> Batch<'static> {
    let write = SubscriptionWrite { key: (row.tenant, row.name.clone()), row: Some(row.clone()), expected };
    Batch { subscriptions: vec![write], ..Batch::default() }
}

fn delivery(id: i64, subject: &str, next_at: i64) -> DeliveryRow {
    DeliveryRow {
        id,
        tenant: TenantId(1),
        subscription: Name::new("a"),
        event_id: id,
        kind: "kapelle.run.failed".into(),
        subject: subject.into(),
        event: "{}".into(),
        created_at: Timestamp(1),
        state: DeliveryState::Pending,
        attempts: 0,
        next_at: Timestamp(next_at),
        ended_at: None,
        status: None,
        error: None,
        revision: 0,
    }
}

fn deliver(rows: &[DeliveryRow], expected: Option<u32>) -> Batch<'static> {
    let write = |row: &DeliveryRow| DeliveryWrite { row: row.clone(), expected };
    Batch { deliveries: rows.iter().map(write).collect(), ..Batch::default() }
}

fn commit(rig: &mut Rig, batch: &Batch<'_>) -> Commit {
    rig.store.commit(batch).unwrap()
}

fn a_subscription_is_kept_changed_and_deleted_with_its_deliveries(mut rig: Rig) {
    let (one, theirs) = (row(1, "a", 0), row(2, "a", 0));
    assert_eq!(commit(&mut rig, &put(&one, None)), Commit::Committed);
    assert_eq!(commit(&mut rig, &put(&theirs, None)), Commit::Committed);
    assert_eq!(commit(&mut rig, &put(&one, None)), CONFLICT);
    assert_eq!(rig.store.subscriptions().unwrap(), [one.clone(), theirs.clone()]);
    let mut changed = row(1, "a", 1);
    changed.state.paused = Some("moved".into());
    assert_eq!(commit(&mut rig, &put(&changed, Some(5))), CONFLICT);
    assert_eq!(commit(&mut rig, &put(&changed, Some(0))), Commit::Committed);
    assert_eq!(rig.reader.subscription(TenantId(1), &"a".into()).unwrap(), Some(changed));
    let waits = delivery(1, "run_1", 1);
    assert_eq!(commit(&mut rig, &deliver(std::slice::from_ref(&waits), None)), Commit::Committed);
    let gone = SubscriptionWrite { key: (TenantId(1), "a".into()), row: None, expected: Some(1) };
    assert_eq!(commit(&mut rig, &Batch { subscriptions: vec![gone], ..Batch::default() }), Commit::Committed);
    assert_eq!(rig.reader.all_subscriptions().unwrap(), [theirs]);
    assert_eq!(rig.store.delivery(1).unwrap(), None);
    // The end of an attempt that was under way comes too late, and is no conflict.
    let late = DeliveryRow { state: DeliveryState::Delivered, revision: 1, ..waits };
    assert_eq!(commit(&mut rig, &deliver(&[late], Some(0))), Commit::Committed);
    assert_eq!(rig.store.delivery(1).unwrap(), None);
}

fn due_deliveries_wait_for_their_time_and_for_those_before_them(mut rig: Rig) {
    // The first of run_1 is tried again later: in order, the second waits for it.
    let rows = [delivery(1, "run_1", 50), delivery(2, "run_1", 5), delivery(3, "run_2", 9), delivery(4, "run_3", 99)];
    assert_eq!(commit(&mut rig, &deliver(&rows, None)), Commit::Committed);
    let name = Name::new("a");
    let due = |rig: &Rig, now: i64, ordered: bool, most: u32| {
        let rows = rig.reader.due_deliveries(TenantId(1), &name, Timestamp(now), ordered, most).unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(due(&rig, 10, false, 10), [2, 3]);
    assert_eq!(due(&rig, 10, true, 10), [3]);
    assert_eq!(due(&rig, 50, true, 10), [3, 1]);
    assert_eq!(due(&rig, 50, false, 1), [2]);
    assert_eq!(rig.reader.next_delivery(TenantId(1), &name).unwrap(), Some(Timestamp(5)));
    assert_eq!(rig.reader.next_delivery(TenantId(2), &name).unwrap(), None);
    assert_eq!(rig.reader.pending_deliveries(TenantId(1), &name, 3).unwrap(), 3);
    let page = rig.reader.deliveries(TenantId(1), &name, None, Some(4), 2).unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 2]);
}

fn a_delivery_is_changed_against_its_revision(mut rig: Rig) {
    let first = delivery(1, "run_1", 1);
    assert_eq!(commit(&mut rig, &deliver(std::slice::from_ref(&first), None)), Commit::Committed);
    assert_eq!(commit(&mut rig, &deliver(std::slice::from_ref(&first), None)), CONFLICT);
    let done = DeliveryRow {
        state: DeliveryState::Delivered,
        attempts: 1,
        ended_at: Some(Timestamp(7)),
        status: Some(204),
        error: Some("once".into()),
        revision: 1,
        ..first
    };
    assert_eq!(commit(&mut rig, &deliver(std::slice::from_ref(&done), Some(3))), CONFLICT);
    assert_eq!(commit(&mut rig, &deliver(std::slice::from_ref(&done), Some(0))), Commit::Committed);
    assert_eq!(rig.store.delivery(1).unwrap().as_ref(), Some(&done));
    let name = Name::new("a");
    let of = |state| rig.reader.deliveries(TenantId(1), &name, Some(state), None, 9).unwrap();
    assert_eq!((of(DeliveryState::Delivered), of(DeliveryState::Pending)), (vec![done], Vec::new()));
}

fn deliveries_that_ended_are_pruned(mut rig: Rig) {
    let ended = |id: i64, at: i64| DeliveryRow {
        state: DeliveryState::Failed,
        ended_at: Some(Timestamp(at)),
        ..delivery(id, "run_1", 1)
    };
    let rows = [ended(1, 10), ended(2, 11), ended(3, 90), delivery(4, "run_1", 1)];
    assert_eq!(commit(&mut rig, &deliver(&rows, None)), Commit::Committed);
    let mut retention =
        Retention { tasks_before: Timestamp(10), runs_before: Timestamp(0), keys_before: Timestamp(0), most: 1 };
    assert!(!rig.store.has_expired(retention).unwrap());
    retention.tasks_before = Timestamp(50);
    for left in [vec![2, 3, 4], vec![3, 4]] {
        assert!(rig.store.has_expired(retention).unwrap());
        let batch = Batch { expired: Some(retention), ..Batch::default() };
        assert_eq!(commit(&mut rig, &batch), Commit::Committed);
        let rows = rig.reader.deliveries(TenantId(1), &"a".into(), None, None, 9).unwrap();
        let mut ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, left);
    }
    assert!(!rig.store.has_expired(retention).unwrap(), "one that waits is never pruned");
}
