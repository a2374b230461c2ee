//! How a Kapelle is put together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{Name, balance::Balancer, middleware::Middleware, run::StepOrder, yaml::Problems};
#[cfg(feature = "documents")]
use kapelle_documents::{DocumentReader, ExtractText};
use kapelle_engine::{Clock, Engine, Notice, Parts, Registry, SystemClock};
use kapelle_gateway::{Gateway, Service, TokenIssuer};
use kapelle_store::{Blobs, OpenOptions, SqliteStore};
use kapelle_workers::Catalogue;

use crate::{
    books::EngineBooks,
    config::Config,
    definition,
    error::Error,
    kapelle::Kapelle,
    rates::OfGateway,
    session::{SESSION_FILE, Session},
    taken::{self, TakenFile},
};

/// Where environment variables come from.
type Environment = Box<dyn Fn(&str) -> Option<String> + Send>;

/// How a Kapelle is put together: [`Kapelle::builder`].
pub struct Builder {
    folder: PathBuf,
    config: Config,
    environment: Environment,
    workers: Vec<PathBuf>,
    workflows: Vec<PathBuf>,
    strategies: Vec<(Name, Arc<dyn StepOrder>)>,
    #[cfg(feature = "documents")]
    reader: Option<Arc<dyn DocumentReader>>,
    clock: Arc<dyn Clock>,
    layers: Vec<Arc<dyn Middleware>>,
    balancers: BTreeMap<String, NewBalancer>,
    idle: bool,
    session: bool,
}

/// Makes a balancer for a pool.
pub(crate) type NewBalancer = Arc<dyn Fn() -> Box<dyn Balancer> + Send + Sync>;

/// The way to the models, the workers bound to it, and what is wrong with worker files.
pub type Workers = (Arc<Gateway>, Catalogue, Vec<Problems>);

impl Builder {
    pub(crate) fn new(folder: &Path) -> Builder {
        Builder {
            folder: folder.to_owned(),
            config: Config::default(),
            environment: Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
            workers: Vec::new(),
            workflows: Vec::new(),
            strategies: Vec::new(),
            #[cfg(feature = "documents")]
            reader: None,
            clock: Arc::new(SystemClock::default()),
            layers: Vec::new(),
            balancers: BTreeMap::new(),
            idle: false,
            session: false,
        }
    }

    /// With this configuration instead of the defaults.
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self
    }

    /// With keys and addresses of providers from here instead of the environment of the process.
    #[must_use]
    pub fn environment(mut self, environment: impl Fn(&str) -> Option<String> + Send + 'static) -> Builder {
        self.environment = Box::new(environment);
        self
    }

    /// With the workers that a folder declares. Files that are wrong are reported by [`Kapelle::worker_problems`].
    #[must_use]
    pub fn workers(mut self, folder: &Path) -> Builder {
        self.workers.push(folder.to_owned());
        self
    }

    /// With the workflows of a folder, which steps can start by name. Files that are wrong are left out.
    #[must_use]
    pub fn workflows(mut self, folder: &Path) -> Builder {
        self.workflows.push(folder.to_owned());
        self
    }

    /// With a strategy that workflows can name: `strategy: NAME`. It must be there from the start, because runs that are
    /// under way may need it.
    #[must_use]
    pub fn strategy(mut self, name: &str, order: Arc<dyn StepOrder>) -> Builder {
        self.strategies.push((Name::new(name), order));
        self
    }

    /// With a reader of documents other than plain text.
    #[cfg(feature = "documents")]
    #[must_use]
    pub fn document_reader(mut self, reader: Arc<dyn DocumentReader>) -> Builder {
        self.reader = Some(reader);
        self
    }

    /// With another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Builder {
        self.clock = clock;
        self
    }

    /// With a layer around every attempt, inside those that were added before it.
    #[must_use]
    pub fn layer(mut self, layer: impl Middleware) -> Builder {
        self.layers.push(Arc::new(layer));
        self
    }

    /// With a balancer of one's own, which pools can name. One of the same name as a built-in takes its place.
    #[must_use]
    pub fn balancer<B: Balancer + 'static>(
        mut self,
        name: &str,
        balancer: impl Fn() -> B + Send + Sync + 'static,
    ) -> Builder {
        self.balancers.insert(name.to_owned(), Arc::new(move || Box::new(balancer())));
        self
    }

    /// Records and changes, but starts no task: for those who only want to write something down.
    #[must_use]
    pub fn idle(mut self) -> Builder {
        self.idle = true;
        self
    }

    /// The workers alone, without opening the folder.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn catalogue(&self) -> Result<Workers, Error> {
        let gateway = Gateway::new(&self.config.gateway(), &*self.environment);
        let gateway = Arc::new(gateway.map_err(|error| Error::Config(error.to_string()))?);
        let mut catalogue = self.shipped(&gateway)?;
        let problems = self.workers.iter().flat_map(|folder| catalogue.add_folder(folder, &gateway)).collect();
        Ok((gateway, catalogue, problems))
    }

    fn shipped(&self, gateway: &Arc<Gateway>) -> Result<Catalogue, Error> {
        let catalogue = Catalogue::shipped(gateway).map_err(|error| Error::Config(error.to_string()))?;
        #[cfg(feature = "documents")]
        let catalogue = catalogue.with(Arc::new(ExtractText::new(self.reader.clone())));
        Ok(catalogue)
    }

    /// With a session log: every end of a task as a line of `session.log` in the folder.
    #[must_use]
    pub fn session_log(mut self) -> Builder {
        self.session = true;
        self
    }

    /// Opens the folder, takes up what was under way, and starts. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use or cannot be read, or the configuration is wrong.
    pub async fn open(self) -> Result<Kapelle, Error> {
        let mut options = self.config.options().map_err(|problem| Error::Config(problem.to_string()))?;
        if self.idle {
            options.other_slots = 0;
            options.queues.values_mut().for_each(|queue| queue.slots = 0);
        }
        options.session = self.session;
        let (gateway, catalogue, problems) = self.catalogue()?;
        let shipped = self.shipped(&gateway)?;
        let registry = Arc::new(Registry::default());
        // Those that ship first: a file of the folder hides one of them from the tenants that it is for.
        shipped.iter().chain(catalogue.iter()).for_each(|worker| registry.insert(Arc::clone(worker)));
        registry.check_inputs_with(Arc::new(definition::admit));
        registry.admit_calls_with(Arc::new(OfGateway(Arc::clone(&gateway))));
        for (name, version) in self.workflows.iter().flat_map(|folder| definition::folder(folder)) {
            registry.insert_workflow(name, version);
        }
        for (name, order) in self.strategies {
            registry.insert_order(name, order);
        }

        // Before the engine, whose workers begin with it.
        let books = EngineBooks::new(Arc::clone(&self.clock), options.default_timeout);
        gateway.keep_books(Arc::clone(&books) as _, Arc::clone(&books) as _);
        let (store, reader) = SqliteStore::open(&self.folder, OpenOptions::default())?;
        let blobs = Arc::new(Blobs::open(&self.folder)?);
        let spilled = Arc::clone(&blobs);
        let parts = Parts {
            store: Box::new(store),
            reader: Arc::new(reader),
            registry,
            files: Arc::clone(&blobs) as _,
            spill: Arc::new(move |bytes| spilled.put(bytes).map_err(|error| error.to_string())),
            clock: Arc::clone(&self.clock),
            layers: self.layers.clone(),
            taken: taken::read(&self.folder),
        };
        let config = self.config;
        let engine = Engine::start(parts, options)?;
        let again = begin_taken(&self.folder);
        books.bind(&engine, again);
        let token_issuer = new_token_issuer(&gateway, &books, &engine);
        let (layers, balancers, clock, folder) = (self.layers.into(), self.balancers, self.clock, self.folder);
        let session = if self.session {
            Some(
                Session::start(&folder, &engine, Arc::clone(&clock))
                    .map_err(|error| Error::Config(format!("{}: {error}", folder.join(SESSION_FILE).display())))?,
            )
        } else {
            None
        };
        let kapelle = Kapelle {
            engine,
            gateway,
            blobs,
            folder,
            shipped,
            problems,
            layers,
            balancers: Arc::new(balancers),
            clock,
            #[cfg(feature = "scripts")]
            fleet: std::sync::OnceLock::new(),
            session,
            books,
            token_issuer,
        };
        kapelle.tell_layers();
        kapelle.set_budgets(&config).await?;
        Ok(kapelle)
    }
}

/// The file for taken blocks. Without it no blocks are drawn.
fn begin_taken(folder: &Path) -> Option<TakenFile> {
    TakenFile::begin(folder).unwrap_or_else(|error| {
        tracing::warn!(%error, "every call of a model waits until its reservation is written");
        None
    })
}

/// The token issuer, told by the engine when an attempt is over and when money may have come free.
fn new_token_issuer(gateway: &Arc<Gateway>, books: &Arc<EngineBooks>, engine: &Engine) -> Arc<TokenIssuer> {
    let service = Service::new(Arc::clone(gateway), Arc::clone(books) as _, Arc::clone(books) as _);
    let token_issuer = Arc::new(TokenIssuer::new(Arc::new(service), Arc::clone(books) as _));
    engine.lease_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let told = Arc::downgrade(&token_issuer);
    engine.listen(Box::new(move |notice| {
        if let (Notice::Lease { task, running }, Some(token_issuer)) = (notice, told.upgrade()) {
            token_issuer.lease(*task, *running);
        }
    }));
    token_issuer
}
