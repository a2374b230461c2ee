//! Expired rows are deleted by turns: a limited number in each, in its commit, and all of them in the end.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kapelle_core::{
    DurationMs, Name, TaskError, TaskId, TenantId, Timestamp,
    worker::{BoxFuture, NoFiles, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_engine::{
    Engine, ManualClock, NewPayload, Options, Parts, Registry, Reply, SubmitTask, Taken, command,
    turn::{Command, Directory, Input, LoopState, Turned},
};
use kapelle_store::{Fault, MemReader, MemStore, Reader as _};
use serde_json::Value;

const TASKS: usize = 300;
const NOW: i64 = 1_000;

/// A worker whose tasks are cancelled before they start.
struct Never(WorkerSpec);

impl Worker for Never {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, _: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async { Ok(Output::plain(Value::Null)) })
    }
}

/// A process with one worker, which is never asked.
struct One;

impl Directory for One {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        Some(Arc::new(WorkerSpec::named(name.as_str())))
    }
}

struct Stage {
    state: LoopState,
    reader: MemReader,
    /// Faults of the coming commits, and the number of commits so far.
    faults: Arc<Mutex<(Vec<Fault>, usize)>>,
}

fn submit() -> command::Submit {
    let delayed = SubmitTask { delay: DurationMs(60_000), ..SubmitTask::new(Name::new("log"), NewPayload::None) };
    command::Submit { tenant: TenantId::DEFAULT, tasks: vec![delayed; TASKS].into(), key: None }
}

/// Makes a loop with cancelled tasks.
fn stage() -> Stage {
    let faults = Arc::new(Mutex::new((Vec::new(), 0)));
    let store = MemStore::new();
    let reader = store.reader();
    let drawn = Arc::clone(&faults);
    let store = store.with_faults(move |_| {
        let mut faults = drawn.lock().unwrap();
        faults.1 += 1;
        faults.0.pop().unwrap_or_default()
    });
    let mut state = LoopState::new(Box::new(store), Options::default(), Arc::new(One), Box::new(|| 7));
    state.recover(Timestamp(NOW), 0).unwrap();
    let mut stage = Stage { state, reader, faults };
    stage.turn(vec![submit().into()], NOW);
    let reason: Arc<str> = Arc::from("not wanted");
    let cancel = |id| command::Cancel { task: TaskId(id), reason: Arc::clone(&reason) }.into();
    stage.turn((1..=TASKS as i64).map(cancel).collect(), NOW);
    stage
}

impl Stage {
    fn turn(&mut self, commands: Vec<Command>, now: i64) -> Turned {
        let inputs = commands.into_iter().enumerate();
        let inputs: Vec<Input> = inputs.map(|(at, command)| Input { ticket: at as u64, command }).collect();
        self.state.turn(&inputs, Timestamp(now), now.unsigned_abs())
    }

    /// Deletes once. Returns whether there was something, or `None` when the store refused.
    fn expire(&mut self, now: i64) -> Option<bool> {
        match self.turn(vec![command::Expire.into()], now).replies.pop().unwrap().1 {
            Ok(Reply::Expire(any)) => Some(any),
            _ => None,
        }
    }

    fn left(&self) -> usize {
        left(&self.reader)
    }

    fn commits(&self) -> usize {
        self.faults.lock().unwrap().1
    }
}

fn left(reader: &MemReader) -> usize {
    (1..=TASKS as i64).filter(|id| reader.task(TenantId::DEFAULT, TaskId(*id)).unwrap().is_some()).count()
}

fn late() -> i64 {
    NOW + Options::default().task_retention.0 as i64 + 1
}

#[test]
fn a_turn_deletes_a_limited_number_and_none_before_the_time() {
    let mut stage = stage();
    let commits = stage.commits();
    assert_eq!((stage.expire(late() - 1), stage.left(), stage.commits()), (Some(false), TASKS, commits));
    assert_eq!((stage.expire(late()), stage.left()), (Some(true), TASKS - 256));
    assert_eq!((stage.expire(late()), stage.left()), (Some(true), 0));
    let commits = stage.commits();
    assert_eq!((stage.expire(late()), stage.commits()), (Some(false), commits), "nothing is written for nothing");
}

#[test]
fn a_turn_that_is_not_written_deletes_nothing() {
    let mut stage = stage();
    stage.faults.lock().unwrap().0 = vec![Fault::Full];
    assert_eq!((stage.expire(late()), stage.left()), (None, TASKS));
    // After a conflict the turn is decided again.
    stage.faults.lock().unwrap().0 = vec![Fault::Conflict];
    assert_eq!((stage.expire(late()), stage.left()), (Some(true), TASKS - 256));
}

#[test]
fn a_deletion_is_in_one_commit_with_the_other_commands_of_its_turn() {
    let mut stage = stage();
    let commits = stage.commits();
    stage.faults.lock().unwrap().0 = vec![Fault::Full];
    let both = || vec![command::Expire.into(), submit().into()];
    assert!(stage.turn(both(), late()).replies.iter().all(|(_, reply)| reply.is_err()));
    assert_eq!(stage.left(), TASKS);
    assert!(stage.turn(both(), late()).replies.iter().all(|(_, reply)| reply.is_ok()));
    assert_eq!((stage.left(), stage.commits()), (TASKS - 256, commits + 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_engine_deletes_too() {
    let store = MemStore::new();
    let reader = store.reader();
    let registry = Arc::new(Registry::default());
    registry.insert(Arc::new(Never(WorkerSpec::named("log"))));
    let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
    let parts = Parts {
        reader: Arc::new(store.reader()),
        store: Box::new(store),
        registry,
        files: Arc::new(NoFiles),
        spill: Arc::new(|_| Err("nothing is large here".to_owned())),
        clock: Arc::clone(&clock) as _,
        middleware: Vec::new(),
        taken: Taken::Unknown,
    };
    let engine = Engine::start(parts, Options::default()).unwrap();
    engine.ask(submit()).await.unwrap();
    let reason: Arc<str> = Arc::from("not wanted");
    for id in 1..=TASKS as i64 {
        engine.ask(command::Cancel { task: TaskId(id), reason: Arc::clone(&reason) }).await.unwrap();
    }
    let mut now = late();
    let deleted = async {
        while left(&reader) > 0 {
            now += 1_000;
            clock.set(Timestamp(now));
            engine.ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([]) }).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), deleted).await.unwrap();
}
