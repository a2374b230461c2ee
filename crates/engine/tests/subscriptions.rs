//! Subscriptions in the loop: every event is in the outbox with what happened, exactly once, whatever the store does.

#![expect(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    subscription::{ATTEMPTS_MAX, BodyFormat, SubscriptionSpec},
    worker::WorkerSpec,
};
use kapelle_engine::{
    Command, EngineError, Options, Reply, SubmitTask, command,
    command::DeliveryOutcome,
    turn::{Directory, Effect, Input, LoopState, NewPayload, Notice, Turned},
};
use kapelle_store::{DeliveryRow, DeliveryState, Fault, MemReader, MemStore, SubscriptionReader};
use serde_json::Value;

const TENANT: TenantId = TenantId(1);
const NOW: i64 = 1_796_083_200_000;

struct Workers;

impl Directory for Workers {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        Some(Arc::new(WorkerSpec { slots: 100, ..WorkerSpec::named(name.as_str()) }))
    }
}

struct Stage {
    store: MemStore,
    reader: MemReader,
    state: LoopState,
    now: i64,
}

fn open(store: MemStore, now: i64) -> LoopState {
    recovered(store, now).unwrap()
}

fn recovered(store: MemStore, now: i64) -> Option<LoopState> {
    let options = Options { other_slots: 0, queues: [].into(), ..Options::default() };
    let mut next = 0;
    let random = move || {
        next += 1;
        next
    };
    let mut state = LoopState::new(Box::new(store), options, Arc::new(Workers), Box::new(random));
    state.recover(Timestamp(now), 1).ok().map(|_| state)
}

fn spec(types: &[&str], condition: Option<&str>) -> SubscriptionSpec {
    SubscriptionSpec {
        url: "https://example.com/".into(),
        format: BodyFormat::CloudEvent,
        types: types.iter().map(|kind| Arc::from(*kind)).collect(),
        condition: condition.map(Arc::from),
        ordered: false,
        by: None,
        created_at: Timestamp(0),
    }
}

impl Stage {
    fn new() -> Stage {
        let store = MemStore::new();
        let reader = store.reader();
        Stage { state: open(store.share(), NOW), store, reader, now: NOW }
    }

    fn turn(&mut self, command: impl Into<Command>) -> Turned {
        let inputs = [Input { ticket: 1, command: command.into() }];
        self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs())
    }

    fn ask(&mut self, command: impl Into<Command>) -> Result<Reply, EngineError> {
        self.turn(command).replies.remove(0).1
    }

    fn put(&mut self, name: &str, spec: SubscriptionSpec) -> Result<Reply, EngineError> {
        let (name, spec) = (Name::new(name), Arc::new(spec));
        self.ask(command::PutSubscription { tenant: TENANT, name, spec, salt: "salt".into(), replace: false })
    }

    fn submit(&mut self, worker: &str) -> kapelle_core::TaskId {
        let task = SubmitTask::new(Name::new(worker), NewPayload::Bytes(Arc::from(&b"{}"[..])));
        match self.ask(command::Submit { tenant: TENANT, tasks: [task].into(), key: None }).unwrap() {
            Reply::Submit(made) => made.first,
            other => unreachable!("{other:?}"),
        }
    }

    fn cancel(&mut self, worker: &str) -> Turned {
        let task = self.submit(worker);
        self.turn(command::Cancel { task, reason: "by hand".into() })
    }

    fn deliveries(&self, name: &str) -> Vec<DeliveryRow> {
        let mut rows = self.reader.deliveries(TENANT, &Name::new(name), None, None, 1_000).unwrap();
        rows.reverse();
        rows
    }

    fn end(&mut self, row: &DeliveryRow, outcome: DeliveryOutcome) {
        self.ask(command::Delivered { delivery: row.id, revision: row.revision, outcome }).unwrap();
    }
}

fn tells(turned: &Turned) -> bool {
    turned.effects.iter().any(|effect| matches!(effect, Effect::Tell(Notice::Deliveries)))
}

#[test]
fn an_event_is_written_for_each_subscription_that_wants_it() {
    let mut stage = Stage::new();
    assert!(!tells(&stage.cancel("ocr")), "without subscriptions nothing is told");
    stage.put("all", spec(&["*"], None)).unwrap();
    stage.put("ocr", spec(&["kapelle.task.cancelled"], Some("event.data.worker == 'ocr'"))).unwrap();
    stage.put("runs", spec(&["kapelle.run.*"], None)).unwrap();
    assert!(tells(&stage.cancel("ocr")));
    stage.cancel("log");
    let (all, ocr) = (stage.deliveries("all"), stage.deliveries("ocr"));
    assert_eq!((all.len(), ocr.len(), stage.deliveries("runs").len()), (2, 1, 0));
    assert_eq!(ocr[0].event_id, all[0].event_id, "one event has one id");
    let event: Value = serde_json::from_str(&ocr[0].event).unwrap();
    assert_eq!(event["id"], format!("evt_{}", ocr[0].event_id));
    assert_eq!(event["type"], "kapelle.task.cancelled");
    assert_eq!((&event["data"]["worker"], &event["data"]["reason"]), (&"ocr".into(), &"by hand".into()));
    assert_eq!(event["subject"], event["data"]["task"]);
}

#[test]
fn an_event_is_written_once_though_the_store_conflicts_and_the_process_ends() {
    let mut stage = Stage::new();
    stage.put("all", spec(&["*"], None)).unwrap();
    let mut tasks = std::collections::BTreeSet::new();
    for round in 0..40 {
        let task = stage.submit("log");
        tasks.insert(task.to_string());
        // A commit that conflicts, fails, or is written while its answer is lost; the process ends on a failure.
        let faults = move |number: u64| match (number + round) % 4 {
            1 => Fault::Conflict,
            2 => Fault::Fail,
            3 => Fault::ExecuteAndFail,
            _ => Fault::None,
        };
        if let Some(state) = recovered(stage.store.share().with_faults(faults), NOW) {
            stage.state = state;
        }
        loop {
            match stage.ask(command::Cancel { task, reason: "by hand".into() }) {
                Ok(_) | Err(EngineError::Task(_)) => break,
                Err(_) => stage.state = open(stage.store.share(), NOW),
            }
        }
        stage.state = open(stage.store.share(), NOW);
    }
    let told: Vec<String> = stage.deliveries("all").iter().map(|row| row.subject.to_string()).collect();
    assert_eq!(told.len(), 40);
    assert_eq!(told.into_iter().collect::<std::collections::BTreeSet<_>>(), tasks);
}

#[test]
fn a_delivery_is_tried_again_for_a_day_and_then_given_up() {
    let mut stage = Stage::new();
    stage.put("all", spec(&["*"], None)).unwrap();
    stage.cancel("log");
    let refused = || DeliveryOutcome::Refused { status: Some(500), error: "answered 500".into(), retry_after_ms: None };
    for attempt in 1..=ATTEMPTS_MAX {
        let row = stage.deliveries("all").remove(0);
        assert_eq!((row.state, row.attempts), (DeliveryState::Pending, attempt - 1));
        stage.now = stage.now.max(row.next_at.0);
        stage.end(&row, refused());
        // The end of an attempt that is over changes nothing.
        stage.end(&row, DeliveryOutcome::Accepted { status: 200 });
    }
    let row = stage.deliveries("all").remove(0);
    assert_eq!((row.state, row.attempts, row.status), (DeliveryState::Failed, ATTEMPTS_MAX, Some(500)));
    assert!((20..30).contains(&((stage.now - NOW) / 3_600_000)));
    // A replay is a new delivery of the same event.
    let name = Name::new("all");
    stage.ask(command::ReplayDelivery { tenant: TENANT, name: name.clone(), delivery: row.id }).unwrap();
    let again = stage.deliveries("all").remove(1);
    assert_eq!((again.event_id, &again.event, again.attempts), (row.event_id, &row.event, 0));
    let pending = command::ReplayDelivery { tenant: TENANT, name: name.clone(), delivery: again.id };
    assert!(matches!(stage.ask(pending), Err(EngineError::InvalidInput(_))));
    let theirs = command::ReplayDelivery { tenant: TenantId(2), name, delivery: row.id };
    assert!(matches!(stage.ask(theirs), Err(EngineError::NoSuchSubscription(_))));
}

#[test]
fn a_script_that_fails_is_told_of() {
    let mut stage = Stage::new();
    stage.put("scripts", spec(&["kapelle.script.*"], None)).unwrap();
    for note in [
        r#"{"event":"worker_waiting","worker":"poll","exit":{"code":1},"detail":"ended: exit code 1"}"#,
        r#"{"event":"worker_waiting","worker":"poll","exit":{"code":0}}"#,
        r#"{"event":"worker_waiting","worker":"poll"}"#,
        r#"{"event":"worker_crashed","worker":"poll","exit":{"signal":9}}"#,
        r#"{"event":"worker_running","worker":"poll"}"#,
    ] {
        stage.ask(command::Note { note: note.into() }).unwrap();
    }
    let told: Vec<String> =
        stage.deliveries("scripts").iter().map(|row| format!("{} {}", row.kind, row.subject)).collect();
    assert_eq!(told, ["kapelle.script.crashed poll", "kapelle.script.given_up poll"]);
}

#[test]
fn a_receiver_that_answers_410_gets_nothing_more_until_it_is_resumed() {
    let mut stage = Stage::new();
    stage.put("all", spec(&["*"], None)).unwrap();
    stage.cancel("log");
    let row = stage.deliveries("all").remove(0);
    stage.end(&row, DeliveryOutcome::Gone);
    let name = Name::new("all");
    let of = |stage: &Stage| stage.reader.subscription(TENANT, &Name::new("all")).unwrap().unwrap().state;
    assert!(of(&stage).disabled.is_some());
    stage.cancel("log");
    assert_eq!(stage.deliveries("all").len(), 1);
    let resume = command::PauseSubscription { tenant: TENANT, name, paused: false, reason: "mended".into() };
    stage.ask(resume).unwrap();
    stage.cancel("log");
    assert_eq!((of(&stage).disabled, stage.deliveries("all").len()), (None, 2));
}

#[test]
fn a_paused_subscription_records_and_a_deleted_one_is_forgotten() {
    let mut stage = Stage::new();
    stage.put("all", spec(&["*"], None)).unwrap();
    let name = Name::new("all");
    let pause = command::PauseSubscription { tenant: TENANT, name: name.clone(), paused: true, reason: "x".into() };
    stage.ask(pause).unwrap();
    stage.cancel("log");
    let row = stage.deliveries("all").remove(0);
    stage.ask(command::DeleteSubscription { tenant: TENANT, name: name.clone() }).unwrap();
    stage.end(&row, DeliveryOutcome::Gone);
    stage.cancel("log");
    assert!(stage.deliveries("all").is_empty());
    let again = command::DeleteSubscription { tenant: TENANT, name };
    assert!(matches!(stage.ask(again), Err(EngineError::NoSuchSubscription(_))));
}

#[test]
fn names_are_taken_once_and_a_tenant_has_a_bound() {
    let mut stage = Stage::new();
    for number in 0..50 {
        stage.put(&format!("s{number}"), spec(&["*"], None)).unwrap();
    }
    assert!(matches!(stage.put("s0", spec(&["*"], None)), Err(EngineError::SubscriptionExists(_))));
    assert!(matches!(stage.put("more", spec(&["*"], None)), Err(EngineError::InvalidInput(_))));
    let (name, spec) = (Name::new("none"), Arc::new(spec(&["*"], None)));
    let change = command::PutSubscription { tenant: TENANT, name, spec, salt: "".into(), replace: true };
    assert!(matches!(stage.ask(change), Err(EngineError::NoSuchSubscription(_))));
}
