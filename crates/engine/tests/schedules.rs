//! Schedules in the loop: exactly the documented fires, whatever the clock, the store and crashes do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{
    DurationMs, Name, TenantId, Timestamp,
    schedule::{CatchUp, FireOutcome, Open, Overlap, ScheduleSpec, Target},
    task::StateKind,
    worker::WorkerSpec,
};
use kapelle_engine::{
    Command, EngineError, Key, Options, Reply, command,
    turn::{Directory, Input, LoopState},
};
use kapelle_store::{Fault, FireRow, MemReader, MemStore, Page, Reader, ScheduleReader, TaskFilter};
use serde_json::json;

const TENANT: TenantId = TenantId(1);
const HOUR: i64 = 3_600_000;
/// 2026-12-01T00:00:00Z.
const DAY: i64 = 1_796_083_200_000;

struct Workers;

impl Directory for Workers {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        Some(Arc::new(WorkerSpec { slots: 10_000, ..WorkerSpec::named(name.as_str()) }))
    }
}

struct Stage {
    store: MemStore,
    reader: MemReader,
    state: LoopState,
    now: i64,
}

fn open(store: MemStore, now: i64) -> LoopState {
    let options = Options { other_slots: 10_000, queues: [].into(), schedules: true, ..Options::default() };
    let mut next = 0;
    let random = move || {
        next += 1;
        next
    };
    let mut state = LoopState::new(Box::new(store), options, Arc::new(Workers), Box::new(random));
    state.recover(Timestamp(now), 1).unwrap();
    state
}

fn spec(cron: &str) -> ScheduleSpec {
    ScheduleSpec {
        cron: cron.into(),
        zone: "UTC".into(),
        target: Target::Worker(Name::new("free")),
        with: json!({ "at": "${{ fire.scheduled }}" }),
        catch_up: CatchUp::Skip,
        overlap: Overlap::Allow,
        jitter: DurationMs::ZERO,
        seed: 1,
        by: None,
        file: None,
        created_at: Timestamp(0),
    }
}

impl Stage {
    fn new() -> Stage {
        let store = MemStore::new();
        let (reader, now) = (store.reader(), DAY);
        Stage { state: open(store.share(), now), store, reader, now }
    }

    fn ask(&mut self, command: impl Into<Command>) -> Result<Reply, EngineError> {
        let inputs = [Input { ticket: 1, command: command.into() }];
        self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs()).replies.remove(0).1
    }

    fn put(&mut self, name: &str, spec: ScheduleSpec) {
        let name = Name::new(name);
        self.ask(command::PutSchedule { tenant: TENANT, name, spec: Arc::new(spec), replace: false }).unwrap();
    }

    /// Moves the clock, then takes turns until nothing is due, as the runner does. Returns the number of turns.
    fn at(&mut self, now: i64) -> usize {
        self.now = now;
        let mut turns = 0;
        while self.state.next_due().is_some_and(|due| due.0 <= now) {
            self.ask(command::Tick).unwrap();
            turns += 1;
            assert!(turns < 1_000, "the loop does not come to rest");
        }
        turns
    }

    /// Ends the process, and starts another on the store.
    fn restart(&mut self, now: i64) {
        self.state = open(self.store.share(), now);
    }

    fn fires(&self, name: &str) -> Vec<FireRow> {
        let mut fires = self.reader.fires(TENANT, &Name::new(name), 1_000).unwrap();
        fires.reverse();
        fires
    }

    /// Returns the hours of the day whose times were started.
    fn started(&self, name: &str) -> Vec<i64> {
        let started = |row: &FireRow| row.outcome.started().map(|_| (row.scheduled.0 - DAY) / HOUR);
        self.fires(name).iter().filter_map(started).collect()
    }

    /// Counts the tasks of each planned time.
    fn tasks(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let mut before = None;
        loop {
            let found = self.reader.tasks(TENANT, &TaskFilter::default(), Page { before, most: 1_000 }).unwrap();
            let Some(last) = found.last() else { return counts };
            before = Some(last.id.0);
            for task in &found {
                let input = String::from_utf8(task.input.inline().unwrap().to_vec()).unwrap();
                *counts.entry(input).or_default() += 1;
            }
        }
    }

    fn end(&mut self, open: Open) {
        let Open::Task(task) = open else { unreachable!("{open:?}") };
        self.ask(command::Cancel { task, reason: "done".into() }).unwrap();
    }

    fn state_of(&self, open: Open) -> StateKind {
        let Open::Task(task) = open else { unreachable!("{open:?}") };
        self.reader.task(TENANT, task).unwrap().unwrap().state.kind()
    }
}

#[test]
fn a_server_that_was_down_does_what_each_schedule_says() {
    let mut stage = Stage::new();
    for (name, catch_up) in [("none", CatchUp::Skip), ("last", CatchUp::One), ("each", CatchUp::All)] {
        stage.put(name, ScheduleSpec { catch_up, ..spec("@hourly") });
    }
    stage.at(DAY + HOUR);
    let back = DAY + 7 * HOUR + HOUR / 2;
    stage.restart(back);
    stage.at(back);
    stage.at(DAY + 8 * HOUR);
    assert_eq!(stage.started("none"), [1, 8]);
    assert_eq!(stage.started("last"), [1, 7, 8]);
    assert_eq!(stage.started("each"), [1, 2, 3, 4, 5, 6, 7, 8]);
    let missed = |name: &str| {
        stage.fires(name).iter().find_map(|row| match row.outcome {
            FireOutcome::Missed(missed) => Some(missed.count),
            _ => None,
        })
    };
    assert_eq!((missed("none"), missed("last"), missed("each")), (Some(6), Some(5), None));
}

#[test]
fn a_clock_that_jumps_fires_nothing_twice() {
    let mut stage = Stage::new();
    stage.put("all", ScheduleSpec { catch_up: CatchUp::All, ..spec("@hourly") });
    for now in [1, 5, 2, 0, 5, 6, 3, 9] {
        stage.at(DAY + now * HOUR);
    }
    assert_eq!(stage.started("all"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(stage.tasks().values().all(|count| *count == 1));
}

#[test]
fn an_earlier_fire_that_is_open_is_handled_as_the_rule_says() {
    let mut stage = Stage::new();
    let rules = [Overlap::Allow, Overlap::Skip, Overlap::Queue, Overlap::CancelRunning];
    for rule in rules {
        stage.put(&format!("{rule:?}"), ScheduleSpec { overlap: rule, ..spec("@hourly") });
    }
    stage.at(DAY + HOUR);
    stage.at(DAY + 2 * HOUR);
    let of =
        |stage: &Stage, rule| stage.fires(&format!("{rule:?}")).into_iter().map(|row| row.outcome).collect::<Vec<_>>();
    let first = |stage: &Stage, rule| of(stage, rule)[0].started().unwrap();
    assert!(of(&stage, Overlap::Allow).iter().all(|outcome| outcome.started().is_some()));
    assert_eq!(of(&stage, Overlap::Skip)[1], FireOutcome::Overlapped(first(&stage, Overlap::Skip)));
    let waits_for = first(&stage, Overlap::Queue);
    assert_eq!(of(&stage, Overlap::Queue)[1], FireOutcome::Queued(waits_for));
    assert!(of(&stage, Overlap::CancelRunning)[1].started().is_some());
    assert_eq!(stage.state_of(first(&stage, Overlap::CancelRunning)), StateKind::Cancelled);
    // The end of the first starts the second, also when it comes while no loop waits for it.
    stage.end(waits_for);
    stage.restart(stage.now);
    stage.at(stage.now);
    let second = of(&stage, Overlap::Queue)[1].started().unwrap();
    stage.at(DAY + 3 * HOUR);
    assert_eq!(of(&stage, Overlap::Queue)[2], FireOutcome::Queued(second));
    stage.end(second);
    stage.at(stage.now);
    assert!(of(&stage, Overlap::Queue)[2].started().is_some());
    let skipped = first(&stage, Overlap::Skip);
    stage.end(skipped);
    stage.at(DAY + 4 * HOUR);
    assert!(of(&stage, Overlap::Skip)[3].started().is_some());
}

#[test]
fn a_paused_schedule_says_what_it_let_pass() {
    let mut stage = Stage::new();
    stage.put("s", spec("@hourly"));
    let pause = |paused| command::PauseSchedule { tenant: TENANT, name: "s".into(), paused, reason: "upgrade".into() };
    stage.ask(pause(true)).unwrap();
    assert_eq!(stage.state.next_due(), None);
    stage.now = DAY + 3 * HOUR + 1;
    stage.ask(pause(false)).unwrap();
    stage.at(DAY + 4 * HOUR);
    assert_eq!(stage.started("s"), [4]);
    assert!(matches!(stage.fires("s")[0].outcome, FireOutcome::Paused(passed) if passed.count == 3));
}

#[test]
fn a_backfill_fires_past_times_once() {
    let mut stage = Stage::new();
    stage.put("s", ScheduleSpec { overlap: Overlap::Skip, ..spec("@hourly") });
    stage.at(DAY + HOUR);
    let open = stage.fires("s")[0].outcome.started().unwrap();
    stage.end(open);
    let backfill = |from, to| command::Backfill {
        tenant: TENANT,
        name: "s".into(),
        from: Timestamp(DAY + from * HOUR),
        to: Timestamp(DAY + to * HOUR),
    };
    for wanted in [4, 0] {
        let Reply::Backfill(fired) = stage.ask(backfill(-3, 1)).unwrap() else { unreachable!() };
        assert_eq!(fired.len(), wanted);
    }
    // One after another, in their order.
    for _ in 0..4 {
        let running = stage.fires("s").iter().filter_map(|row| row.outcome.started()).collect::<Vec<_>>();
        let open = running.into_iter().find(|open| stage.state_of(*open) == StateKind::Running).unwrap();
        stage.end(open);
        stage.at(stage.now);
    }
    assert_eq!(stage.started("s"), [-3, -2, -1, 0, 1]);
    for (from, to, wrong) in [(0, 2, "ends in the future"), (-900, 0, "more than 100 times")] {
        assert!(stage.ask(backfill(from, to)).unwrap_err().to_string().contains(wrong));
    }
}

#[test]
fn fires_by_hand_changes_and_refusals_are_told() {
    let mut stage = Stage::new();
    stage.put("s", spec("@hourly"));
    let fire = |name: &str| command::FireSchedule { tenant: TENANT, name: name.into(), key: None };
    for _ in 0..2 {
        let Reply::FireSchedule(fired) = stage.ask(fire("s")).unwrap() else { unreachable!() };
        assert!(fired.outcome.started().is_some(), "twice in a millisecond is twice");
    }
    let key = |body| Some(Key { key: "k".into(), body: [body; 32] });
    let keyed = |body| command::FireSchedule { key: key(body), ..fire("s") };
    let before = stage.fires("s").len();
    let (Ok(Reply::FireSchedule(one)), Ok(Reply::FireSchedule(two))) = (stage.ask(keyed(1)), stage.ask(keyed(1)))
    else {
        unreachable!()
    };
    assert_eq!((&one, stage.fires("s").len()), (&two, before + 1), "once for its key");
    assert!(matches!(stage.ask(keyed(2)), Err(EngineError::KeyReused(_))));
    assert!(matches!(stage.ask(fire("other")), Err(EngineError::NoSuchSchedule(_))));
    let put = |replace| command::PutSchedule {
        tenant: TENANT,
        name: "s".into(),
        spec: Arc::new(ScheduleSpec { target: Target::Workflow("gone".into()), ..spec("*/30 * * * *") }),
        replace,
    };
    assert!(matches!(stage.ask(put(false)), Err(EngineError::ScheduleExists(_))));
    stage.ask(put(true)).unwrap();
    assert_eq!(stage.state.next_due(), Some(Timestamp(DAY + HOUR / 2)));
    stage.at(DAY + HOUR / 2);
    let last = stage.fires("s").pop().unwrap();
    assert!(matches!(last.outcome, FireOutcome::Refused(why) if why.contains("`gone` does not exist")));
    stage.ask(command::DeleteSchedule { tenant: TENANT, name: "s".into() }).unwrap();
    assert_eq!((stage.fires("s"), stage.state.next_due()), (vec![], None));
}

#[test]
fn a_fire_under_conflicts_and_crashes_is_neither_lost_nor_doubled() {
    for seed in 0..30 {
        let mut stage = Stage::new();
        for name in ["a", "b", "c"] {
            let with = json!({ "at": format!("{name} ${{{{ fire.scheduled }}}}") });
            stage.put(name, ScheduleSpec { catch_up: CatchUp::All, with, ..spec("* * * * *") });
        }
        let mut draw = seed * 7_919_u64;
        for minute in 1..=40 {
            // A commit that conflicts, fails, or is written while its answer is lost; the process ends on a failure.
            let faults = move |number: u64| match (number + seed) % 5 {
                1 => Fault::Conflict,
                2 => Fault::Fail,
                3 => Fault::ExecuteAndFail,
                _ => Fault::None,
            };
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if draw >> 62 == 0 {
                let faulty = stage.store.share().with_faults(faults);
                stage.state = open_faulty(faulty, stage.now).unwrap_or_else(|| open(stage.store.share(), stage.now));
            }
            stage.now = DAY + minute * 60_000;
            while stage.state.next_due().is_some_and(|due| due.0 <= stage.now) {
                if stage.ask(command::Tick).is_err() {
                    stage.restart(stage.now);
                }
            }
        }
        let tasks = stage.tasks();
        assert_eq!(tasks.len(), 3 * 40, "seed {seed}: none is lost");
        assert!(tasks.values().all(|count| *count == 1), "seed {seed}: none is doubled: {tasks:?}");
    }
}

fn open_faulty(store: MemStore, now: i64) -> Option<LoopState> {
    let options = Options { other_slots: 10_000, queues: [].into(), schedules: true, ..Options::default() };
    let mut state = LoopState::new(Box::new(store), options, Arc::new(Workers), Box::new(|| 4));
    state.recover(Timestamp(now), 1).ok().map(|_| state)
}

#[test]
fn ten_thousand_schedules_cost_no_turn_before_they_are_due() {
    let mut stage = Stage::new();
    for some in 0..100_u64 {
        let puts = (0..100).map(|number| {
            let cron = if number % 2 == 0 { "0 12 * * *" } else { "0 13 * * *" };
            let name = Name::new(&format!("s{some}-{number}"));
            let put = command::PutSchedule { tenant: TENANT, name, spec: Arc::new(spec(cron)), replace: false };
            Input { ticket: number, command: put.into() }
        });
        let inputs: Vec<Input> = puts.collect();
        stage.state.turn(&inputs, Timestamp(stage.now), 1);
    }
    stage.restart(stage.now);
    assert_eq!(stage.state.next_due(), Some(Timestamp(DAY + 12 * HOUR)));
    assert_eq!(stage.at(DAY + 12 * HOUR - 1), 0, "nothing is due, so no turn is taken");
    let turns = stage.at(DAY + 12 * HOUR);
    assert!(turns <= 5_000 / 64 + 2, "{turns} turns for 5,000 fires");
    assert_eq!(stage.tasks().values().sum::<usize>(), 5_000);
    assert_eq!(stage.state.next_due(), Some(Timestamp(DAY + 13 * HOUR)));
}

/// Applies the schedules of files. Returns the names that others have.
fn apply(stage: &mut Stage, put: &[(&str, ScheduleSpec)], delete: &[&str]) -> Vec<Name> {
    let put = put.iter().map(|(name, spec)| (Name::new(name), Arc::new(spec.clone()))).collect();
    let delete = delete.iter().map(|name| Name::new(name)).collect();
    match stage.ask(command::ApplyFiles { tenant: TENANT, put, delete }).unwrap() {
        Reply::ApplyFiles(taken) => taken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_file_of_a_workflow_changes_its_schedules_and_no_others() {
    let mut stage = Stage::new();
    let of_file = |cron: &str| ScheduleSpec { file: Some("workflows/f.yaml".into()), ..spec(cron) };
    stage.put("mine", spec("@hourly"));
    let taken = apply(&mut stage, &[("f", of_file("@hourly")), ("mine", of_file("@hourly"))], &[]);
    assert_eq!(taken, [Name::new("mine")]);
    let ours = (TENANT, Name::new("f"));
    let pause = |paused| command::PauseSchedule { tenant: ours.0, name: ours.1.clone(), paused, reason: "why".into() };
    stage.ask(pause(true)).unwrap();
    // By hand it is only paused.
    let put = command::PutSchedule { tenant: TENANT, name: "f".into(), spec: Arc::new(spec("@daily")), replace: true };
    let delete = command::DeleteSchedule { tenant: TENANT, name: "f".into() };
    for error in [stage.ask(put).unwrap_err(), stage.ask(delete).unwrap_err()] {
        assert!(matches!(error, EngineError::ScheduleOfFile(..)), "{error}");
    }
    // New inputs keep the next time and the pause, a new line of cron has its own next time.
    let row = |stage: &Stage| stage.reader.schedule(TENANT, &Name::new("f")).unwrap().unwrap();
    let next = row(&stage).state.next;
    apply(&mut stage, &[("f", ScheduleSpec { with: json!({ "at": "new" }), ..of_file("@hourly") })], &[]);
    assert_eq!((row(&stage).state.next, row(&stage).state.paused.is_some()), (next, true));
    apply(&mut stage, &[("f", of_file("@daily"))], &[]);
    assert_eq!((row(&stage).state.next, row(&stage).due_at), (Some(Timestamp(DAY + 24 * HOUR)), None));
    stage.ask(pause(false)).unwrap();
    stage.at(DAY + 24 * HOUR);
    assert_eq!((stage.started("f"), stage.fires("mine").len()), (vec![24], 2));
    apply(&mut stage, &[], &["f", "mine"]);
    assert_eq!(stage.reader.schedule(TENANT, &Name::new("f")).unwrap(), None);
    assert!(stage.fires("f").is_empty() && stage.reader.schedule(TENANT, &Name::new("mine")).unwrap().is_some());
}
