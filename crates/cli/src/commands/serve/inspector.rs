//! The configuration in force in a server, and its checks, for the console.

use std::sync::{Arc, PoisonError, RwLock};

use kapelle::{Findings, Inspector, api::Setting};

use super::super::{config, doctor};
use crate::{app::App, failure::Failure, settings::Settings};

/// The program that serves, as it describes itself.
pub struct ServeInspector {
    app: Arc<App>,
    started: Arc<Settings>,
    /// The settings that were loaded last: of the keys that need a restart, those of the start are in force.
    loaded: RwLock<Arc<Settings>>,
}

impl ServeInspector {
    /// Makes an inspector of a server that starts with these settings.
    pub fn new(app: &App, started: &Arc<Settings>) -> ServeInspector {
        let loaded = RwLock::new(Arc::clone(started));
        ServeInspector { app: Arc::new(app.beside()), started: Arc::clone(started), loaded }
    }

    /// Replaces the settings that were loaded last.
    pub fn reloaded(&self, settings: Arc<Settings>) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn loaded(&self) -> Arc<Settings> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the rows of the settings that were loaded last, but for keys that need a restart.
    fn in_force(&self) -> Result<Vec<config::Setting>, Failure> {
        let loaded = self.loaded();
        let waiting = self.started.config.restart_keys(&loaded.config);
        let waits = |path: &str| waiting.iter().any(|key| path.split('.').next() == Some(key));
        let mut rows = config::gather(&self.app, &loaded)?;
        rows.retain(|(path, ..)| !waits(path));
        // They stand where the first row of the configuration stands, after the folder.
        let kept = self.started.values().into_iter().filter(|(path, ..)| waits(path));
        rows.splice(1..1, kept);
        Ok(rows)
    }
}

impl Inspector for ServeInspector {
    fn settings(&self) -> Result<Vec<Setting>, String> {
        let rows = self.in_force().map_err(|failure| failure.message)?;
        Ok(rows.into_iter().map(|(path, value, origin)| Setting { path, value, origin }).collect())
    }

    fn examine(&self) -> Findings<'_> {
        let settings = self.loaded();
        Box::pin(async move { doctor::served(&self.app, &settings).await })
    }
}
