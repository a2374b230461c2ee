//! Turns with known results.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use kapelle_core::{
    Name, Payload, PayloadId, TaskId, TenantId, Timestamp,
    task::{Lease, Task, TaskState},
};
use kapelle_store::{Batch, Commit, IdKind, PayloadBody, SqliteStore, Store, StoreError, TaskWrite};

/// A folder that is removed when dropped; in memory where the system offers that.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("kapelle-power-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Pseudo-random numbers from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[derive(Debug)]
pub enum Outcome {
    Committed,
    Failed(StoreError),
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Outcome) -> bool {
        matches!((self, other), (Outcome::Committed, Outcome::Committed))
    }
}

/// Tasks and their revisions.
pub type Rows = BTreeMap<i64, u32>;

/// A sequence of turns and the rows after each. Every turn changes task 1, so its revision is the number of turns.
pub struct Work {
    random: Random,
    tasks: BTreeMap<i64, Task>,
    after: Vec<Rows>,
    tried: Option<Rows>,
    payloads: i64,
}

impl Work {
    pub fn new(seed: u64) -> Work {
        Work { random: Random::new(seed), tasks: BTreeMap::new(), after: vec![Rows::new()], tried: None, payloads: 0 }
    }

    /// Returns the number of acknowledged turns.
    pub fn turns(&self) -> usize {
        self.after.len() - 1
    }

    /// Returns the rows after that many turns. One more than were acknowledged may have been written.
    pub fn rows(&self, turns: usize) -> Option<&Rows> {
        self.after.get(turns).or_else(|| self.tried.as_ref().filter(|_| turns == self.after.len()))
    }

    /// Runs one turn: new tasks, changed tasks, sometimes a payload of some pages.
    pub fn turn(&mut self, store: &mut SqliteStore) -> Outcome {
        let mut tasks = self.tasks.clone();
        let mut writes: Vec<(i64, Option<u32>)> = Vec::new();
        let mut payloads = Vec::new();
        for _ in 0..=self.random.below(6) {
            match store.ids(IdKind::Task, 1) {
                Ok(id) if tasks.is_empty() => self.change(&mut tasks, &mut writes, id.min(1), true),
                Ok(id) => self.change(&mut tasks, &mut writes, id, true),
                Err(error) => return Outcome::Failed(error),
            }
        }
        for _ in 0..self.random.below(5) {
            let keys: Vec<i64> = tasks.keys().copied().collect();
            let id = keys[self.random.below(keys.len())];
            self.change(&mut tasks, &mut writes, id, false);
        }
        if self.turns() > 0 {
            self.change(&mut tasks, &mut writes, 1, false);
        }
        if self.random.below(3) == 0 {
            self.payloads += 1;
            let bytes: Arc<[u8]> = vec![self.payloads as u8; 500 + self.random.below(9_000)].into();
            payloads.push((PayloadId(self.payloads), PayloadBody::Bytes(bytes)));
        }
        let batch = Batch {
            tasks: writes.iter().map(|(id, expected)| TaskWrite { task: &tasks[id], expected: *expected }).collect(),
            payloads,
            ..Batch::default()
        };
        let rows: Rows = tasks.iter().map(|(id, task)| (*id, task.revision)).collect();
        match store.commit(&batch) {
            Ok(Commit::Committed) => {
                self.after.push(rows);
                self.tasks = tasks;
                Outcome::Committed
            }
            Ok(conflict) => panic!("{conflict:?}"),
            Err(error) => {
                // Only the first failure can have left anything: after it the store refuses.
                self.tried.get_or_insert(rows);
                Outcome::Failed(error)
            }
        }
    }

    fn change(&mut self, tasks: &mut BTreeMap<i64, Task>, writes: &mut Vec<(i64, Option<u32>)>, id: i64, fresh: bool) {
        if writes.iter().any(|(written, _)| *written == id) {
            return;
        }
        let task = tasks.entry(id).or_insert_with(|| new_task(id));
        writes.push((id, (!fresh).then_some(task.revision)));
        task.revision += 1;
        task.state = match task.revision % 3 {
            0 => TaskState::Ready { rank: self.random.below(1_000) as i64 },
            1 => {
                let lease = Lease { epoch: 0, nonce: self.random.next(), host: 0, started_at: Timestamp(1) };
                TaskState::Running(lease)
            }
            _ => TaskState::Succeeded {
                output: Payload::Inline(vec![b'x'; self.random.below(400)].into()),
                provenance: Arc::default(),
                started_at: Timestamp(1),
                ended_at: Timestamp(self.random.below(1_000) as i64),
            },
        };
    }

    /// Checks that the store has exactly the last acknowledged turn.
    pub fn check_marker(&self, store: &mut SqliteStore) {
        let found = store.task(TaskId(1)).unwrap().map(|task| task.revision);
        assert_eq!(found, self.tasks.get(&1).map(|task| task.revision));
    }
}

fn new_task(id: i64) -> Task {
    Task {
        id: TaskId(id),
        tenant: TenantId::DEFAULT,
        queue: Name::new(["default", "ml"][id as usize % 2]),
        worker: Name::new("noop"),
        priority: 0,
        key: None,
        input: Payload::Inline(Arc::from(&b"{}"[..])),
        origin: None,
        policy: Arc::default(),
        created_at: Timestamp(1),
        state: TaskState::Ready { rank: 0 },
        epoch: 0,
        failures: 0,
        crashes: 0,
        revision: 0,
    }
}
