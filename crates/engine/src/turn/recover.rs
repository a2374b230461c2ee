//! The start: work that the former process left is recovered.

use kapelle_core::{
    RunId, TaskId,
    mutant::{Mutant, planted},
    task::{Lease, TaskState, Void},
};
use kapelle_store::StoreError;

use super::{
    calls, commit,
    part::Part,
    state::{LoopState, Scratch},
    take::Turned,
    tasks,
};

/// Rows recovered in one commit.
const CHUNK: u32 = 512;

impl LoopState {
    /// Voids the attempts of the former process, gives remote ones a full lease, and checks every open run.
    ///
    /// # Errors
    /// When the store fails.
    pub fn recover(&mut self, now: kapelle_core::Timestamp, steady_ms: u64) -> Result<Turned, StoreError> {
        self.lanes.prime(&mut self.rows)?;
        let mut effects = Vec::new();
        let mut after = TaskId(0);
        loop {
            self.rows.begin(now, steady_ms);
            self.scratch = Scratch::default();
            let running = self.rows.store.running(after, CHUNK)?;
            let Some(last) = running.last() else { break };
            after = last.id;
            for task in running {
                let (id, state) = (task.id, task.state.clone());
                let TaskState::Running(Lease { host, .. }) = state else { continue };
                let void = Void { ageing: self.rows.options.ageing }.decide(&task, now);
                self.rows.cache.tasks.insert(id, task);
                match void {
                    Ok(_) if host == 0 && planted(Mutant::VoidForgotten) => {}
                    Ok(event) if host == 0 => tasks::change(self, id, &event)?,
                    _ => {
                        if let (Some(task), TaskState::Running(lease)) = (self.rows.cache.task(id).cloned(), state) {
                            self.leases.give(&self.rows, &task, &lease);
                        }
                    }
                }
            }
            // No other writer exists yet, so a conflict here only means that another server was faster: read again.
            if !commit::commit(self)? {
                self.rows.cache.forget();
                after = TaskId(0);
            }
        }
        // The calls of the former process are charged before the first new one.
        self.rows.begin(now, steady_ms);
        self.scratch = Scratch::default();
        loop {
            self.ledger.settle_lost_calls(&mut self.rows)?;
            if commit::commit(self)? {
                break;
            }
            Part::forget(&mut self.ledger, &mut self.rows);
        }
        calls::look_at_parked(self);
        let mut run_after = RunId(0);
        loop {
            let runs = self.rows.store.open_runs(run_after, CHUNK)?;
            let Some(last) = runs.last() else { break };
            run_after = *last;
            if !planted(Mutant::RecoverySkipsRuns) {
                self.scratch.more.extend(runs);
            }
        }
        self.timers.prime(&mut self.rows)?;
        let turned = self.turn(&[], now, steady_ms);
        effects.extend(turned.effects);
        Ok(Turned { effects, ..turned })
    }
}
