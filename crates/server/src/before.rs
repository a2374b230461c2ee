//! The workers that hosts served before this server was started. Until their hosts are back, within seconds, tasks for them
//! are taken as they were before: what a client is told must not depend on when it asks.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use kapelle::{
    WorkerSpec,
    core::{Name, TenantId},
};
use kapelle_api as api;

use crate::{handlers, hosts::REMEMBERED_MS, shown};

/// Where they are written down.
pub const WORKERS_FILE: &str = "host-workers.json";

/// By tenant and name.
type Specs = BTreeMap<(u32, Name), Arc<WorkerSpec>>;

/// The workers that hosts served before this server was started.
#[derive(Debug)]
pub struct Before {
    file: PathBuf,
    specs: Specs,
    until_ms: u64,
    written: Mutex<String>,
}

impl Before {
    /// Reads what the server before this one wrote down. What cannot be read is not known: then hosts are waited for.
    pub fn read(folder: &Path, now_ms: u64) -> Before {
        let file = folder.join(WORKERS_FILE);
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        let given: Vec<(u32, api::Worker)> = serde_json::from_str(&written).unwrap_or_default();
        let known = given.into_iter().filter_map(|(tenant, worker)| {
            let spec = handlers::submission::spec(&api::Served::Worker(Box::new(worker))).ok()?;
            Some(((tenant, spec.name.clone()), spec))
        });
        Before { file, specs: known.collect(), until_ms: now_ms + REMEMBERED_MS, written: Mutex::new(written) }
    }

    /// What was known of a worker.
    pub fn spec(&self, tenant: TenantId, worker: &Name, now_ms: u64) -> Option<Arc<WorkerSpec>> {
        self.of(now_ms).get(&(tenant.0, worker.clone())).cloned()
    }

    /// What was known of the workers of a tenant.
    pub fn specs(&self, tenant: TenantId, now_ms: u64) -> impl Iterator<Item = &Arc<WorkerSpec>> {
        self.of(now_ms).iter().filter(move |((of, _), _)| *of == tenant.0).map(|(_, spec)| spec)
    }

    fn of(&self, now_ms: u64) -> &Specs {
        static NONE: Specs = Specs::new();
        // A host that is silent for so long is forgotten by a server that goes on, too.
        if now_ms < self.until_ms { &self.specs } else { &NONE }
    }

    /// Writes down what hosts serve now, beside what is still remembered. Not synced: what a crash of the machine takes is
    /// waited for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, serving: Vec<(TenantId, Arc<WorkerSpec>)>, now_ms: u64) -> io::Result<()> {
        let mut all = self.of(now_ms).clone();
        all.extend(serving.into_iter().map(|(tenant, spec)| ((tenant.0, spec.name.clone()), spec)));
        let all: Vec<(u32, api::Worker)> =
            all.into_iter().map(|((tenant, _), spec)| (tenant, shown::worker(&spec))).collect();
        let text = serde_json::to_string(&all)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written != text {
            let fresh = self.file.with_extension("new");
            std::fs::write(&fresh, &text)?;
            std::fs::rename(&fresh, &self.file)?;
            *written = text;
        }
        Ok(())
    }
}
