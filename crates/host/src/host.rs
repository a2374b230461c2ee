//! A worker host at work.

use std::{sync::Arc, time::Duration};

use kapelle_api::{self as api, Client, ClientError};
use kapelle_core::{Category, TaskError, worker::CancelFlag};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::{
    attempt::attempt,
    attempt_tokens::AttemptTokens,
    builder::HostBuilder,
    error::HostError,
    event::HostEvent,
    file_cache::FileCache,
    registration::{RETRY, Registration},
    reports::{self, REPORTS_MAX},
    running::Running,
    worker_set::{Member, WorkerSet},
};

/// Time that a claim waits for work, in milliseconds.
const WAIT_MS: u64 = 20_000;
/// The longest time between two heartbeats.
const HEARTBEAT_MAX_MS: u64 = 2_000;

/// The latest request to a host: work, drain or release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Work,
    Drain,
    Release,
}

/// A worker host: claims tasks of a server, runs its workers on them, and reports.
pub struct Host {
    registration: Arc<Registration>,
    workers: Arc<WorkerSet>,
    tokens: Arc<AttemptTokens>,
    slots: Arc<Semaphore>,
    files: Option<FileCache>,
    running: Arc<Running>,
    wish: watch::Sender<Wish>,
}

/// Ends a host from elsewhere.
#[derive(Debug, Clone)]
pub struct HostHandle(watch::Sender<Wish>);

impl HostHandle {
    /// Asks the host to end. It claims nothing more and finishes the attempts under way; asked again, it releases them,
    /// so that another host or a later attempt does them.
    pub fn stop(&self) {
        self.0.send_modify(|wish| *wish = if *wish == Wish::Work { Wish::Drain } else { Wish::Release });
    }
}

impl Host {
    /// Begins the settings of a host of that server.
    #[must_use]
    pub fn builder(client: Client) -> HostBuilder {
        HostBuilder::new(client)
    }

    pub(crate) fn new(
        registration: Registration,
        workers: Arc<WorkerSet>,
        tokens: Arc<AttemptTokens>,
        files: Option<FileCache>,
    ) -> Host {
        let slots = Arc::new(Semaphore::new(registration.register.slots as usize));
        let (wish, _) = watch::channel(Wish::Work);
        Host { registration: Arc::new(registration), workers, tokens, slots, files, running: Arc::default(), wish }
    }

    /// Returns a handle that ends the host.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        HostHandle(self.wish.clone())
    }

    /// Works until the host is asked to end. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the server refuses the host.
    pub async fn run(self) -> Result<(), HostError> {
        let registered = tokio::select! {
            registered = self.registration.current(None) => registered?,
            () = self.wished(Wish::Drain) => return Ok(()),
        };
        self.tell_registered(&registered);
        let (reports, queue) = mpsc::channel(4 * REPORTS_MAX);
        let reporting = tokio::spawn(reports::send(Arc::clone(&self.registration), queue));
        let every = Duration::from_millis(registered.heartbeat_ms.clamp(100, HEARTBEAT_MAX_MS));
        let beat = reports::heartbeat(Arc::clone(&self.registration), Arc::clone(&self.running), every);
        let beating = tokio::spawn(beat);
        loop {
            let claimed = tokio::select! {
                claimed = self.claim() => claimed,
                () = self.wished(Wish::Drain) => break,
            };
            match claimed {
                Ok((tasks, permits)) => self.begin(tasks, permits, &reports).await,
                Err(error) if error.is_temporary() => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error.into()),
            }
        }
        (self.registration.listener)(&HostEvent::Draining);
        tokio::select! {
            _ = self.slots.acquire_many(self.registration.register.slots) => {}
            () = self.wished(Wish::Release) => self.release_all(&reports).await,
        }
        drop(reports);
        let _ = reporting.await;
        beating.abort();
        self.registration.leave().await;
        Ok(())
    }

    /// Waits until the host is asked for this, or for more.
    async fn wished(&self, least: Wish) {
        // The host holds the sender, so that the wait ends only with the wish.
        let _ = self.wish.subscribe().wait_for(|wish| *wish >= least).await;
    }

    fn tell_registered(&self, registered: &api::Registered) {
        let server = self.registration.client.base().to_owned();
        let slots = self.registration.register.slots;
        (self.registration.listener)(&HostEvent::Working { id: registered.id.clone(), server, slots });
        if !registered.left_out.is_empty() {
            (self.registration.listener)(&HostEvent::LeftOut { workers: registered.left_out.clone() });
        }
    }

    /// Claims tasks for the slots that are free, and returns them with their slots.
    async fn claim(&self) -> Result<(Vec<api::ClaimedTask>, Vec<OwnedSemaphorePermit>), ClientError> {
        let mut permits = Vec::new();
        let slots = || Arc::clone(&self.slots);
        permits.extend(slots().acquire_owned().await.ok());
        while let Ok(permit) = slots().try_acquire_owned() {
            permits.push(permit);
        }
        let most = u32::try_from(permits.len()).unwrap_or(1).clamp(1, 1_000);
        let claim = api::Claim { max_tasks: most, wait_ms: WAIT_MS };
        let claimed: api::Claimed = self.registration.ask("claim", &claim).await?;
        Ok((claimed.tasks, permits))
    }

    async fn begin(
        &self,
        tasks: Vec<api::ClaimedTask>,
        permits: Vec<OwnedSemaphorePermit>,
        reports: &mpsc::Sender<api::Report>,
    ) {
        if tasks.is_empty() {
            return;
        }
        let lease_tokens = tasks.iter().map(|task| task.lease_token.clone()).collect();
        // Without it the server would give the tasks to another host; an acknowledgement that fails is its own to
        // judge.
        let _ = self.registration.ask::<serde_json::Value>("ack", &api::Ack { lease_tokens }).await;
        for (task, permit) in tasks.into_iter().zip(permits) {
            match self.workers.member(&task.worker) {
                Some(member) => self.start(member, task, permit, reports.clone()),
                None => {
                    let (of, worker) = (task.id, task.worker);
                    (self.registration.listener)(&HostEvent::NoSuchWorker { task: of, worker });
                    let _ = reports.send(reports::release(task.lease_token)).await;
                }
            }
        }
    }

    /// Starts an attempt, and reports its end.
    fn start(
        &self,
        member: Member,
        task: api::ClaimedTask,
        permit: OwnedSemaphorePermit,
        reports: mpsc::Sender<api::Report>,
    ) {
        let (token, cancel) = (task.lease_token.clone(), CancelFlag::default());
        let (running, tokens) = (Arc::clone(&self.running), Arc::clone(&self.tokens));
        let (id, number) = (task.id.clone(), task.attempt);
        running.begin(&token, cancel.clone());
        tokens.keep(&task);
        let work = tokio::spawn(attempt(member, task, cancel, self.files.clone()));
        running.started(&token, work.abort_handle());
        tokio::spawn(async move {
            let ended = work.await;
            tokens.forget(&id, number);
            // A stopped attempt was cancelled or released, and its report would be refused.
            if running.end(&token) {
                let result = ended.unwrap_or_else(|error| {
                    Err(TaskError::new(Category::Crashed, format!("the worker panicked: {error}")))
                });
                let _ = reports.send(reports::report_of(token, result)).await;
            }
            drop(permit);
        });
    }

    async fn release_all(&self, reports: &mpsc::Sender<api::Report>) {
        for token in self.running.tokens() {
            if self.running.stop(&token) {
                let _ = reports.send(reports::release(token)).await;
            }
        }
    }
}
