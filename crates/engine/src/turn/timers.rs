//! Times at which something must next happen to tasks and runs.

use kapelle_core::Timestamp;
use kapelle_store::StoreError;

use super::{
    part::{Due, Part},
    rows::Rows,
};

/// Times at which something must next happen to tasks and runs.
#[derive(Debug, Default)]
pub(super) struct Timers {
    next: Option<Timestamp>,
    /// A time that was known may not hold any more.
    changed: bool,
}

impl Part for Timers {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        self.next = rows.store.next_due()?;
        Ok(())
    }

    fn forget(&mut self, rows: &mut Rows) {
        self.changed = false;
        self.next = rows.store.next_due().ok().flatten();
    }

    fn next_due(&self) -> Due {
        Due { wall: self.next, steady: None }
    }
}

impl Timers {
    /// Something must happen then.
    pub(super) fn note(&mut self, due: Option<Timestamp>) {
        self.next = [self.next, due].into_iter().flatten().min();
    }

    /// A time that was known may not hold any more: the store is asked after the commit.
    pub(super) fn stir(&mut self) {
        self.changed = true;
    }

    /// Nothing is known to be due.
    pub(super) fn lose(&mut self) {
        self.next = None;
    }

    /// The turn is stored: looks up what is next when that may have changed.
    pub(super) fn look_up(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        if std::mem::take(&mut self.changed) {
            self.next = rows.store.next_due()?;
        }
        Ok(())
    }
}
