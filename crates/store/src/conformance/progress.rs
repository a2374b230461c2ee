//! Progress of runs and tasks.

use std::sync::Arc;

use kapelle_core::{
    Account, CallId, Money, Name, Payload, PayloadId, RunId, TaskId, TenantId, Timestamp,
    run::{Parent, ScopeId, Slot},
    task::{Origin, StateKind, Task, TaskState},
    worker::Provenance,
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, CallAnswer, CallRow, CallState, CallWrite, Lane, LedgerWrites, PayloadBody, Replays, StepTotals};

on_every_store! {
    rows_of_a_run_are_found_by_scope_and_path,
    steps_are_counted_by_state_with_degraded_ones,
    answers_that_a_later_attempt_was_given_count_for_the_task_and_for_its_run,
    a_run_knows_what_it_started,
    ready_tasks_before_one_are_counted,
    newest_successes_are_found_within_a_window,
}

const ONE: TenantId = TenantId::DEFAULT;

fn at(id: i64, run: i64, scope: i64, slot: u32, path: &str) -> Task {
    let origin = Origin { run: RunId(run), scope: ScopeId(scope), slot: Slot(slot), path: Arc::from(path) };
    Task { origin: Some(origin), ..task(id) }
}

fn rows_of_a_run_are_found_by_scope_and_path(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    rig.add(&[at(1, 1, 0, 0, "a"), at(2, 1, 77, 1, "a[1]"), at(3, 1, 77, 0, "a[0]"), at(4, 2, 77, 0, "a[0]")]);
    let found = |scope: Option<i64>| -> Vec<(i64, i64, u32, String)> {
        let rows = rig.reader.step_progress(RunId(1), scope.map(ScopeId)).unwrap();
        rows.iter().map(|row| (row.task.0, row.scope.0, row.slot.0, row.path.to_string())).collect()
    };
    let items = [(3, 77, 0, "a[0]".to_owned()), (2, 77, 1, "a[1]".to_owned())];
    assert_eq!(found(None), [[(1, 0, 0, "a".to_owned())].as_slice(), &items].concat());
    assert_eq!(found(Some(77)), items);
    assert_eq!(found(Some(5)), []);
    assert_eq!(rig.reader.step_at(RunId(1), "a[1]").unwrap().map(|task| task.id), Some(TaskId(2)));
    assert_eq!(rig.reader.step_at(RunId(1), "b").unwrap(), None);
}

fn steps_are_counted_by_state_with_degraded_ones(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    let degraded = |id, slot, reason: Option<&str>| {
        let provenance = Provenance { degraded: reason.map(str::to_owned), calls: 1, ..Provenance::default() };
        let state = TaskState::Succeeded {
            output: Payload::None,
            provenance: Arc::new(provenance),
            started_at: NOW,
            ended_at: NOW,
        };
        Task { state, ..step(id, 1, slot) }
    };
    let failed = TaskState::Failed { error: error("no"), dead: false, ended_at: NOW };
    let cancelled = TaskState::Cancelled { reason: Arc::from("not JSON {"), ended_at: NOW };
    rig.add(&[
        Task { state: cancelled, ..step(6, 1, 4) },
        degraded(1, 0, Some("no key")),
        degraded(2, 1, None),
        Task { state: failed, ..step(3, 1, 2) },
        step(4, 1, 3),
        step(5, 2, 0),
    ]);
    let states =
        vec![(StateKind::Ready, 1), (StateKind::Succeeded, 2), (StateKind::Failed, 1), (StateKind::Cancelled, 1)];
    let totals = rig.reader.step_totals(RunId(1), 100).unwrap();
    assert_eq!(totals, StepTotals { states, degraded: 1, more: false });
    let first = rig.reader.step_totals(RunId(1), 2).unwrap();
    assert_eq!((first.states, first.more), (vec![(StateKind::Succeeded, 2)], true));

    let call = |id: i64, task: i64, state| {
        CallWrite::New(Box::new(CallRow {
            id: CallId(id),
            tenant: ONE,
            task: Some(TaskId(task)),
            attempt: 1,
            run: Some(RunId(1)),
            epoch: 0,
            payer: vec![Account::Day],
            operation: Arc::from("chat/completions"),
            provider: Arc::from("p"),
            model: Arc::from("m"),
            fingerprint: [7; 32],
            state,
            reserved: Money(5),
            cost: Money::ZERO,
            input: 0,
            output: 0,
            at: Timestamp(id),
            ended_at: None,
            request_id: None,
            answer: None,
        }))
    };
    let calls = vec![call(1, 1, CallState::Given), call(2, 1, CallState::Open), call(3, 4, CallState::Given)];
    rig.done(&Batch { ledger: LedgerWrites { calls, ..LedgerWrites::default() }, ..Batch::default() });
    assert_eq!(rig.reader.replayed(Replays::Run(RunId(1), 100)).unwrap(), 2);
    assert_eq!(rig.reader.replayed(Replays::Run(RunId(1), 1)).unwrap(), 1);
    assert_eq!(rig.reader.replayed(Replays::Run(RunId(2), 100)).unwrap(), 0);
}

fn answers_that_a_later_attempt_was_given_count_for_the_task_and_for_its_run(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1)]));
    let later = Task { epoch: 2, ..step(1, 1, 0) };
    rig.add(&[later, step(2, 1, 1)]);
    let call = |id: i64, task: i64, attempt: u32, epoch: u64| {
        CallWrite::New(Box::new(CallRow {
            id: CallId(id),
            tenant: ONE,
            task: Some(TaskId(task)),
            attempt,
            run: Some(RunId(1)),
            epoch,
            payer: vec![Account::Day],
            operation: Arc::from("chat/completions"),
            provider: Arc::from("p"),
            model: Arc::from("m"),
            fingerprint: [7; 32],
            state: CallState::Charged,
            reserved: Money(5),
            cost: Money(5),
            input: 0,
            output: 0,
            at: Timestamp(id),
            ended_at: None,
            request_id: None,
            answer: Some(CallAnswer { payload: PayloadId(id), meta: Arc::from("{}") }),
        }))
    };
    // Before the last attempt; by the last attempt; in an earlier epoch; of a task with one attempt.
    let calls = vec![call(1, 1, 1, 1), call(2, 1, 2, 1), call(3, 1, 1, 0), call(4, 2, 1, 0)];
    let payloads = (1..=4).map(|id| (PayloadId(id), PayloadBody::Bytes(Arc::from(&b"{}"[..])))).collect();
    rig.done(&Batch { payloads, ledger: LedgerWrites { calls, ..LedgerWrites::default() }, ..Batch::default() });
    let of = |task: i64| rig.reader.replayed(Replays::Task(TaskId(task))).unwrap();
    assert_eq!((of(1), of(2), of(3)), (1, 0, 0));
    assert_eq!(rig.reader.replayed(Replays::Run(RunId(1), 100)).unwrap(), 1, "as many as its tasks");
}

fn a_run_knows_what_it_started(mut rig: Rig) {
    let mut runs: Vec<_> = (1..=5).map(|id| run(id, 1)).collect();
    for child in [1, 2, 4] {
        runs[child].parent = Some(Parent { run: RunId(1), task: None, depth: 1 });
    }
    runs[3].parent = Some(Parent { run: RunId(2), task: Some(TaskId(9)), depth: 2 });
    runs[4].tenant = TenantId(2);
    rig.done(&with_runs(&runs));
    assert_eq!(rig.reader.children(ONE, RunId(1), 10).unwrap(), [RunId(2), RunId(3)]);
    assert_eq!(rig.reader.children(ONE, RunId(1), 1).unwrap(), [RunId(2)]);
    assert_eq!(rig.reader.children(ONE, RunId(2), 10).unwrap(), [RunId(4)]);
    assert_eq!(rig.reader.children(ONE, RunId(5), 10).unwrap(), []);
}

fn ready_tasks_before_one_are_counted(mut rig: Rig) {
    let other = Task { queue: Name::new("ml"), ..ready(6, 1) };
    rig.add(&[ready(1, 5), ready(2, 3), ready(3, 5), ready(4, 9), running(5), other]);
    let lane = Lane::of(&task(1));
    assert_eq!(rig.reader.ahead(&lane, (5, TaskId(3)), 100).unwrap(), 2);
    assert_eq!(rig.reader.ahead(&lane, (5, TaskId(3)), 1).unwrap(), 1);
    assert_eq!(rig.reader.ahead(&lane, (3, TaskId(2)), 100).unwrap(), 0);
    let unheard = Lane { queue: Name::new("unheard"), ..lane };
    assert_eq!(rig.reader.ahead(&unheard, (5, TaskId(3)), 100).unwrap(), 0);
}

fn newest_successes_are_found_within_a_window(mut rig: Rig) {
    let done = || {
        let provenance = Arc::new(Provenance::default());
        TaskState::Succeeded { output: Payload::None, provenance, started_at: NOW, ended_at: NOW }
    };
    let other = Task { tenant: TenantId(2), state: done(), ..task(4) };
    let failed = TaskState::Failed { error: error("no"), dead: false, ended_at: NOW };
    let of = |id| Task { state: done(), ..task(id) };
    rig.add(&[of(1), of(2), Task { state: failed, ..task(3) }, other, of(5), task(6)]);
    let found = |before: Option<i64>, most| -> Vec<i64> {
        let rows = rig.reader.newest_successes(ONE, before.map(TaskId), most).unwrap();
        rows.iter().map(|task| task.id.0).collect()
    };
    assert_eq!(found(None, 100), [5, 2, 1]);
    assert_eq!(found(None, 4), [5], "of the newest four");
    assert_eq!(found(Some(5), 3), [2]);
    assert!(found(Some(1), 3).is_empty());
}
