//! Recorded stories: the turns of a simulated server are written down and taken again on a fresh store.
//!
//! A turn is a function of the rows, its commands, the time and random numbers. A recording has exactly these, besides
//! the faults of the disk, so a replay must come to the same replies, effects and rows, byte for byte.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_core::{RunId, TaskId, TenantId, Timestamp};
use kapelle_engine::{
    EngineError, Options,
    turn::{Effect, Input, LoopState, Turned},
};
use kapelle_store::{Fault, JournalEntry, MemReader, MemStore, Reader as _, StoreError};

use crate::{disk::Disk, plan::Plan, plan::Workers, rng::Rng, world::World};

/// Journal entries of a run that are compared.
const JOURNAL_MAX: u32 = 100_000;

/// Random numbers that a server drew.
pub(crate) type Drawn = Arc<Mutex<Vec<u64>>>;

/// A story of one server, written down.
#[derive(Debug)]
pub struct Recording {
    options: Options,
    directory: Arc<Workers>,
    lives: Vec<Life>,
    commits: Vec<Fault>,
    rows: String,
}

/// The life of one process of the server.
#[derive(Debug)]
pub(crate) struct Life {
    now: (i64, u64),
    /// Result of the recovery.
    started: String,
    drawn: Drawn,
    turns: Vec<Taken>,
}

/// A turn that was taken.
#[derive(Debug)]
struct Taken {
    /// Commands, as JSON.
    inputs: Vec<u8>,
    now: (i64, u64),
    /// Replies and effects.
    told: String,
}

impl Life {
    pub(crate) fn new(now: (i64, u64), started: &Result<Turned, StoreError>, drawn: Drawn) -> Life {
        Life { now, started: started_text(started), drawn, turns: Vec::new() }
    }

    pub(crate) fn turn(&mut self, inputs: &[Input], now: (i64, u64), turned: &Turned) -> Result<(), String> {
        let inputs = serde_json::to_vec(inputs).map_err(|error| format!("commands cannot be written: {error}"))?;
        self.turns.push(Taken { inputs, now, told: told(turned) });
        Ok(())
    }
}

/// Lives through a seed with one server, and writes it down.
///
/// # Errors
/// The law that was broken.
pub fn record(seed: u64) -> Result<Recording, String> {
    let mut rng = Rng::new(seed);
    let mut plan = Plan::draw(&mut rng);
    plan.servers = 1;
    // A process that dies within a commit takes its turn with it; deaths between turns are recorded.
    (plan.faults.crash_before, plan.faults.crash_after) = (0, 0);
    let (options, directory) = (plan.options.clone(), Arc::clone(&plan.directory));
    let mut world = World::new(plan, rng, false);
    world.lives = Some(Vec::new());
    world.disk.lock().outcomes = Some(Vec::new());
    world.live()?;
    let lives = world.lives.take().unwrap_or_default();
    let mut disk = world.disk.lock();
    let commits = disk.outcomes.take().unwrap_or_default();
    Ok(Recording { options, directory, lives, commits, rows: rows_of(&disk) })
}

impl Recording {
    /// Returns the rows at the end of the story.
    #[must_use]
    pub fn rows(&self) -> &str {
        &self.rows
    }

    /// Returns the number of turns.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.lives.iter().map(|life| life.turns.len()).sum()
    }

    /// Changes the last of the random numbers that were drawn. Returns whether there was one.
    pub fn forge(&mut self) -> bool {
        let drawn = self.lives.iter().rev().map(|life| &life.drawn);
        let mut last = drawn.filter_map(|drawn| lock(drawn).pop().map(|number| (drawn, number)));
        let Some((drawn, number)) = last.next() else { return false };
        lock(drawn).push(!number);
        true
    }

    /// Takes the turns again on a fresh store. Returns the rows.
    ///
    /// # Errors
    /// The first turn that comes to something else.
    pub fn replay(&self) -> Result<String, String> {
        let store = MemStore::new();
        let commits = Arc::new(Mutex::new(VecDeque::from(self.commits.clone())));
        for (number, life) in self.lives.iter().enumerate() {
            let (mut state, short) = self.begin(&store, &commits, life);
            let now = Timestamp(life.now.0);
            same(&format!("start {number}"), &life.started, &started_text(&state.recover(now, life.now.1)))?;
            for (at, turn) in life.turns.iter().enumerate() {
                let inputs: Vec<Input> = serde_json::from_slice(&turn.inputs).map_err(|error| error.to_string())?;
                let turned = state.turn(&inputs, Timestamp(turn.now.0), turn.now.1);
                same(&format!("turn {at} of life {number}"), &turn.told, &told(&turned))?;
            }
            if short.load(Ordering::Relaxed) {
                return Err(format!("life {number} draws more random numbers than it did"));
            }
        }
        rows(&store.reader(), &store)
    }

    /// Begins a life again. The flag is raised when it draws more random numbers than were recorded.
    fn begin(
        &self,
        store: &MemStore,
        commits: &Arc<Mutex<VecDeque<Fault>>>,
        life: &Life,
    ) -> (LoopState, Arc<AtomicBool>) {
        let commits = Arc::clone(commits);
        let store = store.share().with_faults(move |_| lock(&commits).pop_front().unwrap_or_default());
        let mut numbers = VecDeque::from(lock(&life.drawn).clone());
        let short = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&short);
        let random = move || {
            numbers.pop_front().unwrap_or_else(|| {
                raised.store(true, Ordering::Relaxed);
                0
            })
        };
        let directory = Arc::new(self.directory.fresh());
        let state = LoopState::new(Box::new(store), self.options.clone(), directory, Box::new(random));
        watch(&state);
        (state, short)
    }
}

/// Makes the loop give every effect it can.
pub(crate) fn watch(state: &LoopState) {
    state.watch_flag().store(true, Ordering::Relaxed);
    state.notice_flags().leases.store(true, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn same(what: &str, before: &str, after: &str) -> Result<(), String> {
    if before == after { Ok(()) } else { Err(format!("{what} came to\n{after}\nand before to\n{before}")) }
}

fn started_text(started: &Result<Turned, StoreError>) -> String {
    started.as_ref().map_or_else(|error| format!("failed, temporarily: {}", error.is_temporary()), told)
}

/// Returns what a turn came to. Stores word their faults in their own ways.
fn told(turned: &Turned) -> String {
    let mut text = format!("more: {}, broken: {}\n", turned.more, turned.broken);
    for (ticket, reply) in &turned.replies {
        let _ = match reply {
            Err(EngineError::Store(error)) => writeln!(text, "{ticket}: the store, {}", error.is_temporary()),
            reply => writeln!(text, "{ticket}: {reply:?}"),
        };
    }
    for effect in &turned.effects {
        let _ = match effect {
            // The definition in it is compared by the rows.
            Effect::Evaluate(evaluation) => writeln!(text, "evaluate {:?}", evaluation.place()),
            effect => writeln!(text, "{effect:?}"),
        };
    }
    text
}

/// Returns the rows of the simulated disk, as text.
fn rows_of(disk: &Disk) -> String {
    let tasks = disk.tasks.iter().flatten().map(|task| format!("{task:?}\n"));
    let runs = disk.runs.values().map(|shelf| format!("{:?}\n{}", shelf.row, journal(&shelf.journal)));
    tasks.chain(runs).collect()
}

/// Returns the rows of a store, as text.
fn rows(reader: &MemReader, store: &MemStore) -> Result<String, String> {
    let mut store = store.share();
    let last = |kind| kapelle_store::Store::ids(&mut store, kind, 1).map_err(|error| error.to_string());
    let [tasks, runs] = [kapelle_store::IdKind::Task, kapelle_store::IdKind::Run].map(last);
    let failed = |error: StoreError| error.to_string();
    let mut text = String::new();
    for id in 1..tasks? {
        if let Some(task) = reader.task_of_any(TaskId(id)).map_err(failed)? {
            let _ = writeln!(text, "{task:?}");
        }
    }
    for id in (1..runs?).map(RunId) {
        if let Some(row) = reader.run(TenantId::DEFAULT, id).map_err(failed)? {
            let entries = reader.journal(id, 0, JOURNAL_MAX).map_err(failed)?;
            let _ = write!(text, "{row:?}\n{}", journal(&entries));
        }
    }
    Ok(text)
}

fn journal(entries: &[JournalEntry]) -> String {
    entries.iter().map(|entry| format!("  {entry:?}\n")).collect()
}
