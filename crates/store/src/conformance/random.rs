//! Random sequences of turns: every store shows an equal history.

use std::{fmt::Debug, sync::Arc};

use kapelle_core::{
    Name, Payload, PayloadId, RunId, TaskId, TenantId, Timestamp,
    run::{Run, RunStatus, ScopeId, Slot},
    task::{Attempt, HoldReason, Origin, Task, TaskState},
};
use proptest::prelude::*;

use super::{Rig, fixtures::*};
use crate::{
    Batch, IdKind, KeyReply, KeyRow, KeyWrite, Lane, Page, PayloadBody, Retention, RunFilter, RunWrite, TaskFilter,
    TaskWrite,
};

const TENANTS: [TenantId; 2] = [TenantId(1), TenantId(2)];
const WORDS: [&str; 3] = ["a", "b", "c"];
const IDS: i64 = 12;
const RUNS: i64 = 4;

/// One write of a turn. Ranges are small, so that writes conflict.
#[derive(Debug, Clone)]
enum Write {
    NewTask {
        id: i64,
        tenant: usize,
        words: (usize, usize),
        key: Option<usize>,
        step: Option<(i64, u32)>,
        state: usize,
    },
    MoveTask {
        id: i64,
        expected: u32,
        state: usize,
        rank: i64,
    },
    NewRun {
        id: i64,
        tenant: usize,
        payload: Option<i64>,
    },
    MoveRun {
        id: i64,
        expected: u32,
        status: usize,
        at: i64,
    },
    Attempt {
        task: i64,
        epoch: u32,
    },
    Journal {
        run: i64,
        seq: u64,
    },
    Payload {
        id: i64,
    },
    Key {
        tenant: usize,
        word: usize,
        until: i64,
    },
    Version {
        id: i64,
        word: usize,
        number: u32,
    },
}

#[derive(Debug, Clone)]
enum Step {
    Turn(Vec<Write>),
    Prune { before: i64, most: u32 },
    Ids(usize, u32),
    Key { tenant: usize, word: usize, now: i64 },
}

fn write() -> impl Strategy<Value = Write> {
    let state = 0..every_state().len();
    let words = (0..3usize, 0..3usize);
    prop_oneof![
        6 => (1..=IDS, 0..2usize, words, prop::option::of(0..3usize), prop::option::of((1..=RUNS, 0..3u32)), state.clone())
            .prop_map(|(id, tenant, words, key, step, state)| Write::NewTask { id, tenant, words, key, step, state }),
        6 => (1..=IDS, 0..3u32, state, -3i64..3)
            .prop_map(|(id, expected, state, rank)| Write::MoveTask { id, expected, state, rank }),
        3 => (1..=RUNS, 0..2usize, prop::option::of(1..=4i64))
            .prop_map(|(id, tenant, payload)| Write::NewRun { id, tenant, payload }),
        3 => (1..=RUNS, 0..3u32, 0..4usize, 0..20i64)
            .prop_map(|(id, expected, status, at)| Write::MoveRun { id, expected, status, at }),
        1 => (1..=IDS, 1..3u32).prop_map(|(task, epoch)| Write::Attempt { task, epoch }),
        1 => (1..=RUNS, 0..4u64).prop_map(|(run, seq)| Write::Journal { run, seq }),
        2 => (1..=4i64).prop_map(|id| Write::Payload { id }),
        1 => (0..2usize, 0..3usize, 0..20i64).prop_map(|(tenant, word, until)| Write::Key { tenant, word, until }),
        2 => (1..=3i64, 0..2usize, 1..3u32).prop_map(|(id, word, number)| Write::Version { id, word, number }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(write(), 1..5).prop_map(Step::Turn),
        2 => (0..22i64, 0..8u32).prop_map(|(before, most)| Step::Prune { before, most }),
        1 => (0..4usize, 0..9u32).prop_map(|(kind, n)| Step::Ids(kind, n)),
        1 => (0..2usize, 0..3usize, 0..20i64).prop_map(|(tenant, word, now)| Step::Key { tenant, word, now }),
    ]
}

/// Writes of a turn, made from its description.
#[derive(Default)]
struct Made {
    tasks: Vec<(Task, Option<u32>)>,
    runs: Vec<(Run, Option<u32>)>,
    rest: Batch<'static>,
}

impl Made {
    fn of(writes: &[Write]) -> Made {
        let mut made = Made::default();
        writes.iter().for_each(|write| made.push(write));
        made
    }

    fn push(&mut self, write: &Write) {
        match *write {
            Write::NewTask { id, tenant, words, key, step, state } => {
                let origin = step.map(|(run, slot)| Origin {
                    run: RunId(run),
                    scope: ScopeId::ROOT,
                    slot: Slot(slot),
                    path: Arc::from("s"),
                });
                let input = if id % 3 == 0 { row(id / 3) } else { Payload::None };
                let (queue, worker) = (Name::new(WORDS[words.0]), Name::new(WORDS[words.1]));
                let key = key.map(|key| Name::new(WORDS[key]));
                let policy = if id % 4 == 0 { policy() } else { Arc::default() };
                let fresh = Task { tenant: TENANTS[tenant], queue, worker, key, origin, input, policy, ..task(id) };
                self.tasks.push((moved(fresh, state, id), None));
            }
            Write::MoveTask { id, expected, state, rank } => {
                // The policy the task was made with: a store may ask the task itself when it is due.
                let policy = if id % 4 == 0 { policy() } else { Arc::default() };
                let task = Task { revision: expected + 1, failures: expected, policy, ..task(id) };
                self.tasks.push((moved(task, state, rank), Some(expected)));
            }
            Write::NewRun { id, tenant, payload } => {
                let mut run = run(id, 1 + id % 2);
                run.tenant = TENANTS[tenant];
                run.inputs = payload.map_or(Payload::None, row);
                self.runs.push((run, None));
            }
            Write::MoveRun { id, expected, status, at } => {
                let mut run = run(id, 1);
                let (reason, ended_at) = (Arc::from("r"), Timestamp(at));
                run.revision = expected + 1;
                run.status = match status {
                    0 => RunStatus::Cancelling { reason, hard: false },
                    1 => RunStatus::Succeeded { outputs: row(1 + at % 4), ended_at },
                    2 => RunStatus::Failed { error: error("e"), ended_at },
                    _ => RunStatus::Cancelled { reason, ended_at },
                };
                self.runs.push((run, Some(expected)));
            }
            ref other => self.push_rest(other),
        }
    }

    fn push_rest(&mut self, write: &Write) {
        let rest = &mut self.rest;
        match *write {
            Write::Attempt { task, epoch } => {
                let error = error("a");
                rest.attempts.push(Attempt { task: TaskId(task), epoch, started_at: NOW, ended_at: NOW, error });
            }
            Write::Journal { run, seq } => rest.journal.push(entry(run, seq)),
            Write::Payload { id } => {
                rest.payloads.push((PayloadId(id), PayloadBody::Bytes(Arc::from([id as u8].as_slice()))));
            }
            Write::Key { tenant, word, until } => rest.keys.push(KeyWrite {
                at: Timestamp(until - 5),
                row: KeyRow {
                    tenant: TENANTS[tenant],
                    key: Arc::from(WORDS[word]),
                    body: [until as u8; 32],
                    reply: KeyReply::Tasks(TaskId(until), 2),
                    until: Timestamp(until),
                },
            }),
            Write::Version { id, word, number } => rest.versions.push(version(id, WORDS[word], number)),
            _ => {}
        }
    }

    fn batch(&self) -> Batch<'_> {
        let Batch { attempts, journal, payloads, keys, versions, .. } = &self.rest;
        Batch {
            tasks: self.tasks.iter().map(|(task, expected)| TaskWrite { task, expected: *expected }).collect(),
            runs: self.runs.iter().map(|(run, expected)| RunWrite { run, expected: *expected }).collect(),
            attempts: attempts.clone(),
            journal: journal.clone(),
            payloads: payloads.clone(),
            keys: keys.clone(),
            versions: versions.clone(),
            ..Batch::default()
        }
    }
}

/// Moves the task to one of the states, with its rank or output taken from a number.
fn moved(mut task: Task, state: usize, number: i64) -> Task {
    task.state = every_state().swap_remove(state);
    match &mut task.state {
        TaskState::Ready { rank } | TaskState::Held { rank, .. } => *rank = number,
        TaskState::Running(lease) => task.epoch = lease.epoch,
        TaskState::Succeeded { output, .. } if number > 0 => *output = row(number),
        _ => {}
    }
    task
}

/// Describes faults by kind only: each store words them differently.
fn told<T: Debug>(answer: Result<T, crate::StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(crate::StoreError::Database(_)) => "refused".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

/// Runs one step and returns the store's answer.
fn act(rig: &mut Rig, step: &Step) -> String {
    match *step {
        Step::Turn(ref writes) => told(rig.store.commit(&Made::of(writes).batch())),
        Step::Prune { before, most } => {
            let at = Timestamp(before);
            let retention = Retention { tasks_before: at, runs_before: at, keys_before: at, most };
            let expired = told(rig.store.has_expired(retention));
            let end = told(rig.store.commit(&Batch { expired: Some(retention), ..Batch::default() }));
            format!("{expired} {end} {}", told(rig.store.has_expired(retention)))
        }
        Step::Ids(kind, n) => {
            let kinds = [IdKind::Task, IdKind::Run, IdKind::Payload, IdKind::Version];
            told(rig.store.ids(kinds[kind], n))
        }
        Step::Key { tenant, word, now } => told(rig.store.key(TENANTS[tenant], WORDS[word], Timestamp(now))),
    }
}

/// Returns everything that can be read from a store.
fn view(rig: &mut Rig) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: String| seen.push(what);
    let store = &mut rig.store;
    let lanes = store.lanes().unwrap();
    let nowhere = Name::new("z");
    let nowhere = Lane {
        tenant: TENANTS[0],
        queue: nowhere.clone(),
        worker: nowhere,
        requires: kapelle_core::Requires::default(),
    };
    for lane in &lanes {
        see(format!("{:?}", store.ready(lane, None, 100).unwrap()));
        see(format!("{:?}", store.ready(lane, Some((1, TaskId(5))), 2).unwrap()));
    }
    see(format!("{lanes:?}"));
    see(told(store.ready(&nowhere, None, 1)));
    for reason in HoldReason::ALL {
        see(told(store.held(reason, None, 100)));
        see(told(store.held(reason, Some(&Name::new("a")), 2)));
    }
    see(told(store.due(Timestamp(i64::MAX), 100)));
    see(told(store.due(Timestamp(6), 1)));
    see(told(store.next_due()));
    see(told(store.running(TaskId(0), 100)));
    see(told(store.running(TaskId(3), 2)));
    see(told(store.open_runs(RunId(1), 100)));
    (1..=IDS).for_each(|id| see(told(store.task(TaskId(id)))));
    (1..=RUNS).for_each(|id| see(told(store.run(RunId(id)))));
    (1..=3).for_each(|id| see(told(store.version(id))));
    see(told(store.newest_version(TENANTS[0], &Name::new("a"))));
    let (reader, page) = (&rig.reader, Page { before: Some(10), most: 5 });
    for tenant in TENANTS {
        see(told(reader.open_tasks(tenant)));
        see(told(reader.tasks(tenant, &TaskFilter::default(), page)));
        see(told(reader.tasks(tenant, &TaskFilter { steps: true, dead: true, ..TaskFilter::default() }, page)));
        for state in kapelle_core::task::StateKind::ALL {
            see(told(reader.tasks(
                tenant,
                &TaskFilter { state: Some(state), steps: true, ..TaskFilter::default() },
                page,
            )));
        }
        see(told(reader.runs(tenant, &RunFilter { open: true, ..RunFilter::default() }, page)));
        see(told(reader.versions(tenant, Some(&Name::new("a")), page)));
        see(told(reader.run(tenant, RunId(1))));
    }
    (1..=IDS).for_each(|id| see(told(reader.attempts(TaskId(id)))));
    (1..=4).for_each(|id| see(told(reader.payload(PayloadId(id)))));
    (1..=RUNS).for_each(|id| see(told(reader.journal(RunId(id), 1, 9))));
    (1..=RUNS).for_each(|id| see(told(reader.steps(RunId(id), TaskId(2), 9))));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_show_the_same_history(steps in prop::collection::vec(step(), 1..25)) {
        let (mut mem, mut sqlite) = (Rig::mem(), Rig::sqlite());
        // Payloads and versions to refer to, so that most turns succeed.
        let payloads = (1..=4).map(|id| (PayloadId(id), PayloadBody::Bytes(Arc::from(&b"p"[..])))).collect();
        let ground = Batch { payloads, versions: vec![version(1, "a", 1), version(2, "b", 1)], ..Batch::default() };
        mem.done(&ground);
        sqlite.done(&ground);
        for (number, step) in steps.iter().enumerate() {
            prop_assert_eq!(act(&mut mem, step), act(&mut sqlite, step), "step {}: {:?}", number, step);
            if number % 4 == 3 || number + 1 == steps.len() {
                prop_assert_eq!(view(&mut mem), view(&mut sqlite), "after step {}: {:?}", number, step);
            }
        }
    }
}
