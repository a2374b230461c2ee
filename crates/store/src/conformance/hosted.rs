//! Workers that hosts serve, replayed answers, uploaded files, and entries of the session log.

use std::sync::Arc;

use kapelle_core::{Payload, TaskId, TenantId, Timestamp, task::StateKind, worker::WorkerSpec};

use super::{
    Rig,
    fixtures::{succeeded, task},
    on_every_store,
};
use crate::{ArtifactRow, Batch, Commit, EndedTask, GivenRow, HostWorkerRow, HostWorkerWrite, Retention, SessionRow};

on_every_store! {
    the_last_word_on_a_worker_holds_until_it_is_forgotten,
    what_an_attempt_was_given_again_is_counted_until_its_task_goes_or_a_later_one_begins,
    a_file_belongs_to_the_tenants_that_gave_it,
    the_session_keeps_what_is_not_written_and_its_newest_row,
}

fn row(tenant: u32, name: &str, queue: &str) -> HostWorkerRow {
    let spec = WorkerSpec { queue: queue.into(), ..WorkerSpec::named(name) };
    HostWorkerRow { tenant: TenantId(tenant), spec: Arc::new(spec), at: Timestamp(5) }
}

fn the_last_word_on_a_worker_holds_until_it_is_forgotten(mut rig: Rig) {
    assert_eq!(rig.store.host_workers().unwrap(), []);
    let rows = [row(1, "a", "q"), row(1, "b", "q"), row(2, "a", "r")];
    let host_workers = rows.iter().cloned().map(HostWorkerWrite::Put).collect();
    rig.done(&Batch { host_workers, ..Batch::default() });
    assert_eq!(rig.reader.host_workers().unwrap(), rows);
    let newer = row(1, "a", "s");
    let forget = HostWorkerWrite::Forget(TenantId(1), "b".into());
    rig.done(&Batch { host_workers: vec![HostWorkerWrite::Put(newer.clone()), forget], ..Batch::default() });
    assert_eq!(rig.store.host_workers().unwrap(), [newer, row(2, "a", "r")]);
}

fn what_an_attempt_was_given_again_is_counted_until_its_task_goes_or_a_later_one_begins(mut rig: Rig) {
    let row = |task: i64, attempt: u32, byte: u8, count: u32| GivenRow {
        task: TaskId(task),
        attempt,
        fingerprint: [byte; 32],
        count,
    };
    let given = |rig: &Rig, task: i64, attempt: u32| rig.reader.given(TaskId(task), attempt).unwrap();
    rig.add(&[task(1), succeeded(2, 10, Payload::None)]);
    let rows = vec![row(1, 2, 9, 1), row(1, 2, 0, 1), row(1, 2, 255, 3), row(2, 2, 9, 4)];
    rig.done(&Batch { given: rows, ..Batch::default() });
    assert_eq!(given(&rig, 1, 2), [row(1, 2, 0, 1), row(1, 2, 9, 1), row(1, 2, 255, 3)]);
    assert_eq!((given(&rig, 1, 1), given(&rig, 1, 3)), (vec![], vec![]));
    // A late report has a lower count than is stored.
    rig.done(&Batch { given: vec![row(1, 2, 9, 3), row(1, 2, 9, 2)], ..Batch::default() });
    assert_eq!(given(&rig, 1, 2)[1], row(1, 2, 9, 3));
    rig.done(&Batch { given: vec![row(1, 3, 9, 1)], ..Batch::default() });
    assert_eq!((given(&rig, 1, 2), given(&rig, 1, 3)), (vec![], vec![row(1, 3, 9, 1)]));
    assert_eq!(given(&rig, 2, 2), [row(2, 2, 9, 4)], "of its own task alone");
    let before = Timestamp(20);
    let retention = Retention { tasks_before: before, runs_before: before, keys_before: before, most: 100 };
    assert!(!rig.expire(retention));
    assert_eq!(rig.store.task(TaskId(2)).unwrap(), None);
    assert_eq!(given(&rig, 2, 2), []);
    let nobody = Batch { given: vec![row(77, 1, 1, 1)], ..Batch::default() };
    assert!(rig.store.commit(&nobody).is_err(), "there is no such task");
}

fn a_file_belongs_to_the_tenants_that_gave_it(mut rig: Rig) {
    let file = |tenant, hash: char, name: &str| ArtifactRow {
        tenant: TenantId(tenant),
        sha256: Arc::from(hash.to_string().repeat(64)),
        name: Arc::from(name),
        media_type: Arc::from("text/plain"),
        bytes: 3,
        at: Timestamp(1),
    };
    let (one, two) = (file(1, 'a', "first"), file(1, 'b', "second"));
    let artifacts = vec![one.clone(), two.clone(), file(1, 'a', "again"), file(2, 'b', "theirs")];
    rig.done(&Batch { artifacts, ..Batch::default() });
    assert_eq!(rig.reader.artifact(TenantId(1), &one.sha256).unwrap(), Some(one.clone()));
    assert_eq!(rig.reader.artifact(TenantId(2), &one.sha256).unwrap(), None);
    assert_eq!(rig.reader.artifacts(TenantId(1), None, 10).unwrap(), [one.clone(), two.clone()]);
    assert_eq!(rig.reader.artifacts(TenantId(1), Some(&one.sha256), 10).unwrap(), [two]);
    assert_eq!(rig.reader.artifacts(TenantId(1), None, 1).unwrap(), [one]);
}

fn the_session_keeps_what_is_not_written_and_its_newest_row(mut rig: Rig) {
    assert_eq!(rig.store.session_last().unwrap(), 0);
    let row = |seq: u64| SessionRow {
        seq,
        at: Timestamp(seq as i64),
        ended: vec![EndedTask { task: TaskId(7), epoch: 2, state: StateKind::Failed }],
        notes: vec![Arc::from(r#"{"event":"é"}"#)],
    };
    for seq in 1..=3 {
        rig.done(&Batch { session: Some(row(seq)), ..Batch::default() });
    }
    assert_eq!(rig.reader.session(0, 10).unwrap(), [row(1), row(2), row(3)]);
    assert_eq!(rig.reader.session(1, 1).unwrap(), [row(2)]);
    let again = Batch { session: Some(row(3)), ..Batch::default() };
    let taken = Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true };
    assert_eq!(rig.store.commit(&again).unwrap(), taken);
    rig.done(&Batch { session_written: Some(3), ..Batch::default() });
    assert_eq!(rig.reader.session(0, 10).unwrap(), [row(3)]);
    assert_eq!(rig.store.session_last().unwrap(), 3);
}
