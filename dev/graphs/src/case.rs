//! One case: its events and their times.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, TaskError, TaskId,
    definition::{Definition, Strategy},
    task::TaskState,
};
use kapelle_engine::turn::{Command, NewPayload, command};
use kapelle_store::Reader as _;
use kapelle_testkit::reference::{Address, End, Ends, Phase, Reference, Seen, Waits};
use serde_json::{Value as Json, json};

use crate::{
    compare::waits_outside,
    draw,
    key::key,
    partial,
    rng::Rng,
    script::Script,
    world::{Engine, Mark, Places, TENANT, Weather, World},
    yaml,
};

/// Limit of moments, above that of any case.
const MOMENTS_MAX: u32 = 20_000;

/// Orders that are tried before two states count as different.
const ORDERS: u64 = 200;

/// Result of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Story {
    /// Number of cases.
    pub cases: u64,
    /// Rows that were compared at the end.
    pub rows: u64,
    /// Turns of the engine.
    pub turns: u64,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were cancelled.
    pub cancelled: u64,
    /// Moves of a run to a store of its own.
    pub moved: u64,
}

/// Rates of events of the run besides those of its workers, per hundred moments.
#[derive(Debug, Clone, Copy)]
struct Events {
    cancel: u32,
    cancel_task: u32,
    pause: u32,
    early: u32,
    together: u32,
}

/// Returns the definition that a seed draws.
#[must_use]
pub fn drawn(seed: u64) -> Json {
    let mut tree = draw::definition(&mut Rng::new(seed));
    let mut rng = Rng::new(seed ^ 0x9A27);
    if rng.percent(50) {
        partial::add(&mut tree, &mut rng);
    }
    tree
}

/// Runs a definition in the engine and the reference, with the behaviour and events of a seed.
///
/// # Errors
/// The first difference between the two, with all earlier events.
pub fn live(seed: u64, tree: &Json) -> Result<Story, String> {
    let source = yaml::write(tree);
    let definition =
        Definition::parse(source.as_bytes(), "drawn.yaml").map_err(|problems| format!("refused: {problems}"))?;
    let mut rng = Rng::new(seed ^ 0x6A5D);
    let events = Events {
        cancel: if rng.percent(20) { 4 } else { 0 },
        cancel_task: if rng.percent(15) { 4 } else { 0 },
        early: if rng.percent(25) { 4 } else { 0 },
        pause: if rng.percent(15) { 10 } else { 0 },
        // Under `priority` an end may end others, and the order of two ends in one turn is not known.
        together: if matches!(definition.strategy, Strategy::Priority { .. }) || partial::is_race(tree) {
            0
        } else {
            [0, 0, 50, 90][rng.place(4)]
        },
    };
    let mut often = |seeds, often| if rng.percent(seeds) { often } else { 0 };
    let weather = Weather { restart: often(35, 8), twice: often(30, 50), slow: often(50, 50), conflict: often(25, 15) };
    let script = Script::draw(&mut rng);
    let list: Vec<u64> = (0..rng.below(6)).map(|_| rng.below(9)).collect();
    let inputs = json!({ "yes": rng.percent(50), "n": rng.below(12), "list": list });
    let definition = Arc::new(definition);
    let mut engine = Engine::new(Rng::new(rng.draw()), weather);
    let run = engine.run(&definition, &source, &inputs)?;
    let reference = Reference::new(definition, inputs, engine.now);
    let told = Vec::new();
    let mut world = World { engine, reference, run, script, told, paused: false, cancelled: 0 };
    let lived = world.live(&events, &mut rng);
    lived.map_err(|difference| {
        let told = world.told.join("\n  ");
        format!("{difference}\nwhat happened:\n  {told}\nthe reference:\n{}", world.reference.picture())
    })
}

impl World {
    fn live(&mut self, events: &Events, rng: &mut Rng) -> Result<Story, String> {
        self.rest()?;
        for _ in 0..MOMENTS_MAX {
            if let Some(verdict) = self.reference.verdict() {
                use kapelle_testkit::reference::Verdict;
                let count = |yes: bool| u64::from(yes);
                return Ok(Story {
                    cases: 1,
                    rows: self.engine.rows(self.run)?.len() as u64,
                    turns: self.engine.turned,
                    succeeded: count(matches!(verdict, Verdict::Succeeded(_))),
                    failed: count(matches!(verdict, Verdict::Failed(_))),
                    cancelled: count(matches!(verdict, Verdict::Cancelled)),
                    moved: self.engine.moved,
                });
            }
            self.moment(events, rng)?;
            self.rest()?;
        }
        Err("the run never ends".to_owned())
    }

    /// Advances the reference to the state of the engine, and compares the two.
    fn rest(&mut self) -> Result<(), String> {
        let before = self.reference.clone();
        let marks = std::mem::take(&mut self.engine.marks);
        self.follow(&marks, Ends::First)?;
        let Err(difference) = self.compare() else { return Ok(()) };
        // Ends and starts of one turn may have come in any order.
        let first = self.reference.clone();
        for ends in [Ends::Between, Ends::Last].into_iter().chain((0..ORDERS).map(Ends::Drawn)) {
            self.reference = before.clone();
            self.follow(&marks, ends)?;
            if self.compare().is_ok() {
                return Ok(());
            }
        }
        self.reference = first;
        Err(difference)
    }

    /// Advances turn by turn: what the engine began may begin and what it ended may end, and at last whatever may.
    fn follow(&mut self, marks: &[Mark], ends: Ends) -> Result<(), String> {
        let places = Places::of(&self.engine.rows(self.run)?);
        for mark in marks.iter().map(Some).chain([None]) {
            self.reference.advance(&places.by(mark), ends);
        }
        Ok(())
    }

    fn moment(&mut self, events: &Events, rng: &mut Rng) -> Result<(), String> {
        if rng.percent(events.cancel) {
            return self.cancel();
        }
        if rng.percent(events.cancel_task)
            && let Some(seen) = self.open(rng, |_| true)
        {
            return self.cancel_task(&seen);
        }
        if rng.percent(if self.paused { 25 } else { events.pause }) {
            return self.pause(!self.paused);
        }
        if rng.percent(events.early) {
            return self.signal(&format!("sig{}", rng.below(2)), rng);
        }
        if !self.engine.held.is_empty() && !rng.percent(3) {
            let most = self.engine.held.len();
            let many = if rng.percent(events.together) { 1 + rng.place(most.min(6)) } else { 1 };
            return self.answer(many, rng);
        }
        if rng.percent(70)
            && let Some(seen) = self.open(rng, waits_outside)
        {
            return match seen.waits {
                Some(Waits::Signal(name)) => self.signal(&name, rng),
                _ => self.approve(&seen, rng),
            };
        }
        self.pass_time(rng)
    }

    /// Picks an open node of that kind, if there is one.
    fn open(&self, rng: &mut Rng, kind: impl Fn(&Seen) -> bool) -> Option<Seen> {
        let open: Vec<&Seen> = self.reference.seen().filter(|seen| seen.phase == Phase::Open && kind(seen)).collect();
        rng.one(&open).cloned()
    }

    fn pause(&mut self, pause: bool) -> Result<(), String> {
        self.told.push(if pause { "pause" } else { "resume" }.to_owned());
        self.paused = pause;
        let run = self.run;
        if pause {
            self.reference.pause();
            self.ask(command::PauseRun { run })
        } else {
            self.reference.resume();
            self.ask(command::ResumeRun { run })
        }
    }

    fn signal(&mut self, name: &str, rng: &mut Rng) -> Result<(), String> {
        let payload = json!({ "signal": rng.below(100) });
        self.told.push(format!("signal {name} {payload}"));
        self.reference.signal(name, payload.clone());
        let payload = NewPayload::Bytes(Arc::from(payload.to_string().as_bytes()));
        self.ask(command::Signal { run: self.run, name: Name::new(name), payload, key: None })
    }

    fn approve(&mut self, seen: &Seen, rng: &mut Rng) -> Result<(), String> {
        let approved = rng.percent(75);
        let task = self.task(seen)?;
        self.told.push(format!("{} {}", if approved { "approve" } else { "deny" }, seen.path));
        let (answer, why) = (json!({ "by": "ann" }), "no");
        self.reference.approve(
            &seen.address,
            if approved {
                End::Succeeded(answer.clone())
            } else {
                End::Failed(TaskError::new(Category::Cancelled, why).permanent())
            },
        );
        let answer = NewPayload::Bytes(Arc::from(answer.to_string().as_bytes()));
        self.ask(command::Approve { task, approved, answer, why: Arc::from(why) })
    }

    /// Sends a command that the engine must not refuse.
    fn ask(&mut self, command: impl Into<Command>) -> Result<(), String> {
        let command = command.into();
        let asked = format!("{command:?}");
        match self.engine.pump(vec![command])?.pop() {
            Some(Ok(_)) => Ok(()),
            other => Err(format!("the engine refuses {asked}: {other:?}")),
        }
    }

    /// Ends some attempts in one turn.
    fn answer(&mut self, many: usize, rng: &mut Rng) -> Result<(), String> {
        let mut commands = Vec::new();
        let mut ends: Vec<(TaskId, Address, End)> = Vec::new();
        for _ in 0..many {
            let held = self.engine.held.swap_remove(rng.place(self.engine.held.len()));
            let task = held.report.task;
            let seen = self.seen(task)?;
            let answer = self.script.answer(&seen.path, held.report.epoch);
            self.told.push(format!("{} attempt {}: {}", seen.path, held.report.epoch, short(&answer.end)));
            ends.push((task, seen.address, answer.end));
            commands.push(command::Report { tenant: TENANT, report: held.report, reported: answer.reported }.into());
        }
        self.engine.pump(commands)?;
        for (task, address, end) in ends {
            // The retry rules, which are not part of a run, decide whether another attempt follows.
            if self.ended(task)? {
                self.reference.task_ended(&address, end);
            }
        }
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), String> {
        if self.cancelled == 2 {
            return Ok(());
        }
        self.cancelled += 1;
        self.told.push("cancel".to_owned());
        self.reference.cancel();
        self.ask(command::CancelRun { run: self.run, reason: Arc::from("a test") })
    }

    fn cancel_task(&mut self, seen: &Seen) -> Result<(), String> {
        self.told.push(format!("cancel {}", seen.path));
        self.reference.task_ended(&seen.address, End::Cancelled("a test".to_owned()));
        let task = self.task(seen)?;
        self.ask(command::Cancel { task, reason: Arc::from("a test") })
    }

    /// Advances the time until an event happens by itself, when no attempt runs.
    fn pass_time(&mut self, rng: &mut Rng) -> Result<(), String> {
        let next = [self.engine.next_due(), self.reference.next_due()].into_iter().flatten().min();
        match next {
            Some(due) => {
                self.told.push(format!("time passes: {} ms", due - self.engine.now));
                self.engine.now = self.engine.now.max(due);
                self.engine.pump(vec![command::Tick.into()])?;
                self.reference.pass_time(self.engine.now);
                Ok(())
            }
            None if !self.engine.held.is_empty() || self.open(rng, waits_outside).is_some() => Ok(()),
            None if self.paused => self.pause(false),
            None => Err("nothing is at work, and the run has not ended".to_owned()),
        }
    }

    /// Returns the engine's row of a node.
    fn task(&self, seen: &Seen) -> Result<TaskId, String> {
        let rows = self.engine.rows(self.run)?;
        let place = key(&seen.address);
        let found =
            rows.iter().find(|row| row.origin.as_ref().map(|origin| (origin.scope, origin.slot)) == Some(place));
        found.map(|row| row.id).ok_or_else(|| format!("`{}` has no row in the engine", seen.path))
    }

    /// Returns the reference's node of a task.
    fn seen(&self, task: TaskId) -> Result<Seen, String> {
        let row = self.engine.reader.task(TENANT, task).map_err(|error| error.to_string())?;
        let origin = row.and_then(|row| row.origin).ok_or_else(|| format!("{task} is not stored"))?;
        let known = self.reference.seen().find(|seen| key(&seen.address) == (origin.scope, origin.slot)).cloned();
        known.ok_or_else(|| format!("{task} at {origin:?} is nothing that the reference began"))
    }

    fn ended(&self, task: TaskId) -> Result<bool, String> {
        let row = self.engine.reader.task(TENANT, task).map_err(|error| error.to_string())?;
        Ok(row.is_some_and(|row| matches!(row.state, TaskState::Succeeded { .. } | TaskState::Failed { .. })))
    }
}

fn short(end: &End) -> String {
    match end {
        End::Succeeded(output) => format!("gives {output}").chars().take(120).collect(),
        End::Failed(error) => format!("fails with {error}"),
        End::Cancelled(_) => "is cancelled".to_owned(),
    }
}
