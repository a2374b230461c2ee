//! Recorded stories: the turns of a simulated server are written down and taken again on a fresh store.
//!
//! A turn is a function of the rows, its commands, the time, random numbers, and answers from outside: whether a provider
//! has room for a call, and whether a prepaid amount was used. A recording has exactly these, besides the faults of the
//! disk, so a replay must come to the same replies, effects and rows, byte for byte. The process of a replay knows no
//! provider, and nobody uses an amount there.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_core::{CallId, RunId, TaskId, TenantId, Timestamp, account::AccountKind};
use kapelle_engine::{
    EngineError, Options, Taken,
    turn::{Admission, Effect, Input, Learnt, LoopState, Turned},
};
use kapelle_store::{
    CallFilter, Fault, JournalEntry, LedgerReader, LedgerStore as _, MemReader, MemStore, Page, Reader as _, StoreError,
};

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
    /// Calls on amounts of the former process, as JSON.
    taken: Vec<u8>,
    /// Answers from outside during the recovery.
    learnt: Vec<Learnt>,
    turns: Vec<TakenTurn>,
}

/// A turn that was taken.
#[derive(Debug)]
struct TakenTurn {
    /// Commands, as JSON.
    inputs: Vec<u8>,
    now: (i64, u64),
    /// Answers from outside, as JSON.
    learnt: Vec<u8>,
    /// Replies and effects.
    told: String,
}

impl Life {
    pub(crate) fn new(
        now: (i64, u64),
        started: &Result<Turned, StoreError>,
        drawn: Drawn,
        taken: &Taken,
    ) -> Result<Life, String> {
        let learnt = started.as_ref().map(|turned| turned.learnt.clone()).unwrap_or_default();
        let taken = serde_json::to_vec(taken).map_err(unwritten)?;
        Ok(Life { now, started: started_text(started), drawn, taken, learnt, turns: Vec::new() })
    }

    pub(crate) fn turn(&mut self, inputs: &[Input], now: (i64, u64), turned: &Turned) -> Result<(), String> {
        let inputs = serde_json::to_vec(inputs).map_err(unwritten)?;
        let learnt = serde_json::to_vec(&turned.learnt).map_err(unwritten)?;
        self.turns.push(TakenTurn { inputs, now, learnt, told: told(turned) });
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

    /// Makes a recording of lives over one store.
    pub(crate) fn of_store(
        plan: Plan,
        lives: Vec<Life>,
        commits: Vec<Fault>,
        store: &MemStore,
    ) -> Result<Recording, String> {
        let rows = rows(&store.reader(), store)?;
        Ok(Recording { options: plan.options, directory: plan.directory, lives, commits, rows })
    }

    /// Counts the answers from outside: waits for a provider, rights to a call, amounts that were withdrawn, and those
    /// that their payers had used.
    #[must_use]
    pub fn learnt(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for learnt in
            self.lives.iter().flat_map(|life| life.turns.iter().flat_map(TakenTurn::learnt).chain(life.learnt.clone()))
        {
            match learnt {
                Learnt::Admission(Admission::Wait(_)) => counts[0] += 1,
                Learnt::Admission(Admission::Right) => counts[1] += 1,
                Learnt::Admission(Admission::Free) => {}
                Learnt::Withdrawn(true) => counts[2] += 1,
                Learnt::Withdrawn(false) => counts[3] += 1,
            }
        }
        counts
    }

    /// Turns the last answer of a turn about a prepaid amount into its opposite. Returns whether there was one.
    pub fn forge_withdrawn(&mut self) -> bool {
        for turn in self.lives.iter_mut().rev().flat_map(|life| life.turns.iter_mut().rev()) {
            let mut learnt = turn.learnt();
            let Some(Learnt::Withdrawn(last)) = learnt.iter_mut().rev().find(|one| matches!(one, Learnt::Withdrawn(_)))
            else {
                continue;
            };
            *last = !*last;
            turn.learnt = serde_json::to_vec(&learnt).unwrap_or_default();
            return true;
        }
        false
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
            state.taken(serde_json::from_slice(&life.taken).map_err(|error| error.to_string())?);
            state.replay_outside(life.learnt.clone());
            same(&format!("start {number}"), &life.started, &started_text(&state.recover(now, life.now.1)))?;
            for (at, turn) in life.turns.iter().enumerate() {
                let inputs: Vec<Input> = serde_json::from_slice(&turn.inputs).map_err(|error| error.to_string())?;
                state.replay_outside(turn.learnt());
                let turned = state.turn(&inputs, Timestamp(turn.now.0), turn.now.1);
                same(&format!("turn {at} of life {number}"), &turn.told, &told(&turned))?;
                if state.outside_differs() {
                    return Err(format!("turn {at} of life {number} asked otherwise"));
                }
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
        let directory = Arc::new(self.directory.without_provider());
        let state = LoopState::new(Box::new(store), self.options.clone(), directory, Box::new(random));
        watch(&state);
        (state, short)
    }
}

impl TakenTurn {
    /// Returns the answers from outside.
    fn learnt(&self) -> Vec<Learnt> {
        serde_json::from_slice(&self.learnt).unwrap_or_default()
    }
}

fn unwritten(error: serde_json::Error) -> String {
    format!("a turn cannot be written: {error}")
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
    text += &ledger(reader, &mut store).map_err(failed)?;
    Ok(text)
}

/// Returns the rows of the ledger, as text.
fn ledger(reader: &MemReader, store: &mut MemStore) -> Result<String, StoreError> {
    let page = Page { before: None, most: 1_000 };
    let mut text = String::new();
    for call in reader.calls(TenantId::DEFAULT, &CallFilter::default(), page)? {
        let _ = writeln!(text, "{call:?}");
    }
    for kind in AccountKind::ALL {
        for account in LedgerReader::accounts(reader, TenantId::DEFAULT, kind, 1_000)? {
            let _ = writeln!(text, "{account:?}");
        }
    }
    for prepaid in store.prepaid(CallId(0), 1_000)? {
        let _ = writeln!(text, "{prepaid:?}");
    }
    for budget in reader.all_budgets(1_000)? {
        let _ = writeln!(text, "{budget:?}");
    }
    Ok(text)
}

fn journal(entries: &[JournalEntry]) -> String {
    entries.iter().map(|entry| format!("  {entry:?}\n")).collect()
}
