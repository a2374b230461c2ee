//! Registry of the scripts that take tasks.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, worker::Worker};

/// The workers that tasks can be given to.
pub trait WorkerSink: Send + Sync + 'static {
    /// Adds a worker, or replaces the one of its name.
    fn put(&self, worker: Arc<dyn Worker>);

    /// Removes a worker.
    fn take(&self, name: &Name);

    /// Returns the worker that a name means for a tenant.
    fn get(&self, tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>>;
}

/// A registry that drops everything, for scripts that are only supervised.
#[derive(Debug, Clone, Copy)]
pub struct NoWorkerSink;

impl WorkerSink for NoWorkerSink {
    fn put(&self, _worker: Arc<dyn Worker>) {}

    fn take(&self, _name: &Name) {}

    fn get(&self, _tenant: TenantId, _name: &Name) -> Option<Arc<dyn Worker>> {
        None
    }
}
