//! Kinds of configured workers that act through the application.

use std::sync::Arc;

use kapelle_core::{worker::Worker, yaml::Table};
use kapelle_workers::configured::{Fault, Given, Kind};

use crate::reach::Home;

/// Makes the worker of one file, or tells its invalid settings.
pub(crate) type Make = fn(Given, Home) -> Result<Arc<dyn Worker>, Vec<Fault>>;

/// A kind that files configure, with the way to its application.
pub(crate) struct OwnKind {
    /// The word after `kind:`.
    pub name: &'static str,
    /// The keys of `settings:`.
    pub settings: &'static Table,
    pub make: Make,
    pub home: Home,
}

impl Kind for OwnKind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn settings(&self) -> &'static Table {
        self.settings
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        (self.make)(given, self.home.clone())
    }
}
