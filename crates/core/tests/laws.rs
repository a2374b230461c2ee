//! Laws of the machines, over random histories.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use kapelle_core::{
    Category, Name, Payload, RunId, TaskError, TaskId, TenantId, Timestamp,
    definition::Definition,
    run::{
        BeginStep, Beginning, CancelRun, FinishRun, Outcome, Phase, Run, RunEvent, RunRejection, ScopeId, ScopeKind,
        Slot, SlotState, StatusKind, StepRow, StepStart, TaskEnded,
    },
    task::{
        Ageing, Cancel, Claim, Expire, Fail, NewTask, Policy, Rejection, Release, Report, RetryByHand, StateKind,
        Submit, Succeed, Task, TaskEvent, TaskState, Void, Wake,
    },
};
use proptest::prelude::*;

const AGEING: Ageing = Ageing::OFF;

fn submitted(policy: Policy, delay: i64) -> Task {
    let task = NewTask {
        tenant: TenantId::DEFAULT,
        queue: Name::new("q"),
        worker: Name::new("w"),
        priority: 0,
        key: None,
        input: Payload::None,
        origin: None,
        policy: Arc::new(policy),
        not_before: (delay > 0).then_some(Timestamp(1_000 + delay)),
    };
    Submit { id: TaskId(1), task, ageing: AGEING }.decide(Timestamp(1_000))
}

/// Makes one command of many, with a report that may be stale.
fn command(task: &Task, which: u8, report: Report, now: Timestamp) -> Result<TaskEvent, Rejection> {
    let error = |category| TaskError::new(category, "no");
    let fail = |category| Fail { report, error: error(category), random: 1 };
    match which {
        0 | 1 => Claim { nonce: u64::from(task.epoch) + 7, host: 1 }.decide(task, now),
        2 => Succeed { report, output: Payload::None, provenance: Arc::default() }.decide(task, now),
        3 => fail(Category::Timeout).decide(task, now),
        4 => fail(Category::LeaseLost).decide(task, now),
        5 => fail(Category::InvalidInput).decide(task, now),
        6 => Release { report, ageing: AGEING }.decide(task, now),
        7 => Void { ageing: AGEING }.decide(task, now),
        8 => Cancel { reason: Arc::from("x") }.decide(task, now),
        9 => Expire.decide(task, now),
        _ => Wake { ageing: AGEING }.decide(task, now),
    }
}

fn lease_of(task: &Task) -> Option<Report> {
    match task.state {
        TaskState::Running(lease) => Some(Report { task: task.id, epoch: lease.epoch, nonce: lease.nonce }),
        _ => None,
    }
}

proptest! {
    /// After a terminal state nothing changes, a stale lease is always refused, counts and attempts only rise, and
    /// cancel always ends an open task.
    #[test]
    fn a_task_keeps_its_laws(
        delay in 0i64..500,
        deadline in prop::option::of(1_000i64..9_000),
        moves in prop::collection::vec((0u8..12, any::<bool>(), 0i64..400), 0..60),
    ) {
        let mut task = submitted(Policy { deadline: deadline.map(Timestamp), ..Policy::default() }, delay);
        let mut now = 1_000;
        let mut old = Report { task: task.id, epoch: 0, nonce: 0 };
        for (which, honest, later) in moves {
            now += later;
            let before = task.clone();
            let report = if honest { lease_of(&task).unwrap_or(old) } else { old };
            let stale = lease_of(&task) != Some(report);
            match command(&task, which, report, Timestamp(now)) {
                Ok(event) => {
                    prop_assert!(!before.state.kind().is_terminal(), "{event:?} after {:?}", before.state);
                    prop_assert!(!(stale && (2..=6).contains(&which)), "a stale lease was accepted");
                    task.evolve(&event);
                }
                Err(rejection) if (2..=6).contains(&which) => {
                    prop_assert_eq!(rejection, Rejection::LeaseLost(task.id));
                    prop_assert!(stale);
                }
                Err(_) => {}
            }
            prop_assert!(task.epoch >= before.epoch && task.failures >= before.failures);
            prop_assert!(task.failures <= 3 + 1 && task.crashes <= 3, "{task:?}");
            if let Some(report) = lease_of(&before).filter(|report| lease_of(&task) != Some(*report)) {
                old = report;
            }
            let cancelled = Cancel { reason: Arc::from("x") }.decide(&task, Timestamp(now));
            prop_assert_eq!(cancelled.is_err(), task.state.kind().is_terminal());
            if let Ok(event) = cancelled {
                let mut ended = task.clone();
                ended.evolve(&event);
                prop_assert_eq!(ended.state.kind(), StateKind::Cancelled);
            }
        }
    }
}

#[test]
fn every_rejection_of_a_task_can_be_met() {
    let task = submitted(Policy::default(), 0);
    let report = Report { task: task.id, epoch: 1, nonce: 1 };
    let lost = Release { report, ageing: AGEING }.decide(&task, Timestamp(1_000));
    assert!(matches!(lost, Err(Rejection::LeaseLost(_))));
    assert!(matches!(Wake { ageing: AGEING }.decide(&task, Timestamp(1_000)), Err(Rejection::WrongState { .. })));
    let mut over = task.clone();
    let event = Cancel { reason: Arc::from("x") }.decide(&task, Timestamp(1_000)).unwrap();
    over.evolve(&event);
    for rejected in [
        Claim { nonce: 1, host: 0 }.decide(&over, Timestamp(1_000)),
        RetryByHand { ageing: AGEING }.decide(&over, Timestamp(1_000)),
        Expire.decide(&over, Timestamp(1_000)),
    ] {
        assert!(matches!(rejected, Err(Rejection::Ended { state: StateKind::Cancelled, .. })), "{rejected:?}");
    }
}

/// Makes a definition of steps whose needs are given as bits.
fn definition(steps: &[(u8, u8, bool)]) -> Arc<Definition> {
    let mut text = String::from("name: law\nsteps:\n");
    for (at, (needs, run_if, tolerated)) in steps.iter().enumerate() {
        let needs: Vec<String> = (0..at).filter(|need| needs >> need & 1 == 1).map(|need| format!("s{need}")).collect();
        text += &format!("  s{at}: {{ worker: w, needs: [{}], ", needs.join(", "));
        text += &format!("run_if: {}", ["success", "failure", "always", "any_success"][usize::from(run_if % 4)]);
        text += if *tolerated { ", on_error: continue }\n" } else { " }\n" };
    }
    Arc::new(Definition::parse(text.as_bytes(), "law.yaml").unwrap())
}

fn fresh(definition: &Arc<Definition>) -> Run {
    Run::new(RunId(1), TenantId::DEFAULT, 1, Arc::clone(definition), Payload::None)
}

/// Returns the slots of the outermost block.
fn slots(run: &Run) -> &[SlotState] {
    match &run.scopes[&ScopeId::ROOT].kind {
        ScopeKind::Block(block) => &block.slots,
        _ => unreachable!(),
    }
}

/// Returns the phases as readers see them: a step under evaluation is still pending.
fn phases(run: &Run) -> Vec<(Phase, u32, Option<TaskId>)> {
    let slots = slots(run);
    let settled = |phase| if phase == Phase::Queued { Phase::Pending } else { phase };
    slots.iter().map(|slot| (settled(slot.phase), slot.unmet, slot.task)).collect()
}

/// A run in progress, with its journal.
struct Live {
    run: Run,
    journal: Vec<RunEvent>,
    next: i64,
}

impl Live {
    fn apply(&mut self, events: Vec<RunEvent>) {
        for event in events {
            self.run.evolve(&event);
            self.journal.push(event);
        }
    }

    /// Begins the ready steps. A step begins only when every step it needs has ended.
    fn begin(&mut self) {
        for step in self.run.take_ready(3) {
            self.next += 1;
            let needs = self.run.step(step.scope, step.slot).unwrap().needs.clone();
            let slots = slots(&self.run);
            assert!(needs.iter().all(|need| slots[need.0 as usize].phase.has_ended()));
            let begin =
                BeginStep { scope: step.scope, slot: step.slot, beginning: Beginning::Start, task: TaskId(self.next) };
            let (events, start) = begin.clone().decide(&self.run).unwrap();
            let starts = matches!(start, StepStart::Task);
            let verdict = matches!(self.run.verdict(step.scope, step.slot), kapelle_core::run::Verdict::Start);
            assert_eq!(starts, verdict);
            self.apply(events);
            assert!(matches!(begin.decide(&self.run), Err(RunRejection::WrongPhase { .. })));
        }
    }

    fn end(&mut self, pick: usize, outcome: Outcome) {
        let open = self.run.open(usize::MAX);
        if open.is_empty() {
            return;
        }
        let task = open[pick % open.len()];
        let slots = slots(&self.run);
        let slot = Slot(slots.iter().position(|slot| slot.task == Some(task)).unwrap() as u32);
        let ended = TaskEnded { scope: ScopeId::ROOT, slot, task, outcome, error: None };
        let events = ended.clone().decide(&self.run).unwrap();
        self.apply(events);
        assert!(matches!(ended.decide(&self.run), Err(RunRejection::WrongPhase { .. })));
    }
}

proptest! {
    /// Folding the journal gives the live run, and so do the rows; and in any history, cancelling or continuing ends
    /// it.
    #[test]
    fn a_run_keeps_its_laws(
        steps in prop::collection::vec((any::<u8>(), 0u8..5, any::<bool>()), 1..8),
        moves in prop::collection::vec((0u8..4, 0usize..8), 0..24),
        cancelled in any::<bool>(),
    ) {
        let definition = definition(&steps);
        let mut live = Live { run: fresh(&definition), journal: Vec::new(), next: 0 };
        live.apply(vec![RunEvent::Started { version: 1, at: Timestamp(1) }]);
        for (what, pick) in moves {
            match what {
                0 => live.begin(),
                1 => live.end(pick, Outcome::Failed),
                _ => live.end(pick, Outcome::Succeeded),
            }
            let mut folded = fresh(&definition);
            live.journal.iter().for_each(|event| folded.evolve(event));
            prop_assert_eq!(phases(&folded), phases(&live.run));
            prop_assert_eq!((folded.open_tasks, folded.failed_by()), (live.run.open_tasks, live.run.failed_by()));
            prop_assert_eq!(folded.completion(), live.run.completion());
            let mut rebuilt = fresh(&definition);
            rebuilt.rebuild(&rows(&live.run));
            prop_assert_eq!(phases(&rebuilt), phases(&live.run));
        }
        if cancelled {
            let events = CancelRun { reason: Arc::from("x") }.decide(&live.run).unwrap();
            live.apply(events);
            let mut hard = live.run.clone();
            let again = CancelRun { reason: Arc::from("x") }.decide(&hard).unwrap();
            again.iter().for_each(|event| hard.evolve(event));
            let thrice = CancelRun { reason: Arc::from("x") }.decide(&hard);
            prop_assert!(matches!(thrice, Err(RunRejection::NotRunning { .. })), "{thrice:?}");
        }
        for turn in 0.. {
            prop_assert!(turn < 100, "it does not end");
            if live.run.completion().is_some() {
                break;
            }
            let early = FinishRun { error: None }.decide(&live.run, Timestamp(9));
            prop_assert!(matches!(early, Err(RunRejection::Unfinished(_))), "{early:?}");
            live.begin();
            live.end(0, if cancelled { Outcome::Cancelled } else { Outcome::Succeeded });
            // A slot that was queued and never begun is found again, as after a crash.
            let mut rebuilt = fresh(&definition);
            rebuilt.status = live.run.status.clone();
            rebuilt.set_failed_by(live.run.failed_by());
            rebuilt.rebuild(&rows(&live.run));
            live.run = rebuilt;
        }
        let events = FinishRun { error: None }.decide(&live.run, Timestamp(9)).unwrap();
        live.apply(events);
        prop_assert_eq!(live.run.status.kind() == StatusKind::Cancelled, cancelled);
        prop_assert!(live.run.take_ready(9).is_empty());
        let after = FinishRun { error: None }.decide(&live.run, Timestamp(9));
        prop_assert!(matches!(after, Err(RunRejection::NotRunning { .. })), "{after:?}");
    }
}

/// Returns the rows of the steps that have one.
fn rows(run: &Run) -> Vec<StepRow> {
    let slots = slots(run).iter().enumerate();
    let row = |(at, slot): (usize, &SlotState)| {
        let state = match slot.phase {
            Phase::Succeeded => StateKind::Succeeded,
            Phase::Failed | Phase::Tolerated => StateKind::Failed,
            Phase::Cancelled => StateKind::Cancelled,
            Phase::Skipped => StateKind::Skipped,
            _ => StateKind::Running,
        };
        Some(StepRow {
            scope: ScopeId::ROOT,
            slot: Slot(at as u32),
            task: slot.task?,
            state,
            opened: None,
            signal: None,
        })
    };
    slots.filter_map(row).collect()
}
