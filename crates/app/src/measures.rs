//! The measurements of a server, for its metrics. Labels never contain ids.

use std::collections::BTreeMap;

use kapelle_api as api;
use kapelle_core::{Account, AccountKind, Money, TenantId};
use kapelle_gateway::LinkHealth;
use kapelle_store::disk::Usage;

use crate::{app::App, app_error::AppError, budgets::standing, to_api, worker_stats::Histogram};

/// Accounts of one kind that are read.
const MOST: u32 = 1_000;

/// The measurements of a server.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Measures {
    pub queues: Vec<QueueDepth>,
    pub open_runs: u64,
    /// Worker, succeeded and failed tasks since the start.
    pub ended: Vec<(String, u64, u64)>,
    /// Wait of tasks that succeeded, by queue.
    pub waits: BTreeMap<String, Histogram>,
    /// Duration of attempts that succeeded, by worker.
    pub durations: BTreeMap<String, Histogram>,
    pub models: BTreeMap<String, ModelTotals>,
    pub links: Vec<LinkHealth>,
    pub budgets: Vec<BudgetUse>,
    /// Processes of scripts, by state.
    pub processes: BTreeMap<String, u64>,
    /// Restarts of processes since the start, by script.
    pub restarts: BTreeMap<String, u64>,
    /// Slots of the alive worker hosts, by tenant.
    pub host_slots: BTreeMap<u32, u64>,
    pub disk: Usage,
}

/// Open tasks of a queue in one state.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct QueueDepth {
    pub tenant: u32,
    pub queue: String,
    pub state: api::TaskState,
    pub tasks: u64,
    /// Age of the oldest since its submission.
    pub oldest_ms: u64,
}

/// Totals of a model, as `provider/model`, of all tenants.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ModelTotals {
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost: Money,
}

/// A budget, and the part of it that is spent.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BudgetUse {
    pub tenant: u32,
    pub account: String,
    pub limit: Money,
    pub spent: Money,
}

impl App {
    /// Measures everything. Tasks, calls and budgets are read from the store, so the numbers are current.
    ///
    /// # Errors
    /// When the store fails.
    pub fn measures(&self) -> Result<Measures, AppError> {
        let (waits, durations) = self.memory.stats.times();
        let (processes, restarts) = self.measured_scripts();
        let ended = self.memory.stats.totals();
        Ok(Measures {
            queues: self.queue_depths()?,
            open_runs: self.reader().open_run_count()?,
            ended: ended.into_iter().map(|(worker, done, failed)| (worker.to_string(), done, failed)).collect(),
            waits,
            durations,
            models: self.model_totals()?,
            links: self.gateway.link_health(),
            budgets: self.budget_uses()?,
            processes,
            restarts,
            host_slots: self.host_slots(),
            disk: self.disk_usage(),
        })
    }

    fn queue_depths(&self) -> Result<Vec<QueueDepth>, AppError> {
        let (reader, now) = (self.reader(), self.now());
        let mut depths: BTreeMap<(u32, String, api::TaskState), QueueDepth> = BTreeMap::new();
        for tenant in reader.busy_tenants()? {
            for lane in reader.open_tasks(tenant)? {
                let (queue, state) = (lane.queue.to_string(), to_api::state(lane.state));
                let depth = depths.entry((tenant.0, queue.clone(), state)).or_insert(QueueDepth {
                    tenant: tenant.0,
                    queue,
                    state,
                    tasks: 0,
                    oldest_ms: 0,
                });
                depth.tasks += lane.tasks;
                depth.oldest_ms = depth.oldest_ms.max(now.since(lane.oldest).0);
            }
        }
        Ok(depths.into_values().collect())
    }

    fn model_totals(&self) -> Result<BTreeMap<String, ModelTotals>, AppError> {
        let reader = self.reader();
        let mut totals: BTreeMap<String, ModelTotals> = BTreeMap::new();
        let mut tenants: Vec<TenantId> = reader.tenant_accounts(MOST)?.into_iter().map(|row| row.tenant).collect();
        tenants.dedup();
        for tenant in tenants {
            for row in reader.accounts(tenant, AccountKind::Model, MOST)? {
                let total = totals.entry(row.account.name()).or_default();
                total.calls += row.calls;
                total.input_tokens += row.input;
                total.output_tokens += row.output;
                total.cost = Money(total.cost.0.saturating_add(row.spent.0));
            }
        }
        Ok(totals)
    }

    fn budget_uses(&self) -> Result<Vec<BudgetUse>, AppError> {
        let lasting = |account: &Account| {
            matches!(account, Account::Day | Account::Tenant | Account::Queue(_) | Account::Worker(_) | Account::Key(_))
        };
        let found = standing(self.reader(), None, self.now())?;
        let found = found.into_iter().filter(|(row, _)| lasting(&row.account));
        let uses = found.map(|(row, spent)| BudgetUse {
            tenant: row.tenant.0,
            account: row.account.written(),
            limit: row.limit,
            spent,
        });
        Ok(uses.collect())
    }

    fn host_slots(&self) -> BTreeMap<u32, u64> {
        let now_ms = self.steady_ms();
        let mut slots = BTreeMap::new();
        for host in self.memory.hosts.every().into_iter().filter(|host| host.is_alive(now_ms)) {
            *slots.entry(host.tenant.0).or_default() += u64::from(host.slots);
        }
        slots
    }
}
