//! A log in memory: for tests, and where nothing has to be replayed after a restart.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{CallLog, LogError, Recorded, TaskKey};
use crate::money::Pending;

/// Log in memory.
#[derive(Default)]
pub struct MemoryLog {
    rows: Mutex<HashMap<TaskKey, Vec<Recorded>>>,
    broken: Mutex<bool>,
}

impl MemoryLog {
    /// Makes every later append fail, or succeed again.
    pub fn set_broken(&self, broken: bool) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskKey, Vec<Recorded>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallLog for MemoryLog {
    fn recorded(&self, key: TaskKey) -> Pending<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move { Ok(self.lock().get(&key).cloned().unwrap_or_default()) })
    }

    fn append(&self, key: TaskKey, answer: Recorded) -> Pending<'_, Result<(), LogError>> {
        Box::pin(async move {
            if *self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(LogError("it is set to fail".to_owned()));
            }
            self.lock().entry(key).or_default().push(answer);
            Ok(())
        })
    }
}
