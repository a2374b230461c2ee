//! A disk that is full for a while: reports of attempts are kept and written as soon as there is room, however busy the
//! engine is.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use kapelle_core::{
    Account, Money, Name, TaskError, TenantId,
    task::StateKind,
    worker::{BoxFuture, NoFiles, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_engine::{
    CallOrder, CallOver, Clock, Engine, NewPayload, Notice, Options, Parts, Registry, SubmitTask, SystemClock, Taken,
    command,
};
use kapelle_store::{CallState, Fault, MemStore};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc::unbounded_channel};

/// A worker that answers when it is allowed to.
struct Gated {
    spec: WorkerSpec,
    gate: Arc<Semaphore>,
}

impl Worker for Gated {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, _: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async {
            self.gate.acquire().await.expect("a gate").forget();
            Ok(Output::plain(json!("done")))
        })
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect(what)
}

/// An engine whose disk is full on request, and the number of refused writes.
struct Stage {
    engine: Engine,
    full: Arc<AtomicBool>,
    refused: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

fn stage() -> Stage {
    let (full, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let store = MemStore::new();
    let reader = store.reader();
    let (is_full, count) = (Arc::clone(&full), Arc::clone(&refused));
    let store = store.with_faults(move |_| {
        if !is_full.load(Ordering::SeqCst) {
            return Fault::None;
        }
        count.fetch_add(1, Ordering::SeqCst);
        Fault::Full
    });
    let registry = Arc::new(Registry::default());
    let gate = Arc::new(Semaphore::new(0));
    registry.insert(Arc::new(Gated { spec: WorkerSpec::named("gated"), gate: Arc::clone(&gate) }));
    let parts = Parts {
        store: Box::new(store),
        reader: Arc::new(reader),
        registry,
        files: Arc::new(NoFiles),
        spill: Arc::new(|_| Err("nothing is large here".to_owned())),
        clock: Arc::new(SystemClock::default()),
        middleware: Vec::new(),
        taken: Taken::Unknown,
    };
    let engine = Engine::start(parts, Options::default()).unwrap();
    Stage { engine, full, refused, gate }
}

impl Stage {
    async fn was_refused(&self) {
        let was_refused = async {
            while self.refused.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        within("it is refused", was_refused).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_disk_refused_is_written_under_steady_traffic() {
    let stage = stage();
    let Stage { engine, full, gate, .. } = &stage;
    let task = SubmitTask::new(Name::new("gated"), NewPayload::None);
    let id = engine.submit(TenantId::DEFAULT, vec![task], None).await.unwrap();
    // The loop is never idle: these commands write nothing, so that a full disk does not refuse them.
    let traffic = Arc::new(AtomicBool::new(true));
    let (busy, on) = (engine.clone(), Arc::clone(&traffic));
    let asking = tokio::spawn(async move {
        while on.load(Ordering::SeqCst) {
            let _ = busy.ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([]) }).await;
        }
    });
    let running = async {
        while engine.reader().task(TenantId::DEFAULT, id).unwrap().unwrap().state.kind() != StateKind::Running {
            tokio::task::yield_now().await;
        }
    };
    within("it runs", running).await;
    full.store(true, Ordering::SeqCst);
    gate.add_permits(1);
    stage.was_refused().await;
    full.store(false, Ordering::SeqCst);
    let ended = within("its end is written", engine.wait(TenantId::DEFAULT, id)).await.unwrap();
    assert_eq!(ended.state.kind(), StateKind::Succeeded);
    assert_eq!(ended.epoch, 1, "it was not done twice");
    traffic.store(false, Ordering::SeqCst);
    asking.await.unwrap();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_call_is_not_written_before_its_beginning() {
    let stage = stage();
    let Stage { engine, full, .. } = &stage;
    let (drawn, mut blocks) = unbounded_channel();
    engine.listen(Box::new(move |notice| {
        if let Notice::Drawn(block) = notice {
            let _ = drawn.send(Arc::clone(block));
        }
    }));
    let order = CallOrder {
        tenant: TenantId::DEFAULT,
        payer: vec![Account::Key("key_1".to_owned())],
        attempt: 0,
        epoch: 0,
        worst: Money(100),
        operation: Arc::from("chat/completions"),
        provider: Arc::from("p"),
        model: Arc::from("m"),
        fingerprint: [0; 32],
        purse: Some(1),
    };
    engine.ask(command::Reserve(Box::new(order.clone()))).await.unwrap();
    let block = within("a block", blocks.recv()).await.unwrap();
    let now = SystemClock::default().now();
    assert!(block.take(Money(100), now));
    full.store(true, Ordering::SeqCst);
    engine.tell_soon(command::Spend { call: block.id(), order: Box::new(order), at: now });
    // Its beginning is refused, and waits; then comes its end.
    let _ = engine.ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([]) }).await;
    stage.was_refused().await;
    let state = CallState::Charged;
    let over = CallOver { state, cost: Money(70), input: 1, output: 2, request_id: None };
    engine.tell(command::Settle { call: block.id(), over: Box::new(over) });
    full.store(false, Ordering::SeqCst);
    let _ = engine.ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([]) }).await;
    let charged = async {
        loop {
            match engine.reader().call(TenantId::DEFAULT, block.id()).unwrap() {
                Some(call) if call.state == CallState::Charged => break call,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(within("it is charged", charged).await.cost, Money(70));
    engine.stop().await;
}
