//! A worker host at work.

use std::{sync::Arc, time::Duration};

use kapelle_api::{self as api, Client, ClientError};
use kapelle_core::{
    Category, TaskError,
    worker::{CancelFlag, ProgressFn},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use crate::{
    attempt::attempt,
    attempt_tokens::AttemptTokens,
    builder::HostBuilder,
    error::HostError,
    event::HostEvent,
    feed::{Feed, Slot, Unheard, Way},
    file_cache::FileCache,
    heart::Heart,
    registration::{Registration, pause},
    reports::{self, REPORTS_MAX, Reporter},
    running::Running,
    worker_set::{Member, WorkerSet},
};

/// Time that a claim waits for work, in milliseconds.
const WAIT_MS: u64 = 20_000;
/// A stream that ended within this time is opened again after a rest.
const SHORT: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_millis(200);
/// Time for the last reports, after the second request to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The latest request to a host: work, drain or release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Work,
    Drain,
    Release,
}

/// A worker host: takes tasks of a server, runs its workers on them, and reports.
pub struct Host {
    registration: Arc<Registration>,
    workers: Arc<WorkerSet>,
    tokens: Arc<AttemptTokens>,
    feed: Arc<Feed>,
    /// The transport that is tried first.
    first: Way,
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
        first: Way,
    ) -> Host {
        let feed = Arc::new(Feed::new(registration.register.slots));
        let (wish, _) = watch::channel(Wish::Work);
        Host {
            registration: Arc::new(registration),
            workers,
            tokens,
            feed,
            first,
            files,
            running: Arc::default(),
            wish,
        }
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
        let (registration, running) = (Arc::clone(&self.registration), Arc::clone(&self.running));
        let heart = Heart::start(Arc::clone(&registration), Arc::clone(&running), registered.heartbeat_ms);
        let heart = heart.map_err(HostError::Heart)?;
        let reporter = Reporter { registration, feed: Arc::clone(&self.feed), running };
        let reporting = tokio::spawn(reporter.work(queue));
        tokio::select! {
            failed = self.take(&reports) => return failed,
            () = self.wished(Wish::Drain) => {}
        }
        (self.registration.listener)(&HostEvent::Draining);
        tokio::select! {
            () = self.feed.until_free(self.registration.register.slots) => {}
            () = self.wished(Wish::Release) => self.release_all(&reports).await,
        }
        drop(reports);
        tokio::select! {
            _ = reporting => {}
            () = self.hurried() => {}
        }
        drop(heart);
        self.registration.leave().await;
        Ok(())
    }

    /// Waits until the host was asked twice to end, and for a little more.
    async fn hurried(&self) {
        self.wished(Wish::Release).await;
        sleep(LAST_WORDS).await;
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

    /// Takes tasks until the server refuses the host. Polls where no stream gets through.
    async fn take(&self, reports: &mpsc::Sender<api::Report>) -> Result<(), HostError> {
        let (mut way, mut host) = (self.first, String::new());
        let (mut failures, mut late_before) = (0, false);
        loop {
            let registered = self.registration.current(None).await?;
            if std::mem::replace(&mut host, registered.id) != host {
                // A server that was restarted may be another version.
                way = self.first;
            }
            let taken = match way {
                Way::Poll => self.poll(reports).await.map_err(Unheard::Client),
                Way::Duplex | Way::Stream => self.hear(way, &host, reports).await,
            };
            match taken {
                Ok(()) => (failures, late_before) = (0, false),
                Err(Unheard::NoStream { .. }) if way == Way::Duplex => way = Way::Stream,
                Err(Unheard::NoStream { late, why }) => {
                    // A busy server may be late once.
                    if !late || std::mem::replace(&mut late_before, true) {
                        (self.registration.listener)(&HostEvent::Polling { why });
                        way = Way::Poll;
                    }
                }
                Err(Unheard::Gone) => drop(self.registration.current(Some(&host)).await?),
                Err(Unheard::Client(error)) if error.is_temporary() => {
                    failures += 1;
                    if failures == 1 {
                        (self.registration.listener)(&HostEvent::WaitingForServer { error: error.to_string() });
                    }
                    sleep(pause(failures)).await;
                }
                Err(Unheard::Client(error)) => return Err(error.into()),
            }
        }
    }

    /// Takes what the server pushes, until the stream ends.
    async fn hear(&self, way: Way, host: &str, reports: &mpsc::Sender<api::Report>) -> Result<(), Unheard> {
        let begun = Instant::now();
        let mut hearing = self.feed.open(way, &self.registration.client, host).await?;
        while let Some((tasks, cancel)) = hearing.next().await {
            self.begin(tasks, reports).await;
            for token in cancel {
                self.running.stop(&token);
            }
        }
        drop(hearing);
        if begun.elapsed() < SHORT {
            sleep(REST).await;
        }
        Ok(())
    }

    /// Claims once, as soon as a slot is free.
    async fn poll(&self, reports: &mpsc::Sender<api::Report>) -> Result<(), ClientError> {
        self.feed.until_free(1).await;
        let claim = api::Claim { max_tasks: self.feed.free().clamp(1, 1_000), wait_ms: WAIT_MS };
        let claimed: api::Claimed = self.registration.ask("claim", &claim).await?;
        self.begin(claimed.tasks, reports).await;
        Ok(())
    }

    /// Begins attempts. Their first heartbeat tells the server that they have arrived, unless a report comes before.
    async fn begin(&self, tasks: Vec<api::ClaimedTask>, reports: &mpsc::Sender<api::Report>) {
        for task in tasks {
            match (self.feed.slot(), self.workers.member(&task.worker)) {
                (Some(slot), Some(member)) => self.start(member, task, slot, reports.clone()),
                (None, _) => drop(reports.send(reports::release(task.lease_token)).await),
                (Some(slot), None) => {
                    let (of, worker) = (task.id, task.worker);
                    (self.registration.listener)(&HostEvent::NoSuchWorker { task: of, worker });
                    report(reports, slot, reports::release(task.lease_token)).await;
                }
            }
        }
    }

    /// Starts an attempt, and reports its end.
    fn start(&self, member: Member, task: api::ClaimedTask, slot: Slot, reports: mpsc::Sender<api::Report>) {
        let (token, cancel) = (task.lease_token.clone(), CancelFlag::default());
        let (running, tokens, feed) = (Arc::clone(&self.running), Arc::clone(&self.tokens), Arc::clone(&self.feed));
        let (id, number) = (task.id.clone(), task.attempt);
        running.begin(&token, cancel.clone(), Instant::now());
        tokens.keep(&task);
        let (told, of) = (Arc::clone(&running), token.clone());
        let progress: ProgressFn = Arc::new(move |share, message| told.progress(&of, share, message));
        let work = tokio::spawn(attempt(member, task, cancel, self.files.clone(), progress));
        running.started(&token, work.abort_handle());
        tokio::spawn(async move {
            let ended = work.await;
            tokens.forget(&id, number);
            // A stopped attempt was cancelled or released, and its report would be refused.
            if running.end(&token) {
                let result = ended.unwrap_or_else(|error| {
                    Err(TaskError::new(Category::Crashed, format!("the worker panicked: {error}")))
                });
                report(&reports, slot, reports::report_of(token, result)).await;
            } else {
                drop(slot);
                feed.wake();
            }
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

/// Queues a report and frees its slot, so that one frame tells both.
async fn report(reports: &mpsc::Sender<api::Report>, slot: Slot, report: api::Report) {
    let place = reports.reserve().await;
    drop(slot);
    if let Ok(place) = place {
        place.send(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_can_be_spawned() {
        fn spawned<T: Send + 'static>(_work: fn(Host) -> T) {}
        spawned(|host| host.run());
    }
}
