//! The builder of a Kapelle.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kapelle_app::{Config, Error, Parts, Restored, Workers, open, read, restore};
use kapelle_core::{Name, balance::Balancer, middleware::Middleware, run::StepOrder};
#[cfg(feature = "documents")]
use kapelle_documents::DocumentReader;
use kapelle_engine::Clock;

use crate::kapelle::Kapelle;

/// The settings of a Kapelle before it opens: [`Kapelle::builder`].
pub struct Builder {
    parts: Parts,
    balancers: BTreeMap<String, NewBalancer>,
}

/// Makes a balancer for a pool.
pub(crate) type NewBalancer = Arc<dyn Fn() -> Box<dyn Balancer> + Send + Sync>;

impl Builder {
    pub(crate) fn new(folder: &Path) -> Builder {
        Builder { parts: Parts::of(folder), balancers: BTreeMap::new() }
    }

    /// Sets the configuration, instead of the defaults.
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.parts.config = config;
        self
    }

    /// Sets the source of provider keys and addresses, instead of the environment of the process.
    #[must_use]
    pub fn environment(mut self, environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Builder {
        self.parts.environment = Arc::new(environment);
        self
    }

    /// Adds the workers that a folder declares. Invalid files are reported by [`Kapelle::worker_problems`].
    #[must_use]
    pub fn workers(mut self, folder: &Path) -> Builder {
        self.parts.workers.push(folder.to_owned());
        self
    }

    /// Adds the workflows of a folder, which steps can start by name. Invalid files are left out.
    #[must_use]
    pub fn workflows(mut self, folder: &Path) -> Builder {
        self.parts.workflows.push(folder.to_owned());
        self
    }

    /// Adds a strategy that workflows can name: `strategy: NAME`. It must be there from the start, because recovered
    /// runs may need it.
    #[must_use]
    pub fn strategy(mut self, name: &str, order: Arc<dyn StepOrder>) -> Builder {
        self.parts.strategies.push((Name::new(name), order));
        self
    }

    /// Sets a reader of documents other than plain text.
    #[cfg(feature = "documents")]
    #[must_use]
    pub fn document_reader(mut self, reader: Arc<dyn DocumentReader>) -> Builder {
        self.parts.reader = Some(reader);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Builder {
        self.parts.clock = clock;
        self
    }

    /// Adds middleware around every attempt, inside the middleware that was added before it.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Builder {
        self.parts.middleware.push(Arc::new(middleware));
        self
    }

    /// Adds a balancer, which pools can name. It replaces a built-in one of its name.
    #[must_use]
    pub fn balancer<B: Balancer + 'static>(
        mut self,
        name: &str,
        balancer: impl Fn() -> B + Send + Sync + 'static,
    ) -> Builder {
        self.balancers.insert(name.to_owned(), Arc::new(move || Box::new(balancer())));
        self
    }

    /// Records changes but starts no task: for callers that only write.
    #[must_use]
    pub fn idle(mut self) -> Builder {
        self.parts.idle = true;
        self
    }

    /// Returns the workers alone, without opening the folder.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn catalogue(&self) -> Result<Workers, Error> {
        self.parts.catalogue()
    }

    /// Fires schedules while this process runs. Without it they wait for a process that does, such as `kapelle serve`.
    #[must_use]
    pub fn schedules(mut self) -> Builder {
        self.parts.schedules = true;
        self
    }

    /// Sends events to subscriptions while this process runs. Without it they wait for a process that does.
    #[must_use]
    pub fn deliveries(mut self) -> Builder {
        self.parts.deliveries = true;
        self
    }

    /// Adds a session log: every end of a task as a line of `session.log` in the folder.
    #[must_use]
    pub fn session_log(mut self) -> Builder {
        self.parts.session = true;
        self
    }

    /// Opens the folder for reading alone: without a lock, beside a process that may work on it. A folder without data
    /// reads as an empty one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the data cannot be read, or the configuration is invalid.
    pub fn read(self) -> Result<Kapelle, Error> {
        Ok(Kapelle { app: read(self.parts)?, balancers: Arc::new(self.balancers) })
    }

    /// Restores a backup as the folder, which must be absent or empty. Nothing is worked on. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the backup is incomplete or damaged, or the folder holds files.
    pub async fn restore(self, backup: &Path) -> Result<Restored, Error> {
        restore(backup, self.parts).await
    }

    /// Opens the folder, recovers open work, and starts. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use or cannot be read, or the configuration is invalid.
    pub async fn open(self) -> Result<Kapelle, Error> {
        Ok(Kapelle { app: open(self.parts).await?, balancers: Arc::new(self.balancers) })
    }
}
