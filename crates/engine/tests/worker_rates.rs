//! Workers with a rate: no more attempts begin within its time, here and on worker hosts together.

#![expect(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::sync::Arc;

use kapelle_core::{DurationMs, Name, TenantId, Timestamp, task::StateKind, task_rate::TaskRate, worker::WorkerSpec};
use kapelle_engine::{
    ClaimFilter, Command, NewPayload, Options, Reply, SubmitTask, command,
    turn::{Directory, Effect, Input, LoopState},
};
use kapelle_store::{Fault, MemReader, MemStore, Page, Reader, TaskFilter};

const TENANT: TenantId = TenantId(1);

fn rated(name: &str) -> WorkerSpec {
    WorkerSpec { slots: 64, rate: TaskRate::parse("3/second").ok(), ..WorkerSpec::named(name) }
}

/// A worker of this process with a rate, and one without.
struct Workers;

impl Directory for Workers {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        match name.as_str() {
            "rated" => Some(Arc::new(rated("rated"))),
            "free" => Some(Arc::new(WorkerSpec { slots: 64, ..WorkerSpec::named("free") })),
            _ => None,
        }
    }
}

struct Stage {
    reader: MemReader,
    state: LoopState,
    now: i64,
    begun: Vec<i64>,
}

impl Stage {
    fn new(faulty: bool) -> Stage {
        let store = MemStore::new();
        let reader = store.reader();
        let store =
            store.with_faults(move |number| if faulty && number % 3 == 1 { Fault::Conflict } else { Fault::None });
        let mut next = 0;
        let random = move || {
            next += 1;
            next
        };
        let options = Options { other_slots: 64, queues: [].into(), ..Options::default() };
        let mut state = LoopState::new(Box::new(store), options, Arc::new(Workers), Box::new(random));
        state.recover(Timestamp(1), 1).unwrap();
        Stage { reader, state, now: 1, begun: Vec::new() }
    }

    /// Takes a turn that much later. Returns the reply to its command.
    fn turn(&mut self, later: i64, command: impl Into<Command>) -> Reply {
        self.now += later;
        let inputs = [Input { ticket: 1, command: command.into() }];
        let mut turned = self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        let begun = turned.effects.iter().filter(|effect| matches!(effect, Effect::Dispatch(_))).count();
        self.begun.extend(std::iter::repeat_n(self.now, begun));
        turned.replies.remove(0).1.unwrap()
    }

    fn submit(&mut self, worker: &str, count: usize) {
        let tasks: Vec<SubmitTask> = vec![SubmitTask::new(Name::new(worker), NewPayload::None); count];
        self.turn(1, command::Submit { tenant: TENANT, tasks: Arc::from(tasks), key: None });
    }

    fn claim(&mut self, later: i64) -> usize {
        let wanted = ClaimFilter::new(TENANT, [Name::new("far")].into());
        match self.turn(later, command::Claim { host: 1, wanted, most: 64, late: false }) {
            Reply::Claim(claimed) => claimed.len(),
            other => unreachable!("{other:?}"),
        }
    }

    fn count(&self, state: StateKind) -> usize {
        let filter = TaskFilter { state: Some(state), ..TaskFilter::default() };
        self.reader.tasks(TENANT, &filter, Page { before: None, most: 1_000 }).unwrap().len()
    }
}

/// Returns the most starts within a second.
fn most_in_a_second(begun: &[i64]) -> usize {
    let within = |from: &i64| begun.iter().filter(|at| (*from..*from + 1_000).contains(*at)).count();
    begun.iter().map(within).max().unwrap_or(0)
}

#[test]
fn in_no_second_do_more_begin_than_the_rate_and_other_workers_go_on() {
    let mut stage = Stage::new(false);
    stage.submit("rated", 10);
    stage.submit("free", 20);
    assert_eq!((stage.count(StateKind::Running), stage.count(StateKind::Ready)), (23, 7));
    let (rate, wait) = stage.state.rate_waits().of(TENANT, &Name::new("rated"), stage.now.unsigned_abs()).unwrap();
    assert_eq!((rate.to_string().as_str(), wait), ("3/second", DurationMs(999)));
    assert!(stage.state.rate_waits().of(TENANT, &Name::new("free"), 3).is_none());
    // The loop wakes for them by itself.
    assert_eq!(stage.state.next_steady(), Some(1_002));
    stage.begun.retain(|at| *at == 2);
    while stage.count(StateKind::Ready) > 0 {
        let due = i64::try_from(stage.state.next_steady().unwrap()).unwrap();
        stage.turn(due - stage.now, command::Tick);
    }
    let begun = &stage.begun;
    assert_eq!((begun.len(), begun[9] - begun[0], most_in_a_second(begun)), (10, 3_000, 3), "{begun:?}");
    assert!(stage.state.rate_waits().of(TENANT, &Name::new("rated"), stage.now.unsigned_abs()).is_none());
}

#[test]
fn the_rate_of_a_hosts_worker_counts_over_all_hosts_and_changes_with_its_registration() {
    let mut stage = Stage::new(false);
    let serve = |spec: WorkerSpec| command::Serve { tenant: TENANT, specs: vec![Arc::new(spec)].into() };
    stage.turn(1, serve(rated("far")));
    stage.submit("far", 20);
    assert_eq!((stage.claim(1), stage.claim(1), stage.claim(500)), (3, 0, 0));
    assert_eq!((stage.claim(600), stage.claim(1)), (3, 0));
    // A higher rate holds at once, and counts what began before.
    stage.turn(1, serve(WorkerSpec { rate: TaskRate::parse("5/s").ok(), ..rated("far") }));
    assert_eq!(stage.claim(1_000), 5);
    stage.turn(1, serve(WorkerSpec { rate: None, ..rated("far") }));
    assert_eq!(stage.claim(1_000), 9);
}

#[test]
fn a_turn_that_is_forgotten_counts_nothing() {
    let mut stage = Stage::new(true);
    stage.submit("rated", 12);
    for _ in 0..400 {
        stage.turn(25, command::Tick);
    }
    assert_eq!(stage.count(StateKind::Running), 12);
    assert!(most_in_a_second(&stage.begun) <= 3, "{:?}", stage.begun);
    let whole = stage.begun.last().unwrap() - stage.begun[0];
    assert!((3_000..3_500).contains(&whole), "{:?}", stage.begun);
}
