//! Tasks for a worker host as they become ready, as far as its credit goes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use crate::{long_poll::undelivered, runner::Inbox, turn::ClaimedTask};

/// Limit of the credit that is unused at a time.
const ROOM_MAX: u64 = 1_000;

/// The number of tasks that a host may be given on a stream. It is a total that only rises, so that a repeated message
/// grants nothing twice.
#[derive(Debug, Default)]
pub struct Credit {
    granted: AtomicU64,
    used: AtomicU64,
}

impl Credit {
    /// Makes a credit of that total.
    #[must_use]
    pub fn new(total: u64) -> Arc<Credit> {
        Arc::new(Credit { granted: AtomicU64::new(total), used: AtomicU64::new(0) })
    }

    /// Raises the total. Returns false when it was as high before.
    pub fn raise(&self, total: u64) -> bool {
        self.granted.fetch_max(total, Ordering::AcqRel) < total
    }

    /// Returns how many more tasks may be given now.
    #[must_use]
    pub fn room(&self) -> u32 {
        let left = self.granted.load(Ordering::Acquire).saturating_sub(self.used.load(Ordering::Acquire));
        u32::try_from(left.min(ROOM_MAX)).unwrap_or(u32::MAX)
    }

    pub(crate) fn use_up(&self, tasks: usize) {
        self.used.fetch_add(tasks as u64, Ordering::AcqRel);
    }
}

/// The tasks of a stream. Dropped, it releases those that were not taken out.
pub struct TaskStream {
    pub(crate) inbox: Inbox,
    pub(crate) tasks: mpsc::UnboundedReceiver<Vec<ClaimedTask>>,
}

impl TaskStream {
    /// Returns the next tasks, at least one; `None` when the engine has stopped. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<ClaimedTask>> {
        self.tasks.recv().await
    }

    /// Returns tasks that have come already.
    pub fn ready(&mut self) -> Option<Vec<ClaimedTask>> {
        self.tasks.try_recv().ok()
    }
}

impl Drop for TaskStream {
    fn drop(&mut self) {
        self.tasks.close();
        while let Ok(tasks) = self.tasks.try_recv() {
            undelivered(&tasks).for_each(|command| self.inbox.send(command));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_was_told_before_grants_nothing() {
        let credit = Credit::new(2);
        assert_eq!(credit.room(), 2);
        credit.use_up(2);
        assert!(!credit.raise(2) && !credit.raise(1));
        assert_eq!(credit.room(), 0);
        assert!(credit.raise(3));
        assert_eq!(credit.room(), 1);
        assert!(credit.raise(u64::MAX));
        assert_eq!(u64::from(credit.room()), ROOM_MAX);
    }
}
