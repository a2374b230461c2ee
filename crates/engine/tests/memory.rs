//! Tests of what the loop keeps in memory: what nobody uses leaves it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, TenantId, Timestamp,
    definition::Definition,
    run::StatusKind,
    task::Report,
    worker::{Provenance, WorkerSpec},
};
use kapelle_engine::{
    ClaimFilter, Command, NewPayload, NewRun, Options, Reply, Reported, SubmitTask, VersionRef, command,
    turn::{DEFINITIONS_MAX, Directory, Input, LoopState},
};
use kapelle_store::{MemStore, Reader};
use sha2::{Digest, Sha256};

const TENANT: TenantId = TenantId(1);

/// A process without workers of its own.
struct Nobody;

impl Directory for Nobody {
    fn local(&self, _: TenantId, _: &Name) -> Option<Arc<WorkerSpec>> {
        None
    }
}

struct Stage {
    state: LoopState,
    now: i64,
}

impl Stage {
    fn new(store: &MemStore) -> Stage {
        let mut random = 0;
        let random = move || {
            random += 1;
            random
        };
        let options = Options::default();
        let mut state = LoopState::new(Box::new(store.share()), options, Arc::new(Nobody), Box::new(random));
        state.recover(Timestamp(1), 1).unwrap();
        Stage { state, now: 1 }
    }

    fn ask(&mut self, command: impl Into<Command>) -> Reply {
        self.now += 1;
        let inputs = [Input { ticket: 1, command: command.into() }];
        let mut turned = self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        turned.replies.pop().unwrap().1.unwrap()
    }
}

fn version(workflow: usize, text: usize) -> VersionRef {
    let source = format!("name: flow{workflow}\nvars: {{ text: {text} }}\nsteps: {{ one: {{ worker: far }} }}\n");
    VersionRef::Source {
        definition: Arc::new(Definition::parse(source.as_bytes(), "flow.yaml").unwrap()),
        sha256: Sha256::digest(source.as_bytes()).into(),
        source: Arc::from(source.as_bytes()),
        file: Arc::from("flow.yaml"),
    }
}

fn start(stage: &mut Stage, version: VersionRef) -> RunId {
    let run = NewRun { version, inputs: NewPayload::None, strategy: None, rerun: None, by: None };
    match stage.ask(command::StartRun { tenant: TENANT, run, key: None }) {
        Reply::StartRun(started) => started.run,
        other => panic!("{other:?}"),
    }
}

/// Claims and reports every task of a worker.
fn work(stage: &mut Stage, worker: &str) {
    let wanted = ClaimFilter::new(TENANT, Arc::from([Name::new(worker)]));
    let claim = command::Claim { host: 1, wanted, most: 1_000, late: false };
    let Reply::Claim(claimed) = stage.ask(claim) else { panic!("no claim") };
    for task in claimed {
        let report = Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce };
        let provenance = Arc::new(Provenance::default());
        let reported = Reported::Succeed { output: NewPayload::None, provenance };
        stage.ask(command::Report { tenant: TENANT, report, reported });
    }
}

#[test]
fn ten_thousand_versions_do_not_stay_in_memory() {
    let store = MemStore::new();
    let mut stage = Stage::new(&store);
    let first = start(&mut stage, version(0, 0));
    for text in 1..=10_000 {
        stage.ask(command::StoreVersion { tenant: TENANT, version: version(1 + text % 3, text) });
    }
    let kept = stage.state.definitions_len();
    assert!(kept <= 2 * DEFINITIONS_MAX + 1, "{kept} definitions are in memory");
    // The run that was open all the while has its own.
    work(&mut stage, "far");
    let row = store.reader().run(TENANT, first).unwrap().unwrap();
    assert_eq!(row.status.kind(), StatusKind::Succeeded);
    // One that left memory is read again.
    let second = start(&mut stage, VersionRef::Stored(2));
    work(&mut stage, "far");
    assert_eq!(store.reader().run(TENANT, second).unwrap().unwrap().status.kind(), StatusKind::Succeeded);
}

#[test]
fn lanes_in_which_nothing_waits_leave_memory() {
    let store = MemStore::new();
    let mut stage = Stage::new(&store);
    let held = SubmitTask::new(Name::new("waits"), NewPayload::None);
    stage.ask(command::Submit { tenant: TENANT, tasks: Arc::from([held]), key: None });
    for number in 0..3_000 {
        let worker = format!("w{number}");
        let task = SubmitTask::new(Name::new(&worker), NewPayload::None);
        stage.ask(command::Submit { tenant: TENANT, tasks: Arc::from([task]), key: None });
        work(&mut stage, &worker);
    }
    let lanes = stage.state.lanes_len();
    assert!(lanes <= 1_100, "{lanes} lanes are in memory");
    // The task that waited from the beginning is still found.
    work(&mut stage, "waits");
    assert_eq!(stage.state.window_len(), 0);
}

#[test]
fn a_version_that_was_deleted_starts_nothing() {
    let store = MemStore::new();
    let mut stage = Stage::new(&store);
    for text in 1..=2 {
        stage.ask(command::StoreVersion { tenant: TENANT, version: version(1, text) });
    }
    let run =
        NewRun { version: VersionRef::Stored(1), inputs: NewPayload::None, strategy: None, rerun: None, by: None };
    let delete = command::DeleteVersion { tenant: TENANT, workflow: Name::new("flow1"), number: 1 };
    let start = command::StartRun { tenant: TENANT, run, key: None };
    // In one turn, and in the order in which they were asked.
    let inputs = [Input { ticket: 1, command: delete.into() }, Input { ticket: 2, command: start.into() }];
    let turned = stage.state.turn(&inputs, Timestamp(9), 9);
    assert!(matches!(&turned.replies[0].1, Ok(Reply::DeleteVersion(kapelle_store::Deletion::Deleted))));
    let refused = turned.replies[1].1.as_ref().unwrap_err().to_string();
    assert_eq!(refused, "version 1 does not exist");
    assert_eq!(store.reader().version(TENANT, 1).unwrap(), None);
}
