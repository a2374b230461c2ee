//! The sequences of ids. Drawn numbers are written in the transaction that first uses them, so a crash may leave a gap
//! of one turn and never reuses a number.

use rusqlite::Connection;

use super::{
    fault::{Sql, Trouble},
    open::IDS_SKIPPED,
};
use crate::contract::IdKind;

/// The next number of each sequence, in memory and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    next: [i64; 6],
    stored: [i64; 6],
}

impl Ids {
    /// Loads the sequences from the database.
    pub fn load(conn: &Connection) -> Sql<Ids> {
        let mut next = [0; 6];
        let mut query = conn.prepare_cached("SELECT kind, next FROM sequence")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let kind: i64 = row.get(0)?;
            let slot = usize::try_from(kind).ok().and_then(|kind| next.get_mut(kind));
            let Some(slot) = slot else { return Err(Trouble::Damaged(format!("sequence {kind} is unknown"))) };
            *slot = row.get(1)?;
        }
        if next.contains(&0) {
            return Err(Trouble::Damaged("a sequence of ids is missing".to_owned()));
        }
        Ok(Ids { next, stored: next })
    }

    /// Lets every sequence go on at `floor`, or [`IDS_SKIPPED`] beyond its last id, whichever is higher.
    pub fn skip(conn: &Connection, floor: i64) -> Sql<()> {
        conn.execute("UPDATE sequence SET next = max(next + ?1, ?2)", (IDS_SKIPPED, floor))?;
        Ok(())
    }

    /// Draws `n` consecutive numbers and returns the first.
    pub fn draw(&mut self, kind: IdKind, n: u32) -> Option<i64> {
        let next = &mut self.next[kind as usize];
        let first = *next;
        *next = first.checked_add(i64::from(n))?;
        Some(first)
    }

    /// Writes the numbers drawn since the last time. Part of a transaction.
    pub fn save(&self, conn: &Connection) -> Sql<()> {
        for (kind, (next, stored)) in self.next.iter().zip(self.stored).enumerate() {
            if *next != stored {
                let mut update = conn.prepare_cached("UPDATE sequence SET next = ?2 WHERE kind = ?1")?;
                update.execute((kind as i64, next))?;
            }
        }
        Ok(())
    }

    /// Records that the transaction was committed.
    pub fn saved(&mut self) {
        self.stored = self.next;
    }
}
