//! Opening of a folder: assembles store, engine, gateway, ledger and tokens.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{Name, middleware::Middleware, run::StepOrder, yaml::Problems};
#[cfg(feature = "documents")]
use kapelle_documents::{DocumentReader, ExtractText};
use kapelle_engine::{Clock, Engine, Notice, Registry, SystemClock};
use kapelle_gateway::{Gateway, Service, TokenIssuer};
use kapelle_store::{Blobs, OpenOptions, SqliteStore};
use kapelle_workers::Catalogue;

use crate::{
    app::{App, Memory},
    at_rest::Rest,
    config::Config,
    disk,
    error::Error,
    ledger::EngineLedger,
    prepaid_journal::{self, PrepaidJournal},
    rates::OfGateway,
    session::{SESSION_FILE, Session},
    settings::Settings,
    watch,
    watched_tasks::ReadAlong,
    workflow_files,
};

/// Source of environment variables.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The gateway, the workers bound to it, and the problems of worker files.
pub type Workers = (Arc<Gateway>, Catalogue, Vec<Problems>);

/// The parts of an application.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Parts {
    /// Returns the folder with the state.
    pub folder: PathBuf,
    /// Providers, models, queues, budgets.
    pub config: Config,
    /// Source of provider keys and addresses.
    pub environment: Environment,
    /// Folders whose files declare workers.
    pub workers: Vec<PathBuf>,
    /// Folders with workflows that steps can start by name.
    pub workflows: Vec<PathBuf>,
    /// Strategies that workflows can name.
    pub strategies: Vec<(Name, Arc<dyn StepOrder>)>,
    /// Reads documents other than plain text.
    #[cfg(feature = "documents")]
    pub reader: Option<Arc<dyn DocumentReader>>,
    pub clock: Arc<dyn Clock>,
    /// Middleware around every attempt, outermost first.
    pub middleware: Vec<Arc<dyn Middleware>>,
    /// Whether it only records changes and starts no task.
    pub idle: bool,
    /// Whether every end of a task is written to `session.log`.
    pub session: bool,
    /// Whether schedules are fired.
    pub schedules: bool,
    /// Whether events are sent to subscriptions.
    pub deliveries: bool,
    /// The application that is made of these parts, for workers that submit tasks.
    #[cfg(feature = "reach")]
    pub(crate) home: crate::reach::Home,
    /// The lowest id of a folder that comes from a backup, in which the attempts of worker hosts are voided, too.
    pub restored: Option<i64>,
}

impl Parts {
    /// Makes the parts of a folder with the defaults.
    #[must_use]
    pub fn of(folder: &Path) -> Parts {
        Parts {
            folder: folder.to_owned(),
            config: Config::default(),
            environment: Arc::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
            workers: Vec::new(),
            workflows: Vec::new(),
            strategies: Vec::new(),
            #[cfg(feature = "documents")]
            reader: None,
            clock: Arc::new(SystemClock::default()),
            middleware: Vec::new(),
            idle: false,
            session: false,
            schedules: false,
            deliveries: false,
            #[cfg(feature = "reach")]
            home: crate::reach::Home::default(),
            restored: None,
        }
    }

    /// Returns the workers alone, without opening the folder.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn catalogue(&self) -> Result<Workers, Error> {
        let gateway = Gateway::new(&self.config.gateway(), &*self.environment);
        let gateway = Arc::new(gateway.map_err(|error| Error::Config(error.to_string()))?);
        let mut catalogue = self.shipped(&gateway)?;
        let problems = self.workers.iter().flat_map(|folder| catalogue.add_folder(folder, &gateway)).collect();
        Ok((gateway, catalogue, problems))
    }

    pub(crate) fn shipped(&self, gateway: &Arc<Gateway>) -> Result<Catalogue, Error> {
        let catalogue = Catalogue::shipped(gateway).map_err(|error| Error::Config(error.to_string()))?;
        #[cfg(feature = "documents")]
        let catalogue = catalogue.with(Arc::new(ExtractText::new(self.reader.clone())));
        #[cfg(feature = "reach")]
        let catalogue = crate::reach::kinds(self).into_iter().fold(catalogue, Catalogue::with_kind);
        Ok(catalogue)
    }

    pub(crate) fn settings(&self, options: &kapelle_engine::Options) -> Settings {
        Settings {
            workflows: self.workflows.first().cloned(),
            queues: self.config.queues.iter().map(|(name, queue)| (Name::new(name), queue.slots)).collect(),
            labels: self.config.labels.clone(),
            checks: self.config.health.checks.clone(),
            lease: std::time::Duration::from_millis(options.lease.0),
            ..Settings::default()
        }
    }
}

/// Opens a folder, recovers open work, and starts. Must be called within a tokio runtime.
///
/// # Errors
/// When the folder is in use or cannot be read, or the configuration is invalid.
pub async fn open(mut parts: Parts) -> Result<Arc<App>, Error> {
    let mut options = parts.config.options().map_err(|problem| Error::Config(problem.to_string()))?;
    let settings = parts.settings(&options);
    if parts.idle {
        options.other_slots = 0;
        options.queues.values_mut().for_each(|queue| queue.slots = 0);
    }
    options.session = parts.session;
    options.schedules = parts.schedules && !parts.idle;
    options.voids_hosts = parts.restored.is_some();
    let mut opening = OpenOptions::default();
    opening.ids_from = parts.restored;
    let read = watch::marks(parts.workers.iter().chain(&parts.workflows));
    let (gateway, catalogue, problems) = parts.catalogue()?;
    let shipped = parts.shipped(&gateway)?;
    let registry = register(&mut parts, &gateway, (&shipped, &catalogue));

    // Made before the engine, whose workers begin with it.
    let ledger = EngineLedger::new(Arc::clone(&parts.clock), options.default_timeout);
    gateway.keep_books(Arc::clone(&ledger) as _, Arc::clone(&ledger) as _);
    #[cfg(feature = "reach")]
    let home = parts.home.clone();
    #[cfg(feature = "reach")]
    home.expect();
    #[cfg(feature = "reach")]
    let (webhooks, deliveries) =
        (crate::delivery_loop::sender(&parts.config.webhooks)?, parts.deliveries && !parts.idle);
    let Parts { folder, config, clock, middleware, session, idle, workers, workflows, .. } = parts;
    let (store, reader) = SqliteStore::open(&folder, opening)?;
    let blobs = Arc::new(Blobs::open(&folder)?);
    let spilled = Arc::clone(&blobs);
    let engine_parts = kapelle_engine::Parts {
        store: Box::new(store),
        reader: Arc::new(reader),
        registry,
        files: Arc::clone(&blobs) as _,
        spill: Arc::new(move |bytes| spilled.put(bytes).map_err(|error| error.to_string())),
        clock: Arc::clone(&clock),
        middleware: middleware.clone(),
        taken: prepaid_journal::read(&folder),
    };
    let fires = options.schedules;
    let engine = Engine::start(engine_parts, options)?;
    ledger.bind(&engine, begin_journal(&folder));
    let session = session.then(|| Session::start(&folder, &engine, Arc::clone(&clock)));
    let session = session
        .transpose()
        .map_err(|error| Error::Config(format!("{}: {error}", folder.join(SESSION_FILE).display())))?;
    let rest = idle.then_some(Rest::Alone);
    let made = Made { folder, settings, engine, gateway, blobs, ledger, clock, rest };
    let mut app = made.app(shipped, problems, middleware, session)?;
    app.read = read;
    app.describe_scripts(&workers);
    app.notify_middleware();
    app.set_budgets(&config).await?;
    app.follow_schedules_of(workflows.into_iter().next().filter(|_| fires)).await?;
    let app = Arc::new(app);
    #[cfg(feature = "reach")]
    home.bind(&app);
    #[cfg(feature = "reach")]
    {
        let _ = app.memory.webhooks.set(webhooks);
        if deliveries {
            crate::delivery_loop::start(&app)?;
        }
    }
    Ok(app)
}

/// The parts of an application that were made for it.
pub(crate) struct Made {
    pub folder: PathBuf,
    pub settings: Settings,
    pub engine: Engine,
    pub gateway: Arc<Gateway>,
    pub blobs: Arc<Blobs>,
    pub ledger: Arc<EngineLedger>,
    pub clock: Arc<dyn Clock>,
    pub rest: Option<Rest>,
}

impl Made {
    /// Assembles the application.
    pub(crate) fn app(
        self,
        shipped: Catalogue,
        problems: Vec<Problems>,
        middleware: Vec<Arc<dyn Middleware>>,
        session: Option<Session>,
    ) -> Result<App, Error> {
        let Made { folder, settings, engine, gateway, blobs, ledger, clock, rest } = self;
        let token_issuer = new_token_issuer(&gateway, &ledger, &engine);
        let memory = Memory::new(&folder, &engine, settings, clock.steady_ms())?;
        disk::note_refusals(&memory.built_in, &engine, (&folder, Arc::clone(&clock)));
        Ok(App {
            engine,
            gateway,
            blobs,
            folder,
            shipped,
            problems,
            read: std::collections::BTreeMap::new(),
            middleware: middleware.into(),
            clock,
            #[cfg(feature = "scripts")]
            fleet: std::sync::OnceLock::new(),
            #[cfg(feature = "scripts")]
            described: std::sync::OnceLock::new(),
            session,
            ledger,
            token_issuer,
            memory,
            rest,
            file_schedules: None,
        })
    }
}

pub(crate) fn register(
    parts: &mut Parts,
    gateway: &Arc<Gateway>,
    (shipped, catalogue): (&Catalogue, &Catalogue),
) -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    // Built-in workers first: a file of the folder hides one of them from its tenants.
    shipped.iter().chain(catalogue.iter()).for_each(|worker| registry.insert(Arc::clone(worker)));
    registry.check_inputs_with(Arc::new(workflow_files::admit));
    registry.admit_calls_with(Arc::new(OfGateway(Arc::clone(gateway))));
    for (name, version) in parts.workflows.iter().flat_map(|folder| workflow_files::folder(folder)) {
        registry.insert_workflow(name, version);
    }
    for (name, order) in std::mem::take(&mut parts.strategies) {
        registry.insert_order(name, order);
    }
    registry
}

/// Begins the journal of prepaid calls. Without it money is never prepaid.
fn begin_journal(folder: &Path) -> Option<PrepaidJournal> {
    PrepaidJournal::begin(folder).unwrap_or_else(|error| {
        tracing::warn!(%error, "every call of a model waits until its reservation is written");
        None
    })
}

/// The token issuer, told by the engine when an attempt is over and when money may have come free.
fn new_token_issuer(gateway: &Arc<Gateway>, ledger: &Arc<EngineLedger>, engine: &Engine) -> Arc<TokenIssuer> {
    let service = Service::new(Arc::clone(gateway));
    let (outputs, reader) = (Arc::clone(engine.live_output()), Arc::clone(engine.reader()));
    service.show_to(Arc::new(ReadAlong { outputs, reader }));
    let token_issuer = Arc::new(TokenIssuer::new(Arc::new(service), Arc::clone(ledger) as _));
    engine.notice_flags().leases.store(true, std::sync::atomic::Ordering::Relaxed);
    let told = Arc::downgrade(&token_issuer);
    engine.listen(Box::new(move |notice| {
        if let (Notice::Lease { task, running }, Some(token_issuer)) = (notice, told.upgrade()) {
            token_issuer.lease(*task, *running);
        }
    }));
    token_issuer
}
