//! How a Kapelle is put together.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kapelle_app::{Config, Error, Parts, Workers, open};
use kapelle_core::{Name, balance::Balancer, middleware::Middleware, run::StepOrder};
#[cfg(feature = "documents")]
use kapelle_documents::DocumentReader;
use kapelle_engine::Clock;

use crate::kapelle::Kapelle;

/// How a Kapelle is put together: [`Kapelle::builder`].
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

    /// With this configuration instead of the defaults.
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.parts.config = config;
        self
    }

    /// With keys and addresses of providers from here instead of the environment of the process.
    #[must_use]
    pub fn environment(mut self, environment: impl Fn(&str) -> Option<String> + Send + 'static) -> Builder {
        self.parts.environment = Box::new(environment);
        self
    }

    /// With the workers that a folder declares. Files that are wrong are reported by [`Kapelle::worker_problems`].
    #[must_use]
    pub fn workers(mut self, folder: &Path) -> Builder {
        self.parts.workers.push(folder.to_owned());
        self
    }

    /// With the workflows of a folder, which steps can start by name. Files that are wrong are left out.
    #[must_use]
    pub fn workflows(mut self, folder: &Path) -> Builder {
        self.parts.workflows.push(folder.to_owned());
        self
    }

    /// With a strategy that workflows can name: `strategy: NAME`. It must be there from the start, because runs that are
    /// under way may need it.
    #[must_use]
    pub fn strategy(mut self, name: &str, order: Arc<dyn StepOrder>) -> Builder {
        self.parts.strategies.push((Name::new(name), order));
        self
    }

    /// With a reader of documents other than plain text.
    #[cfg(feature = "documents")]
    #[must_use]
    pub fn document_reader(mut self, reader: Arc<dyn DocumentReader>) -> Builder {
        self.parts.reader = Some(reader);
        self
    }

    /// With another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Builder {
        self.parts.clock = clock;
        self
    }

    /// With a layer around every attempt, inside those that were added before it.
    #[must_use]
    pub fn layer(mut self, layer: impl Middleware) -> Builder {
        self.parts.layers.push(Arc::new(layer));
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
        self.parts.idle = true;
        self
    }

    /// The workers alone, without opening the folder.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn catalogue(&self) -> Result<Workers, Error> {
        self.parts.catalogue()
    }

    /// With a session log: every end of a task as a line of `session.log` in the folder.
    #[must_use]
    pub fn session_log(mut self) -> Builder {
        self.parts.session = true;
        self
    }

    /// Opens the folder, takes up what was under way, and starts. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use or cannot be read, or the configuration is wrong.
    pub async fn open(self) -> Result<Kapelle, Error> {
        Ok(Kapelle { app: open(self.parts).await?, balancers: Arc::new(self.balancers) })
    }
}
