//! The laws, in the order in which a commit is checked.

use kapelle_core::task::TaskState;
use kapelle_store::Batch;

use super::{order, run, signals, task};
use crate::disk::Disk;

/// Checks a batch against the rows that it replaces.
///
/// # Errors
/// The broken law.
pub fn before(disk: &mut Disk, batch: &Batch<'_>) -> Result<(), String> {
    for write in &batch.tasks {
        let found = disk.task(write.task.id);
        let expected = write.expected.map_or(0, |revision| revision + 1);
        if write.task.revision != expected {
            return Err(format!("{} is written with revision {}, not {expected}", write.task.id, write.task.revision));
        }
        let run_ends = write.task.origin.as_ref().is_some_and(|origin| task::is_ended(disk, batch, origin));
        let paused = write.task.origin.as_ref().is_some_and(|origin| task::run_is_paused(disk, batch, origin.run));
        let attempts = batch.attempts.iter().filter(|attempt| attempt.task == write.task.id).count();
        let change = task::Change { before: found, after: write.task, run_ends, paused, attempts };
        change.check(disk).map_err(|law| format!("{law}\n  before: {found:?}\n  after: {:?}", write.task))?;
    }
    disk.signals = signals::held(disk);
    order::ranks(disk, batch)
}

/// Checks the stored state once the batch is written.
///
/// # Errors
/// The broken law.
pub fn after(disk: &mut Disk, batch: &Batch<'_>) -> Result<(), String> {
    for write in &batch.tasks {
        match write.task.state {
            TaskState::Running(lease) if lease.host != 0 => {
                let steady = disk.moment.steady_ms;
                let begun = disk.begun.entry(write.task.id).or_insert((lease.epoch, steady));
                if begun.0 != lease.epoch {
                    *begun = (lease.epoch, steady);
                }
                let known = disk.signs.get(&write.task.id).is_some_and(|(epoch, _)| *epoch == lease.epoch);
                if !known {
                    disk.signs.insert(write.task.id, (lease.epoch, disk.moment.steady_ms));
                }
            }
            _ => {
                disk.signs.remove(&write.task.id);
                disk.begun.remove(&write.task.id);
            }
        }
    }
    order::slots(disk, batch)?;
    order::gates(disk, batch)?;
    for write in &batch.runs {
        run::check(disk, batch, write.run)?;
    }
    signals::kept(disk)
}
