//! Retention: deleted rows, and rows that stay.

use std::sync::Arc;

use kapelle_core::{Payload, PayloadId, RunId, TaskId, TenantId, Timestamp, task::Attempt, task::Task};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, IdKind, KeyReply, KeyRow, KeyWrite, PayloadBody, Pruned, Retention};

on_every_store! {
    ended_tasks_go_with_all_that_is_theirs,
    ended_runs_go_with_all_that_is_theirs,
    a_shared_payload_goes_with_the_last_that_refers_to_it,
    it_deletes_a_bounded_amount_oldest_first,
    keys_go_after_their_time,
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
    assert_eq!(rig.store.prune(before(20, 100)).unwrap(), Pruned { tasks: 1, runs: 0, more: false });
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
    assert_eq!(rig.store.prune(before(11, 100)).unwrap(), Pruned { tasks: 2, runs: 1, more: false });
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
    rig.store.prune(before(20, 100)).unwrap();
    assert!(rig.reader.payload(PayloadId(1)).unwrap().is_some());
    rig.store.prune(before(40, 100)).unwrap();
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
    assert_eq!(rig.store.prune(before(200, 3)).unwrap(), Pruned { tasks: 3, runs: 0, more: true });
    assert_eq!(rig.store.task(TaskId(5)).unwrap(), None);
    assert!(rig.store.task(TaskId(2)).unwrap().is_some());
    assert_eq!(rig.store.prune(before(200, 4)).unwrap(), Pruned { tasks: 4, runs: 0, more: true });
    assert_eq!(rig.store.prune(before(200, 4)).unwrap(), Pruned { tasks: 2, runs: 2, more: true });
    assert_eq!(rig.store.prune(before(200, 4)).unwrap(), Pruned::default());
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
    rig.store.prune(before(20, 100)).unwrap();
    assert_eq!(rig.store.key(TenantId::DEFAULT, "a", Timestamp(0)).unwrap(), None);
    assert!(rig.store.key(TenantId::DEFAULT, "b", Timestamp(0)).unwrap().is_some());
}

fn pruned_ids_are_not_given_again(mut rig: Rig) {
    let id = rig.store.ids(IdKind::Task, 1).unwrap();
    rig.add(&[succeeded(id, 5, Payload::None)]);
    rig.store.prune(before(6, 10)).unwrap();
    assert_eq!(rig.store.ids(IdKind::Task, 1).unwrap(), id + 1);
}
