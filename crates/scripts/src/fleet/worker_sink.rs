//! Where scripts that take tasks are made known as workers.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, worker::Worker};

/// The workers that tasks can be given to.
pub trait WorkerSink: Send + Sync + 'static {
    /// Makes a worker known, or puts it in the place of the one of its name.
    fn put(&self, worker: Arc<dyn Worker>);

    /// Takes a worker away.
    fn take(&self, name: &Name);

    /// The worker that a name means for a tenant.
    fn get(&self, tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>>;
}

/// Nobody gives out tasks: scripts are only supervised.
#[derive(Debug, Clone, Copy)]
pub struct NoWorkerSink;

impl WorkerSink for NoWorkerSink {
    fn put(&self, _worker: Arc<dyn Worker>) {}

    fn take(&self, _name: &Name) {}

    fn get(&self, _tenant: TenantId, _name: &Name) -> Option<Arc<dyn Worker>> {
        None
    }
}
