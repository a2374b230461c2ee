//! The real binary, killed at random moments, again and again. After every kill the folder is checked: accepted work is
//! still there and unchanged, nothing is there twice, and the kill is not counted as a failure.
//!
//! `KAPELLE_CRASH_ROUNDS` is the number of kills at work (default 10), `KAPELLE_FANOUT_KILLS` the number in the middle
//! of a fan-out, `KAPELLE_CRASH_SEED` the random seed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness ends where something is not as it should be")]

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use kapelle::{
    RunId, TaskId,
    core::{
        Payload, TenantId, Timestamp,
        run::{RunEvent, RunStatus},
        task::{Origin, Task, TaskState},
    },
    serde_json::{self, Value},
    store::{Page, Reader, RunFilter, RunRow, SqliteReader},
};
use kapelle_testkit::rng::Rng;

/// Steps of a run. With the time that each does nothing and eight at once, a run takes more than a second.
const STEPS: usize = 2_000;
const STEP_MS: u64 = 5;
/// Items of a fan-out.
const ITEMS: usize = 10_000;
/// Latest time of a kill after a start, in milliseconds.
const KILL_WITHIN_MS: u64 = 250;
/// Kills of one run; then it may end, and the next begins in a fresh folder.
const KILLS_OF_A_RUN: u64 = 20;
/// Time limit for a start or a run, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder under test, and everything that was ever seen as accepted in it.
struct Folder {
    root: tempfile::TempDir,
    /// Rows of the run at its end.
    rows: usize,
    accepted: BTreeMap<TaskId, Accepted>,
    journal: usize,
    /// Attempts begun, ever.
    attempts: u64,
}

/// Observations after a kill.
struct Seen {
    /// Steps with a result.
    ended: usize,
    /// Whether the killed process had begun attempts.
    alive: bool,
}

/// Counts of kills.
#[derive(Default)]
struct Kills {
    /// Kills while the process was at work on the run.
    alive: u64,
    /// Kills before that: while it started, or recovered the work of the one before.
    early: u64,
}

impl Kills {
    fn count(&mut self, seen: &Seen) {
        if seen.alive {
            self.alive += 1;
        } else {
            self.early += 1;
        }
    }
}

/// State that must never change again.
#[derive(Debug, Clone, PartialEq)]
struct Accepted {
    origin: Option<Origin>,
    output: Payload,
    started_at: Timestamp,
    ended_at: Timestamp,
    attempts: u32,
}

impl Folder {
    /// Makes a folder with many steps.
    fn of_steps() -> Folder {
        let mut text = "name: crash\nsteps:\n".to_owned();
        for step in 0..STEPS {
            // Every fourth step waits for the one before it, so that a kill also meets the code that makes a step
            // ready.
            let needs = if step % 4 == 3 { format!("needs: [s{}], ", step - 1) } else { String::new() };
            writeln!(text, "  s{step}: {{ {needs}worker: sleep, with: {{ ms: {STEP_MS} }} }}").unwrap();
        }
        Folder::new(&text, STEPS)
    }

    /// Makes a folder with a fan-out of many items, and its join.
    fn of_items() -> Folder {
        let text = format!(
            "name: crash\nsteps:\n  all: {{ for_each: '${{{{ range({ITEMS}) }}}}', max_parallel: 1000, worker: log, \
             with: {{ message: '${{{{ item }}}}' }} }}\n  join: {{ needs: [all], worker: log, with: {{ message: \
             '${{{{ steps.all.output | length }}}}' }} }}\noutputs: {{ joined: '${{{{ steps.join.output.message }}}}', items: \
             '${{{{ steps.all.output }}}}' }}\n"
        );
        Folder::new(&text, ITEMS + 2)
    }

    fn new(text: &str, rows: usize) -> Folder {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("crash.yaml"), text).unwrap();
        Folder { root, rows, accepted: BTreeMap::new(), journal: 0, attempts: 0 }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    #[expect(clippy::disallowed_methods, reason = "the process under test is started here, to be killed")]
    fn start(&self, arguments: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.root.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kapelle"));
        command.current_dir(self.root.path()).args(arguments).arg("--quiet").arg("--data").arg(self.data());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// Returns the newest run, once a process has made one.
    fn run(&self) -> Option<RunRow> {
        let reader = SqliteReader::open_read_only(&self.data()).ok()?;
        let newest = reader.runs(TenantId::DEFAULT, &RunFilter::default(), Page { before: None, most: 1 });
        newest.ok()?.pop()
    }

    /// Kills a process after a while. Returns its exit if it ended earlier.
    fn kill_after(&self, mut child: Child, wait: Duration) -> Option<ExitStatus> {
        let end = now() + wait;
        while now() < end {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            pause(1);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        None
    }

    /// Checks everything that must hold of the folder at any time.
    fn check(&mut self, run: RunId) -> Seen {
        let reader = SqliteReader::open_read_only(&self.data()).unwrap();
        reader.check().unwrap();
        let mut places = HashSet::new();
        let (mut found, mut attempts) = (0, 0);
        for task in steps(&reader, run) {
            let origin = task.origin.clone().unwrap();
            assert!(places.insert((origin.scope, origin.slot)), "{}: a step has two rows", task.id);
            assert_eq!((task.failures, task.crashes), (0, 0), "{}: blamed for a kill", task.id);
            found += usize::from(self.accept(&task));
            attempts += u64::from(task.epoch);
        }
        assert_eq!(self.accepted.len(), found, "an accepted result is gone");
        let entries = journal(&reader, run, found);
        assert!(entries >= self.journal, "the journal has become shorter");
        self.journal = entries;
        let alive = attempts > self.attempts;
        self.attempts = attempts;
        Seen { ended: found, alive }
    }

    /// Says whether the task has a result, which must equal the one that was seen before.
    fn accept(&mut self, task: &Task) -> bool {
        match &task.state {
            TaskState::Succeeded { output, started_at, ended_at, .. } => {
                let accepted = Accepted {
                    origin: task.origin.clone(),
                    output: output.clone(),
                    started_at: *started_at,
                    ended_at: *ended_at,
                    attempts: task.epoch,
                };
                let before = self.accepted.entry(task.id).or_insert_with(|| accepted.clone());
                assert_eq!(*before, accepted, "{}: an accepted result changed", task.id);
                true
            }
            TaskState::Failed { error, .. } => panic!("{} failed: {error}", task.id),
            TaskState::Cancelled { reason, .. } => panic!("{} was cancelled: {reason}", task.id),
            _ => false,
        }
    }
}

fn steps(reader: &SqliteReader, run: RunId) -> Vec<Task> {
    let mut all: Vec<Task> = Vec::new();
    loop {
        let after = all.last().map_or(TaskId(0), |task| task.id);
        let page = reader.steps(run, after, 1_000).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Reads the journal, which must have no gaps and record every end once. Returns its length.
fn journal(reader: &SqliteReader, run: RunId, ended: usize) -> usize {
    let (mut next, mut ends) = (0, HashSet::new());
    loop {
        let page = reader.journal(run, next, 1_000).unwrap();
        if page.is_empty() {
            break;
        }
        for entry in page {
            assert_eq!(entry.seq, next, "the journal has a gap");
            next += 1;
            if let RunEvent::StepEnded { scope, slot, .. } = entry.event {
                assert!(ends.insert((scope, slot)), "{slot:?} of {scope:?} ended twice");
            }
        }
    }
    assert_eq!(ends.len(), ended, "the journal and the rows disagree");
    usize::try_from(next).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a harness of faults works in real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a harness of faults works in real time")]
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Starts a run, waits until it exists, and kills the process soon after.
fn begin(folder: &Folder, chance: &mut Rng) -> RunId {
    let mut child = folder.start(&["run", "crash.yaml"]);
    let end = now() + PATIENCE;
    let run = loop {
        if let Some(run) = folder.run() {
            break run.id;
        }
        let over = child.try_wait().unwrap();
        assert!(over.is_none() && now() < end, "no run was made ({over:?}):\n{}", folder.log());
        pause(2);
    };
    let over = folder.kill_after(child, Duration::from_millis(chance.below(KILL_WITHIN_MS)));
    assert_eq!(over, None, "{}", folder.log());
    run
}

/// Plays one run in a fresh folder, killed at most `most` times while at work and then allowed to end.
fn episode(mut folder: Folder, chance: &mut Rng, most: u64, kills: &mut Kills) -> Folder {
    let run = begin(&folder, chance);
    let wanted = kills.alive + most;
    loop {
        let seen = folder.check(run);
        kills.count(&seen);
        if seen.ended == folder.rows || kills.alive >= wanted {
            break;
        }
        let child = folder.start(&["resume"]);
        if let Some(status) = folder.kill_after(child, Duration::from_millis(chance.below(KILL_WITHIN_MS))) {
            assert!(status.success(), "{status}:\n{}", folder.log());
            break;
        }
    }
    let status = folder.kill_after(folder.start(&["resume"]), PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}:\n{}", folder.log());
    assert_eq!(folder.check(run).ended, folder.rows, "steps are missing");
    assert_eq!(folder.run().unwrap().status.kind().as_str(), "succeeded");
    folder
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_does_nothing_twice() {
    let rounds = number("KAPELLE_CRASH_ROUNDS", 10);
    let seed = number("KAPELLE_CRASH_SEED", 1);
    let mut chance = Rng::new(seed);
    let begun = now();
    let (mut kills, mut runs) = (Kills::default(), 0);
    while kills.alive < rounds {
        episode(Folder::of_steps(), &mut chance, (rounds - kills.alive).min(KILLS_OF_A_RUN), &mut kills);
        runs += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let Kills { alive, early } = kills;
    println!(
        "seed {seed}: {alive} kills at work and {early} before it, of {runs} runs of {STEPS} steps in {seconds:.1} s"
    );
}

/// Exactly one child per item, one join, and every result in its place.
#[test]
fn a_fan_out_that_is_killed_in_the_middle_has_each_item_once_and_in_order() {
    let rounds = number("KAPELLE_FANOUT_KILLS", 10);
    let mut chance = Rng::new(number("KAPELLE_CRASH_SEED", 1));
    let (mut kills, mut runs) = (Kills::default(), 0);
    while kills.alive < rounds {
        let most = (rounds - kills.alive).min(KILLS_OF_A_RUN);
        let folder = episode(Folder::of_items(), &mut chance, most, &mut kills);
        let reader = SqliteReader::open_read_only(&folder.data()).unwrap();
        let RunStatus::Succeeded { outputs, .. } = folder.run().unwrap().status else { panic!("it did not succeed") };
        let json = match &outputs {
            Payload::Row(id) => reader.payload(*id).unwrap().unwrap(),
            other => other.inline().unwrap().to_vec(),
        };
        let outputs: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(outputs["joined"], ITEMS.to_string());
        let items = outputs["items"].as_array().unwrap();
        assert_eq!(items.len(), ITEMS);
        for (at, item) in items.iter().enumerate() {
            assert_eq!(item["message"], at.to_string());
        }
        runs += 1;
    }
    println!("{} kills in {runs} fan-outs of {ITEMS} items, and {} before they began", kills.alive, kills.early);
}
