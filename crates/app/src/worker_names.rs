//! Workers by name: of this process, of its scripts, and of hosts.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, definition::nearest, worker::WorkerSpec};
use kapelle_engine::EngineError;

use crate::{app::App, app_error::AppError};

/// Letters of a short name.
const SHORT: usize = 5;

impl App {
    /// Finds a worker, of this process or of a host of the tenant.
    pub(crate) fn spec(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.engine.registry().spec(tenant, name).or_else(|| self.memory.hosts.spec(tenant, name))
    }

    /// Finds a worker.
    ///
    /// # Errors
    /// When the worker is unknown; the message suggests a similar name.
    pub(crate) fn known(&self, tenant: TenantId, name: &Name) -> Result<Arc<WorkerSpec>, AppError> {
        if let Some(spec) = self.spec(tenant, name) {
            return Ok(spec);
        }
        if let Some(why) = self.script_broken(tenant, name) {
            let message = format!("worker `{name}` is a script that cannot be started: {why}");
            return Err(AppError::unprocessable(message));
        }
        if self.shipped.kinds().get(name.as_str()).is_some() {
            let message = format!(
                "worker `{name}` ships with Kapelle and needs settings; write workers/{name}.yaml with `kind: {name}`, \
                 `name: {name}` and `settings:`"
            );
            return Err(AppError::unprocessable(message));
        }
        let specs = self.specs(tenant);
        let near = nearest(name.as_str(), specs.iter().map(|spec| spec.name.as_str()));
        let near = near.filter(|near| !self.is_by_chance(name.as_str(), near));
        let hint = near.map_or_else(
            || "; GET /api/v1/workers lists them, and a worker host adds its own when it registers".to_owned(),
            |near| format!(": did you mean `{near}`?"),
        );
        Err(EngineError::UnknownWorker { name: name.to_string(), hint }.into())
    }

    /// Says whether a built-in worker resembles a short name only by chance, as `log` resembles `long`. Such a name is
    /// more often that of a host that has not registered yet.
    fn is_by_chance(&self, name: &str, near: &str) -> bool {
        name.len() <= SHORT && near.len() != name.len() && self.shipped.get(near).is_some()
    }

    /// Returns every worker that a tenant can submit tasks to, by name.
    pub(crate) fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        let mut specs = self.engine.registry().specs(tenant);
        let remote = self.memory.hosts.specs(tenant);
        specs.extend(remote.into_iter().filter(|spec| self.engine.registry().spec(tenant, &spec.name).is_none()));
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }
}
