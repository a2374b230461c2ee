//! Worker hosts: register, claim, acknowledge, heartbeat.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use kapelle_api::{self as api, LiveEvent, LiveKind};
use kapelle_core::{Name, TenantId, label::split, plain, subscription::EventKind, task::Report, worker::WorkerSpec};
use kapelle_engine::{ClaimFilter, ClaimedTask, Reported, command};
use kapelle_gateway::{replay::TaskKey, tokens::Leased};
use kapelle_store::{EVERY, KeyScope};
use serde_json::json;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission, Role},
    host_registry::{Host, Introduction},
    keyring::Identity,
    reports, secrets, submission, to_api,
};

/// Workers that one host serves.
const WORKERS_MAX: usize = 1_000;
/// Tasks of one claim.
const CLAIM_MAX: u32 = 1_000;
/// The longest wait of a claim, in milliseconds.
const WAIT_MAX_MS: u64 = 60_000;
/// Heartbeats that may be lost before a lease is.
const BEATS: u64 = 3;

impl App {
    /// Registers a worker host.
    ///
    /// # Errors
    /// An invalid description; workers or queues that the key may not serve.
    pub async fn register_host(
        self: &Arc<Self>,
        who: &Arc<Identity>,
        given: api::Register,
    ) -> Result<api::Registered, AppError> {
        who.allow(Permission::Work)?;
        check_shape(&given)?;
        let (left_out, allowed) = self.admitted(who, &given)?;
        let (tenant, workers): (_, Vec<api::Served>) = (who.tenant, allowed.into_iter().cloned().collect());
        let describe =
            move |app: &App| workers.iter().map(|served| described(app, tenant, served)).collect::<Result<Vec<_>, _>>();
        let specs = self.check(tenant, describe).await?;
        let queues = queues(who, &given.queues)?;
        let hosts = &self.memory.hosts;
        if hosts.is_full(tenant, &specs) {
            let message = "the tenant has its maximum of worker names; DELETE /api/v1/workers/{name} forgets one";
            return Err(AppError::input("workers", message));
        }
        // The loop learns it first: it routes steps by it, and it survives a restart.
        self.engine.ask(command::Serve { tenant, specs: Arc::from(specs.clone()) }).await?;
        let introduction = Introduction {
            key: Arc::clone(who),
            mark: secrets::mark().map_err(|error| AppError::internal(error.to_string()))?,
            specs,
            queues,
            name: plain::line(&given.name),
            slots: given.slots,
            labels: given.labels,
            ack: given.ack,
        };
        let number = self.list_for(tenant, |app| Ok(app.memory.host_ids.next())).await?.map_err(|error| {
            tracing::error!(%error, "the number of a worker host cannot be stored");
            AppError::unavailable("the number of this host cannot be stored; the server's log says why")
        })?;
        let host = hosts.register(introduction, number, self.steady_ms());
        let host = host.ok_or_else(|| AppError::unavailable("the tenant has its maximum of worker hosts"))?;
        self.tell_of_host(&host, LiveKind::HostJoined);
        let (lease_ttl_ms, heartbeat_ms) = (hosts.alive_ms(), self.heartbeat_ms());
        Ok(api::Registered { id: host.shown_id(), left_out, lease_ttl_ms, heartbeat_ms })
    }

    /// Returns the interval of heartbeats.
    pub(crate) fn heartbeat_ms(&self) -> u64 {
        (self.memory.hosts.alive_ms() / BEATS).max(1)
    }

    /// Says whether a caller may serve a worker. A key that names no workers may serve those that the server does not
    /// run itself: otherwise the weakest role could take the tasks of any worker and forge their answers.
    fn may_serve(&self, by: &Caller, worker: &str) -> bool {
        match &by.scope.workers {
            Some(workers) => KeyScope::names(workers, worker),
            None if by.role == Role::Admin => true,
            None => self.engine.registry().spec(by.tenant, &Name::new(worker)).is_none(),
        }
    }

    /// Returns the workers that a caller may not serve, and those that it may.
    fn admitted<'g>(
        &self,
        by: &Caller,
        given: &'g api::Register,
    ) -> Result<(Vec<String>, Vec<&'g api::Served>), AppError> {
        let may = |served: &&api::Served| Name::parse(served.name()).is_err() || self.may_serve(by, served.name());
        let (allowed, refused): (Vec<_>, Vec<_>) = given.workers.iter().partition(may);
        let refused: Vec<String> = refused.into_iter().map(|served| served.name().to_owned()).collect();
        if refused.is_empty() || (given.partial && !allowed.is_empty()) {
            return Ok((refused, allowed));
        }
        let first = refused.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Err(AppError::forbidden(match &by.scope.workers {
            Some(workers) => format!("workers: this key may not serve {first}, but {}", workers.join(", ")),
            None => {
                format!("workers: {first} run on the server; a key that may serve them names them in its `workers`")
            }
        }))
    }

    /// Publishes an event of a host to listeners and the session log.
    pub(crate) fn tell_of_host(&self, host: &Host, kind: LiveKind) {
        let body = LiveEvent { host: Some(host.shown_id()), name: Some(host.name.clone()), ..LiveEvent::of(kind) };
        self.memory.changes.event(host.tenant, &body);
        self.memory.hub.publish(host.tenant, body);
        let workers: Vec<&str> = host.workers.iter().take(100).map(Name::as_str).collect();
        self.note(&json!({
            "event": kind.as_str(),
            "host": host.shown_id(),
            "name": host.name,
            "tenant": host.tenant.0,
            "workers": workers,
            "slots": host.slots,
        }));
        if kind == LiveKind::HostLost {
            let data = json!({ "host": host.shown_id(), "name": host.name, "workers": workers, "slots": host.slots });
            self.announce(host.tenant, EventKind::HostLost, host.shown_id(), data);
        }
    }

    /// Returns the host of that id, when it belongs to the key of the caller. An unknown one must register again, as
    /// after a restart of the server.
    pub(crate) fn host(&self, by: &Caller, text: &str) -> Result<Arc<Host>, AppError> {
        by.allow(Permission::Work)?;
        self.find_host(by, text)
            .ok_or_else(|| AppError::not_found(format!("host {}", text.chars().take(40).collect::<String>())))
    }

    pub(crate) fn find_host(&self, by: &Caller, text: &str) -> Option<Arc<Host>> {
        self.memory.hosts.find(by, text, self.steady_ms())
    }

    /// Removes a worker host. Returns its id.
    ///
    /// # Errors
    /// When the key has no such host.
    pub fn remove_host(&self, by: &Caller, id: &str) -> Result<api::HostLeft, AppError> {
        let host = self.host(by, id)?;
        self.memory.hosts.remove(host.id, api::StreamEnd::Left);
        self.tell_of_host(&host, LiveKind::HostLeft);
        Ok(api::HostLeft { id: host.shown_id() })
    }

    /// Gives tasks to a worker host, as soon as there are some. A dropped call releases its claimed tasks.
    ///
    /// # Errors
    /// When the key has no such host, or was revoked meanwhile.
    pub async fn claim(
        self: &Arc<Self>,
        who: &Arc<Identity>,
        id: &str,
        given: api::Claim,
    ) -> Result<api::Claimed, AppError> {
        let host = self.host(who, id)?;
        if !(1..=CLAIM_MAX).contains(&given.max_tasks) || given.wait_ms > WAIT_MAX_MS {
            let message = format!("1 to {CLAIM_MAX} are possible; wait_ms: at most {WAIT_MAX_MS}");
            return Err(AppError::input("max_tasks", message));
        }
        self.accepting()?;
        let polling = host.polling();
        let mut draining = self.draining();
        let wait = Duration::from_millis(given.wait_ms);
        let revoked = Arc::clone(&who.revoked);
        let claimed = self.engine.claim(host.id, Self::wanted(who, &host), given.max_tasks, wait, revoked);
        let claimed = tokio::select! {
            claimed = claimed => claimed?,
            _ = draining.wait_for(|draining| *draining) => Vec::new(),
        };
        drop(polling);
        // Revoked between the commit of the claim and now: the tasks go to others.
        if !claimed.is_empty() && !self.memory.keyring.still(who, self.now()) {
            self.release(who.tenant, claimed.iter().map(lease).collect()).await;
            return Err(AppError::revoked());
        }
        host.heard(self.steady_ms());
        host.claimed.fetch_add(claimed.len() as u64, Ordering::Relaxed);
        let tasks = self.fitting(host.tenant, &claimed);
        let fit = tasks.as_ref().map_or(claimed.len(), Vec::len);
        let mut leases: Vec<Report> = claimed.iter().map(lease).collect();
        let beyond = leases.split_off(fit);
        if !beyond.is_empty() {
            host.sent(&beyond);
            tokio::spawn(take_back(Arc::clone(self), Arc::clone(&host), beyond));
        }
        match tasks {
            Ok(tasks) => {
                if host.ack && !leases.is_empty() {
                    host.sent(&leases);
                    tokio::spawn(take_back(Arc::clone(self), host, leases));
                }
                Ok(api::Claimed { tasks })
            }
            Err(error) => {
                self.release(who.tenant, leases).await;
                Err(error)
            }
        }
    }

    pub(crate) fn wanted(who: &Identity, host: &Host) -> ClaimFilter {
        ClaimFilter {
            tenant: host.tenant,
            workers: Arc::clone(&host.workers),
            queues: Arc::clone(&host.queues),
            labels: Arc::clone(&host.labels),
            // A worker of the server may be added after the host registered.
            foreign: who.scope.workers.is_none() && who.role != Role::Admin,
        }
    }

    /// Returns the claimed tasks whose inputs fit into one answer. The others are released, like tasks that do not
    /// arrive.
    fn fitting(&self, tenant: TenantId, claimed: &[ClaimedTask]) -> Result<Vec<api::ClaimedTask>, AppError> {
        let most = self.settings().page_bytes;
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        for task in claimed {
            let task = self.claimed_task(tenant, task)?;
            bytes += task.input.get().len();
            tasks.push(task);
            if bytes >= most {
                break;
            }
        }
        Ok(tasks)
    }

    pub(crate) fn claimed_task(&self, tenant: TenantId, task: &ClaimedTask) -> Result<api::ClaimedTask, AppError> {
        let token_issuer = &self.token_issuer;
        let attempt = task.lease.epoch;
        let replay_epoch = self.engine.replay_epoch(task.id, attempt)?;
        let leased = Leased {
            task: TaskKey { tenant, task: task.id, replay_epoch },
            attempt,
            nonce: task.lease.nonce,
            // Each call ends with the attempt, and not before: its own time limit is the attempt's.
            timeout: Duration::from_millis(task.timeout.0),
            recorded: task.recorded,
        };
        let issued = token_issuer.base_url().map(|_| token_issuer.issue_leased_token(&leased)).transpose();
        let issued = issued.map_err(|error| AppError::internal(error.to_string()))?;
        Ok(api::ClaimedTask {
            gateway_url: token_issuer.base_url().map(str::to_owned),
            gateway_token: issued.map(|issued| issued.token),
            id: task.id.to_string(),
            attempt: task.lease.epoch,
            lease_token: reports::write(&lease(task)),
            lease_ttl_ms: self.memory.hosts.alive_ms(),
            timeout_ms: task.timeout.0,
            last_attempt: task.last_attempt,
            worker: task.worker.to_string(),
            run: task.step.as_ref().map(|(run, _)| run.to_string()),
            step: task.step.as_ref().map(|(_, path)| path.clone()),
            input: to_api::raw(self, &task.input)?,
        })
    }

    pub(crate) async fn release(&self, tenant: TenantId, leases: Vec<Report>) {
        for report in leases {
            // Reported meanwhile, or revoked: then there is nothing to release.
            let _ = self.engine.ask(command::Report { tenant, report, reported: Reported::Release }).await;
        }
    }

    /// Ends the hosts whose key is no longer valid: their tasks go to others, and the tokens of their attempts end.
    pub(crate) async fn evict_hosts(&self) {
        let now = self.now();
        let (hosts, keyring) = (&self.memory.hosts, &self.memory.keyring);
        let gone: Vec<Arc<Host>> = hosts.every().into_iter().filter(|host| !keyring.still(&host.key, now)).collect();
        if gone.is_empty() {
            return;
        }
        for host in &gone {
            hosts.remove(host.id, api::StreamEnd::Revoked);
            self.tell_of_host(host, LiveKind::HostLeft);
        }
        let hosts = gone.iter().map(|host| host.id).collect();
        if let Err(error) = self.engine.ask(command::Evict { hosts }).await {
            tracing::warn!(%error, "the tasks of a worker host whose key was revoked stay with it until its leases end");
        }
    }

    /// Acknowledges claimed tasks.
    ///
    /// # Errors
    /// When the key has no such host, or a lease is invalid.
    pub fn acknowledge(&self, by: &Caller, id: &str, given: &api::Ack) -> Result<(), AppError> {
        let host = self.host(by, id)?;
        let leases = given.lease_tokens.iter().map(|token| reports::read(token)).collect::<Result<Vec<_>, _>>()?;
        host.arrived(leases.iter());
        Ok(())
    }

    /// Renews leases. Returns the attempts that must stop.
    ///
    /// # Errors
    /// When the key has no such host.
    pub async fn heartbeat(&self, by: &Caller, id: &str, given: api::Beat) -> Result<api::BeatAnswer, AppError> {
        let host = self.host(by, id)?;
        let cancel = self.renew(by, &host, &given.tasks).await?;
        Ok(api::BeatAnswer { cancel, lease_ttl_ms: self.memory.hosts.alive_ms() })
    }

    /// Renews leases of a host. Returns those of the attempts that must stop.
    pub(crate) async fn renew(
        &self,
        by: &Caller,
        host: &Host,
        tasks: &[api::BeatTask],
    ) -> Result<Vec<String>, AppError> {
        // An unreadable token is not a lease: the attempt must stop.
        let read: Vec<Option<Report>> = tasks.iter().map(|task| reports::read(&task.lease_token).ok()).collect();
        let leases: Arc<[Report]> = read.iter().flatten().copied().collect();
        host.arrived(leases.iter());
        let mut alive = if leases.is_empty() {
            Vec::new()
        } else {
            self.engine.ask(command::Heartbeat { tenant: by.tenant, reports: leases }).await?
        }
        .into_iter();
        let mut cancel = Vec::new();
        for (task, lease) in tasks.iter().zip(read) {
            match lease.filter(|_| alive.next().unwrap_or(false)) {
                Some(lease) => {
                    if let Some(done) = task.progress {
                        self.memory.progress.tell(lease, done, task.message.as_deref());
                    }
                }
                None => cancel.push(task.lease_token.clone()),
            }
        }
        Ok(cancel)
    }
}

fn check_shape(given: &api::Register) -> Result<(), AppError> {
    if given.workers.is_empty() || given.workers.len() > WORKERS_MAX {
        let message = format!("there are {}, and 1 to {WORKERS_MAX} are possible", given.workers.len());
        return Err(AppError::input("workers", message));
    }
    if given.slots == 0 || given.labels.len() > 100 || given.name.len() > 200 {
        return Err(AppError::input("slots", "at least 1; labels: at most 100; name: at most 200 bytes"));
    }
    for (name, value) in &given.labels {
        let label = if value.is_empty() { name.clone() } else { format!("{name}={value}") };
        split(&label).map_err(|error| AppError::input("labels", error))?;
    }
    Ok(())
}

/// Returns the queues of a host's tasks: those that it names, within those of its key.
fn queues(by: &Caller, given: &[String]) -> Result<Arc<[Name]>, AppError> {
    let Some(own) = by.scope.queues.as_ref().filter(|own| !KeyScope::names(own, EVERY)) else {
        return submission::names("queues", given);
    };
    if let Some(other) = given.iter().find(|queue| !KeyScope::names(own, queue)) {
        let other: String = other.chars().take(90).collect();
        let message = format!("queues: this key may not take tasks of `{other}`, but of {}", own.join(", "));
        return Err(AppError::forbidden(message));
    }
    submission::names("queues", if given.is_empty() { own } else { given })
}

/// Returns the description of a worker by its host. A bare name keeps the earlier description.
fn described(app: &App, tenant: TenantId, served: &api::Served) -> Result<Arc<WorkerSpec>, AppError> {
    let spec = submission::spec(served)?;
    match served {
        api::Served::Name(_) => Ok(app.memory.hosts.spec(tenant, &spec.name).unwrap_or(spec)),
        api::Served::Worker(_) => Ok(spec),
    }
}

pub(crate) fn lease(task: &ClaimedTask) -> Report {
    Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce }
}

/// Releases tasks that did not arrive, long before their lease is over.
async fn take_back(app: Arc<App>, host: Arc<Host>, leases: Vec<Report>) {
    tokio::time::sleep(app.settings().ack).await;
    app.release(host.tenant, host.lost(&leases)).await;
}
