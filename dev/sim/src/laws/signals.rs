//! A signal that was accepted is kept or taken: once, and never lost.

use std::collections::BTreeMap;

use kapelle_core::{Payload, RunId, task::TaskState};
use kapelle_engine::turn::NewPayload;

use crate::disk::{Disk, RunShelf};

const START: &[u8] = b"{\"s\":";

fn read(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(START)?;
    std::str::from_utf8(rest.strip_suffix(b"}")?).ok()?.parse().ok()
}

/// What a signal with that number carries.
pub fn payload(number: u64) -> NewPayload {
    NewPayload::Bytes(format!("{{\"s\":{number}}}").into_bytes().into())
}

/// The number of a signal.
pub fn number(payload: &NewPayload) -> u64 {
    match payload {
        NewPayload::Bytes(bytes) => read(bytes).unwrap_or_default(),
        _ => 0,
    }
}

/// How often the run has the signal: kept, or as what a step that waited gave.
fn count(disk: &Disk, shelf: &RunShelf, number: u64) -> usize {
    let is = |payload: &Payload| payload.inline().and_then(read) == Some(number);
    let taken = shelf.steps.values().filter_map(|task| disk.task(*task)).filter(|task| match &task.state {
        // A rerun takes over what an earlier run was sent.
        TaskState::Succeeded { output, provenance, .. } => {
            task.worker.as_str() == "(wait)" && provenance.reused.is_none() && is(output)
        }
        _ => false,
    });
    taken.count() + shelf.row.mailbox.iter().filter(|(_, payload)| is(payload)).count()
}

/// Where the signals of the turn are before it: those to runs that have ended are refused.
pub(super) fn held(disk: &Disk) -> BTreeMap<(RunId, u64), usize> {
    let signals = disk.moment.signals.iter().filter_map(|signal| {
        let shelf = disk.runs.get(&signal.0).filter(|shelf| !shelf.row.status.kind().is_terminal())?;
        Some((*signal, count(disk, shelf, signal.1)))
    });
    signals.collect()
}

/// Every signal of the turn is in its run, once for each time it was sent.
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

/// A signal that was acknowledged that often is there at least as often.
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
