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

/// Open work that a start found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Attempts that ended with the former process, or were voided by a restore. Their tasks begin again.
    pub voided: u64,
    /// Attempts on worker hosts, which go on.
    pub kept: u64,
    /// Runs that have not ended.
    pub runs: u64,
}

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
                let ends = host == 0 || self.rows.options.voids_hosts;
                match void {
                    Ok(_) if ends && planted(Mutant::VoidForgotten) => {}
                    Ok(event) if ends => {
                        self.recovered.voided += 1;
                        tasks::change(self, id, &event)?;
                    }
                    _ => {
                        self.recovered.kept += 1;
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
                self.recovered = Recovered::default();
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
            self.recovered.runs += runs.len() as u64;
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
