//! What must be known of worker hosts after a restart. The workers that they served: until they are back, within seconds,
//! tasks for them are taken as they were before, for what a client is told must not depend on when it asks. And the numbers
//! that they had: a host that still uses its own must not be taken for one that came after the restart.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use kapelle::{
    WorkerSpec,
    core::{Name, TenantId},
};
use kapelle_api as api;

use serde::{Deserialize, Serialize};

use crate::{
    handlers,
    hosts::{Hosts, REMEMBERED_MS},
    shown,
};

/// Where they are written down.
pub const FILE: &str = "hosts.json";
/// Numbers that are set aside at once, so that not every host costs a write.
const NUMBERS: u32 = 100;

/// By tenant and name.
type Specs = BTreeMap<(u32, Name), Arc<WorkerSpec>>;

/// What is written down.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    /// No host had a greater number.
    numbers: u32,
    /// By tenant.
    workers: Vec<(u32, api::Worker)>,
}

/// What hosts were before this server was started.
#[derive(Debug)]
pub struct Before {
    file: PathBuf,
    specs: Specs,
    until_ms: u64,
    written: Mutex<Written>,
}

impl Before {
    /// Reads what the server before this one wrote down. What cannot be read is not known: then hosts are waited for.
    pub fn read(folder: &Path, now_ms: u64) -> Before {
        let file = folder.join(FILE);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let written: Written = serde_json::from_str(&text).unwrap_or_default();
        let known = written.workers.iter().filter_map(|(tenant, worker)| {
            let spec = handlers::submission::spec(&api::Served::Worker(Box::new(worker.clone()))).ok()?;
            Some(((*tenant, spec.name.clone()), spec))
        });
        Before { file, specs: known.collect(), until_ms: now_ms + REMEMBERED_MS, written: Mutex::new(written) }
    }

    /// No host had a greater number so far.
    pub fn numbers(&self) -> u32 {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).numbers
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

    /// Writes down what hosts serve now, beside what is still remembered, and that a number is taken.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, hosts: &Hosts, number: u32, now_ms: u64) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.of(now_ms).clone();
        all.extend(hosts.serving().into_iter().map(|(tenant, spec)| ((tenant.0, spec.name.clone()), spec)));
        let numbers = if number > written.numbers { number.saturating_add(NUMBERS) } else { written.numbers };
        let workers = all.into_iter().map(|((tenant, _), spec)| (tenant, shown::worker(&spec))).collect();
        let now = Written { numbers, workers };
        if *written != now {
            let fresh = self.file.with_extension("new");
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(&serde_json::to_vec(&now)?)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.file)?;
            *written = now;
        }
        Ok(())
    }
}
