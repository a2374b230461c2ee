//! Takers of the tasks of a lane, and reasons why it has none.

use kapelle_api::Waiting;
use kapelle_core::{
    Account, Money, Name, TenantId,
    task::{HoldReason, Task, TaskState, WaitFor},
};
use kapelle_engine::turn::Directory;
use kapelle_store::{GateKind, Lane};

use crate::{app::App, at_rest::Rest, budgets::standing, to_api::time};

/// Returns why ready tasks of a lane will not be worked on at present; `None` when they will.
pub(crate) fn lane(app: &App, lane: &Lane) -> Option<Waiting> {
    let gates = app.reader().gates(lane.tenant).unwrap_or_default();
    if let Some(gate) = gates.iter().find(|gate| {
        let name = if gate.kind == GateKind::Queue { &lane.queue } else { &lane.worker };
        gate.paused && gate.name == *name
    }) {
        return Some(Waiting::Paused { kind: gate.kind.as_str().to_owned(), name: gate.name.to_string() });
    }
    let Lane { tenant, queue, worker, requires } = lane;
    if let Some(why) = app.script_holds_up(*tenant, worker) {
        return Some(Waiting::Script { why });
    }
    if app.rest.is_some() && app.engine().registry().local(*tenant, worker).is_none() {
        return Some(Waiting::Served { worker: worker.to_string() });
    }
    if let Some(rest) = app.rest {
        return (rest == Rest::Alone).then_some(Waiting::Process);
    }
    let settings = app.settings();
    let here = app.engine().registry().local(*tenant, worker).is_some() && settings.slots(queue) > 0;
    if let Some(rate) = worker_rate(app, *tenant, worker).or_else(|| rate(app, *tenant, worker)) {
        return Some(rate);
    }
    if here && requires.is_met_by(&settings.labels) {
        return None;
    }
    let serving = app.memory.hosts.present(*tenant, app.steady_ms());
    let mut serving = serving.iter().filter(|host| host.workers.contains(worker)).peekable();
    if serving.peek().is_none() && !here {
        return Some(Waiting::Served { worker: worker.to_string() });
    }
    let mut listening = serving.filter(|host| host.queues.is_empty() || host.queues.contains(queue)).peekable();
    if listening.peek().is_none() && !here {
        return Some(Waiting::Listener { queue: queue.to_string(), worker: worker.to_string() });
    }
    if listening.any(|host| requires.is_met_by(&host.labels)) {
        return None;
    }
    Some(Waiting::Labels { worker: worker.to_string(), requires: requires.to_string() })
}

/// Returns the provider whose rate limit holds up tasks of a worker.
fn rate(app: &App, tenant: TenantId, worker: &Name) -> Option<Waiting> {
    let spec = app.engine().registry().local(tenant, worker)?;
    let (provider, wait) = app.gateway().rate_wait(spec.model.as_ref()?.as_str())?;
    Some(Waiting::Rate { provider, wait_ms: wait.0 })
}

/// Returns the rate of a worker that holds up its tasks.
fn worker_rate(app: &App, tenant: TenantId, worker: &Name) -> Option<Waiting> {
    let (rate, wait) = app.engine().rate_waits().of(tenant, worker, app.steady_ms())?;
    Some(Waiting::WorkerRate { worker: worker.to_string(), rate: rate.to_string(), wait_ms: wait.0 })
}

/// Returns why a task waits, as far as its own row tells; `None` for a task that does not wait, or needs only a slot.
pub(crate) fn row(task: &Task) -> Option<Waiting> {
    use kapelle_core::run::Opening;
    match &task.state {
        TaskState::Scheduled { at } => Some(Waiting::Time { at: time(*at) }),
        TaskState::Retrying { error, at } => Some(Waiting::Retry { at: time(*at), error: error.to_string() }),
        TaskState::Held { reason: HoldReason::RunPaused, .. } => Some(Waiting::RunPaused),
        TaskState::Held { reason, .. } => Some(Waiting::Limit { limit: HoldReason::as_str(*reason).to_owned() }),
        TaskState::Parked { needs, .. } => Some(Waiting::Money { needs: needs.to_string(), account: None, left: None }),
        TaskState::Waiting(wait) => Some(match wait {
            WaitFor::Scope(Opening::Items { total }) => Waiting::Items { total: *total },
            WaitFor::Scope(Opening::Turns) => Waiting::Turns,
            WaitFor::Scope(Opening::Block(_)) => Waiting::Steps,
            WaitFor::Run(run) => Waiting::Run { run: run.to_string() },
            WaitFor::Timer { .. } => Waiting::Timer,
            WaitFor::Signal { name, .. } => Waiting::Signal { signal: name.to_string() },
            WaitFor::Approval { .. } => Waiting::Approval { task: task.id.to_string() },
        }),
        _ => None,
    }
}

/// Returns the wait of a parked task, with the budget that has too little for its next call.
pub(crate) fn money(app: &App, task: &Task, needs: Money) -> Waiting {
    let pays = |account: &Account| match account {
        Account::Day | Account::Tenant => true,
        Account::Task(id) => *id == task.id,
        Account::Run(run) => task.origin.as_ref().is_some_and(|origin| origin.run == *run),
        Account::Queue(queue) => queue == task.queue.as_str(),
        Account::Worker(worker) => worker == task.worker.as_str(),
        _ => false,
    };
    let found = standing(app.reader(), Some(task.tenant), app.now()).unwrap_or_default();
    let short = found
        .iter()
        .filter(|(row, _)| pays(&row.account))
        .map(|(row, spent)| (row, row.limit.0.saturating_sub(spent.0)));
    let short = short.filter(|(_, left)| *left < needs.0).min_by_key(|(_, left)| *left);
    let (account, left) = short.map(|(row, left)| (row.account.written(), Money(left).to_string())).unzip();
    Waiting::Money { needs: needs.to_string(), account, left }
}

/// Returns how many take the tasks of a queue: hosts of the tenant that are alive, and this process when it has slots
/// for it.
pub(crate) fn listeners(app: &App, tenant: TenantId, queue: &Name) -> u32 {
    let hosts = app.memory.hosts.present(tenant, app.steady_ms());
    let hosts = hosts.iter().filter(|host| host.queues.is_empty() || host.queues.contains(queue)).count();
    let here = app.rest.is_none() && app.settings().slots(queue) > 0 && !app.is_draining();
    u32::try_from(hosts).unwrap_or(u32::MAX).saturating_add(u32::from(here))
}
