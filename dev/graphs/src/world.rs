//! One case: the engine and the reference, event by event.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{
    Name, Payload, RunId, TaskId, TenantId, Timestamp,
    definition::Definition,
    run::{ScopeId, Slot},
    task::{Report, StateKind, Task, TaskState, WaitFor},
    worker::WorkerSpec,
};
use kapelle_engine::{
    EngineError, Evaluated, Evaluation, Options, QueueOptions, RunRows,
    turn::{
        Command, Directory, Effect, Input, LoopState, NewPayload, NewRun, Reply, Started, Turned, VersionRef, command,
    },
};
use kapelle_store::{Fault, MemReader, MemStore, Page, Reader as _, RunFilter};
use kapelle_testkit::reference::{Address, Order, Reference};
use serde_json::Value as Json;

use crate::{
    key::key,
    rng::Rng,
    script::Script,
    stored::{Stored, bytes},
};

/// Tenant of the run.
pub const TENANT: TenantId = TenantId(1);
/// Limit of turns until the engine is idle, above that of any case.
const TURNS_MAX: usize = 20_000;

/// Answer of the engine to a command.
pub type Answered = Result<Reply, EngineError>;

/// An attempt that the engine assigned.
#[derive(Debug, Clone)]
pub struct Held {
    /// Lease for its report.
    pub report: Report,
}

/// Rates of disturbances in a case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Percentage of turns after which the engine dies and restarts.
    pub restart: u32,
    /// Percentage of evaluations that are done twice.
    pub twice: u32,
    /// Percentage of evaluations that take longer than a turn.
    pub slow: u32,
    /// Percentage of commits with a false conflict.
    pub conflict: u32,
}

/// The engine under test, with its assigned attempts.
pub struct Engine {
    store: MemStore,
    /// Reader of the store.
    pub reader: MemReader,
    turns: LoopState,
    options: Options,
    /// Attempts that were assigned and not reported.
    pub held: Vec<Held>,
    pooled: Vec<Evaluation>,
    /// Time in milliseconds.
    pub now: i64,
    rng: Rng,
    weather: Weather,
    /// Turns taken.
    pub turned: u64,
    /// Moves of the run to an empty store.
    pub moved: u64,
    /// Progress of the run after each turn since the engine was last idle.
    pub marks: Vec<Mark>,
}

/// A directory in which every worker is known.
struct Anybody;

impl Directory for Anybody {
    fn local(&self, _tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        let mut spec = WorkerSpec::named(name.as_str());
        spec.slots = 1_000;
        Some(Arc::new(spec))
    }
}

impl Engine {
    /// Makes an engine on an empty store.
    pub fn new(mut rng: Rng, weather: Weather) -> Engine {
        let slots = [2, 8, 1_000][rng.place(3)];
        let queues = [(Name::new("default"), QueueOptions::of(slots))].into();
        let options = Options { queues, other_slots: slots, ..Options::default() };
        Engine::with(options, rng, weather)
    }

    /// Makes an engine that never dies, with these queues.
    pub fn calm(queues: impl Iterator<Item = (Name, QueueOptions)>) -> Engine {
        Engine::with(Options { queues: queues.collect(), ..Options::default() }, Rng::new(0), Weather::default())
    }

    fn with(options: Options, mut rng: Rng, weather: Weather) -> Engine {
        let store = MemStore::new();
        let turns = start(&store, &options, weather, &mut rng);
        Engine {
            reader: store.reader(),
            store,
            turns,
            options,
            held: Vec::new(),
            pooled: Vec::new(),
            now: 1_700_000_000_000,
            rng,
            weather,
            turned: 0,
            moved: 0,
            marks: Vec::new(),
        }
    }

    /// Starts the run.
    ///
    /// # Errors
    /// The engine's refusal.
    pub fn run(&mut self, definition: &Arc<Definition>, source: &str, inputs: &Json) -> Result<RunId, String> {
        let version = VersionRef::Source {
            definition: Arc::clone(definition),
            source: Arc::from(source.as_bytes()),
            sha256: [7; 32],
            file: Arc::from("drawn.yaml"),
        };
        let inputs = NewPayload::Bytes(Arc::from(inputs.to_string().as_bytes()));
        let run = NewRun { version, inputs, strategy: None, rerun: None, by: None };
        match self.pump(vec![command::StartRun { tenant: TENANT, run, key: None }.into()])?.pop() {
            Some(Ok(Reply::StartRun(Started { run, .. }))) => Ok(run),
            other => Err(format!("the run was not started: {other:?}")),
        }
    }

    /// Takes turns until there is no work left. Returns the answers to the commands, in order.
    ///
    /// # Errors
    /// When the engine breaks, or is never idle.
    pub fn pump(&mut self, commands: Vec<Command>) -> Result<Vec<Answered>, String> {
        let count = commands.len() as u64;
        let mut answers = Vec::new();
        let numbered = (0..).zip(commands);
        let mut inputs: Vec<Input> = numbered.map(|(ticket, command)| Input { ticket, command }).collect();
        for _ in 0..TURNS_MAX {
            self.turned += 1;
            let turned = self.turns.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
            inputs.clear();
            self.mark()?;
            let mut more = turned.more;
            answers
                .extend(self.follow(turned)?.into_iter().filter(|(ticket, _)| *ticket < count).map(|(_, reply)| reply));
            if self.rng.percent(self.weather.restart) {
                more = self.restart()?;
            }
            for evaluation in std::mem::take(&mut self.pooled) {
                if self.rng.percent(self.weather.slow) {
                    self.pooled.push(evaluation);
                    continue;
                }
                let evaluated = evaluation.evaluate(&Stored(&self.reader)).unwrap_or(Evaluated::Nothing);
                let times = if self.rng.percent(self.weather.twice) { 2 } else { 1 };
                for _ in 0..times {
                    inputs.push(Input { ticket: count, command: evaluation.command(evaluated.clone()) });
                }
            }
            if self.turns.next_due().is_some_and(|due| due.0 <= self.now) {
                inputs.push(Input { ticket: count, command: command::Tick.into() });
            }
            if inputs.is_empty() && self.pooled.is_empty() && !more {
                self.runs_wait()?;
                return Ok(answers);
            }
        }
        Err("the engine never comes to rest".to_owned())
    }

    /// Checks that every open run waits: for a row without inner rows, or a resume.
    fn runs_wait(&self) -> Result<(), String> {
        let run = self.reader.run(TENANT, RunId(1)).map_err(|error| error.to_string())?;
        let Some(run) = run.filter(|run| !run.status.kind().is_terminal() && run.paused.is_none()) else {
            return Ok(());
        };
        let waits =
            |row: &Task| !row.state.kind().is_terminal() && !matches!(row.state, TaskState::Waiting(WaitFor::Scope(_)));
        if self.rows(RunId(1))?.iter().any(waits) {
            return Ok(());
        }
        Err(format!("the run is open and waits for nothing: {:?}", run.status))
    }

    /// Records the progress of the first run.
    fn mark(&mut self) -> Result<(), String> {
        let by_itself = |row: &Task| matches!(row.state.kind(), StateKind::Succeeded | StateKind::Failed);
        let ended = self.rows(RunId(1))?.iter().map(by_itself).collect();
        self.marks.push(Mark { ended });
        Ok(())
    }

    /// Kills the process with its memory, and restarts it.
    fn restart(&mut self) -> Result<bool, String> {
        self.held.clear();
        self.pooled.clear();
        // Every other time the run lives on in a store of its own, as on another host.
        if self.turned.is_multiple_of(2) {
            self.move_out()?;
        }
        self.turns = start(&self.store, &self.options, self.weather, &mut self.rng);
        let turned = self.turns.recover(Timestamp(self.now), self.now.unsigned_abs());
        let turned = turned.map_err(|error| format!("the engine does not start again: {error}"))?;
        let more = turned.more;
        self.follow(turned)?;
        Ok(more)
    }

    /// Puts the rows of the run, written down, into an empty store, and goes on there.
    fn move_out(&mut self) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("the run cannot be moved: {error}");
        let page = Page { before: None, most: 2 };
        let runs = self.reader.runs(TENANT, &RunFilter::default(), page).map_err(|error| failed(&error))?;
        // A run that others belong to stays with them.
        let [run] = runs.as_slice() else { return Ok(()) };
        let place = (TENANT, run.id);
        let read = |store: &MemStore, reader: &MemReader| {
            let rows = RunRows::read(&mut store.share(), reader, place).map_err(|error| failed(&error))?;
            let rows = rows.ok_or_else(|| failed(&"it is gone"))?;
            serde_json::to_string(&rows).map_err(|error| failed(&error))
        };
        let written = read(&self.store, &self.reader)?;
        let rows: RunRows = serde_json::from_str(&written).map_err(|error| failed(&error))?;
        let store = MemStore::new();
        rows.write(&mut store.share(), &Anybody).map_err(|error| failed(&error))?;
        let reader = store.reader();
        let again = read(&store, &reader)?;
        if again != written {
            let at = written.bytes().zip(again.bytes()).position(|(one, other)| one != other).unwrap_or(0);
            let near = |text: &str| {
                String::from_utf8_lossy(
                    &text.as_bytes()[at.saturating_sub(120).min(text.len())..(at + 120).min(text.len())],
                )
                .into_owned()
            };
            return Err(failed(&format!("its rows have changed:\n  {}\n  {}", near(&written), near(&again))));
        }
        (self.store, self.reader) = (store, reader);
        self.moved += 1;
        Ok(())
    }

    fn follow(&mut self, turned: Turned) -> Result<Vec<(u64, Answered)>, String> {
        if turned.broken {
            return Err(format!("the engine broke: {:?}", turned.replies));
        }
        for effect in turned.effects {
            match effect {
                Effect::Dispatch(dispatch) => {
                    let lease = dispatch.lease;
                    let report = Report { task: dispatch.task, epoch: lease.epoch, nonce: lease.nonce };
                    self.held.push(Held { report });
                }
                Effect::Stop(task) => self.held.retain(|held| held.report.task != task),
                Effect::Evaluate(evaluation) => self.pooled.push(*evaluation),
                Effect::Ended(_) | Effect::RunEnded(_) | Effect::Notify(_) | Effect::Tell(_) | Effect::Session(_) => {}
            }
        }
        Ok(turned.replies)
    }

    /// Returns the time of the next event that happens by itself.
    pub fn next_due(&self) -> Option<i64> {
        self.turns.next_due().map(|due| due.0)
    }

    /// Returns the rows of a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn rows(&self, run: RunId) -> Result<Vec<Task>, String> {
        let mut rows: Vec<Task> = Vec::new();
        loop {
            let after = rows.last().map_or(TaskId(0), |row| row.id);
            let page = self.reader.steps(run, after, 1_000).map_err(|error| error.to_string())?;
            if page.is_empty() {
                return Ok(rows);
            }
            rows.extend(page);
        }
    }

    /// Returns the value of a payload.
    ///
    /// # Errors
    /// When it is missing.
    pub fn value(&self, payload: &Payload) -> Result<Json, String> {
        let bytes = bytes(&self.reader, payload).ok_or_else(|| format!("{payload:?} is not stored"))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{payload:?} is not JSON: {error}"))
    }
}

fn start(store: &MemStore, options: &Options, weather: Weather, rng: &mut Rng) -> LoopState {
    let mut random = Rng::new(rng.draw());
    let mut faults = Rng::new(rng.draw());
    let conflict = move |_| if faults.percent(weather.conflict) { Fault::Conflict } else { Fault::None };
    let store = store.share().with_faults(conflict);
    LoopState::new(Box::new(store), options.clone(), Arc::new(Anybody), Box::new(move || random.draw()))
}

/// Progress of a run after a turn.
#[derive(Debug, Clone)]
pub struct Mark {
    /// For each row in their order, whether it had ended other than by a cancel.
    ended: Vec<bool>,
}

/// Mapping of the engine's rows to nodes of the reference.
pub struct Places(HashMap<(ScopeId, Slot), u64>);

impl Places {
    /// Returns the order in which the engine made its rows.
    pub fn of(rows: &[Task]) -> Places {
        let place =
            |(at, row): (usize, &Task)| row.origin.as_ref().map(|origin| ((origin.scope, origin.slot), at as u64));
        Places(rows.iter().enumerate().filter_map(place).collect())
    }

    /// Returns the order of events up to that mark; without one, of all possible events.
    pub fn by<'a>(&'a self, mark: Option<&'a Mark>) -> impl Order + 'a {
        By { places: self, mark }
    }
}

/// Events of the engine up to a mark.
struct By<'a> {
    places: &'a Places,
    mark: Option<&'a Mark>,
}

impl Order for By<'_> {
    fn rank(&self, address: &Address) -> Option<u64> {
        let place = self.places.0.get(&key(address)).copied().unwrap_or(u64::MAX);
        self.mark.is_none_or(|mark| place < mark.ended.len() as u64).then_some(place)
    }

    fn may_end(&self, address: &Address) -> bool {
        let Some(mark) = self.mark else { return true };
        let place = self.places.0.get(&key(address)).and_then(|place| usize::try_from(*place).ok());
        place.is_some_and(|place| mark.ended.get(place) == Some(&true))
    }
}

/// The engine and the reference.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct World {
    /// Engine under test.
    pub engine: Engine,
    /// Reference interpreter.
    pub reference: Reference,
    pub run: RunId,
    /// Behaviour of the workers.
    pub script: Script,
    /// Events so far, for people.
    pub told: Vec<String>,
    /// Whether the run is paused.
    pub paused: bool,
    /// Number of cancels.
    pub cancelled: u32,
}
