//! Names of workers that steps can use.

use std::collections::{BTreeMap, BTreeSet};

use kapelle::core::definition::nearest;
use kapelle_api::Worker;

use crate::{
    app::{App, Workers},
    failure::Failure,
};

/// Letters of a short name.
const SHORT: usize = 5;

/// The workers of the project, and those that a server or its folder knows.
pub struct KnownWorkers {
    names: BTreeSet<String>,
    /// Scripts that cannot be started, and why.
    broken: BTreeMap<String, String>,
}

impl KnownWorkers {
    /// Reads the workers of the project.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn of(app: &App) -> Result<KnownWorkers, Failure> {
        Ok(KnownWorkers::from(&app.workers(&app.settings()?)?))
    }

    /// Adds workers that a server or a folder knows.
    pub fn add(&mut self, workers: Vec<Worker>) {
        self.names.extend(workers.into_iter().map(|worker| worker.name));
    }

    /// Says whether a step can use that worker.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns the problem of the settings of the script of that name.
    pub fn why_broken(&self, name: &str) -> Option<&str> {
        self.broken.get(name).map(String::as_str)
    }

    /// Returns advice for an unknown name.
    pub fn hint(&self, name: &str) -> String {
        let near = nearest(name, self.names.iter().map(String::as_str));
        // A short name resembles others by chance, as `log` does `long`.
        match near.filter(|near| name.len() > SHORT || near.len() == name.len()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`kapelle workers list` shows them all; a host adds its own when it registers".to_owned(),
        }
    }
}

impl From<&Workers> for KnownWorkers {
    fn from(workers: &Workers) -> KnownWorkers {
        let names = workers.names().map(str::to_owned).collect();
        let broken = workers.broken.iter();
        let broken = broken.map(|script| (script.name.to_string(), script.start.why().to_owned())).collect();
        KnownWorkers { names, broken }
    }
}
