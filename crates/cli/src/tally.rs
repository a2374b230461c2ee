//! A run in one line. Its steps are counted page by page and not kept, however many items it fanned out over.

use std::collections::HashSet;

use kapelle::{
    Money, RunId, TaskError,
    core::{
        definition::Definition,
        run::RunStatus,
        task::{Task, TaskState},
        worker::Provenance,
    },
    store::{Reader, RunRow},
};
use serde_json::Value;

use crate::{
    describe::{self, RunView, StepView, tone},
    failure::Failure,
    out::paint,
    shown,
};

/// The summary of a run without its steps.
pub struct RunTally {
    pub row: RunRow,
    pub outputs: Value,
    /// The step that stopped it.
    pub stopped_by: Option<StepView>,
    counts: Counts,
}

/// Counts of a run's steps.
#[derive(Debug, Default)]
struct Counts {
    steps: usize,
    failed: usize,
    skipped: usize,
    degraded: usize,
    /// The reason of the first degraded step.
    reason: Option<String>,
    /// Whether other degraded steps had other reasons.
    reasons_differ: bool,
    cost: u64,
}

impl Counts {
    fn add(&mut self, state: &str, provenance: &Provenance) {
        self.steps += 1;
        self.failed += usize::from(state == "failed");
        self.skipped += usize::from(state == "skipped");
        self.cost = self.cost.saturating_add(provenance.cost.0);
        if let Some(reason) = provenance.degraded.as_deref() {
            self.degraded += 1;
            self.reasons_differ |= self.reason.as_deref().is_some_and(|first| first != reason);
            self.reason.get_or_insert_with(|| reason.to_owned());
        }
    }

    fn add_task(&mut self, task: &Task) {
        let nothing = Provenance::default();
        let provenance = match &task.state {
            TaskState::Succeeded { provenance, .. } => provenance,
            _ => &nothing,
        };
        self.add(task.state.kind().as_str(), provenance);
    }
}

impl RunTally {
    /// Reads a run and counts its steps.
    ///
    /// # Errors
    /// When it does not exist, or cannot be read.
    pub fn load(reader: &dyn Reader, id: RunId) -> Result<RunTally, Failure> {
        let row = describe::row(reader, id)?;
        let definition = describe::definition(reader, &row)?;
        let mut pending: HashSet<&str> = definition.iter().flat_map(own_steps).collect();
        let mut counts = Counts::default();
        describe::each_step(reader, id, &mut |task| {
            counts.add_task(task);
            pending.remove(task.origin.as_ref().map_or("", |origin| &*origin.path));
        })?;
        // Steps that were not reached have no row.
        counts.steps += pending.len();
        let stopped_by = match row.stopped_by {
            Some(task) => reader.task(row.tenant, task)?.map(|task| {
                let path = task.origin.as_ref().map_or_else(String::new, |origin| origin.path.to_string());
                StepView::of(path, &task)
            }),
            None => None,
        };
        Ok(RunTally { outputs: describe::outputs(reader, &row)?, row, stopped_by, counts })
    }

    /// Returns the error, if it failed.
    pub fn error(&self) -> Option<&TaskError> {
        match &self.row.status {
            RunStatus::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Returns its duration for people; empty while it is running.
    pub fn took(&self) -> String {
        took(&self.row)
    }

    /// Returns one line for people: `run_1 succeeded in 1.4 s: 5 steps, 2 degraded (no OPENAI_API_KEY)`.
    pub fn summary(&self) -> String {
        summary(&self.row, &self.counts)
    }
}

/// Returns that line for a run whose steps are loaded.
pub fn summary_of(view: &RunView) -> String {
    let mut counts = Counts::default();
    view.steps.iter().for_each(|step| counts.add(step.state, &step.provenance));
    summary(&view.row, &counts)
}

fn took(row: &RunRow) -> String {
    row.status.ended_at().map_or_else(String::new, |ended| shown::duration(ended.since(row.created_at)))
}

fn summary(row: &RunRow, counts: &Counts) -> String {
    let kind = row.status.kind();
    let took = Some(took(row)).filter(|took| !took.is_empty()).map_or_else(String::new, |took| format!(" in {took}"));
    let mut parts = vec![shown::count(counts.steps, "step")];
    let some = [(counts.failed, "failed"), (counts.skipped, "skipped")];
    parts.extend(some.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
    if counts.degraded > 0 {
        let same = counts.reason.as_ref().filter(|_| !counts.reasons_differ);
        let why = same.map_or_else(String::new, |reason| format!(" ({reason})"));
        parts.push(format!("{} degraded{why}", counts.degraded));
    }
    if counts.cost > 0 {
        parts.push(Money(counts.cost).to_string());
    }
    format!("{} {}{took}: {}", row.id, paint(tone(kind.as_str()), kind.as_str()), parts.join(", "))
}

/// Returns the names of the outermost steps that a run begins by itself.
fn own_steps(definition: &Definition) -> impl Iterator<Item = &str> {
    let root = definition.block(definition.root);
    root.steps.iter().filter(|step| !step.is_handler).map(|step| step.name.as_str())
}
