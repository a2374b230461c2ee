//! Recorded answers for the tasks of a rerun.

use kapelle_core::{
    RunId,
    run::{ScopeId, Slot},
    task::{Origin, Task, TaskState},
};
use kapelle_engine::Engine;
use kapelle_gateway::replay::{LogError, Record, TaskKey};
use kapelle_store::{Reader, StoreError};

use crate::ledger::EngineLedger;

/// The longest chain of reruns of reruns that is followed.
const BEHIND_MAX: usize = 1_000;

/// Returns the recorded answers of the step at the same place in the earlier run, in the same replay epoch.
pub(crate) fn record(engine: &Engine, key: TaskKey) -> Result<Record, LogError> {
    let lost = |error: StoreError| LogError(error.to_string());
    let reader = engine.reader();
    let origin = reader.task(key.tenant, key.task).map_err(lost)?.and_then(|task| task.origin);
    let Some(origin) = origin else { return Ok(Record { run: "an earlier run".to_owned(), ..Record::default() }) };
    let of = first(&**reader, key, origin.run).map_err(lost)?;
    let mut record = Record { run: of.to_string(), ..Record::default() };
    let Some(earlier) = at(&**reader, of, &origin).map_err(lost)? else { return Ok(record) };
    if let TaskState::Succeeded { provenance, .. } = &earlier.state {
        record.offline.clone_from(&provenance.degraded);
    }
    let rows = reader.recorded(earlier.id, key.replay_epoch).map_err(lost)?;
    record.answers = EngineLedger::recorded_of(engine, rows)?;
    Ok(record)
}

/// Returns the run whose models were asked: a run that was answered from a recording has none of its own.
fn first(reader: &dyn Reader, key: TaskKey, run: RunId) -> Result<RunId, StoreError> {
    let mut at = run;
    for _ in 0..BEHIND_MAX {
        let Some(rerun) = reader.run(key.tenant, at)?.and_then(|row| row.rerun) else { break };
        // The run itself is answered from a recording; an earlier one only if it says so.
        if !rerun.recorded {
            break;
        }
        at = rerun.of;
    }
    Ok(at)
}

/// Returns the step of a run at the place of another's.
fn at(reader: &dyn Reader, run: RunId, origin: &Origin) -> Result<Option<Task>, StoreError> {
    let Origin { scope, slot, .. } = origin;
    let before = slot.0.checked_sub(1).map(Slot);
    let found = reader.scope(run, ScopeId(scope.0), before, 1)?;
    Ok(found.into_iter().find(|task| task.origin.as_ref().is_some_and(|origin| origin.slot == *slot)))
}
