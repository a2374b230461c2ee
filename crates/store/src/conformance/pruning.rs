//! Retention: deleted rows, and rows that stay.

use std::sync::Arc;

use kapelle_core::{Payload, PayloadId, RunId, TaskId, TenantId, Timestamp, task::Attempt, task::Task};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, Commit, IdKind, KeyReply, KeyRow, KeyWrite, PayloadBody, Retention, TaskWrite};

on_every_store! {
    ended_tasks_go_with_all_that_is_theirs,
    ended_runs_go_with_all_that_is_theirs,
    a_shared_payload_goes_with_the_last_that_refers_to_it,
    it_deletes_a_bounded_amount_oldest_first,
    keys_go_after_their_time,
    each_kind_of_expired_row_is_noticed,
    a_row_that_is_revived_in_the_turn_stays,
    a_turn_with_a_conflict_deletes_nothing,
    pruned_ids_are_not_given_again,
}

fn before(at: i64, most: u32) -> Retention {
    let at = Timestamp(at);
    Retention { tasks_before: at, runs_before: at, keys_before: at, most }
}

fn payload(id: i64) -> (PayloadId, PayloadBody) {
    (PayloadId(id), PayloadBody::Bytes(Arc::from(&b"{}"[..])))
}

fn attempt(task: i64) -> Attempt {
    Attempt { task: TaskId(task), epoch: 1, started_at: NOW, ended_at: NOW, error: error("no") }
}

fn ended_tasks_go_with_all_that_is_theirs(mut rig: Rig) {
    rig.done(&Batch { payloads: vec![payload(1), payload(2)], ..Batch::default() });
    rig.add(&[Task { input: row(1), ..succeeded(1, 10, row(2)) }, succeeded(2, 20, Payload::None), task(3)]);
    rig.done(&Batch { attempts: vec![attempt(1), attempt(3)], ..Batch::default() });
    assert!(rig.store.has_expired(before(20, 100)).unwrap());
    assert!(!rig.expire(before(20, 100)));
    assert_eq!(rig.store.task(TaskId(1)).unwrap(), None);
    assert_eq!(rig.reader.attempts(TaskId(1)).unwrap(), []);
    assert_eq!(rig.reader.payload(PayloadId(1)).unwrap(), None);
    assert_eq!(rig.reader.payload(PayloadId(2)).unwrap(), None);
    assert!(rig.store.task(TaskId(2)).unwrap().is_some(), "it ended at the bound, not before");
    assert_eq!(rig.reader.attempts(TaskId(3)).unwrap().len(), 1);
}

fn ended_runs_go_with_all_that_is_theirs(mut rig: Rig) {
    let old = {
        let mut run = ended(run(1, 1), 10);
        run.inputs = row(1);
        run
    };
    let runs = [old, run(2, 1)];
    rig.done(&Batch { payloads: vec![payload(1), payload(2)], ..with_runs(&runs) });
    let in_run = |id, run, slot| Task { origin: step(id, run, slot).origin, ..succeeded(id, 5, Payload::None) };
    rig.add(&[Task { input: row(2), ..in_run(1, 1, 0) }, in_run(2, 1, 1), in_run(3, 2, 0)]);
    rig.done(&Batch { attempts: vec![attempt(1)], journal: vec![entry(1, 0), entry(2, 0)], ..Batch::default() });
    assert!(!rig.expire(before(11, 100)));
    assert_eq!(rig.store.run(RunId(1)).unwrap(), None);
    assert_eq!(rig.reader.journal(RunId(1), 0, 9).unwrap(), []);
    assert_eq!(rig.reader.payload(PayloadId(1)).unwrap(), None);
    assert_eq!(rig.reader.payload(PayloadId(2)).unwrap(), None);
    assert!(rig.store.task(TaskId(3)).unwrap().is_some(), "a step stays as long as its run");
    assert_eq!(rig.store.version(1).unwrap(), Some(version(1, "flow", 1)));
}

fn a_shared_payload_goes_with_the_last_that_refers_to_it(mut rig: Rig) {
    rig.done(&Batch { payloads: vec![payload(1)], ..Batch::default() });
    rig.add(&[succeeded(1, 10, row(1)), Task { input: row(1), ..succeeded(2, 30, Payload::None) }]);
    rig.expire(before(20, 100));
    assert!(rig.reader.payload(PayloadId(1)).unwrap().is_some());
    rig.expire(before(40, 100));
    assert_eq!(rig.reader.payload(PayloadId(1)).unwrap(), None);
}

fn it_deletes_a_bounded_amount_oldest_first(mut rig: Rig) {
    let runs: Vec<_> = (1..=2).map(|id| ended(run(id, 1), 100 - id)).collect();
    rig.done(&with_runs(&runs));
    let tasks: Vec<Task> = (1..=5).map(|id| succeeded(id, 100 - id, Payload::None)).collect();
    rig.add(&tasks);
    let steps: Vec<Task> = (0..4)
        .map(|n| Task { origin: step(1, 2, n).origin, ..succeeded(10 + i64::from(n), 5, Payload::None) })
        .collect();
    rig.add(&steps);
    assert!(rig.expire(before(200, 3)));
    let kept =
        |rig: &mut Rig| -> Vec<i64> { (1..14).filter(|id| rig.store.task(TaskId(*id)).unwrap().is_some()).collect() };
    assert_eq!(kept(&mut rig), [1, 2, 10, 11, 12, 13]);
    assert!(rig.expire(before(200, 4)));
    assert_eq!(kept(&mut rig).len(), 2);
    assert!(rig.store.run(RunId(2)).unwrap().is_some(), "its steps go first");
    assert!(!rig.expire(before(200, 4)));
    assert!(kept(&mut rig).is_empty());
    assert_eq!((rig.store.run(RunId(1)).unwrap(), rig.store.run(RunId(2)).unwrap()), (None, None));
}

fn keys_go_after_their_time(mut rig: Rig) {
    let key = |text: &str, until| KeyWrite {
        at: Timestamp(0),
        row: KeyRow {
            tenant: TenantId::DEFAULT,
            key: Arc::from(text),
            body: [0; 32],
            reply: KeyReply::Run(RunId(1)),
            until: Timestamp(until),
        },
    };
    rig.done(&Batch { keys: vec![key("a", 10), key("b", 20)], ..Batch::default() });
    rig.expire(before(20, 100));
    assert_eq!(rig.store.key(TenantId::DEFAULT, "a", Timestamp(0)).unwrap(), None);
    assert!(rig.store.key(TenantId::DEFAULT, "b", Timestamp(0)).unwrap().is_some());
}

fn pruned_ids_are_not_given_again(mut rig: Rig) {
    let id = rig.store.ids(IdKind::Task, 1).unwrap();
    rig.add(&[succeeded(id, 5, Payload::None)]);
    rig.expire(before(6, 10));
    assert_eq!(rig.store.ids(IdKind::Task, 1).unwrap(), id + 1);
}

fn each_kind_of_expired_row_is_noticed(mut rig: Rig) {
    assert!(!rig.store.has_expired(before(20, 1)).unwrap());
    rig.done(&with_runs(&[ended(run(1, 1), 19)]));
    assert!(rig.store.has_expired(before(20, 1)).unwrap() && !rig.store.has_expired(before(19, 1)).unwrap());
    assert!(!rig.expire(before(20, 9)));
    rig.add(&[succeeded(1, 19, Payload::None), task(2)]);
    assert!(rig.store.has_expired(before(20, 1)).unwrap() && !rig.store.has_expired(before(19, 1)).unwrap());
    // A limit of nothing deletes nothing.
    assert!(rig.expire(before(20, 0)));
    assert!(!rig.expire(before(20, 1)));
}

fn a_row_that_is_revived_in_the_turn_stays(mut rig: Rig) {
    rig.add(&[succeeded(1, 10, Payload::None), succeeded(2, 10, Payload::None)]);
    let back = Task { revision: 1, ..ready(1, 3) };
    let tasks = vec![TaskWrite { task: &back, expected: Some(0) }];
    rig.done(&Batch { tasks, expired: Some(before(20, 100)), ..Batch::default() });
    assert_eq!(rig.store.task(TaskId(1)).unwrap(), Some(back));
    assert_eq!(rig.store.task(TaskId(2)).unwrap(), None);
}

fn a_turn_with_a_conflict_deletes_nothing(mut rig: Rig) {
    rig.add(&[succeeded(1, 10, Payload::None), task(2)]);
    let stale = Task { revision: 8, ..ready(2, 3) };
    let tasks = vec![TaskWrite { task: &stale, expected: Some(7) }];
    let end = rig.store.commit(&Batch { tasks, expired: Some(before(20, 100)), ..Batch::default() }).unwrap();
    assert_eq!(end, Commit::Conflict { tasks: vec![TaskId(2)], runs: Vec::new(), other: false });
    assert!(rig.store.task(TaskId(1)).unwrap().is_some());
    // A row that is gone is a conflict for the turn that still knows it.
    assert!(!rig.expire(before(20, 100)));
    let late = Task { revision: 1, ..ready(1, 3) };
    assert_eq!(rig.change(&late, 0), Commit::Conflict { tasks: vec![TaskId(1)], runs: Vec::new(), other: false });
}
