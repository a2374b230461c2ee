//! Rows to write.

use std::sync::Arc;

use kapelle_core::{
    Name, Payload, PayloadId, RunId, TaskError, TaskId, TenantId, Timestamp,
    definition::{Definition, Strategy},
    failure::Category,
    money::Money,
    run::{Opening, Run, RunStatus, ScopeId, Slot},
    task::{HoldReason, Lease, Origin, Policy, Task, TaskState, WaitFor},
    worker::Provenance,
};

use crate::{Batch, JournalEntry, RunWrite, VersionRow};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Makes a ready task outside of a run in lane default/noop.
pub(crate) fn task(id: i64) -> Task {
    Task {
        id: TaskId(id),
        tenant: TenantId::DEFAULT,
        queue: Name::new("default"),
        worker: Name::new("noop"),
        priority: 0,
        key: None,
        input: Payload::Inline(Arc::from(&br#"{"n":1}"#[..])),
        origin: None,
        policy: Arc::default(),
        created_at: NOW,
        state: TaskState::Ready { rank: NOW.0 },
        epoch: 0,
        failures: 0,
        crashes: 0,
        revision: 0,
    }
}

/// Makes such a task in another state.
pub(super) fn in_state(id: i64, state: TaskState) -> Task {
    Task { state, ..task(id) }
}

/// Makes a step of run 1.
pub(super) fn step(id: i64, run: i64, slot: u32) -> Task {
    Task {
        origin: Some(Origin { run: RunId(run), scope: ScopeId::ROOT, slot: Slot(slot), path: Arc::from("s") }),
        ..task(id)
    }
}

pub(super) fn ready(id: i64, rank: i64) -> Task {
    in_state(id, TaskState::Ready { rank })
}

pub(super) fn succeeded(id: i64, ended_at: i64, output: Payload) -> Task {
    let provenance = Arc::default();
    let (started_at, ended_at) = (Timestamp(ended_at - 1), Timestamp(ended_at));
    in_state(id, TaskState::Succeeded { output, provenance, started_at, ended_at })
}

pub(super) fn running(id: i64) -> Task {
    let lease = Lease { epoch: 3, nonce: u64::MAX - 7, host: 9, started_at: NOW };
    Task { epoch: 3, ..in_state(id, TaskState::Running(lease)) }
}

pub(super) fn error(message: &str) -> Arc<TaskError> {
    Arc::new(TaskError::new(Category::Provider, message).after(kapelle_core::DurationMs(20)))
}

/// Returns one state of every kind, with every field set to a value that would reveal a mix-up.
pub(super) fn every_state() -> Vec<TaskState> {
    let provenance = Arc::new(Provenance {
        reused: Some("task_3".to_owned()),
        provider: Some("openai".to_owned()),
        model: Some("small".to_owned()),
        degraded: Some("no OPENAI_API_KEY".to_owned()),
        stand_in: true,
        cached: true,
        recorded: true,
        truncated: true,
        calls: 2,
        input_tokens: 3,
        output_tokens: 4,
        cost: Money(u64::MAX),
    });
    vec![
        TaskState::Scheduled { at: Timestamp(5) },
        TaskState::Ready { rank: -6 },
        running(1).state,
        TaskState::Retrying { at: Timestamp(7), error: error("é\"\n\0") },
        TaskState::Held { reason: HoldReason::KeyLimit, rank: i64::MIN },
        TaskState::Held { reason: HoldReason::RunPaused, rank: i64::MAX },
        TaskState::Parked { rank: 8, needs: Money(u64::MAX) },
        TaskState::Waiting(WaitFor::Scope(Opening::Items { total: u32::MAX })),
        TaskState::Waiting(WaitFor::Run(RunId(4))),
        TaskState::Waiting(WaitFor::Timer { until: Timestamp(70) }),
        TaskState::Succeeded {
            output: Payload::Inline(Arc::from(&b""[..])),
            provenance,
            started_at: Timestamp(9),
            ended_at: Timestamp(10),
        },
        TaskState::Succeeded {
            output: Payload::None,
            provenance: Arc::default(),
            started_at: Timestamp(9),
            ended_at: Timestamp(10),
        },
        TaskState::Failed { error: error(""), dead: true, ended_at: Timestamp(11) },
        TaskState::Failed { error: error("x"), dead: false, ended_at: Timestamp(-11) },
        TaskState::Cancelled { reason: Arc::from("by hand"), ended_at: Timestamp(12) },
        TaskState::Skipped { reason: Arc::from(""), ended_at: Timestamp(13) },
        TaskState::Discarded {
            error: error("y"),
            dead: true,
            reason: Arc::from("é"),
            ended_at: Timestamp(14),
            discarded_at: Timestamp(15),
        },
    ]
}

/// Makes a policy that differs from the default in every field.
pub(super) fn policy() -> Arc<Policy> {
    let retry = kapelle_core::retry::RetryPolicy {
        max_attempts: 9,
        delay: kapelle_core::DurationMs(1),
        multiplier: 1.1,
        max_delay: kapelle_core::DurationMs(u64::MAX),
        jitter: kapelle_core::retry::Jitter::Equal,
        on: Some(Arc::from([Category::Timeout, Category::RateLimited])),
    };
    Arc::new(Policy {
        retry,
        timeout: Some(kapelle_core::DurationMs(60_000)),
        deadline: Some(Timestamp(NOW.0 + 1_000)),
        expires: Some(Timestamp(NOW.0 + 500)),
        max_cost: Some(Money(1)),
        requires: kapelle_core::Requires::parse(["gpu"]).unwrap_or_default(),
        recorded: true,
    })
}

pub(super) fn version(id: i64, workflow: &str, number: u32) -> VersionRow {
    VersionRow {
        id,
        tenant: TenantId::DEFAULT,
        workflow: Name::new(workflow),
        number,
        sha256: [id as u8; 32],
        source: Arc::from(format!("name: {workflow}").as_bytes()),
        file: Arc::from("flow.yaml"),
        created_at: NOW,
    }
}

pub(super) fn run(id: i64, version: i64) -> Run {
    let source = b"name: flow\nsteps: { one: { worker: log } }\n";
    let definition = Definition::parse(source, "flow.yaml").unwrap();
    let mut run = Run::new(RunId(id), TenantId::DEFAULT, version, Arc::new(definition), Payload::None);
    run.created_at = NOW;
    run.strategy = if id % 2 == 0 { Strategy::Sequential } else { Strategy::Priority { fail_fast_at: Some(10) } };
    run
}

/// Makes a batch with version 1 and these runs of it.
pub(super) fn with_runs(runs: &[Run]) -> Batch<'_> {
    Batch {
        versions: vec![version(1, "flow", 1)],
        runs: runs.iter().map(|run| RunWrite { run, expected: None }).collect(),
        ..Batch::default()
    }
}

pub(super) fn ended(mut run: Run, at: i64) -> Run {
    run.status = RunStatus::Succeeded { outputs: Payload::None, ended_at: Timestamp(at) };
    run
}

pub(super) fn entry(run: i64, seq: u64) -> JournalEntry {
    let event =
        kapelle_core::run::RunEvent::StepStarted { scope: ScopeId::ROOT, slot: Slot(0), task: TaskId(1), signal: None };
    JournalEntry { run: RunId(run), seq, at: NOW, event }
}

pub(super) fn row(id: i64) -> Payload {
    Payload::Row(PayloadId(id))
}
