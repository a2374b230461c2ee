//! A worker host: claims tasks of a server, runs its workers on them, and reports.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kapelle::{
    Category, TaskContext, TaskError, Worker,
    core::{
        DurationMs,
        worker::{CancelFlag, NoText, Output},
    },
};
use kapelle_api::{self as api, Client, ClientError, Outcome};
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
};

use crate::{
    failure::{Code, Failure},
    fetched::Fetched,
    hosted::{Hosted, Tokens},
    out::Out,
    signals::Signals,
};

/// How long a claim waits for work.
const WAIT_MS: u64 = 20_000;
/// Between two tries to reach the server.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two heartbeats, at most.
const BEAT_MS: u64 = 2_000;
/// Reports of one request.
const REPORTS_MAX: usize = 500;
/// For how long an answer is held for a server that is away: longer than a restart, and than a lease.
const HOLD_TRIES: u32 = 60;

/// A worker host.
pub struct Hosting {
    out: Out,
    place: Arc<Place>,
    workers: Arc<Hosted>,
    tokens: Arc<Tokens>,
    slots: Arc<Semaphore>,
    fetched: Fetched,
    running: Arc<Running>,
}

/// The attempts under way, by their lease tokens.
#[derive(Debug, Default)]
struct Running(Mutex<HashMap<String, (CancelFlag, Option<AbortHandle>)>>);

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (CancelFlag, Option<AbortHandle>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, token: &str) -> bool {
        let Some((flag, abort)) = self.lock().remove(token) else { return false };
        flag.raise();
        if let Some(abort) = abort {
            abort.abort();
        }
        true
    }
}

/// Where the host is known: a server that was started anew knows no hosts, and is told again by whoever notices.
struct Place {
    out: Out,
    client: Client,
    register: api::Register,
    known: tokio::sync::Mutex<Option<api::Registered>>,
}

impl Place {
    /// What the server calls the host. With the name of one that it does not know any more, the host registers again.
    async fn of(&self, gone: Option<&str>) -> Result<api::Registered, ClientError> {
        let mut known = self.known.lock().await;
        if let Some(registered) = known.as_ref().filter(|registered| Some(registered.id.as_str()) != gone) {
            return Ok(registered.clone());
        }
        let mut told = false;
        let mut tries = 0..HOLD_TRIES;
        loop {
            match self.client.post::<api::Registered>("/api/v1/hosts", &self.register).await {
                // A new host waits for its server as long as it takes; one with work under way must be able to end.
                Err(error) if error.is_temporary() && (gone.is_none() || tries.next().is_some()) => {
                    if !std::mem::replace(&mut told, true) {
                        self.out.note(&format!("waiting for the server: {error}"));
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
                Ok(registered) => {
                    *known = Some(registered.clone());
                    return Ok(registered);
                }
            }
        }
    }

    /// Asks for something of the host, and once more when it had to register again.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<T, ClientError> {
        let id = self.of(None).await?.id;
        match self.client.post(&format!("/api/v1/hosts/{id}/{what}"), body).await {
            Err(ClientError::Refused(problem)) if problem.code == api::code::NOT_FOUND => {
                let id = self.of(Some(&id)).await?.id;
                self.client.post(&format!("/api/v1/hosts/{id}/{what}"), body).await
            }
            answered => answered,
        }
    }
}

impl Hosting {
    /// A host that says that of itself.
    pub fn new(
        out: Out,
        client: Client,
        register: api::Register,
        (workers, tokens): (Arc<Hosted>, Arc<Tokens>),
        fetched: Fetched,
    ) -> Hosting {
        let slots = Arc::new(Semaphore::new(register.slots as usize));
        let place = Arc::new(Place { out, client, register, known: tokio::sync::Mutex::default() });
        Hosting { out, place, workers, tokens, slots, fetched, running: Arc::default() }
    }

    /// Works until asked to end: then what is under way is finished, and given back when asked again.
    ///
    /// # Errors
    /// When the server refuses this host.
    pub async fn until(self, mut signals: Signals) -> Result<Code, Failure> {
        let registered = self.place.of(None).await?;
        let (slots, base) = (self.place.register.slots, self.place.client.base());
        self.out.note(&format!("{} works for {base} with {slots} slots", registered.id));
        if !registered.left_out.is_empty() {
            let names = registered.left_out.join(", ");
            self.out.warn(&format!("the key may not serve these workers, which the server runs itself: {names}"));
        }
        let (reports, queue) = mpsc::channel(4 * REPORTS_MAX);
        let reporting = tokio::spawn(report(Arc::clone(&self.place), queue));
        let every = Duration::from_millis(registered.heartbeat_ms.clamp(100, BEAT_MS));
        let beating = tokio::spawn(beat(Arc::clone(&self.place), Arc::clone(&self.running), every));
        let code = loop {
            let claimed = tokio::select! {
                claimed = self.claim() => claimed,
                code = signals.next() => break code,
            };
            match claimed {
                Ok((tasks, permits)) => self.begin(tasks, permits, &reports).await,
                Err(error) if error.is_temporary() => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.out.note("ending: attempts under way are finished; ask again to give them back");
        let idle = self.slots.acquire_many(slots);
        let code = tokio::select! {
            _ = idle => code,
            again = signals.next() => {
                self.give_back(&reports).await;
                again
            }
        };
        drop(reports);
        let _ = reporting.await;
        beating.abort();
        if let Some(registered) = self.place.known.lock().await.as_ref() {
            let path = format!("/api/v1/hosts/{}", registered.id);
            let _ = self.place.client.delete::<serde_json::Value>(&path).await;
        }
        Ok(code)
    }

    /// Tasks for the slots that are free, with their slots.
    async fn claim(&self) -> Result<(Vec<api::ClaimedTask>, Vec<OwnedSemaphorePermit>), ClientError> {
        let mut permits = Vec::new();
        let slots = || Arc::clone(&self.slots);
        permits.extend(slots().acquire_owned().await.ok());
        while let Ok(permit) = slots().try_acquire_owned() {
            permits.push(permit);
        }
        let most = u32::try_from(permits.len()).unwrap_or(1).clamp(1, 1_000);
        let claim = api::Claim { max_tasks: most, wait_ms: WAIT_MS };
        let claimed: api::Claimed = self.place.ask("claim", &claim).await?;
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
        // Without it the server would give the tasks to another; what cannot be acknowledged is its own to judge.
        let _ = self.place.ask::<serde_json::Value>("ack", &api::Ack { lease_tokens }).await;
        for (task, permit) in tasks.into_iter().zip(permits) {
            let Some((worker, room)) = self.workers.worker(&task.worker) else {
                self.out
                    .warn(&format!("given back: {} is for the worker `{}`, which is not here", task.id, task.worker));
                let _ = reports.send(release(task.lease_token)).await;
                continue;
            };
            let (token, flag) = (task.lease_token.clone(), CancelFlag::default());
            let (running, reports, cancel) = (Arc::clone(&self.running), reports.clone(), flag.clone());
            running.lock().insert(token.clone(), (flag, None));
            let (of, whose, tokens) = (token.clone(), (task.id.clone(), task.attempt), Arc::clone(&self.tokens));
            tokens.keep(&task);
            let attempt = tokio::spawn(attempt((worker, room), task, cancel, self.fetched.clone()));
            let abort = attempt.abort_handle();
            if let Some((_, place)) = self.running.lock().get_mut(&of) {
                *place = Some(abort);
            }
            tokio::spawn(async move {
                let ended = attempt.await;
                tokens.forget(&whose.0, whose.1);
                // Stopped attempts were cancelled or given back: nothing is to be said of them any more.
                if running.lock().remove(&token).is_some() {
                    let result = ended.unwrap_or_else(|error| {
                        Err(TaskError::new(Category::Crashed, format!("the worker panicked: {error}")))
                    });
                    let _ = reports.send(report_of(token, result)).await;
                }
                drop(permit);
            });
        }
    }

    async fn give_back(&self, reports: &mpsc::Sender<api::Report>) {
        let tokens: Vec<String> = self.running.lock().keys().cloned().collect();
        for token in tokens {
            if self.running.stop(&token) {
                let _ = reports.send(release(token)).await;
            }
        }
    }
}

/// Given back, as if it had never been claimed.
fn release(lease_token: String) -> api::Report {
    api::Report { lease_token, outcome: Outcome::Release, output: None, provenance: None, error: None }
}

/// One attempt within its time.
async fn attempt(
    (worker, room): (Arc<dyn Worker>, Arc<Semaphore>),
    task: api::ClaimedTask,
    cancel: CancelFlag,
    fetched: Fetched,
) -> Result<Output, TaskError> {
    let invalid = |error: serde_json::Error| TaskError::new(Category::InvalidInput, format!("the input: {error}"));
    let input = serde_json::from_str(task.input.get()).map_err(invalid)?;
    let context = TaskContext {
        tenant: kapelle::core::TenantId::DEFAULT,
        replay_epoch: 0,
        recorded: false,
        task: task.id,
        run: task.run,
        step: task.step,
        attempt: task.attempt,
        last_attempt: task.last_attempt,
        timeout: Some(DurationMs(task.timeout_ms)),
        cancel: cancel.clone(),
        progress: Arc::new(|_, _| ()),
        text: Arc::new(NoText),
        files: fetched.files(),
    };
    let work = async {
        // It is closed by nobody.
        let _room = room.acquire().await;
        fetched.bring(&input).await?;
        worker.execute(&context, input).await
    };
    match tokio::time::timeout(Duration::from_millis(task.timeout_ms), work).await {
        Ok(result) => result,
        Err(_) => {
            cancel.raise();
            Err(TaskError::new(Category::Timeout, format!("the attempt took longer than {} ms", task.timeout_ms)))
        }
    }
}

fn report_of(lease_token: String, result: Result<Output, TaskError>) -> api::Report {
    let mut report =
        api::Report { lease_token, outcome: Outcome::Succeed, output: None, provenance: None, error: None };
    let failed = match result {
        Ok(output) => match serde_json::to_string(&output.value).and_then(RawValue::from_string) {
            Ok(value) => {
                report.output = Some(value);
                report.provenance = Some(kapelle_server::describe_provenance(&output.provenance));
                return report;
            }
            Err(error) => TaskError::new(Category::InvalidOutput, format!("the output is not JSON: {error}")),
        },
        Err(error) => error,
    };
    report.outcome = Outcome::Fail;
    report.error = Some(api::TaskError {
        category: failed.category.as_str().to_owned(),
        message: failed.message,
        retryable: Some(failed.retryable),
        retry_after_ms: failed.retry_after.map(|wait| wait.0),
        retry: failed.fresh.then_some(api::AskAgain::Fresh),
    });
    report
}

/// Sends reports, those that have gathered together. A server that is away is tried again: what was done is not lost.
async fn report(place: Arc<Place>, mut queue: mpsc::Receiver<api::Report>) {
    let mut gathered = Vec::new();
    while queue.recv_many(&mut gathered, REPORTS_MAX).await > 0 {
        let reports = api::Reports { reports: std::mem::take(&mut gathered) };
        for _ in 0..HOLD_TRIES {
            match place.ask::<api::ReportAnswer>("report", &reports).await {
                Err(error) if error.is_temporary() => tokio::time::sleep(AGAIN).await,
                Err(error) => {
                    place.out.warn(&format!("a report was refused: {error}"));
                    break;
                }
                Ok(answer) => {
                    for result in answer.results.iter().filter(|result| !result.accepted) {
                        let why = result.detail.as_deref().unwrap_or("without a reason");
                        place.out.warn(&format!("the report of attempt {} was refused: {why}", result.lease_token));
                    }
                    break;
                }
            }
        }
    }
}

/// Keeps the leases alive, and stops what is not wanted any more. All slots may be taken, and then nothing else would notice
/// that the server was started anew.
async fn beat(place: Arc<Place>, running: Arc<Running>, every: Duration) {
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        let tokens: Vec<String> = running.lock().keys().cloned().collect();
        let tasks = tokens.into_iter().map(|lease_token| api::BeatTask { lease_token, ..api::BeatTask::default() });
        let beat = api::Beat { tasks: tasks.collect() };
        if let Ok(answer) = place.ask::<api::BeatAnswer>("heartbeat", &beat).await {
            answer.cancel.iter().for_each(|token| {
                running.stop(token);
            });
        }
    }
}
