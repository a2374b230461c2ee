//! What the session log has yet to write: one row for each turn that ended tasks or noted something.

use std::sync::Arc;

use kapelle_core::{TaskId, Timestamp, task::StateKind};

/// Bytes of one entry of [`SessionRow::pack`].
const ENTRY: usize = 13;

/// A task that ended in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedTask {
    /// Which.
    pub task: TaskId,
    /// With which attempt.
    pub epoch: u32,
    /// How.
    pub state: StateKind,
}

/// What a turn has for the session log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// 1, 2, 3, ... for every turn that had something.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Tasks that ended, by id.
    pub ended: Vec<EndedTask>,
    /// What else happened, each a JSON object, in order.
    pub notes: Vec<Arc<str>>,
}

impl SessionRow {
    /// The ended tasks as they are stored.
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

    /// Reads what [`SessionRow::pack`] wrote; none when it is something else.
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
