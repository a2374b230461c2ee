//! What is known of workers: those of this process, and what worker hosts said of theirs; and what attempts on hosts were
//! given again.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{
    Name, Requires, TenantId,
    task::{Rejection, TaskState},
    worker::WorkerSpec,
};
use kapelle_store::{GivenRow, HostWorkerRow, HostWorkerWrite, StoreError};

use super::{
    command::{self, Decide},
    runs::Answer,
    state::LoopState,
};
use crate::error::EngineError;

/// What worker hosts said of their workers, as stored and as the turn under way has it.
#[derive(Debug, Default)]
pub(super) struct HostWorkers {
    specs: HashMap<(TenantId, Name), Arc<WorkerSpec>>,
}

impl HostWorkers {
    /// Whether a host of a tenant said something of a worker.
    pub(super) fn knows(&self, tenant: TenantId, worker: &Name) -> bool {
        self.specs.contains_key(&(tenant, worker.clone()))
    }
}

impl Decide for command::Serve {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.serve(self.tenant, &self.specs);
        Ok(Ok(()))
    }
}

impl Decide for command::ForgetWorker {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.forget_worker(self.tenant, &self.worker);
        Ok(Ok(()))
    }
}

impl Decide for command::GiveAgain {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.give_again(self.row)
    }
}

impl LoopState {
    /// What is known of a worker: as this process has it, else as the host said that registered it last.
    pub(super) fn spec(&self, tenant: TenantId, worker: &Name) -> Option<Arc<WorkerSpec>> {
        self.directory.local(tenant, worker).or_else(|| self.host_workers.specs.get(&(tenant, worker.clone())).cloned())
    }

    /// The queue of a worker's tasks that name none.
    pub(super) fn queue_of(&self, tenant: TenantId, worker: &Name) -> Name {
        self.spec(tenant, worker).map_or_else(|| Name::new("default"), |spec| spec.queue.clone())
    }

    /// Reads what hosts said before.
    pub(super) fn prime_host_workers(&mut self) -> Result<(), StoreError> {
        let rows = self.store.host_workers()?.into_iter();
        self.host_workers.specs = rows.map(|row| ((row.tenant, row.spec.name.clone()), row.spec)).collect();
        Ok(())
    }

    /// A host says what it serves. What is known already is not written again.
    pub(super) fn serve(&mut self, tenant: TenantId, specs: &[Arc<WorkerSpec>]) {
        for spec in specs {
            let place = (tenant, spec.name.clone());
            if self.host_workers.specs.get(&place).is_some_and(|known| known == spec) {
                continue;
            }
            self.host_workers.specs.insert(place, Arc::clone(spec));
            let row = HostWorkerRow { tenant, spec: Arc::clone(spec), at: self.scratch.now };
            self.cache.host_workers.push(HostWorkerWrite::Put(row));
        }
        // Its limits may be others now.
        self.scratch.sweep = true;
    }

    /// A worker that hosts served is not to be known any more. Its open tasks stay.
    pub(super) fn forget_worker(&mut self, tenant: TenantId, worker: &Name) {
        if self.host_workers.specs.remove(&(tenant, worker.clone())).is_some() {
            self.cache.host_workers.push(HostWorkerWrite::Forget(tenant, worker.clone()));
        }
    }

    /// An attempt on a host is given a recorded answer once more. One that is over is given none: the next begins anew.
    pub(super) fn give_again(&mut self, row: GivenRow) -> Answer {
        if !self.load(row.task)? {
            return Ok(Err(EngineError::NoSuchTask(row.task)));
        }
        let runs = |state: &TaskState| matches!(state, TaskState::Running(lease) if lease.epoch == row.attempt);
        if !self.cache.task(row.task).is_some_and(|task| runs(&task.state)) {
            return Ok(Err(Rejection::LeaseLost(row.task).into()));
        }
        self.cache.given.push(row);
        Ok(Ok(()))
    }

    /// Whether tasks with these requirements may run in this process.
    pub(super) fn meets(&self, requires: &Requires) -> bool {
        requires.is_met_by(&self.options.labels)
    }
}
