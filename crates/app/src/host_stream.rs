//! Streams of worker hosts: tasks are pushed as they become ready, as far as the host's credit goes. Leases and
//! acknowledgements are those of a claim; nothing of an attempt belongs to the stream, so a cut costs nothing.

use std::{
    collections::{HashSet, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use kapelle_api::{self as api, StreamEnd};
use kapelle_core::task::Report;
use kapelle_engine::{ClaimedTask, Credit, Reported, TaskStream, command};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    app::App, app_error::AppError, caller::Caller, host_registry::Host, hosts::lease, keyring::Identity, secrets,
};

/// Interval of signs of life on a stream without tasks.
pub(crate) const ALIVE: Duration = Duration::from_secs(10);
/// Bytes of inputs in one line: the task that reaches it is the last.
const LINE_MAX: usize = 1 << 20;
/// Acknowledgements of one frame.
const ACKS_MAX: usize = 1_000;

/// The place for the one stream of a host.
#[derive(Debug, Default)]
pub struct StreamSlot(Mutex<Option<Opened>>);

/// An open stream, as its host's frames find it.
#[derive(Debug)]
struct Opened {
    id: String,
    credit: Arc<Credit>,
    /// Attempts that must stop. There are never more of them than attempts of the host.
    revoked: mpsc::UnboundedSender<Report>,
    end: watch::Sender<Option<StreamEnd>>,
}

/// Messages to a stream from outside.
struct Told {
    ends: watch::Receiver<Option<StreamEnd>>,
    revoked: mpsc::UnboundedReceiver<Report>,
}

impl StreamSlot {
    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new stream in place of an earlier one, which ends.
    fn open(&self, id: &str, credit: &Arc<Credit>) -> Told {
        let (end, ends) = watch::channel(None);
        let (sender, revoked) = mpsc::unbounded_channel();
        let opened = Opened { id: id.to_owned(), credit: Arc::clone(credit), revoked: sender, end };
        if let Some(earlier) = self.lock().replace(opened) {
            earlier.end.send_replace(Some(StreamEnd::Replaced));
        }
        Told { ends, revoked }
    }

    /// Tells the host that an attempt must stop. Without a stream its next heartbeat says so.
    pub fn revoke(&self, lease: Report) {
        if let Some(open) = &*self.lock() {
            let _ = open.revoked.send(lease);
        }
    }

    /// Ends the stream, if there is one.
    pub fn end(&self, why: StreamEnd) {
        if let Some(open) = self.lock().take() {
            open.end.send_replace(Some(why));
        }
    }

    /// Removes a stream that has ended.
    fn close(&self, id: &str) {
        let mut open = self.lock();
        if open.as_ref().is_some_and(|open| open.id == id) {
            *open = None;
        }
    }

    /// Raises the credit of a stream. Returns false when it is not the open one, or the credit was as high before.
    fn raise(&self, id: &str, credit: u64) -> bool {
        self.lock().as_ref().is_some_and(|open| open.id == id && open.credit.raise(credit))
    }
}

/// The open stream of a worker host. Dropped, it releases the tasks that were not sent, and those that are not
/// acknowledged in time.
pub struct HostStream {
    app: Arc<App>,
    host: Arc<Host>,
    id: String,
    source: TaskStream,
    told: Told,
    draining: watch::Receiver<bool>,
    /// Tasks that are not in a line yet.
    queued: VecDeque<ClaimedTask>,
    /// Attempts that must stop and are not in a line yet.
    revoked: Vec<Report>,
    /// Tasks of lines, with the time until which they are to be acknowledged.
    unacked: VecDeque<(Instant, Vec<Report>)>,
    begun: bool,
    over: bool,
}

impl App {
    /// Opens the stream of a worker host, in place of its earlier one.
    ///
    /// # Errors
    /// When the key has no such host, or the host does not acknowledge tasks.
    pub fn open_host_stream(
        self: &Arc<Self>,
        who: &Arc<Identity>,
        id: &str,
        given: &api::OpenHostStream,
    ) -> Result<HostStream, AppError> {
        let host = self.host(who, id)?;
        if !host.ack {
            return Err(AppError::input(
                "ack",
                "a host with a stream acknowledges tasks; register it with `ack: true`",
            ));
        }
        self.accepting()?;
        let mark = secrets::mark().map_err(|error| AppError::internal(error.to_string()))?;
        let (id, credit) = (format!("s_{mark}"), Credit::new(given.credit));
        let told = host.stream.open(&id, &credit);
        let source = self.engine.claim_stream(host.id, Self::wanted(who, &host), credit, Arc::clone(&who.revoked))?;
        Ok(HostStream {
            app: Arc::clone(self),
            host,
            id,
            source,
            told,
            draining: self.draining(),
            queued: VecDeque::new(),
            revoked: Vec::new(),
            unacked: VecDeque::new(),
            begun: false,
            over: false,
        })
    }

    /// Takes what a host has to say: credit, acknowledgements, reports and renewals. A host that a new server does not
    /// know yet may report too.
    ///
    /// # Errors
    /// When there is too much, or the server itself cannot record a report: then the whole frame must be repeated.
    pub async fn frame(&self, by: &Caller, id: &str, given: api::Frame) -> Result<api::FrameAnswer, AppError> {
        by.allow(crate::caller::Permission::Work)?;
        if given.ack.len() > ACKS_MAX {
            return Err(AppError::input("ack", format!("at most {ACKS_MAX} are possible")));
        }
        let host = self.find_host(by, id);
        let mut raised = false;
        if let Some(host) = &host {
            // One that cannot be read is of no task.
            let arrived: Vec<Report> = given.ack.iter().filter_map(|token| crate::reports::read(token).ok()).collect();
            host.arrived(arrived.iter());
            if let (Some(stream), Some(credit)) = (&given.stream, given.credit) {
                // Before the reports: their turn gives the host further tasks.
                raised = host.stream.raise(stream, credit);
            }
        }
        let results = self.report_many(by, host.as_deref(), given.reports, raised).await?;
        let cancel = match &host {
            Some(host) if !given.tasks.is_empty() => self.renew(by, host, &given.tasks).await?,
            _ => Vec::new(),
        };
        Ok(api::FrameAnswer { results, cancel, lease_ttl_ms: self.memory.hosts.alive_ms(), known: host.is_some() })
    }
}

impl HostStream {
    /// Returns its id, for the credit in frames.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the next line; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<api::HostLine> {
        if self.over {
            return None;
        }
        if !std::mem::replace(&mut self.begun, true) {
            return Some(self.first());
        }
        loop {
            if let Some(cancel) = self.cancelled() {
                return Some(api::HostLine { cancel, ..api::HostLine::default() });
            }
            if !self.queued.is_empty() {
                match self.tasks() {
                    Ok(tasks) => return Some(api::HostLine { tasks, ..api::HostLine::default() }),
                    Err(error) => {
                        tracing::error!(%error, host = %self.host.shown_id(), "tasks cannot be sent");
                        return Some(self.end(StreamEnd::Stopping));
                    }
                }
            }
            let alive = ALIVE.min(Duration::from_millis(self.app.heartbeat_ms()));
            let (source, draining) = (&mut self.source, &mut self.draining);
            let Told { ends, revoked } = &mut self.told;
            let why = tokio::select! {
                biased;
                why = told(ends) => why,
                _ = draining.wait_for(|draining| *draining) => StreamEnd::Stopping,
                tasks = source.next() => match tasks {
                    Some(tasks) => {
                        self.queued.extend(tasks);
                        continue;
                    }
                    None => StreamEnd::Stopping,
                },
                Some(lease) = revoked.recv() => {
                    self.revoked.push(lease);
                    continue;
                }
                () = unacknowledged(&self.host, &mut self.unacked) => StreamEnd::Unacknowledged,
                () = sleep(alive) => {
                    if self.host.is_alive(self.app.steady_ms()) {
                        return Some(api::HostLine::default());
                    }
                    StreamEnd::Silent
                }
            };
            return Some(self.end(why));
        }
    }

    /// Completes when the stream is over while a line is being sent: a client that reads nothing must not keep tasks.
    pub async fn overdue(&mut self) -> StreamEnd {
        tokio::select! {
            why = told(&mut self.told.ends) => why,
            () = unacknowledged(&self.host, &mut self.unacked) => StreamEnd::Unacknowledged,
        }
    }

    /// Ends the stream. Returns its last line.
    pub fn end(&mut self, why: StreamEnd) -> api::HostLine {
        self.over = true;
        api::HostLine { end: Some(why), ..api::HostLine::default() }
    }

    fn first(&self) -> api::HostLine {
        api::HostLine {
            stream: Some(self.id.clone()),
            lease_ttl_ms: Some(self.app.memory.hosts.alive_ms()),
            heartbeat_ms: Some(self.app.heartbeat_ms()),
            ack_ms: Some(u64::try_from(self.app.settings().ack.as_millis()).unwrap_or(u64::MAX)),
            ..api::HostLine::default()
        }
    }

    /// Takes the attempts that must stop, except those whose tasks are still to be sent. Returns `None` without any.
    fn cancelled(&mut self) -> Option<Vec<String>> {
        while let Ok(lease) = self.told.revoked.try_recv() {
            self.revoked.push(lease);
        }
        if self.revoked.is_empty() {
            return None;
        }
        // The tasks of a turn are given before its leases are revoked.
        while let Some(tasks) = self.source.ready() {
            self.queued.extend(tasks);
        }
        let unsent: HashSet<Report> = self.queued.iter().map(lease).collect();
        let (later, now): (Vec<Report>, Vec<Report>) =
            std::mem::take(&mut self.revoked).into_iter().partition(|lease| unsent.contains(lease));
        self.revoked = later;
        // A host that stops an attempt does not report it, and nothing is to be offered again.
        self.host.arrived(now.iter());
        (!now.is_empty()).then(|| now.iter().map(crate::reports::write).collect())
    }

    /// Takes the tasks of one line out of the queue.
    fn tasks(&mut self) -> Result<Vec<api::ClaimedTask>, AppError> {
        let (mut tasks, mut leases, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(claimed) = self.queued.front() {
            let task = self.app.claimed_task(self.host.tenant, claimed)?;
            bytes += task.input.get().len();
            tasks.push(task);
            leases.extend(self.queued.pop_front().as_ref().map(lease));
            if bytes >= LINE_MAX {
                break;
            }
        }
        self.host.claimed.fetch_add(leases.len() as u64, Ordering::Relaxed);
        self.host.sent(&leases);
        while self.unacked.front().is_some_and(|(_, earlier)| !self.host.awaits_any(earlier)) {
            self.unacked.pop_front();
        }
        self.unacked.push_back((Instant::now() + self.app.settings().ack, leases));
        Ok(tasks)
    }
}

impl Drop for HostStream {
    fn drop(&mut self) {
        self.host.stream.close(&self.id);
        let unsent: Vec<Report> = self.queued.iter().map(lease).collect();
        release(&self.app, &self.host, unsent);
        let unacked = std::mem::take(&mut self.unacked);
        if unacked.is_empty() {
            return;
        }
        let (app, host) = (Arc::clone(&self.app), Arc::clone(&self.host));
        // Without a runtime the process ends, and the leases with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            for (until, leases) in unacked {
                sleep_until(until).await;
                release(&app, &host, host.lost(&leases));
            }
        });
    }
}

/// Completes when the stream is ended from outside.
async fn told(ends: &mut watch::Receiver<Option<StreamEnd>>) -> StreamEnd {
    match ends.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or(StreamEnd::Left),
        Err(_) => StreamEnd::Left,
    }
}

/// Completes when a task is not acknowledged in time. Tasks that have arrived leave the queue.
async fn unacknowledged(host: &Host, unacked: &mut VecDeque<(Instant, Vec<Report>)>) {
    while let Some((until, leases)) = unacked.front() {
        sleep_until(*until).await;
        if host.awaits_any(leases) {
            return;
        }
        unacked.pop_front();
    }
    pending().await
}

/// Releases tasks of a host, without waiting.
fn release(app: &App, host: &Host, leases: Vec<Report>) {
    for report in leases {
        app.engine.tell(command::Report { tenant: host.tenant, report, reported: Reported::Release });
    }
}
