//! Schedules, and what became of their times.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, RunId, TenantId, Timestamp,
    schedule::{CatchUp, FireKind, FireOutcome, Open, Overlap, ScheduleSpec, ScheduleState, Target},
};
use serde_json::json;

use super::{Rig, on_every_store};
use crate::{Batch, Commit, FIRES_KEPT, FireRow, ScheduleRow, ScheduleWrite};

on_every_store! {
    a_schedule_is_kept_changed_and_deleted,
    due_schedules_come_earliest_first,
    a_time_is_started_once,
    the_newest_fires_are_kept,
}

fn row(tenant: u32, name: &str, due_at: Option<i64>, revision: u32) -> ScheduleRow {
    let spec = ScheduleSpec {
        cron: "0 3 * * *".into(),
        zone: "Europe/Berlin".into(),
        target: Target::Workflow("nightly".into()),
        with: json!({ "day": "${{ fire.date }}" }),
        catch_up: CatchUp::One,
        overlap: Overlap::Queue,
        jitter: DurationMs(5),
        seed: u64::MAX,
        by: Some("key_1".into()),
        file: Some("workflows/nightly.yaml".into()),
        created_at: Timestamp(1),
    };
    let state = ScheduleState { next: due_at.map(Timestamp), ..ScheduleState::default() };
    ScheduleRow {
        tenant: TenantId(tenant),
        name: name.into(),
        spec: Arc::new(spec),
        state,
        due_at: due_at.map(Timestamp),
        revision,
    }
}

fn put(row: &ScheduleRow, expected: Option<u32>) -> Batch<'static> {
    let write = ScheduleWrite { key: (row.tenant, row.name.clone()), row: Some(row.clone()), expected };
    Batch { schedules: vec![write], ..Batch::default() }
}

fn fire(scheduled: i64, outcome: FireOutcome) -> Batch<'static> {
    let (tenant, schedule) = (TenantId(1), Name::new("a"));
    let (at, kind) = (Timestamp(scheduled + 1), FireKind::Due);
    let row = FireRow { tenant, schedule, scheduled: Timestamp(scheduled), kind, at, outcome };
    Batch { fires: vec![row], ..Batch::default() }
}

const CONFLICT: Commit = Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true };

fn a_schedule_is_kept_changed_and_deleted(mut rig: Rig) {
    let (one, other, theirs) = (row(1, "a", Some(5), 0), row(1, "b", None, 0), row(2, "a", Some(9), 0));
    for row in [&one, &other, &theirs] {
        rig.done(&put(row, None));
    }
    assert_eq!(rig.store.commit(&put(&one, None)).unwrap(), CONFLICT, "the name is taken");
    assert_eq!(rig.reader.schedules(TenantId(1), None, 10).unwrap(), [one.clone(), other.clone()]);
    assert_eq!(rig.reader.schedules(TenantId(1), Some(&"a".into()), 10).unwrap(), [other]);
    let mut changed = row(1, "a", None, 1);
    changed.state.queued.push((Timestamp(7), FireKind::Manual));
    changed.state.last = Some(Open::Run(RunId(3)));
    changed.state.paused = Some("upgrade".into());
    rig.done(&put(&changed, Some(0)));
    assert_eq!(rig.store.commit(&put(&changed, Some(0))).unwrap(), CONFLICT, "read before the change");
    assert_eq!(rig.store.schedule(TenantId(1), &"a".into()).unwrap(), Some(changed.clone()));
    assert_eq!(rig.store.waiting_schedules().unwrap(), [changed]);
    rig.done(&fire(7, FireOutcome::QueueFull));
    let delete = |expected| {
        let write = ScheduleWrite { key: (TenantId(1), "a".into()), row: None, expected };
        Batch { schedules: vec![write], ..Batch::default() }
    };
    assert_eq!(rig.store.commit(&delete(Some(0))).unwrap(), CONFLICT);
    assert_eq!(rig.reader.fires(TenantId(1), &"a".into(), 10).unwrap().len(), 1, "a conflict deletes nothing");
    rig.done(&delete(Some(1)));
    assert_eq!(rig.reader.schedule(TenantId(1), &"a".into()).unwrap(), None);
    assert_eq!(rig.reader.fires(TenantId(1), &"a".into(), 10).unwrap(), []);
    assert_eq!(rig.reader.schedule(TenantId(2), &"a".into()).unwrap(), Some(theirs));
}

fn due_schedules_come_earliest_first(mut rig: Rig) {
    assert_eq!(rig.store.next_schedule().unwrap(), None);
    for row in [row(1, "late", Some(30), 0), row(2, "b", Some(10), 0), row(1, "a", Some(20), 0), row(1, "off", None, 0)]
    {
        rig.done(&put(&row, None));
    }
    let mut due = |now, most| -> Vec<String> {
        let found = rig.store.due_schedules(Timestamp(now), most).unwrap();
        found.into_iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(due(9, 9), [""; 0]);
    assert_eq!(due(20, 9), ["b", "a"]);
    assert_eq!(due(99, 2), ["b", "a"]);
    assert_eq!(rig.store.next_schedule().unwrap(), Some(Timestamp(10)));
}

fn a_time_is_started_once(mut rig: Rig) {
    rig.done(&put(&row(1, "a", None, 0), None));
    let open = Open::Run(RunId(1));
    rig.done(&fire(5, FireOutcome::Queued(open)));
    rig.done(&fire(5, FireOutcome::Started(open)));
    for again in [FireOutcome::Started(Open::Run(RunId(2))), FireOutcome::Overlapped(open)] {
        assert_eq!(rig.store.commit(&fire(5, again)).unwrap(), CONFLICT);
    }
    let of = |rig: &mut Rig, kind| rig.store.fire(TenantId(1), &"a".into(), Timestamp(5), kind).unwrap();
    assert_eq!(of(&mut rig, FireKind::Due).unwrap().outcome, FireOutcome::Started(open));
    assert_eq!(of(&mut rig, FireKind::Manual), None);
}

fn the_newest_fires_are_kept(mut rig: Rig) {
    rig.done(&put(&row(1, "a", None, 0), None));
    let most = FIRES_KEPT as i64;
    for scheduled in 0..most + 5 {
        rig.done(&fire(scheduled, FireOutcome::Refused("no workflow".into())));
    }
    let kept: Vec<i64> =
        rig.reader.fires(TenantId(1), &"a".into(), 1_000).unwrap().iter().map(|row| row.scheduled.0).collect();
    assert_eq!(kept, (5..most + 5).rev().collect::<Vec<_>>());
    assert_eq!(rig.reader.fires(TenantId(1), &"a".into(), 2).unwrap().len(), 2);
}
