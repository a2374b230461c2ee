//! Counts of everything that is under way. Many may ask at once, so a tenant's counts are made at most once a second.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_api as api;
use kapelle_core::{Account, Name, TenantId, account::day_of, task::StateKind};
use kapelle_engine::turn::Directory;
use kapelle_store::Lane;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    to_api, waiting,
};

/// Time for which counts are valid, in milliseconds.
const FRESH_MS: u64 = 900;
/// Rows that are looked at for one number.
const ROWS: u32 = 10_000;
/// Lanes that nobody serves, as far as they are shown.
const UNSERVED: usize = 100;

/// The last counts of each tenant, with their time.
#[derive(Debug, Default)]
pub(crate) struct CountsMemory(Mutex<HashMap<TenantId, (u64, Arc<api::Counts>)>>);

impl CountsMemory {
    fn fresh(&self, tenant: TenantId, now_ms: u64) -> Option<Arc<api::Counts>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, counts) = kept.get(&tenant)?;
        (now_ms.saturating_sub(*at) < FRESH_MS).then(|| Arc::clone(counts))
    }

    fn keep(&self, tenant: TenantId, now_ms: u64, counts: &Arc<api::Counts>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| now_ms.saturating_sub(*at) < FRESH_MS);
        kept.insert(tenant, (now_ms, Arc::clone(counts)));
    }
}

impl App {
    /// Returns counts of everything of the tenant that is under way; at most a second old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn counts(self: &Arc<Self>, by: &Caller) -> Result<Arc<api::Counts>, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        if let Some(counts) = self.memory.counts.fresh(tenant, self.steady_ms()) {
            return Ok(counts);
        }
        let counts = self.list_for(tenant, move |app| {
            // Another request may have made them while this one waited for its turn.
            if let Some(counts) = app.memory.counts.fresh(tenant, app.steady_ms()) {
                return Ok(counts);
            }
            let counts = Arc::new(app.count(tenant)?);
            app.memory.counts.keep(tenant, app.steady_ms(), &counts);
            Ok(counts)
        });
        counts.await
    }

    fn count(&self, tenant: TenantId) -> Result<api::Counts, AppError> {
        let reader = self.reader();
        let attention = reader.attention(tenant, ROWS)?;
        let mut counts = api::Counts {
            runs: api::OpenRuns { open: attention.open_runs, paused: attention.paused_runs },
            dead: attention.dead,
            approvals: attention.approvals,
            hosts: self.memory.hosts.present(tenant, self.steady_ms()).len() as u64,
            ..api::Counts::default()
        };
        let mut busy: HashSet<Name> = HashSet::new();
        for lane in reader.open_tasks(tenant)? {
            *counts.tasks.of(to_api::state(lane.state)) += lane.tasks;
            match lane.state {
                StateKind::Running => {
                    busy.insert(lane.worker);
                }
                StateKind::Ready if counts.unserved.len() < UNSERVED => {
                    let of = Lane { tenant, queue: lane.queue, worker: lane.worker, requires: lane.requires };
                    if let Some(waiting) = waiting::lane(self, &of) {
                        counts.unserved.push(api::Unserved {
                            queue: of.queue.to_string(),
                            worker: of.worker.to_string(),
                            tasks: lane.tasks,
                            why: waiting.to_string(),
                            waiting,
                        });
                    }
                }
                _ => {}
            }
        }
        counts.parked = counts.tasks.parked;
        self.count_workers(tenant, &busy, &mut counts);
        for gate in reader.gates(tenant)?.into_iter().filter(|gate| gate.paused) {
            counts.paused.push(api::PausedThing { kind: gate.kind.as_str().to_owned(), name: gate.name.to_string() });
        }
        if let Some(book) = reader.account(tenant, &Account::Day, day_of(self.now()))? {
            counts.today = api::SpentToday {
                spent_nanousd: book.spent.0,
                calls: book.calls,
                input_tokens: book.input,
                output_tokens: book.output,
            };
        }
        Ok(counts)
    }

    fn count_workers(&self, tenant: TenantId, busy: &HashSet<Name>, counts: &mut api::Counts) {
        let serving = self.memory.hosts.present(tenant, self.steady_ms());
        for spec in self.specs(tenant) {
            let here = self.engine.registry().local(tenant, &spec.name).is_some();
            let served = here || serving.iter().any(|host| host.workers.contains(&spec.name));
            let total = match (busy.contains(&spec.name), served) {
                (true, _) => &mut counts.workers.busy,
                (false, true) => &mut counts.workers.idle,
                (false, false) => &mut counts.workers.absent,
            };
            *total += 1;
        }
        if tenant == TenantId::DEFAULT
            && let Some(serde_json::Value::Object(scripts)) = self.script_counts()
        {
            counts.scripts = scripts.into_iter().filter_map(|(state, count)| Some((state, count.as_u64()?))).collect();
        }
        counts.slots = api::SlotTotals {
            busy: counts.tasks.running,
            all: self.settings().queues.values().map(|slots| u64::from(*slots)).sum(),
        };
    }
}
