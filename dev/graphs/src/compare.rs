//! Comparison state by state, path by path, output by output.

use std::collections::HashMap;

use kapelle_core::{
    TaskError,
    run::{RunStatus, SkipReason},
    task::{StateKind, Task, TaskState},
};
use kapelle_store::Reader as _;
use kapelle_testkit::reference::{Phase, Reason, Seen, Verdict, Waits};

use crate::{
    key::key,
    world::{TENANT, World},
};

impl World {
    /// Compares every row of the engine with its node of the reference, and the reverse.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self) -> Result<(), String> {
        let rows = self.engine.rows(self.run)?;
        let mut by_key = HashMap::new();
        for row in &rows {
            let Some(origin) = &row.origin else { return Err(format!("{} has no place in the run", row.id)) };
            if let Some(other) = by_key.insert((origin.scope, origin.slot), row) {
                return Err(format!("{} and {} stand for the same step", other.id, row.id));
            }
        }
        let run = self.engine.reader.run(TENANT, self.run).map_err(|error| error.to_string())?;
        let run = run.ok_or_else(|| "the run is not stored".to_owned())?;
        for seen in self.reference.seen() {
            let Some(row) = by_key.remove(&key(&seen.address)) else {
                return Err(format!("`{}` is {:?}, and the engine has no row for it", seen.path, seen.phase));
            };
            self.same_step(seen, row).map_err(|difference| format!("`{}`: {difference}", seen.path))?;
        }
        // An item under evaluation when its list was stopped is reported as skipped, or never reported.
        by_key.retain(|_, row| !is_left_item(row));
        if let Some(row) = by_key.into_values().min_by_key(|row| row.id) {
            let path = row.origin.as_ref().map_or("?", |origin| &origin.path);
            return Err(format!("`{path}` is {:?} in the engine, and was not to begin", row.state));
        }
        self.same_verdict(&run.status)
    }

    fn same_step(&self, seen: &Seen, row: &Task) -> Result<(), String> {
        let state = row.state.kind();
        let path = row.origin.as_ref().map_or("?", |origin| &origin.path);
        if *path != *seen.path {
            return Err(format!("the engine calls it `{path}`"));
        }
        let differs = || Err(format!("{:?} in the reference, {state:?} in the engine: {:?}", seen.phase, row.state));
        if let Some(input) = &seen.input
            && seen.worker.is_some()
        {
            let given = self.engine.value(&row.input)?;
            if given != *input {
                return Err(format!("its input is {input} in the reference, {given} in the engine"));
            }
        }
        match (seen.phase, &row.state) {
            (Phase::Open, state) => {
                let waits = state.kind() == StateKind::Waiting;
                let open = !state.kind().is_terminal() && waits == seen.waits.is_some();
                if open { Ok(()) } else { differs() }
            }
            (Phase::Succeeded, TaskState::Succeeded { output, .. }) => {
                let given = self.engine.value(output)?;
                if given == seen.output {
                    return Ok(());
                }
                Err(format!("its output is {} in the reference, {given} in the engine", seen.output))
            }
            (Phase::Failed | Phase::Tolerated | Phase::Handling, TaskState::Failed { error, .. }) => {
                seen.error.as_ref().map_or_else(differs, |known| same_error(known, error))
            }
            (Phase::Cancelled, TaskState::Cancelled { .. }) => Ok(()),
            (Phase::Skipped, TaskState::Skipped { reason, .. }) => {
                let known = seen.reason.map(word).unwrap_or_default();
                if **reason == *known {
                    return Ok(());
                }
                Err(format!("skipped because {known} in the reference, because {reason} in the engine"))
            }
            _ => differs(),
        }
    }

    fn same_verdict(&self, status: &RunStatus) -> Result<(), String> {
        match (self.reference.verdict(), status) {
            (None, status) if !status.kind().is_terminal() => Ok(()),
            (Some(Verdict::Succeeded(known)), RunStatus::Succeeded { outputs, .. }) => {
                let given = self.engine.value(outputs)?;
                if given == *known {
                    return Ok(());
                }
                Err(format!("the run gives {known} in the reference, {given} in the engine"))
            }
            (Some(Verdict::Failed(known)), RunStatus::Failed { error, .. }) => {
                same_error(known, error).map_err(|difference| format!("the run's end: {difference}"))
            }
            (Some(Verdict::Cancelled), RunStatus::Cancelled { .. }) => Ok(()),
            (verdict, status) => Err(format!("the run is {verdict:?} in the reference, {status:?} in the engine")),
        }
    }
}

fn same_error(known: &TaskError, given: &TaskError) -> Result<(), String> {
    if known.category == given.category && known.message == given.message {
        return Ok(());
    }
    Err(format!("failed with `{known}` in the reference, with `{given}` in the engine"))
}

fn word(reason: Reason) -> &'static str {
    let reason = match reason {
        Reason::Condition => SkipReason::Condition,
        Reason::NeedsSkipped => SkipReason::NeedsSkipped,
        Reason::NeedFailed => SkipReason::NeedFailed,
        Reason::NothingFailed => SkipReason::NothingFailed,
        Reason::NothingSucceeded => SkipReason::NothingSucceeded,
        Reason::RunStopped => SkipReason::RunStopped,
        Reason::TooFew => SkipReason::TooFew,
        Reason::TooLate => SkipReason::TooLate,
    };
    reason.as_str()
}

/// Tells whether a node waits for an outside event other than a worker.
pub fn waits_outside(seen: &Seen) -> bool {
    seen.phase == Phase::Open && matches!(seen.waits, Some(Waits::Signal(_) | Waits::Approval))
}

fn is_left_item(row: &Task) -> bool {
    let item = row.origin.as_ref().is_some_and(|origin| origin.path.ends_with(']'));
    let stopped = SkipReason::RunStopped.as_str();
    item && matches!(&row.state, TaskState::Skipped { reason, .. } if **reason == *stopped)
}
