//! Tasks per second that one thread can take through their life: made and claimed in one turn, ended in the next.
//!
//! `throughput [FOLDER] [TASKS] [BATCH] [PAYLOAD_BYTES] [BACKLOG]`

use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};

use kapelle_core::{
    Name, Payload, PayloadId, TaskId, TenantId, Timestamp,
    task::{Lease, Task, TaskState},
};
use kapelle_store::{Batch, Commit, IdKind, OpenOptions, PayloadBody, SqliteStore, Store, TaskWrite};

const NOW: i64 = 1_800_000_000_000;

struct Load {
    store: SqliteStore,
    bytes: Arc<[u8]>,
    queue: Name,
    worker: Name,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(|| std::env::temp_dir().join("kapelle-throughput"), PathBuf::from);
    let mut number = |default: usize| args.next().map_or(Ok(default), |text| text.parse());
    let (tasks, batch, bytes, backlog) = (number(200_000)?, number(500)?, number(64)?, number(0)?);
    let _ = std::fs::remove_dir_all(&folder);
    let (store, _reader) = SqliteStore::open(&folder, OpenOptions::default())?;
    let bytes = Arc::from(vec![b'7'; bytes]);
    let mut load = Load { store, bytes, queue: Name::new("default"), worker: Name::new("noop") };
    for _ in 0..backlog.div_ceil(5_000) {
        load.waiting(5_000)?;
    }
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let clock = Instant::now;
    let (begin, mut slowest) = (clock(), 0.0f64);
    let mut open: Vec<Task> = Vec::new();
    for _ in 0..tasks.div_ceil(batch) {
        let turn = clock();
        open = load.turn(open, batch)?;
        slowest = slowest.max(turn.elapsed().as_secs_f64() * 1e3);
    }
    load.turn(open, 0)?;
    let rate = tasks as f64 / begin.elapsed().as_secs_f64();
    println!("{rate:.0} tasks/s, {:.0} row writes/s, slowest turn {slowest:.1} ms", rate * 2.0);
    drop(load);
    for file in ["kapelle.db", "kapelle.db-wal"] {
        let size = std::fs::metadata(folder.join(file)).map_or(0, |meta| meta.len());
        println!("{file}: {} KiB, {:.0} bytes a task", size / 1024, size as f64 / (tasks + backlog) as f64);
    }
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let begin = Instant::now();
    let (mut store, _) = SqliteStore::open(&folder, OpenOptions::default())?;
    let opened = begin.elapsed().as_secs_f64() * 1e3;
    let lanes = store.lanes()?.len();
    println!("opened again in {opened:.1} ms, {lanes} lanes after {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    Ok(std::fs::remove_dir_all(&folder)?)
}

impl Load {
    fn task(&mut self, id: i64, state: TaskState, epoch: u32) -> Task {
        Task {
            id: TaskId(id),
            tenant: TenantId::DEFAULT,
            queue: self.queue.clone(),
            worker: self.worker.clone(),
            priority: 0,
            key: None,
            input: Payload::Inline(Arc::clone(&self.bytes)),
            origin: None,
            policy: Arc::default(),
            created_at: Timestamp(NOW),
            state,
            epoch,
            failures: 0,
            crashes: 0,
            revision: 0,
        }
    }

    fn waiting(&mut self, tasks: u32) -> Result<(), Box<dyn Error>> {
        let first = self.store.ids(IdKind::Task, tasks)?;
        let tasks: Vec<Task> =
            (0..i64::from(tasks)).map(|n| self.task(first + n, TaskState::Ready { rank: NOW }, 0)).collect();
        let tasks = tasks.iter().map(|task| TaskWrite { task, expected: None }).collect();
        committed(self.store.commit(&Batch { tasks, ..Batch::default() })?)
    }

    /// Ends the open tasks and makes as many new ones, claimed at once.
    fn turn(&mut self, mut open: Vec<Task>, fresh: usize) -> Result<Vec<Task>, Box<dyn Error>> {
        let mut payloads = Vec::new();
        for task in &mut open {
            let output = self.payload(&mut payloads)?;
            let (started_at, ended_at) = (Timestamp(NOW), Timestamp(NOW + task.id.0));
            task.state = TaskState::Succeeded { output, provenance: Arc::default(), started_at, ended_at };
            task.revision = 1;
        }
        let first = self.store.ids(IdKind::Task, fresh as u32)?;
        let mut made = Vec::with_capacity(fresh);
        for n in 0..fresh as i64 {
            let lease =
                Lease { epoch: 1, nonce: (first + n).cast_unsigned() << 32, host: 0, started_at: Timestamp(NOW) };
            let mut task = self.task(first + n, TaskState::Running(lease), 1);
            task.input = self.payload(&mut payloads)?;
            made.push(task);
        }
        let ended = open.iter().map(|task| TaskWrite { task, expected: Some(0) });
        let tasks = ended.chain(made.iter().map(|task| TaskWrite { task, expected: None })).collect();
        committed(self.store.commit(&Batch { tasks, payloads, ..Batch::default() })?)?;
        Ok(made)
    }

    fn payload(&mut self, payloads: &mut Vec<(PayloadId, PayloadBody)>) -> Result<Payload, Box<dyn Error>> {
        if self.bytes.len() <= kapelle_core::payload::INLINE_MAX {
            return Ok(Payload::Inline(Arc::clone(&self.bytes)));
        }
        let id = PayloadId(self.store.ids(IdKind::Payload, 1)?);
        payloads.push((id, PayloadBody::Bytes(Arc::clone(&self.bytes))));
        Ok(Payload::Row(id))
    }
}

fn committed(commit: Commit) -> Result<(), Box<dyn Error>> {
    if commit == Commit::Committed { Ok(()) } else { Err(format!("{commit:?}").into()) }
}
