//! Scripts of a folder as workers of the engine.

use std::{path::Path, sync::Arc};

use kapelle_core::{Name, worker::Worker};
use kapelle_engine::Engine;
use kapelle_supervisor::helper::Helper;
use kapelle_workers::{
    Catalogue,
    script::{Fleet, FleetOptions, TokenSource, environment::Surroundings, fleet::Board},
};

use crate::kapelle::Kapelle;

/// The folder for logs of scripts, within that of the state.
const LOGS: &str = "logs/workers";

/// Scripts that take tasks are workers of the engine.
struct OfEngine {
    engine: Engine,
    shipped: Catalogue,
}

impl Board for OfEngine {
    fn put(&self, worker: Arc<dyn Worker>) {
        self.engine.registry().insert(worker);
        self.engine.workers_changed();
    }

    fn take(&self, name: &Name) {
        match self.shipped.get(name.as_str()) {
            Some(worker) => self.engine.registry().insert(worker),
            None => self.engine.registry().remove(name),
        }
        self.engine.workers_changed();
    }

    fn get(&self, name: &Name) -> Option<Arc<dyn Worker>> {
        self.engine.registry().get(name)
    }
}

impl Kapelle {
    /// Finds the scripts of a folder, starts and supervises them from now on, and makes those that take tasks known as
    /// workers. `tokens` is where they get what they ask models with. Called again, it gives what is there already.
    /// Must be called within a tokio runtime.
    pub async fn supervise(
        &self,
        helper: Helper,
        folder: &Path,
        surroundings: Surroundings,
        tokens: Arc<dyn TokenSource>,
    ) -> Fleet {
        if let Some(fleet) = self.fleet.get() {
            return fleet.clone();
        }
        let clock = Arc::clone(&self.clock);
        let options = FleetOptions {
            root: folder.to_owned(),
            logs: self.folder.join(LOGS),
            surroundings,
            path: std::env::var_os("PATH"),
            tokens,
            board: Arc::new(OfEngine { engine: self.engine.clone(), shipped: self.shipped.clone() }),
            now: Arc::new(move || clock.now().0),
        };
        let fleet = Fleet::start(helper, options).await;
        self.fleet.get_or_init(|| fleet).clone()
    }

    /// The scripts, when they are supervised here.
    #[must_use]
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.get()
    }

    pub(crate) async fn end_scripts(&self) {
        if let Some(fleet) = self.fleet.get() {
            fleet.stop().await;
        }
    }
}
