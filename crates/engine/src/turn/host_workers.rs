//! Workers of this process, workers that hosts registered, and answers replayed to attempts on hosts.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{
    Name, TenantId,
    task::{Rejection, TaskState},
    worker::WorkerSpec,
};
use kapelle_store::{GivenRow, HostWorkerRow, HostWorkerWrite, StoreError};

use super::{
    command::{self, Decide},
    part::Part,
    rows::Rows,
    runs::Answer,
    state::LoopState,
};
use crate::error::EngineError;

/// Workers that hosts registered, as stored and as the current turn has them.
#[derive(Debug, Default)]
pub(super) struct HostWorkers {
    specs: HashMap<(TenantId, Name), Arc<WorkerSpec>>,
    /// Changes of the current turn, with the earlier values.
    before: Vec<Before>,
}

type Before = ((TenantId, Name), Option<Arc<WorkerSpec>>);

impl Part for HostWorkers {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let found = rows.store.host_workers()?.into_iter();
        self.specs = found.map(|row| ((row.tenant, row.spec.name.clone()), row.spec)).collect();
        Ok(())
    }

    fn forget(&mut self, _rows: &mut Rows) {
        while let Some((place, before)) = self.before.pop() {
            match before {
                Some(spec) => drop(self.specs.insert(place, spec)),
                None => drop(self.specs.remove(&place)),
            }
        }
    }

    fn committed(&mut self) {
        self.before.clear();
    }
}

impl HostWorkers {
    /// Tells whether a host of a tenant registered a worker.
    pub(super) fn knows(&self, tenant: TenantId, worker: &Name) -> bool {
        self.specs.contains_key(&(tenant, worker.clone()))
    }

    /// Returns the specification of a worker: this process's, else that of the host that registered it last.
    pub(super) fn spec(&self, rows: &Rows, tenant: TenantId, worker: &Name) -> Option<Arc<WorkerSpec>> {
        rows.directory.local(tenant, worker).or_else(|| self.specs.get(&(tenant, worker.clone())).cloned())
    }

    /// Returns the queue of a worker's tasks that name none.
    pub(super) fn queue_of(&self, rows: &Rows, tenant: TenantId, worker: &Name) -> Name {
        self.spec(rows, tenant, worker).map_or_else(|| Name::new("default"), |spec| spec.queue.clone())
    }

    /// Stores the workers of a host. Known specifications are not written again.
    fn serve(&mut self, rows: &mut Rows, tenant: TenantId, specs: &[Arc<WorkerSpec>]) {
        for spec in specs {
            let place = (tenant, spec.name.clone());
            if self.specs.get(&place).is_some_and(|known| known == spec) {
                continue;
            }
            let before = self.specs.insert(place.clone(), Arc::clone(spec));
            self.before.push((place, before));
            let row = HostWorkerRow { tenant, spec: Arc::clone(spec), at: rows.now };
            rows.cache.host_workers.push(HostWorkerWrite::Put(row));
        }
    }

    /// Removes a worker that hosts served. Its open tasks stay.
    fn forget_worker(&mut self, rows: &mut Rows, tenant: TenantId, worker: &Name) {
        let place = (tenant, worker.clone());
        if let Some(before) = self.specs.remove(&place) {
            self.before.push((place, Some(before)));
            rows.cache.host_workers.push(HostWorkerWrite::Forget(tenant, worker.clone()));
        }
    }
}

impl Decide for command::Serve {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.host_workers.serve(&mut state.rows, self.tenant, &self.specs);
        // Its limits may have changed.
        state.scratch.sweep = true;
        Ok(Ok(()))
    }
}

impl Decide for command::ForgetWorker {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.host_workers.forget_worker(&mut state.rows, self.tenant, &self.worker);
        Ok(Ok(()))
    }
}

impl Decide for command::GiveAgain {
    fn decide(&self, state: &mut LoopState) -> Answer {
        give_again(state, self.row)
    }
}

/// An attempt on a host is given a recorded answer once more. One that is over is given none: the next begins again.
pub(super) fn give_again(state: &mut LoopState, row: GivenRow) -> Answer {
    if !state.rows.load(row.task)? {
        return Ok(Err(EngineError::NoSuchTask(row.task)));
    }
    let runs = |state: &TaskState| matches!(state, TaskState::Running(lease) if lease.epoch == row.attempt);
    if !state.rows.cache.task(row.task).is_some_and(|task| runs(&task.state)) {
        return Ok(Err(Rejection::LeaseLost(row.task).into()));
    }
    state.rows.cache.given.push(row);
    Ok(Ok(()))
}
