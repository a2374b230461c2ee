//! Signals: an accepted one is stored or taken once, and never lost.

use std::collections::BTreeMap;

use kapelle_core::{Payload, RunId, task::TaskState};
use kapelle_engine::turn::NewPayload;

use crate::disk::{Disk, RunShelf};

const START: &[u8] = b"{\"s\":";

fn read(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(START)?;
    std::str::from_utf8(rest.strip_suffix(b"}")?).ok()?.parse().ok()
}

/// Returns the payload of the signal with that number.
pub fn payload(number: u64) -> NewPayload {
    NewPayload::Bytes(format!("{{\"s\":{number}}}").into_bytes().into())
}

/// Returns the number of a signal.
pub fn number(payload: &NewPayload) -> u64 {
    match payload {
        NewPayload::Bytes(bytes) => read(bytes).unwrap_or_default(),
        _ => 0,
    }
}

/// Counts the signal in the run: stored, or as the output of a step that waited.
fn count(disk: &Disk, shelf: &RunShelf, number: u64) -> usize {
    let is = |payload: &Payload| payload.inline().and_then(read) == Some(number);
    let taken = shelf.steps.values().filter_map(|task| disk.task(*task)).filter(|task| match &task.state {
        // A rerun reuses signals of an earlier run.
        TaskState::Succeeded { output, provenance, .. } => {
            task.worker.as_str() == "(wait)" && provenance.reused.is_none() && is(output)
        }
        _ => false,
    });
    taken.count() + shelf.row.mailbox.iter().filter(|(_, payload)| is(payload)).count()
}

/// Returns the positions of the turn's signals before it: those to ended runs are refused.
pub(super) fn held(disk: &Disk) -> BTreeMap<(RunId, u64), usize> {
    let signals = disk.moment.signals.iter().filter_map(|signal| {
        let shelf = disk.runs.get(&signal.0).filter(|shelf| !shelf.row.status.kind().is_terminal())?;
        Some((*signal, count(disk, shelf, signal.1)))
    });
    signals.collect()
}

/// Checks that every signal of the turn is in its run, once for each time it was sent.
pub(super) fn kept(disk: &Disk) -> Result<(), String> {
    for ((run, number), before) in &disk.signals {
        let sent = disk.moment.signals.iter().filter(|signal| **signal == (*run, *number)).count();
        let after = disk.runs.get(run).map_or(0, |shelf| count(disk, shelf, *number));
        // A run that ended in this turn may have refused it.
        let over = disk.runs.get(run).is_none_or(|shelf| shelf.row.status.kind().is_terminal());
        let (least, most) = (if over { *before } else { before + sent }, before + sent);
        if after < least || after > most {
            return Err(format!(
                "signal {number} was sent {sent} times to {run}, which has it {after} times, and had it {before} times"
            ));
        }
    }
    Ok(())
}

/// Checks that a signal is there at least as often as it was acknowledged.
///
/// # Errors
/// When it is not.
pub fn there(disk: &Disk, run: RunId, number: u64, acked: usize) -> Result<(), String> {
    let found = disk.runs.get(&run).map_or(0, |shelf| count(disk, shelf, number));
    if found >= acked {
        return Ok(());
    }
    Err(format!("signal {number} was acknowledged {acked} times, and {run} has it {found} times"))
}
