//! Round trips, and turns that are written whole or not at all.

use std::sync::Arc;

use kapelle_core::{
    Name, Payload, PayloadId, RunId, TaskError, TaskId, TenantId, Timestamp,
    run::{Parent, RunStatus, ScopeId, Slot, StepRow},
    task::{Attempt, Origin, StateKind, Task, TaskState},
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, Commit, IdKind, KeyReply, KeyRow, KeyWrite, PayloadBody, RunRow, RunWrite, StoreError, TaskWrite};

on_every_store! {
    every_state_reads_back,
    every_field_of_a_task_reads_back,
    every_status_of_a_run_reads_back,
    a_write_must_name_the_revision_of_the_row,
    a_conflict_undoes_the_whole_batch,
    a_conflict_names_everything_that_met_one,
    a_row_cannot_be_made_twice,
    a_step_cannot_be_started_twice,
    what_was_submitted_does_not_change,
    a_row_never_refers_to_nothing,
    what_could_not_be_read_back_is_refused,
    ids_are_dense_and_start_at_1,
    payloads_of_every_size_read_back,
}

fn every_state_reads_back(mut rig: Rig) {
    for (n, state) in every_state().into_iter().enumerate() {
        let id = n as i64 + 1;
        let epoch = if let TaskState::Running(lease) = &state { lease.epoch } else { 0 };
        let fresh = Task { epoch, ..in_state(id, state.clone()) };
        rig.add(std::slice::from_ref(&fresh));
        assert_eq!(rig.store.task(TaskId(id)).unwrap().unwrap(), fresh);
        assert_eq!(rig.reader.task(TenantId::DEFAULT, TaskId(id)).unwrap().unwrap(), fresh);
        let before = task(id + 100);
        rig.add(std::slice::from_ref(&before));
        let after = Task { revision: 1, state, epoch, failures: 2, crashes: 3, ..before };
        assert_eq!(rig.change(&after, 0), Commit::Committed);
        assert_eq!(rig.store.task(after.id).unwrap().unwrap(), after);
    }
}

fn every_field_of_a_task_reads_back(mut rig: Rig) {
    rig.done(&with_runs(&[run(7, 1)]));
    let full = Task {
        tenant: TenantId(u32::MAX),
        queue: Name::new("openai"),
        worker: Name::new("summarizer"),
        priority: -100,
        key: Some(Name::new("cust-7")),
        origin: Some(Origin { run: RunId(7), scope: ScopeId(2), slot: Slot(u32::MAX), path: Arc::from("a[3].b") }),
        policy: policy(),
        epoch: u32::MAX,
        failures: 4,
        crashes: 5,
        revision: u32::MAX,
        ..task(i64::MAX)
    };
    rig.add(std::slice::from_ref(&full));
    assert_eq!(rig.store.task(full.id).unwrap().unwrap(), full);
    assert_eq!(rig.reader.task(full.tenant, full.id).unwrap().unwrap(), full);
    assert_eq!(rig.reader.task(TenantId::DEFAULT, full.id).unwrap(), None, "it is another tenant's");
    assert_eq!(rig.store.task(TaskId(1)).unwrap(), None);
}

fn every_status_of_a_run_reads_back(mut rig: Rig) {
    let reason: Arc<str> = Arc::from("by hand");
    let at = Timestamp(4);
    let inline = Payload::Inline(Arc::from(&b"[]"[..]));
    let statuses = [
        RunStatus::Running,
        RunStatus::Cancelling { reason: Arc::clone(&reason), hard: false },
        RunStatus::Cancelling { reason: Arc::clone(&reason), hard: true },
        RunStatus::Failing { error: Arc::new(TaskError::new(kapelle_core::Category::Timeout, "slow")) },
        RunStatus::Succeeded { outputs: inline.clone(), ended_at: at },
        RunStatus::Failed { error: error("no"), ended_at: at },
        RunStatus::Cancelled { reason, ended_at: at },
    ];
    rig.done(&with_runs(&[]));
    for (n, status) in statuses.into_iter().enumerate() {
        let mut run = run(n as i64 + 1, 1);
        run.inputs = inline.clone();
        rig.done(&Batch { runs: vec![RunWrite { run: &run, expected: None }], ..Batch::default() });
        (run.status, run.revision, run.seq, run.paused) = (status, 1, 12, Some(Timestamp(3)));
        run.mailbox.push_back((Name::new("go"), Payload::Inline(Arc::from(&b"{}"[..]))));
        run.parent = Some(Parent { run: RunId(4), task: Some(TaskId(9)), depth: 1 });
        rig.done(&Batch { runs: vec![RunWrite { run: &run, expected: Some(0) }], ..Batch::default() });
        let expected = RunRow::from(&run);
        assert_eq!(rig.store.run(run.id).unwrap().unwrap(), (expected.clone(), vec![]));
        assert_eq!(rig.reader.run(TenantId::DEFAULT, run.id).unwrap().unwrap(), expected);
        assert_eq!(rig.reader.run(TenantId(2), run.id).unwrap(), None);
    }
    assert_eq!(rig.store.open_runs(RunId(0), 10).unwrap(), [1, 2, 3, 4].map(RunId));
    assert_eq!(rig.store.open_runs(RunId(1), 10).unwrap(), [2, 3, 4].map(RunId));
    assert_eq!(rig.store.open_runs(RunId(0), 1).unwrap(), [RunId(1)]);
}

fn conflict(tasks: &[i64], runs: &[i64], other: bool) -> Commit {
    let tasks = tasks.iter().map(|id| TaskId(*id)).collect();
    Commit::Conflict { tasks, runs: runs.iter().map(|id| RunId(*id)).collect(), other }
}

fn a_write_must_name_the_revision_of_the_row(mut rig: Rig) {
    rig.add(&[task(1)]);
    let next = Task { revision: 1, ..running(1) };
    assert_eq!(rig.change(&next, 1), conflict(&[1], &[], false));
    assert_eq!(rig.change(&next, 0), Commit::Committed);
    assert_eq!(rig.change(&next, 0), conflict(&[1], &[], false));
    assert_eq!(rig.change(&Task { id: TaskId(2), ..next }, 0), conflict(&[2], &[], false));
    rig.done(&with_runs(&[run(1, 1)]));
    let changed = run(1, 1);
    let stale = Batch { runs: vec![RunWrite { run: &changed, expected: Some(4) }], ..Batch::default() };
    assert_eq!(rig.store.commit(&stale).unwrap(), conflict(&[], &[1], false));
}

fn a_conflict_undoes_the_whole_batch(mut rig: Rig) {
    rig.add(&[task(1)]);
    let (fresh, stale, made) = (Task { queue: Name::new("new"), ..task(2) }, task(1), run(1, 1));
    let attempt = Attempt { task: TaskId(2), epoch: 1, started_at: NOW, ended_at: NOW, error: error("no") };
    let key = key("k", KeyReply::Run(RunId(1)), 5);
    let batch = Batch {
        tasks: vec![TaskWrite { task: &fresh, expected: None }, TaskWrite { task: &stale, expected: Some(7) }],
        attempts: vec![attempt],
        runs: vec![RunWrite { run: &made, expected: None }],
        journal: vec![entry(1, 0)],
        payloads: vec![(PayloadId(1), PayloadBody::Bytes(Arc::from(&b"1"[..])))],
        keys: vec![KeyWrite { row: key, at: Timestamp(0) }],
        gates: Vec::new(),
        answers: Vec::new(),
        versions: vec![version(1, "flow", 1)],
        ..Batch::default()
    };
    assert_eq!(rig.store.commit(&batch).unwrap(), conflict(&[1], &[], false));
    assert_eq!(rig.store.task(TaskId(2)).unwrap(), None);
    assert_eq!(rig.store.run(RunId(1)).unwrap(), None);
    assert_eq!(rig.store.version(1).unwrap(), None);
    assert_eq!(rig.store.key(TenantId::DEFAULT, "k", Timestamp(0)).unwrap(), None);
    assert_eq!(rig.reader.payload(PayloadId(1)).unwrap(), None);
    assert_eq!(rig.reader.attempts(TaskId(2)).unwrap(), []);
    assert_eq!(rig.reader.journal(RunId(1), 0, 10).unwrap(), []);
    // The name in the lost batch is unknown to all connections, and can be written again.
    rig.add(std::slice::from_ref(&fresh));
    assert_eq!(rig.store.task(TaskId(2)).unwrap().unwrap(), fresh);
}

fn key(text: &str, reply: KeyReply, until: i64) -> KeyRow {
    let until = Timestamp(until);
    KeyRow { tenant: TenantId::DEFAULT, key: Arc::from(text), body: [7; 32], reply, until }
}

fn a_conflict_names_everything_that_met_one(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    rig.add(&[task(1), task(2), task(3)]);
    let (run_1, run_2) = (run(1, 1), run(2, 1));
    let (one, two, three) = (task(1), task(2), task(3));
    let batch = Batch {
        tasks: vec![
            TaskWrite { task: &three, expected: Some(9) },
            TaskWrite { task: &two, expected: Some(0) },
            TaskWrite { task: &one, expected: Some(9) },
        ],
        runs: vec![RunWrite { run: &run_1, expected: Some(0) }, RunWrite { run: &run_2, expected: Some(8) }],
        versions: vec![version(9, "flow", 1)],
        ..Batch::default()
    };
    assert_eq!(rig.store.commit(&batch).unwrap(), conflict(&[1, 3], &[2], true));
}

fn a_row_cannot_be_made_twice(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1)]));
    rig.add(&[task(1)]);
    let (task, run) = (task(1), run(1, 1));
    let body = PayloadBody::Bytes(Arc::from(&b"1"[..]));
    let attempt = Attempt { task: TaskId(1), epoch: 1, started_at: NOW, ended_at: NOW, error: error("no") };
    let histories = Batch {
        attempts: vec![attempt],
        journal: vec![entry(1, 0)],
        payloads: vec![(PayloadId(1), body)],
        ..Batch::default()
    };
    rig.done(&histories);
    assert_eq!(rig.store.commit(&histories).unwrap(), conflict(&[1], &[1], true));
    let tasks = vec![TaskWrite { task: &task, expected: None }];
    let runs = vec![RunWrite { run: &run, expected: None }];
    let again = Batch { tasks, runs, ..Batch::default() };
    assert_eq!(rig.store.commit(&again).unwrap(), conflict(&[1], &[1], false));
}

fn a_step_cannot_be_started_twice(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    rig.add(&[step(1, 1, 0), step(2, 1, 1), step(3, 2, 0)]);
    let twice = step(4, 1, 1);
    let batch = Batch { tasks: vec![TaskWrite { task: &twice, expected: None }], ..Batch::default() };
    assert_eq!(rig.store.commit(&batch).unwrap(), conflict(&[4], &[1], false));
    let (a, b) = (step(5, 1, 2), step(6, 1, 2));
    let tasks = [&a, &b].map(|task| TaskWrite { task, expected: None }).to_vec();
    assert_eq!(rig.store.commit(&Batch { tasks, ..Batch::default() }).unwrap(), conflict(&[6], &[1], false));
    let row = |slot, task| StepRow {
        scope: ScopeId::ROOT,
        slot: Slot(slot),
        task: TaskId(task),
        state: StateKind::Ready,
        opened: None,
        signal: None,
    };
    assert_eq!(rig.store.run(RunId(1)).unwrap().unwrap().1, [row(0, 1), row(1, 2)]);
}

fn what_was_submitted_does_not_change(mut rig: Rig) {
    rig.add(&[task(1)]);
    let bent = Task { queue: Name::new("other"), priority: 9, policy: policy(), revision: 1, ..running(1) };
    assert_eq!(rig.change(&bent, 0), Commit::Committed);
    let found = rig.store.task(TaskId(1)).unwrap().unwrap();
    assert_eq!((found.queue.as_str(), found.priority, found.policy), ("default", 0, Arc::default()));
}

fn a_row_never_refers_to_nothing(mut rig: Rig) {
    rig.add(&[task(1)]);
    let orphans = [Task { input: row(9), ..task(2) }, step(2, 9, 0), Task { id: TaskId(2), ..succeeded(2, 5, row(9)) }];
    for orphan in &orphans {
        let batch = Batch { tasks: vec![TaskWrite { task: orphan, expected: None }], ..Batch::default() };
        assert!(matches!(rig.store.commit(&batch), Err(StoreError::Database(_))));
    }
    let without_version = run(1, 9);
    let runs = vec![RunWrite { run: &without_version, expected: None }];
    assert!(rig.store.commit(&Batch { runs, ..Batch::default() }).is_err());
    assert!(rig.store.commit(&Batch { journal: vec![entry(9, 0)], ..Batch::default() }).is_err());
    assert_eq!(rig.store.task(TaskId(2)).unwrap(), None);
    rig.add(&[task(2)]);
}

fn what_could_not_be_read_back_is_refused(mut rig: Rig) {
    let mut policy = (*policy()).clone();
    policy.retry.multiplier = f64::NAN;
    let bad = Task { policy: Arc::new(policy), ..task(1) };
    let batch = Batch { tasks: vec![TaskWrite { task: &bad, expected: None }], ..Batch::default() };
    assert!(matches!(rig.store.commit(&batch), Err(StoreError::Database(_))));
    let file = PayloadBody::File { sha256: "../x".to_owned(), bytes: 1 };
    let batch = Batch { payloads: vec![(PayloadId(1), file)], ..Batch::default() };
    assert!(matches!(rig.store.commit(&batch), Err(StoreError::Database(_))));
}

fn ids_are_dense_and_start_at_1(mut rig: Rig) {
    assert_eq!(rig.store.ids(IdKind::Task, 1).unwrap(), 1);
    assert_eq!(rig.store.ids(IdKind::Task, 500).unwrap(), 2);
    assert_eq!(rig.store.ids(IdKind::Task, 1).unwrap(), 502);
    for kind in [IdKind::Run, IdKind::Payload, IdKind::Version] {
        assert_eq!((rig.store.ids(kind, 2).unwrap(), rig.store.ids(kind, 1).unwrap()), (1, 3));
    }
}

fn payloads_of_every_size_read_back(mut rig: Rig) {
    let sizes = [0, 1, 511, 512, 513, 4_096, 100_000, kapelle_core::payload::ROW_MAX];
    for (n, size) in sizes.into_iter().enumerate() {
        let id = n as i64 + 1;
        let bytes: Arc<[u8]> = (0..size).map(|at| (at % 251) as u8).collect();
        let inline = size <= kapelle_core::payload::INLINE_MAX;
        let input = if inline { Payload::Inline(Arc::clone(&bytes)) } else { row(id) };
        let task = Task { input, ..task(id) };
        let payloads = if inline { vec![] } else { vec![(PayloadId(id), PayloadBody::Bytes(Arc::clone(&bytes)))] };
        rig.done(&Batch { tasks: vec![TaskWrite { task: &task, expected: None }], payloads, ..Batch::default() });
        assert_eq!(rig.store.task(TaskId(id)).unwrap().unwrap(), task);
        if !inline {
            assert_eq!(rig.reader.payload(PayloadId(id)).unwrap().unwrap(), *bytes);
        }
    }
    assert_eq!(rig.reader.payload(PayloadId(99)).unwrap(), None);
}
