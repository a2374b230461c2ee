//! What every handler stands on.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use kapelle::{
    HealthCheck, Kapelle, WorkerSpec,
    core::{Labels, Name, TenantId, Timestamp, definition::nearest},
    engine::{Clock, Command, Engine, EngineError, Reply, SystemClock, turn::Directory},
    store::{Act, ServedRow},
    workers::schema::Schema,
};
use tokio::sync::{Semaphore, watch};

use crate::{
    auth::{Auth, Identity, Links},
    hosts::Hosts,
    hub::Hub,
    limits::Limits,
    listener::Connections,
    metrics::Metrics,
    numbers::Numbers,
    origin::Names,
    problem::Problem,
    progress::Progress,
    standing::Checks,
    stats::Stats,
};

/// Queries of lists at once: fewer than the store has readers, so that a single row is always at hand.
const LISTS: usize = 3;

/// The server's own state. All of it is rebuilt at a start: what must survive is in the store.
pub struct App {
    pub kapelle: Arc<Kapelle>,
    pub auth: Auth,
    /// Links with which approvals are answered.
    pub links: Links,
    pub hosts: Hosts,
    /// The numbers of hosts.
    pub numbers: Numbers,
    pub hub: Arc<Hub>,
    pub metrics: Metrics,
    pub stats: Arc<Stats>,
    /// How far attempts on worker hosts are.
    pub progress: Arc<Progress>,
    pub limits: Limits,
    pub names: Names,
    pub connections: Arc<Connections>,
    pub streams: Arc<Semaphore>,
    /// The folder with the workflows of the project.
    pub workflows: Option<PathBuf>,
    /// The queues as they are set up, and what was changed since.
    pub queues: RwLock<HashMap<Name, (u32, bool)>>,
    pub draining: watch::Receiver<bool>,
    pub started_ms: u64,
    /// What sets this process apart.
    pub labels: Labels,
    /// What the user of the server calls healthy.
    pub checks: Checks,
    pub description: Bytes,
    clock: SystemClock,
    lists: Semaphore,
    schemas: RwLock<HashMap<Name, Compiled>>,
}

/// A schema, and the specification that it was made from.
type Compiled = (Arc<WorkerSpec>, Option<Arc<Schema>>);

/// What an app is put together from.
pub struct Parts {
    pub kapelle: Arc<Kapelle>,
    pub auth: Auth,
    pub links: Links,
    pub limits: Limits,
    pub names: Names,
    pub workflows: Option<PathBuf>,
    pub queues: HashMap<Name, (u32, bool)>,
    pub draining: watch::Receiver<bool>,
    pub description: String,
    pub labels: Labels,
    pub checks: Vec<HealthCheck>,
    pub served: Vec<ServedRow>,
}

impl App {
    /// Puts it together.
    pub fn new(parts: Parts) -> App {
        let Parts { kapelle, auth, links, limits, names, workflows, queues, draining, description, .. } = parts;
        let clock = SystemClock::default();
        let streams = Arc::new(Semaphore::new(limits.streams));
        App {
            numbers: Numbers::read(kapelle.folder()),
            kapelle,
            auth,
            links,
            hosts: Hosts::new(parts.served, limits.lease),
            hub: Arc::default(),
            metrics: Metrics::default(),
            stats: Arc::default(),
            progress: Arc::default(),
            limits,
            names,
            connections: Arc::default(),
            streams,
            workflows,
            queues: RwLock::new(queues),
            draining,
            started_ms: clock.steady_ms(),
            labels: parts.labels,
            checks: Checks::new(parts.checks, clock.steady_ms()),
            description: Bytes::from(description),
            clock,
            lists: Semaphore::new(LISTS),
            schemas: RwLock::default(),
        }
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A clock that never jumps.
    pub fn steady_ms(&self) -> u64 {
        self.clock.steady_ms()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.kapelle.engine()
    }

    /// Whether nothing new is taken any more.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// What is known of a worker, of this process or of a host of the tenant.
    pub fn spec(&self, tenant: TenantId, name: &Name) -> Option<Arc<WorkerSpec>> {
        self.engine().registry().local(name).or_else(|| self.hosts.spec(tenant, name))
    }

    /// What is known of a worker.
    ///
    /// # Errors
    /// When there is none of that name, with one that may have been meant.
    pub fn known(&self, tenant: TenantId, name: &Name) -> Result<Arc<WorkerSpec>, Problem> {
        if let Some(spec) = self.spec(tenant, name) {
            return Ok(spec);
        }
        let specs = self.specs(tenant);
        let near = nearest(name.as_str(), specs.iter().map(|spec| spec.name.as_str()));
        let hint = near.map_or_else(
            || "; GET /api/v1/workers lists them, and a worker host adds its own when it registers".to_owned(),
            |near| format!(": did you mean `{near}`?"),
        );
        Err(EngineError::UnknownWorker { name: name.to_string(), hint }.into())
    }

    /// Every worker that a tenant can submit tasks for, by name.
    pub fn specs(&self, tenant: TenantId) -> Vec<Arc<WorkerSpec>> {
        let mut specs = self.engine().registry().specs();
        let remote = self.hosts.specs(tenant);
        specs.extend(remote.into_iter().filter(|spec| self.engine().registry().local(&spec.name).is_none()));
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// The schema of a worker's input, compiled once.
    pub fn schema(&self, spec: &Arc<WorkerSpec>) -> Result<Option<Arc<Schema>>, Problem> {
        let Some(source) = &spec.input else { return Ok(None) };
        let known = self.schemas.read().unwrap_or_else(PoisonError::into_inner).get(&spec.name).cloned();
        if let Some((of, schema)) = known
            && Arc::ptr_eq(&of, spec)
        {
            return Ok(schema);
        }
        let schema = Schema::compile(source)
            .map_err(|error| Problem::internal(format!("the input schema of {}: {error}", spec.name)))?;
        let schema = Some(Arc::new(schema));
        let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(spec.name.clone(), (Arc::clone(spec), schema.clone()));
        Ok(schema)
    }

    /// Reads a list on a thread that may wait for the disk.
    pub async fn list<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.lists.acquire().await.map_err(|_| Problem::unavailable("the server is stopping"))?;
        let app = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || query(&app)).await;
        drop(permit);
        read.unwrap_or_else(|_| Err(Problem::internal("the query ended without an answer")))
    }

    /// Does something for somebody, and writes down who did what in the same commit.
    pub async fn act(&self, who: &Identity, action: &str, resource: &str, command: Command) -> Result<Reply, Problem> {
        let act = Act {
            tenant: who.tenant,
            actor: Arc::from(who.actor.as_str()),
            action: Arc::from(action),
            resource: Arc::from(resource),
        };
        Ok(self.engine().ask(Command::Audited { act, command: Box::new(command) }).await?)
    }
}
