//! Who takes the tasks of a lane, and why nobody does.

use kapelle::{
    core::{Name, TenantId},
    engine::turn::Directory,
    store::{GateKind, Lane},
};

use crate::app::App;

/// Why ready tasks of a lane will not be worked on as things are.
pub fn reason(app: &App, lane: &Lane) -> Option<String> {
    let gates = app.engine().reader().gates(lane.tenant).unwrap_or_default();
    if let Some(gate) = gates.iter().find(|gate| {
        let name = if gate.kind == GateKind::Queue { &lane.queue } else { &lane.worker };
        gate.paused && gate.name == *name
    }) {
        return Some(format!("{} `{}` is paused", gate.kind.as_str(), gate.name));
    }
    let Lane { tenant, queue, worker, requires } = lane;
    if let Some(why) = app.kapelle.fleet().and_then(|fleet| fleet.holds_up(*tenant, worker.as_str())) {
        return Some(why);
    }
    let here = app.engine().registry().local(*tenant, worker).is_some() && slots(app, queue) > 0;
    if let Some(why) = rate(app, *tenant, worker) {
        return Some(why);
    }
    if here && requires.is_met_by(&app.labels) {
        return None;
    }
    let serving = app.hosts.present(*tenant, app.steady_ms());
    let mut serving = serving.iter().filter(|host| host.workers.contains(worker)).peekable();
    if serving.peek().is_none() && !here {
        return Some(format!("nobody serves worker `{worker}` at the moment"));
    }
    let mut listening = serving.filter(|host| host.queues.is_empty() || host.queues.contains(queue)).peekable();
    if listening.peek().is_none() && !here {
        return Some(format!("0 workers listen on queue `{queue}` for worker `{worker}`"));
    }
    if listening.any(|host| requires.is_met_by(&host.labels)) {
        return None;
    }
    Some(format!("0 worker hosts that serve worker `{worker}` have the labels that it requires: {requires}"))
}

/// The provider at its rate for which tasks of a worker wait.
fn rate(app: &App, tenant: TenantId, worker: &Name) -> Option<String> {
    let spec = app.engine().registry().local(tenant, worker)?;
    let (provider, wait) = app.kapelle.gateway().rate_wait(spec.model.as_ref()?.as_str())?;
    Some(format!("the rate of provider `{provider}` is used up for another {} s", wait.0.div_ceil(1_000)))
}

/// How many take the tasks of a queue: hosts of the tenant that are alive, and this process when it has slots for it.
pub fn listeners(app: &App, tenant: TenantId, queue: &Name) -> u32 {
    let hosts = app.hosts.present(tenant, app.steady_ms());
    let hosts = hosts.iter().filter(|host| host.queues.is_empty() || host.queues.contains(queue)).count();
    let here = slots(app, queue) > 0 && !app.is_draining();
    u32::try_from(hosts).unwrap_or(u32::MAX).saturating_add(u32::from(here))
}

/// How many tasks of a queue run at once in this process.
pub fn slots(app: &App, queue: &Name) -> u32 {
    let set_up = app.queues.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    set_up.get(queue).map_or(OTHER_SLOTS, |(slots, _)| *slots)
}

/// Slots of a queue that nobody set up.
pub const OTHER_SLOTS: u32 = 8;
