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
    /// Workers that only hosts serve, where no server gives them tasks.
    far: BTreeSet<String>,
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

    /// Remembers workers that only hosts serve: without a server, no step can use them.
    pub fn add_far(&mut self, workers: Vec<Worker>) {
        let names = workers.into_iter().map(|worker| worker.name);
        self.far.extend(names.filter(|name| !self.names.contains(name)));
    }

    /// Says whether a step can use that worker.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns why a step cannot use the worker of that name.
    pub fn why_not(&self, name: &str) -> String {
        match self.broken.get(name) {
            Some(why) => format!("worker `{name}` is a script that cannot be started: {why}"),
            None if self.far.contains(name) => format!("worker `{name}` is one of a host, and no server works here"),
            None => format!("unknown worker `{name}`"),
        }
    }

    /// Returns advice for an unknown name.
    pub fn hint(&self, name: &str) -> String {
        if self.far.contains(name) {
            return "start `kapelle serve`, and run it again".to_owned();
        }
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
        KnownWorkers { names, broken, far: BTreeSet::new() }
    }
}
