//! The settings of a host, before it works.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kapelle_api::{self as api, Client};
use kapelle_core::worker::Worker;
use kapelle_gateway::Gateway;
use kapelle_workers::Catalogue;

use crate::{
    attempt_tokens::AttemptTokens, error::HostError, event::HostEvent, feed::Way, file_cache::FileCache, host::Host,
    registration::Registration, worker_set::WorkerSet,
};

/// Tasks at once by default.
const SLOTS: u32 = 4;

/// A listener for events.
pub(crate) type Listener = Arc<dyn Fn(&HostEvent) + Send + Sync>;

/// The settings of a host: [`Host::builder`].
pub struct HostBuilder {
    client: Client,
    name: String,
    slots: u32,
    queues: Vec<String>,
    labels: BTreeMap<String, String>,
    only: Vec<String>,
    files: Option<FileCache>,
    long_poll: bool,
    listener: Listener,
    workers: Arc<WorkerSet>,
    tokens: Arc<AttemptTokens>,
}

impl HostBuilder {
    pub(crate) fn new(client: Client) -> HostBuilder {
        HostBuilder {
            name: "kapelle host".to_owned(),
            slots: SLOTS,
            queues: Vec::new(),
            labels: BTreeMap::new(),
            only: Vec::new(),
            files: None,
            long_poll: false,
            listener: Arc::new(|_| ()),
            workers: Arc::default(),
            tokens: Arc::new(AttemptTokens::of(client.base())),
            client,
        }
    }

    /// Sets the name that people see.
    #[must_use]
    pub fn name(mut self, name: &str) -> HostBuilder {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets how many tasks the host works on at once (1 to 1,000; default 4).
    #[must_use]
    pub fn slots(mut self, slots: u32) -> HostBuilder {
        self.slots = slots;
        self
    }

    /// Takes tasks of this queue; may be called again. Of any queue unless called.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> HostBuilder {
        self.queues.push(queue.to_owned());
        self
    }

    /// Adds a label, such as `gpu` = `a100`: tasks that require labels go only to hosts that have them.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> HostBuilder {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Serves this one of its workers; may be called again. All of them unless called.
    #[must_use]
    pub fn only(mut self, worker: &str) -> HostBuilder {
        self.only.push(worker.to_owned());
        self
    }

    /// Sets the folder for files that inputs refer to, which hosts of one machine may share. Without it, files of
    /// inputs are not fetched.
    #[must_use]
    pub fn files(mut self, folder: &Path) -> HostBuilder {
        self.files = Some(FileCache::new(self.client.clone(), folder.to_owned()));
        self
    }

    /// Claims tasks by long polls even where the server could push them.
    #[must_use]
    pub fn long_poll(mut self, long_poll: bool) -> HostBuilder {
        self.long_poll = long_poll;
        self
    }

    /// Sets the listener for events. It must be quick.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&HostEvent) + Send + Sync + 'static) -> HostBuilder {
        self.listener = Arc::new(listener);
        self
    }

    /// Adds a worker.
    #[must_use]
    pub fn worker(self, worker: Arc<dyn Worker>) -> HostBuilder {
        self.workers.add(worker);
        self
    }

    /// Adds the workers of a catalogue. The gateway that its prompt workers ask is bound to that of the server, which
    /// pays for the calls of its tasks, records them and knows the rates: no key of a provider is needed here.
    ///
    /// # Errors
    /// When the address of the server's gateway cannot be used.
    pub fn catalogue(self, catalogue: &Catalogue, gateway: &Gateway) -> Result<HostBuilder, HostError> {
        gateway
            .use_remote(self.tokens.base_url(), Arc::clone(&self.tokens) as _)
            .map_err(|error| HostError::Gateway(error.to_string()))?;
        catalogue.iter().for_each(|worker| self.workers.add(Arc::clone(worker)));
        Ok(self)
    }

    /// The workers, to which a fleet of scripts adds its own.
    #[must_use]
    pub fn workers(&self) -> &Arc<WorkerSet> {
        &self.workers
    }

    /// The tokens, with which scripts ask models.
    #[must_use]
    pub fn tokens(&self) -> &Arc<AttemptTokens> {
        &self.tokens
    }

    /// Makes the host, with the workers that there are now.
    ///
    /// # Errors
    /// [`HostError::NoWorkers`], or that the system provides no connections.
    pub fn build(self) -> Result<Host, HostError> {
        let mut specs = self.workers.specs();
        specs.retain(|spec| self.only.is_empty() || self.only.iter().any(|name| name == spec.name.as_str()));
        if specs.is_empty() {
            return Err(HostError::NoWorkers);
        }
        let register = api::Register {
            name: self.name,
            slots: self.slots.clamp(1, 1_000),
            workers: specs.iter().map(|spec| api::Served::Worker(Box::new(api::Worker::from(spec)))).collect(),
            queues: self.queues,
            labels: self.labels,
            ack: true,
            // The server leaves out workers that the key may not serve, and reports them.
            partial: true,
        };
        let registration = Registration::new(self.client, register, self.listener)?;
        let first = if self.long_poll { Way::Poll } else { Way::Duplex };
        Ok(Host::new(registration, self.workers, self.tokens, self.files, first))
    }
}
