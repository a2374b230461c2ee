//! The context of every use case: the open folder, and its state in memory.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use kapelle_core::{Name, TenantId, Timestamp, middleware::Middleware, worker::WorkerSpec, yaml::Problems};
use kapelle_engine::{Ask, Audited, Clock, Engine, Notice, command};
use kapelle_gateway::{Gateway, TokenIssuer};
use kapelle_store::{Act, Blobs, Reader};
use kapelle_workers::{Catalogue, schema::Schema};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    app_error::AppError, approval_links::Links, at_rest::Rest, caller::Caller, counts::CountsMemory,
    disk::BuiltInChecks, events::Hub, file_schedules::FileSchedules, health_checks::Results, history::Recorder,
    host_ids::HostIds, host_registry::Hosts, inspection::Inspection, keyring::Keyring, ledger::EngineLedger,
    live::ChangeLog, machine::Machine, progress::Progress, results::ResultStreams, session::Session, sessions::Codes,
    settings::Settings, turns::Turns, worker_stats::Stats,
};

/// List queries at once: fewer than the store has readers, so that a single row can always be read.
const LISTS: usize = 3;
/// The most of these for one tenant.
const LISTS_EACH: usize = 2;
/// Long checks at once, of all tenants and of one.
const CHECKS: usize = 8;
const CHECKS_EACH: usize = 2;
/// The tenant to which the application's own queries are counted.
const NOBODY: TenantId = TenantId(0);

/// An open folder with every use case. Only the folder survives a restart; everything else here is rebuilt.
pub struct App {
    pub(crate) engine: Engine,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) folder: PathBuf,
    pub(crate) shipped: Catalogue,
    pub(crate) problems: Vec<Problems>,
    /// The versions of the files of workers and workflows that were read at the start.
    pub(crate) read: BTreeMap<PathBuf, crate::watch::Marks>,
    pub(crate) middleware: Arc<[Arc<dyn Middleware>]>,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "scripts")]
    pub(crate) fleet: OnceLock<kapelle_scripts::Fleet>,
    /// The scripts as their files describe them, where this process starts no task.
    #[cfg(feature = "scripts")]
    pub(crate) described: OnceLock<crate::described::DescribedScripts>,
    pub(crate) session: Option<Session>,
    pub(crate) ledger: Arc<EngineLedger>,
    pub(crate) token_issuer: Arc<TokenIssuer>,
    pub(crate) memory: Memory,
    /// Set where this process starts no task.
    pub(crate) rest: Option<Rest>,
    /// Set where this process fires schedules.
    pub(crate) file_schedules: Option<FileSchedules>,
}

/// The use cases' state in memory.
pub(crate) struct Memory {
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) keyring: Keyring,
    /// One-time codes for sessions of the console.
    pub(crate) codes: Codes,
    /// Links that answer approvals; unset until a server serves them.
    pub(crate) links: OnceLock<Links>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) host_ids: HostIds,
    pub(crate) hub: Arc<Hub>,
    /// Changes of everything, for those who show the present state.
    pub(crate) changes: Arc<ChangeLog>,
    pub(crate) counts: CountsMemory,
    /// History for charts.
    pub(crate) recorder: Arc<Recorder>,
    /// Earlier readings of what processes use.
    pub(crate) machine: Machine,
    /// The program that serves, as it describes itself.
    pub(crate) inspection: Inspection,
    pub(crate) stats: Arc<Stats>,
    /// Progress of attempts on worker hosts.
    pub(crate) progress: Arc<Progress>,
    /// Streams of results.
    pub(crate) results: ResultStreams,
    pub(crate) checks: Results,
    pub(crate) built_in: Arc<BuiltInChecks>,
    pub(crate) draining: watch::Sender<bool>,
    pub(crate) started_ms: u64,
    /// Sender of events; unset in a process that reads alone.
    #[cfg(feature = "reach")]
    pub(crate) webhooks: OnceLock<kapelle_reach::Webhooks>,
    /// Time of the last readiness check of the store, and whether it answered.
    pub(crate) store_answered: tokio::sync::Mutex<Option<(u64, bool)>>,
    lists: Turns,
    checking: Turns,
    schemas: RwLock<HashMap<Name, Compiled>>,
}

/// A schema, and the specification that it was compiled from.
type Compiled = (Arc<WorkerSpec>, Option<Arc<Schema>>);

impl Memory {
    pub(crate) fn new(
        folder: &Path,
        engine: &Engine,
        settings: Settings,
        steady_ms: u64,
    ) -> Result<Memory, crate::Error> {
        let hosts = Arc::new(Hosts::new(engine.reader().host_workers()?));
        let told = Arc::clone(&hosts);
        engine.listen(Box::new(move |notice| {
            if let Notice::Revoked { host, report } = notice {
                told.revoked(*host, *report);
            }
        }));
        Ok(Memory {
            hosts,
            host_ids: HostIds::read(folder),
            keyring: Keyring::new(&engine.reader().access_keys()?),
            codes: Codes::default(),
            links: OnceLock::new(),
            hub: Arc::default(),
            changes: Arc::new(ChangeLog::new(Arc::clone(&engine.notice_flags().changes))),
            counts: CountsMemory::default(),
            recorder: Arc::default(),
            machine: Machine::default(),
            inspection: Inspection::default(),
            stats: Arc::default(),
            progress: Arc::default(),
            results: ResultStreams::default(),
            checks: Results::new(steady_ms),
            built_in: Arc::default(),
            draining: watch::Sender::new(false),
            started_ms: steady_ms,
            #[cfg(feature = "reach")]
            webhooks: OnceLock::new(),
            store_answered: tokio::sync::Mutex::default(),
            lists: Turns::new(LISTS, LISTS_EACH),
            checking: Turns::new(CHECKS, CHECKS_EACH),
            schemas: RwLock::default(),
            settings: RwLock::new(Arc::new(settings)),
        })
    }
}

impl App {
    /// Returns the engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn reader(&self) -> &dyn Reader {
        &**self.engine.reader()
    }

    /// Returns the gateway to the model providers.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The token issuer that gives tokens of the model gateway to attempts and processes.
    #[must_use]
    pub fn token_issuer(&self) -> &Arc<TokenIssuer> {
        &self.token_issuer
    }

    /// Returns the files that inputs refer to.
    #[must_use]
    pub fn files(&self) -> &Blobs {
        &self.blobs
    }

    /// Returns the folder with the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the monotonic clock, in milliseconds.
    #[must_use]
    pub fn steady_ms(&self) -> u64 {
        self.clock.steady_ms()
    }

    /// Returns the milliseconds since the folder was opened.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        self.steady_ms().saturating_sub(self.memory.started_ms)
    }

    /// Returns the problems of files in the folders of workers. The other files are in effect.
    #[must_use]
    pub fn worker_problems(&self) -> &[Problems] {
        &self.problems
    }

    /// Returns the middleware around every attempt, outermost first.
    #[must_use]
    pub fn middleware(&self) -> &[Arc<dyn Middleware>] {
        &self.middleware
    }

    /// Returns the keyring of accepted keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.memory.keyring
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.memory.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings by those of the serving interface.
    pub fn set_up(&self, settings: Settings) {
        self.memory.hosts.set_lease(settings.lease);
        *self.memory.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Returns a signal that the application is draining. Nothing new is accepted from then on.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.memory.draining.subscribe()
    }

    /// Says whether new work is refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.memory.draining.borrow()
    }

    /// Refuses new work from now on. Returns false if it did so before.
    pub fn begin_draining(&self) -> bool {
        !self.memory.draining.send_replace(true)
    }

    pub(crate) fn accepting(&self) -> Result<(), AppError> {
        if self.is_draining() {
            return Err(AppError::unavailable("the server is stopping: try again soon"));
        }
        Ok(())
    }

    /// Returns the schema of a worker's input, compiled once.
    pub(crate) fn schema(&self, spec: &Arc<WorkerSpec>) -> Result<Option<Arc<Schema>>, AppError> {
        let Some(source) = &spec.input else { return Ok(None) };
        let schemas = &self.memory.schemas;
        let known = schemas.read().unwrap_or_else(PoisonError::into_inner).get(&spec.name).cloned();
        if let Some((of, schema)) = known
            && Arc::ptr_eq(&of, spec)
        {
            return Ok(schema);
        }
        let schema = Schema::compile(source)
            .map_err(|error| AppError::internal(format!("worker {}: invalid input schema: {error}", spec.name)))?;
        let schema = Some(Arc::new(schema));
        let mut schemas = schemas.write().unwrap_or_else(PoisonError::into_inner);
        schemas.insert(spec.name.clone(), (Arc::clone(spec), schema.clone()));
        Ok(schema)
    }

    /// Says whether an input can be checked at once: its schema is compiled, and the check takes microseconds.
    pub(crate) fn is_quick(&self, tenant: TenantId, worker: &str, input: &Value) -> bool {
        let Some(spec) = self.spec(tenant, &Name::new(worker)).filter(|spec| spec.input.is_some()) else { return true };
        let schemas = self.memory.schemas.read().unwrap_or_else(PoisonError::into_inner);
        match schemas.get(&spec.name) {
            Some((of, Some(schema))) if Arc::ptr_eq(of, &spec) => schema.is_quick(input),
            _ => false,
        }
    }

    /// Runs a check of a tenant's data on a thread for blocking work. The cost of a check is bounded
    /// (`crates/workers/src/schema.rs`); if the client leaves while its check is queued, the check is dropped.
    pub(crate) async fn check<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        check: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, AppError> {
        let app = Arc::clone(self);
        self.memory.checking.run(tenant, move || check(&app)).await?
    }

    /// Runs a list query for the application itself, on a thread that may wait for the disk.
    ///
    /// # Errors
    /// That of the query.
    pub async fn list<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, AppError> {
        self.list_for(NOBODY, query).await
    }

    /// Runs a list query for a tenant, which never occupies all threads for that.
    ///
    /// # Errors
    /// That of the query.
    pub async fn list_for<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        query: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, AppError> {
        let app = Arc::clone(self);
        self.memory.lists.run(tenant, move || query(&app)).await?
    }

    /// Runs a command for a caller, audited in the same commit.
    pub(crate) async fn act<C: Ask>(
        &self,
        by: &Caller,
        action: &str,
        resource: &str,
        command: C,
    ) -> Result<C::Reply, AppError> {
        self.act_as((by.tenant, &by.actor), action, resource, command).await
    }

    /// Runs a command in the name of an actor that is not a caller, audited in the same commit.
    pub(crate) async fn act_as<C: Ask>(
        &self,
        (tenant, actor): (TenantId, &str),
        action: &str,
        resource: &str,
        command: C,
    ) -> Result<C::Reply, AppError> {
        let act = Act { tenant, actor: Arc::from(actor), action: Arc::from(action), resource: Arc::from(resource) };
        Ok(self.engine.ask(Audited { act, command }).await?)
    }

    /// Drains: starts nothing new, waits for the attempts in progress, ends the scripts, and closes the folder.
    pub async fn drain(&self) {
        // Events of the scripts at the end are to be recorded too.
        self.engine.idle().await;
        #[cfg(feature = "scripts")]
        self.end_scripts().await;
        self.tell_last_head().await;
        self.engine.drain().await;
        self.finish_session().await;
    }

    /// Closes the folder at once. Attempts in progress start again at the next start.
    pub async fn close(&self) {
        self.tell_last_head().await;
        self.engine.stop().await;
        #[cfg(feature = "scripts")]
        self.end_scripts().await;
        self.finish_session().await;
    }

    async fn finish_session(&self) {
        if let Some(session) = &self.session {
            session.finish().await;
        }
    }

    /// Records the head of the audit trail right before the end.
    async fn tell_last_head(&self) {
        let Some(session) = &self.session else { return };
        let head = session.last_head(self.reader(), self.clock.now(), self.clock.steady_ms());
        if let Some(event) = head {
            self.noted(&event).await;
        }
    }

    /// Writes an event into the session log and waits for the commit: for events right before the end.
    pub async fn noted(&self, event: &Value) {
        if self.session.is_some() {
            // An engine that has ended records nothing any more.
            let _ = self.engine.ask(command::Note { note: Arc::from(event.to_string()) }).await;
        }
    }

    /// Writes an event into the session log, if there is one: a JSON object with the field `event`. It is committed
    /// first, as the ends of tasks are, and reaches the file a moment later.
    pub fn note(&self, event: &Value) {
        if self.session.is_some() {
            self.engine.tell(command::Note { note: Arc::from(event.to_string()) });
        }
    }
}
