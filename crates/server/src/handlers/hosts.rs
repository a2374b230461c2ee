//! Worker hosts: register, claim, acknowledge, heartbeat.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use kapelle::{
    WorkerSpec,
    core::{Name, TenantId, label::split, plain, task::Report},
    engine::{ClaimFilter, ClaimedTask, Reported, command},
    gateway::{replay::TaskKey, tokens::Leased},
    store::{EVERY, KeyScope},
};
use kapelle_api as api;
use serde_json::json as value;

use super::{reports, submission, tasks::WAIT_MAX_MS};
use crate::{
    app::App,
    auth::{self, Identity, Role},
    call::{Call, json, ok},
    hosts::{Host, Introduction},
    problem::Problem,
    route::Answer,
    shown, stream,
};

/// Workers that one host serves.
const WORKERS_MAX: usize = 1_000;
/// Tasks of one claim.
const CLAIM_MAX: u32 = 1_000;
/// So many heartbeats may be lost before a lease is.
const BEATS: u64 = 3;

/// `POST /api/v1/hosts`
pub async fn register(call: Call) -> Answer {
    let given: api::Register = call.json()?;
    let wrong = |what: String| Err(Problem::unprocessable(what));
    if given.workers.is_empty() || given.workers.len() > WORKERS_MAX {
        return wrong(format!("workers: there are {}, and 1 to {WORKERS_MAX} are possible", given.workers.len()));
    }
    if given.slots == 0 || given.labels.len() > 100 || given.name.len() > 200 {
        return wrong("slots: at least 1; labels: at most 100; name: at most 200 bytes".to_owned());
    }
    for (name, value) in &given.labels {
        let label = if value.is_empty() { name.clone() } else { format!("{name}={value}") };
        split(&label).map_err(|error| Problem::unprocessable(format!("labels: {error}")))?;
    }
    let (left_out, allowed) = admitted(&call, &given)?;
    let (tenant, workers): (_, Vec<api::Served>) = (call.tenant(), allowed.into_iter().cloned().collect());
    let describe =
        move |app: &App| workers.iter().map(|served| described(app, tenant, served)).collect::<Result<Vec<_>, _>>();
    let specs = call.app.check(tenant, describe).await?;
    let queues = queues(&call, &given.queues)?;
    if call.app.hosts.is_full(tenant, &specs) {
        let detail =
            "workers: as many names are known as one tenant may have; DELETE /api/v1/workers/{name} forgets one";
        return wrong(detail.to_owned());
    }
    // Known to the loop first: steps are routed by it, and it holds after a restart.
    call.app.engine().ask(command::Serve { tenant, specs: Arc::from(specs.clone()) }).await?;
    let introduction = Introduction {
        key: Arc::clone(&call.who),
        mark: auth::mark().map_err(|error| Problem::internal(error.to_string()))?,
        specs,
        queues,
        name: plain::line(&given.name),
        slots: given.slots,
        labels: given.labels,
        ack: given.ack,
    };
    let number = call.list(|app| Ok(app.numbers.next())).await?.map_err(|error| {
        tracing::error!(%error, "the number of a worker host cannot be written down");
        Problem::unavailable("the number of this host cannot be written down; the server's log says why")
    })?;
    let host = call.app.hosts.register(introduction, number, call.app.steady_ms());
    let host = host.ok_or_else(|| Problem::unavailable("there are as many worker hosts as one tenant may have"))?;
    tell(&call.app, &host, "host_joined");
    let lease_ttl_ms = call.app.hosts.alive_ms();
    let heartbeat_ms = (lease_ttl_ms / BEATS).max(1);
    let answer = api::Registered { id: host.shown_id(), left_out, lease_ttl_ms, heartbeat_ms };
    json(StatusCode::CREATED, &answer)
}

/// Whether the key of a call may serve a worker. A key that names no workers may serve what the server does not run itself:
/// else the weakest role could take the tasks of any worker and make up their answers.
fn may_serve(app: &App, who: &Identity, worker: &str) -> bool {
    match &who.scope.workers {
        Some(workers) => KeyScope::names(workers, worker),
        None if who.role == Role::Admin => true,
        None => app.engine().registry().spec(who.tenant, &Name::new(worker)).is_none(),
    }
}

/// The workers that the key of a call may not serve, and those that it may.
fn admitted<'g>(call: &Call, given: &'g api::Register) -> Result<(Vec<String>, Vec<&'g api::Served>), Problem> {
    let may =
        |served: &&api::Served| Name::parse(served.name()).is_err() || may_serve(&call.app, &call.who, served.name());
    let (allowed, refused): (Vec<_>, Vec<_>) = given.workers.iter().partition(may);
    let refused: Vec<String> = refused.into_iter().map(|served| served.name().to_owned()).collect();
    if refused.is_empty() || (given.partial && !allowed.is_empty()) {
        return Ok((refused, allowed));
    }
    let first = refused.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let detail = match &call.who.scope.workers {
        Some(workers) => format!("workers: this key may not serve {first}, but {}", workers.join(", ")),
        None => format!("workers: {first} run on the server; a key that may serve them names them in its `workers`"),
    };
    Err(Problem::new(StatusCode::FORBIDDEN, api::code::FORBIDDEN, detail))
}

/// The queues that a host takes tasks of: those that it names, within those of its key.
fn queues(call: &Call, given: &[String]) -> Result<Arc<[Name]>, Problem> {
    let Some(own) = call.who.scope.queues.as_ref().filter(|own| !KeyScope::names(own, EVERY)) else {
        return submission::names("queues", given);
    };
    if let Some(other) = given.iter().find(|queue| !KeyScope::names(own, queue)) {
        let other: String = other.chars().take(90).collect();
        let detail = format!("queues: this key may not take tasks of `{other}`, but of {}", own.join(", "));
        return Err(Problem::new(StatusCode::FORBIDDEN, api::code::FORBIDDEN, detail));
    }
    submission::names("queues", if given.is_empty() { own } else { given })
}

/// What a host says of a worker. Its name alone takes nothing back of what was said before.
fn described(app: &App, tenant: TenantId, served: &api::Served) -> Result<Arc<WorkerSpec>, Problem> {
    let spec = submission::spec(served)?;
    match served {
        api::Served::Name(_) => Ok(app.hosts.spec(tenant, &spec.name).unwrap_or(spec)),
        api::Served::Worker(_) => Ok(spec),
    }
}

/// Tells those who watch, and the session log.
pub fn tell(app: &App, host: &Host, event: &str) {
    app.hub.publish(host.tenant, value!({ "event": event, "host": host.shown_id(), "name": host.name }));
    let workers: Vec<&str> = host.workers.iter().take(100).map(Name::as_str).collect();
    app.kapelle.note(&value!({
        "event": event,
        "host": host.shown_id(),
        "name": host.name,
        "tenant": host.tenant.0,
        "workers": workers,
        "slots": host.slots,
    }));
}

/// The host of the path, when it belongs to the key of the call. One that is not known is to register again, as after a
/// restart of the server.
fn host(call: &Call) -> Result<Arc<Host>, Problem> {
    let text = call.param("id");
    let host = call.app.hosts.find(&call.who, text, call.app.steady_ms());
    host.ok_or_else(|| Problem::not_found(format!("host {}", text.chars().take(40).collect::<String>())))
}

/// `DELETE /api/v1/hosts/{id}`
pub async fn leave(call: Call) -> Answer {
    let host = host(&call)?;
    call.app.hosts.remove(host.id);
    tell(&call.app, &host, "host_left");
    ok(&value!({ "id": host.shown_id() }))
}

/// `POST /api/v1/hosts/{id}/claim`
pub async fn claim(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Claim = call.json()?;
    if !(1..=CLAIM_MAX).contains(&given.max_tasks) || given.wait_ms > WAIT_MAX_MS {
        let detail = format!("max_tasks: 1 to {CLAIM_MAX} are possible; wait_ms: at most {WAIT_MAX_MS}");
        return Err(Problem::unprocessable(detail));
    }
    if call.app.is_draining() {
        return Err(Problem::unavailable("the server is stopping: try again soon"));
    }
    let polling = host.polling();
    // A worker of the server may have come since the host registered.
    let workers: Vec<&Name> =
        host.workers.iter().filter(|worker| may_serve(&call.app, &call.who, worker.as_str())).collect();
    let workers = if workers.len() == host.workers.len() {
        Arc::clone(&host.workers)
    } else {
        workers.into_iter().cloned().collect()
    };
    let wanted = ClaimFilter {
        tenant: host.tenant,
        workers,
        queues: Arc::clone(&host.queues),
        labels: Arc::clone(&host.labels),
    };
    let mut draining = call.app.draining.clone();
    let claimed = call.app.engine().claim(
        host.id,
        wanted,
        given.max_tasks,
        Duration::from_millis(given.wait_ms),
        Arc::clone(&call.who.revoked),
    );
    let claimed = async {
        tokio::select! {
            claimed = claimed => claimed,
            _ = draining.wait_for(|draining| *draining) => Ok(Vec::new()),
        }
    };
    let claimed = stream::while_it_holds(&call.app, &call.who, claimed).await??;
    drop(polling);
    // Revoked between the commit of the claim and now: the tasks go to others.
    if !claimed.is_empty() && !call.app.auth.still(&call.who, call.app.now()) {
        release(&call.app, call.tenant(), claimed.iter().map(lease).collect()).await;
        return Err(stream::revoked());
    }
    host.heard(call.app.steady_ms());
    host.claimed.fetch_add(claimed.len() as u64, std::sync::atomic::Ordering::Relaxed);
    let tasks = fitting(&call.app, host.tenant, &claimed);
    let fit = tasks.as_ref().map_or(claimed.len(), Vec::len);
    let mut leases: Vec<Report> = claimed.iter().map(lease).collect();
    let beyond = leases.split_off(fit);
    if !beyond.is_empty() {
        host.sent(&beyond);
        tokio::spawn(take_back(Arc::clone(&call.app), Arc::clone(&host), beyond));
    }
    match tasks {
        Ok(tasks) => {
            if host.ack && !leases.is_empty() {
                host.sent(&leases);
                tokio::spawn(take_back(Arc::clone(&call.app), host, leases));
            }
            ok(&api::Claimed { tasks })
        }
        Err(problem) => {
            release(&call.app, call.tenant(), leases).await;
            Err(problem)
        }
    }
}

fn lease(task: &ClaimedTask) -> Report {
    Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce }
}

/// The claimed tasks whose inputs fit into one answer. The others go back, as what does not arrive.
fn fitting(app: &App, tenant: TenantId, claimed: &[ClaimedTask]) -> Result<Vec<api::ClaimedTask>, Problem> {
    let (mut tasks, mut bytes) = (Vec::new(), 0);
    for task in claimed {
        let task = task_of(app, tenant, task)?;
        bytes += task.input.get().len();
        tasks.push(task);
        if bytes >= app.limits.page_bytes {
            break;
        }
    }
    Ok(tasks)
}

fn task_of(app: &App, tenant: TenantId, task: &ClaimedTask) -> Result<api::ClaimedTask, Problem> {
    let token_issuer = app.kapelle.token_issuer();
    let attempt = task.lease.epoch;
    let replay_epoch = app.engine().replay_epoch(task.id, attempt)?;
    let leased = Leased {
        task: TaskKey { tenant, task: task.id, replay_epoch },
        attempt,
        nonce: task.lease.nonce,
        // Each call ends with the attempt, and not before: its own time limit is the attempt's.
        timeout: Duration::from_millis(task.timeout.0),
        recorded: task.recorded,
    };
    let issued = token_issuer.base_url().map(|_| token_issuer.issue_leased_token(&leased)).transpose();
    let issued = issued.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(api::ClaimedTask {
        gateway_url: token_issuer.base_url().map(str::to_owned),
        gateway_token: issued.map(|issued| issued.token),
        id: task.id.to_string(),
        attempt: task.lease.epoch,
        lease_token: reports::write(&lease(task)),
        lease_ttl_ms: app.hosts.alive_ms(),
        timeout_ms: task.timeout.0,
        last_attempt: task.last_attempt,
        worker: task.worker.to_string(),
        run: task.step.as_ref().map(|(run, _)| run.to_string()),
        step: task.step.as_ref().map(|(_, path)| path.clone()),
        input: shown::raw(app, &task.input)?,
    })
}

/// Gives to another what did not arrive, long before its lease is over.
async fn take_back(app: Arc<App>, host: Arc<Host>, leases: Vec<Report>) {
    tokio::time::sleep(app.limits.ack).await;
    release(&app, host.tenant, host.lost(&leases)).await;
}

async fn release(app: &App, tenant: TenantId, leases: Vec<Report>) {
    for report in leases {
        // Reported meanwhile, or taken away: then there is nothing to give back.
        let _ = app.engine().ask(command::Report { tenant, report, reported: Reported::Release }).await;
    }
}

/// Ends the hosts whose key does not hold any more: their tasks go to others, and the tokens of their attempts end.
pub async fn evict(app: &App) {
    let now = app.now();
    let gone: Vec<Arc<Host>> = app.hosts.every().into_iter().filter(|host| !app.auth.still(&host.key, now)).collect();
    if gone.is_empty() {
        return;
    }
    for host in &gone {
        app.hosts.remove(host.id);
        tell(app, host, "host_left");
    }
    let hosts = gone.iter().map(|host| host.id).collect();
    if let Err(error) = app.engine().ask(command::Evict { hosts }).await {
        tracing::warn!(%error, "the tasks of a worker host whose key was revoked stay with it until its leases end");
    }
}

/// `POST /api/v1/hosts/{id}/ack`
pub async fn ack(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Ack = call.json()?;
    let leases = given.lease_tokens.iter().map(|token| reports::read(token)).collect::<Result<Vec<_>, _>>()?;
    host.arrived(leases.iter());
    ok(&value!({}))
}

/// `POST /api/v1/hosts/{id}/heartbeat`
pub async fn heartbeat(call: Call) -> Answer {
    let host = host(&call)?;
    let given: api::Beat = call.json()?;
    // What cannot be read is no lease: the attempt is to stop.
    let read: Vec<Option<Report>> = given.tasks.iter().map(|task| reports::read(&task.lease_token).ok()).collect();
    let leases: Arc<[Report]> = read.iter().flatten().copied().collect();
    host.arrived(leases.iter());
    let mut alive = if leases.is_empty() {
        Vec::new()
    } else {
        call.app.engine().ask(command::Heartbeat { tenant: call.tenant(), reports: leases }).await?
    }
    .into_iter();
    let mut cancel = Vec::new();
    for (task, lease) in given.tasks.iter().zip(read) {
        match lease.filter(|_| alive.next().unwrap_or(false)) {
            Some(lease) => {
                if let Some(done) = task.progress {
                    call.app.progress.tell(lease, done, task.message.as_deref());
                }
            }
            None => cancel.push(task.lease_token.clone()),
        }
    }
    ok(&api::BeatAnswer { cancel, lease_ttl_ms: call.app.hosts.alive_ms() })
}
