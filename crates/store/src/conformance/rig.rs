//! A store to test, in a folder that is removed afterwards.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use kapelle_core::task::Task;

use crate::{Batch, Commit, MemStore, OpenOptions, Reader, Retention, SqliteStore, Store, TaskWrite};

/// A folder that is removed when dropped; in memory where the system offers that.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("kapelle-store-{}-{number}", std::process::id()));
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

/// A store and a reader of it. The folder is declared last, so that it is removed last.
pub(crate) struct Rig {
    pub store: Box<dyn Store>,
    pub reader: Box<dyn Reader>,
    _scratch: Option<Scratch>,
}

impl Rig {
    pub fn mem() -> Rig {
        let store = MemStore::new();
        let reader = Box::new(store.reader());
        Rig { store: Box::new(store), reader, _scratch: None }
    }

    pub fn sqlite() -> Rig {
        let scratch = Scratch::new();
        let (store, reader) = SqliteStore::open(scratch.path(), OpenOptions::default()).unwrap();
        Rig { store: Box::new(store), reader: Box::new(reader), _scratch: Some(scratch) }
    }

    /// Writes new tasks.
    pub fn add(&mut self, tasks: &[Task]) {
        let tasks = tasks.iter().map(|task| TaskWrite { task, expected: None }).collect();
        self.done(&Batch { tasks, ..Batch::default() });
    }

    /// Writes the new state of a task with that revision, and returns the result.
    pub fn change(&mut self, task: &Task, expected: u32) -> Commit {
        let tasks = vec![TaskWrite { task, expected: Some(expected) }];
        self.store.commit(&Batch { tasks, ..Batch::default() }).unwrap()
    }

    /// Writes a batch that must be committed.
    pub fn done(&mut self, batch: &Batch<'_>) {
        assert_eq!(self.store.commit(batch).unwrap(), Commit::Committed);
    }
    /// Deletes expired rows in a turn. Returns whether there are more.
    pub fn expire(&mut self, retention: Retention) -> bool {
        self.done(&Batch { expired: Some(retention), ..Batch::default() });
        self.store.has_expired(retention).unwrap()
    }
}
