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
    engine::{Ask, Audited, Clock, Engine, EngineError, SystemClock},
    store::{Act, HostWorkerRow},
    workers::schema::Schema,
};
use tokio::sync::watch;

use crate::{
    auth::{Auth, Identity, Links},
    connections::{Connections, Most},
    hosts::Hosts,
    hub::Hub,
    limits::Limits,
    metrics::Metrics,
    numbers::Numbers,
    origin::Names,
    problem::Problem,
    progress::Progress,
    shares::{Bounds, Shares},
    standing::Checks,
    stats::Stats,
    turns::Turns,
};

/// Queries of lists at once: fewer than the store has readers, so that a single row is always at hand.
const LISTS: usize = 3;
/// Of those, what one tenant has at most.
const LISTS_EACH: usize = 2;
/// Checks at once that may take a while, of all and of one tenant.
const CHECKS: usize = 8;
const CHECKS_EACH: usize = 2;
/// Files that are read or written at once, each for one part and not for as long as a client takes.
const FILES: usize = 8;
/// Of those, what one tenant has at most.
const FILES_EACH: usize = 4;
/// Large bodies that are read into values at once.
const PARSING: usize = 2;
/// The tenant whose turns the server's own work takes.
const NOBODY: TenantId = TenantId(0);

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
    /// Live streams.
    pub streams: Arc<Shares>,
    /// Files and exports on their way.
    pub transfers: Arc<Shares>,
    /// Bytes of bodies and large answers under way.
    pub memory: Arc<Shares>,
    /// Turns at files, so that those who read or write them slowly keep no thread.
    pub files: Turns,
    /// Turns at reading large bodies.
    pub parsing: Turns,
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
    /// When the store was last looked at for `/readyz`, and whether it answered.
    pub store_answered: tokio::sync::Mutex<Option<(u64, bool)>>,
    clock: SystemClock,
    lists: Turns,
    schemas: RwLock<HashMap<Name, Compiled>>,
    /// Checks of what people give that may take a while.
    checking: Turns,
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
    pub served: Vec<HostWorkerRow>,
}

impl App {
    /// Puts it together.
    pub fn new(parts: Parts) -> App {
        let Parts { kapelle, auth, links, limits, names, workflows, queues, draining, description, .. } = parts;
        let clock = SystemClock::default();
        let most = Most { all: limits.connections, per_peer: limits.connections_per_peer };
        let shares = |all: usize| Shares::new(Bounds::halves(all as u64));
        let bytes = limits.body_bytes;
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
            connections: Connections::new(most),
            streams: shares(limits.streams),
            transfers: shares(limits.transfers),
            memory: Shares::new(Bounds { all: bytes, tenant: bytes / 2, key: bytes / 2 }),
            files: Turns::new(FILES, FILES_EACH),
            parsing: Turns::new(PARSING, 1),
            limits,
            names,
            workflows,
            queues: RwLock::new(queues),
            draining,
            started_ms: clock.steady_ms(),
            labels: parts.labels,
            checks: Checks::new(parts.checks, clock.steady_ms()),
            description: Bytes::from(description),
            store_answered: tokio::sync::Mutex::default(),
            clock,
            lists: Turns::new(LISTS, LISTS_EACH),
            schemas: RwLock::default(),
            checking: Turns::new(CHECKS, CHECKS_EACH),
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
        self.engine().registry().spec(tenant, name).or_else(|| self.hosts.spec(tenant, name))
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
        let mut specs = self.engine().registry().specs(tenant);
        let remote = self.hosts.specs(tenant);
        specs.extend(remote.into_iter().filter(|spec| self.engine().registry().spec(tenant, &spec.name).is_none()));
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

    /// Whether an input can be checked at once: its schema is compiled, and the look takes microseconds.
    pub fn is_quick(&self, tenant: TenantId, worker: &str, input: &serde_json::Value) -> bool {
        let Some(spec) = self.spec(tenant, &Name::new(worker)).filter(|spec| spec.input.is_some()) else { return true };
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        match schemas.get(&spec.name) {
            Some((of, Some(schema))) if Arc::ptr_eq(of, &spec) => schema.is_quick(input),
            _ => false,
        }
    }

    /// Checks what a tenant gave on a thread that serves nobody else meanwhile. What a check costs is bounded
    /// (`crates/workers/src/schema.rs`); a client that leaves while its check waits for its turn takes it along.
    ///
    /// # Errors
    /// That of the check.
    pub async fn check<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        check: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        self.checking.run(tenant, move || check(&app)).await?
    }

    /// Reads a list for the server itself, on a thread that may wait for the disk.
    ///
    /// # Errors
    /// That of the query.
    pub async fn list<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.list_for(NOBODY, query).await
    }

    /// Reads a list for a tenant, which never has all the threads for that.
    ///
    /// # Errors
    /// That of the query.
    pub async fn list_for<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        query: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        self.lists.run(tenant, move || query(&app)).await?
    }

    /// Does something for somebody, and writes down who did what in the same commit.
    pub async fn act<C: Ask>(
        &self,
        who: &Identity,
        action: &str,
        resource: &str,
        command: C,
    ) -> Result<C::Reply, Problem> {
        let act = Act {
            tenant: who.tenant,
            actor: Arc::from(who.actor.as_str()),
            action: Arc::from(action),
            resource: Arc::from(resource),
        };
        Ok(self.engine().ask(Audited { act, command }).await?)
    }
}
