//! Entries for the session log: one row for each turn that ended tasks or has a note.

use std::sync::Arc;

use kapelle_core::{TaskId, Timestamp, task::StateKind};

/// Size of one entry of [`SessionRow::pack`], in bytes.
const ENTRY: usize = 13;

/// A task that ended in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedTask {
    /// Id of the task.
    pub task: TaskId,
    /// Number of its last attempt.
    pub epoch: u32,
    /// Final state.
    pub state: StateKind,
}

/// Entry of a turn for the session log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SessionRow {
    /// Number: 1, 2, 3, ... for every turn with an entry.
    pub seq: u64,
    pub at: Timestamp,
    /// Tasks that ended, by id.
    pub ended: Vec<EndedTask>,
    /// Other events, each a JSON object, in order.
    pub notes: Vec<Arc<str>>,
}

impl SessionRow {
    /// Returns the ended tasks in their stored form.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.ended.len() * ENTRY);
        for ended in &self.ended {
            packed.extend(ended.task.0.to_le_bytes());
            packed.extend(ended.epoch.to_le_bytes());
            packed.push(ended.state as u8);
        }
        packed
    }

    /// Reads the form of [`SessionRow::pack`]. Returns `None` for other bytes.
    #[must_use]
    pub fn unpack(packed: &[u8]) -> Option<Vec<EndedTask>> {
        if !packed.len().is_multiple_of(ENTRY) {
            return None;
        }
        let entry = |bytes: &[u8]| {
            Some(EndedTask {
                task: TaskId(i64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)),
                epoch: u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?),
                state: StateKind::from_number(i64::from(*bytes.get(12)?))?,
            })
        };
        packed.chunks(ENTRY).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_reads_back_and_nothing_else_does() {
        let ended = vec![
            EndedTask { task: TaskId(1), epoch: 2, state: StateKind::Succeeded },
            EndedTask { task: TaskId(i64::MAX), epoch: u32::MAX, state: StateKind::Discarded },
        ];
        let row = SessionRow { seq: 1, at: Timestamp(1), ended: ended.clone(), notes: Vec::new() };
        assert_eq!(SessionRow::unpack(&row.pack()), Some(ended));
        assert_eq!(SessionRow::unpack(&[]), Some(Vec::new()));
        assert_eq!(SessionRow::unpack(&[0; 12]), None);
        assert_eq!(SessionRow::unpack(&[99; 13]), None);
    }
}
