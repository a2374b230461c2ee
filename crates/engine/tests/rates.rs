//! Tasks that wait for a provider at its rate limit: in their queue, without a write, and at a cost that does not
//! depend on their number.

#![expect(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::sync::{Arc, Mutex};

use kapelle_core::{
    DurationMs, Name, TaskId, TenantId, Timestamp,
    task::{Report, StateKind},
    worker::WorkerSpec,
};
use kapelle_engine::{
    Admission, Command, NewPayload, Options, Reported, SubmitTask, command,
    turn::{Directory, Dispatch, Effect, Input, LoopState},
};
use kapelle_store::{Fault, MemReader, MemStore, Page, Reader, TaskFilter};

const TENANT: TenantId = TenantId(1);

/// One worker with eight slots, and a provider with a limited number of calls.
#[derive(Default)]
struct Provider(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    room: usize,
    asked: usize,
    rights: Vec<TaskId>,
}

impl Directory for Provider {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        let spec = WorkerSpec { model: Some(Name::new("fast")), ..WorkerSpec::named("asks") };
        (name.as_str() == "asks").then(|| Arc::new(spec))
    }

    fn admit_call(&self, _model: &Name, task: TaskId, _steady_ms: u64) -> Admission {
        let mut taken = self.0.lock().unwrap();
        taken.asked += 1;
        if taken.rights.contains(&task) {
            return Admission::Right;
        }
        if taken.room == 0 {
            return Admission::Wait(DurationMs(40));
        }
        taken.room -= 1;
        taken.rights.push(task);
        Admission::Right
    }

    fn end_call(&self, task: TaskId) {
        self.0.lock().unwrap().rights.retain(|other| *other != task);
    }
}

struct Stage {
    provider: Arc<Provider>,
    reader: MemReader,
    state: LoopState,
    now: i64,
    dispatched: Vec<Dispatch>,
}

impl Stage {
    fn new(faulty: bool) -> Stage {
        let (provider, store) = (Arc::new(Provider::default()), MemStore::new());
        let reader = store.reader();
        let store =
            store.with_faults(move |number| if faulty && number % 3 == 1 { Fault::Conflict } else { Fault::None });
        let mut next = 0;
        let random = move || {
            next += 1;
            next
        };
        let directory = Arc::clone(&provider) as _;
        let mut state = LoopState::new(Box::new(store), Options::default(), directory, Box::new(random));
        state.recover(Timestamp(1), 1).unwrap();
        Stage { provider, reader, state, now: 1, dispatched: Vec::new() }
    }

    fn turn(&mut self, later: i64, commands: Vec<Command>) {
        self.now += later;
        let inputs: Vec<Input> = commands.into_iter().map(|command| Input { ticket: 1, command }).collect();
        let turned = self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        self.dispatched.extend(turned.effects.into_iter().filter_map(|effect| match effect {
            Effect::Dispatch(dispatch) => Some(dispatch),
            _ => None,
        }));
    }

    /// Returns the attempts that began since the last call, that much later.
    fn begun(&mut self, later: i64) -> Vec<Dispatch> {
        self.turn(later, vec![command::Tick.into()]);
        std::mem::take(&mut self.dispatched)
    }

    fn submit(&mut self, count: usize) {
        let tasks: Vec<SubmitTask> = vec![SubmitTask::new(Name::new("asks"), NewPayload::None); count];
        self.turn(1, vec![command::Submit { tenant: TENANT, tasks: Arc::from(tasks), key: None }.into()]);
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut self.provider.0.lock().unwrap().asked)
    }

    fn rights(&self) -> usize {
        self.provider.0.lock().unwrap().rights.len()
    }

    fn report(&mut self, of: &Dispatch, reported: Reported) {
        let report = Report { task: of.task, epoch: of.lease.epoch, nonce: of.lease.nonce };
        self.turn(1, vec![command::Report { tenant: TENANT, report, reported }.into()]);
    }

    fn count(&self, state: StateKind) -> usize {
        let filter = TaskFilter { state: Some(state), ..TaskFilter::default() };
        self.reader.tasks(TENANT, &filter, Page { before: None, most: 1_000 }).unwrap().len()
    }
}

fn done() -> Reported {
    Reported::Succeed { output: NewPayload::None, provenance: Arc::default() }
}

#[test]
fn waiting_costs_one_question_whoever_waits_and_takes_no_slot() {
    for count in [1, 900] {
        let mut stage = Stage::new(false);
        stage.submit(count);
        assert_eq!(stage.asked(), 1, "{count} tasks");
        assert_eq!((stage.count(StateKind::Running), stage.count(StateKind::Ready)), (0, count));
        // The provider is not asked again before its time, however many turns there are.
        for _ in 0..30 {
            assert!(stage.begun(1).is_empty());
        }
        assert_eq!((stage.asked(), stage.state.next_steady()), (0, Some(42)));
        assert!(stage.begun(40).is_empty());
        assert_eq!(stage.asked(), 1);
    }
}

#[test]
fn as_many_begin_as_the_provider_takes_in_the_order_of_the_queue() {
    let mut stage = Stage::new(false);
    stage.submit(20);
    stage.provider.0.lock().unwrap().room = 3;
    let begun = stage.begun(50);
    assert_eq!(begun.iter().map(|dispatch| dispatch.task.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((stage.rights(), stage.state.next_steady().is_some()), (3, true));
    // An ended attempt releases its admission, used or not.
    stage.report(&begun[0], done());
    stage.report(&begun[1], Reported::Release);
    assert_eq!(stage.rights(), 1);
    // Freed slots alone start no attempt.
    assert!(stage.begun(1).is_empty());
    stage.provider.0.lock().unwrap().room = 100;
    let begun = stage.begun(50);
    assert_eq!((begun.len(), stage.rights()), (7, 8), "there are eight slots, and one was taken");
}

#[test]
fn a_turn_that_is_forgotten_leaves_nobody_a_right_for_whom_nothing_runs() {
    let mut stage = Stage::new(true);
    stage.submit(12);
    for _ in 0..40 {
        stage.provider.0.lock().unwrap().room = 2;
        for dispatch in stage.begun(50) {
            stage.report(&dispatch, done());
        }
        assert_eq!(stage.rights(), stage.count(StateKind::Running));
    }
    assert_eq!((stage.rights(), stage.count(StateKind::Succeeded)), (0, 12));
}
