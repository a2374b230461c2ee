//! Budgets in `kapelle.yaml`: the limits of all tenants together, of each, and of single ones.

use std::collections::BTreeMap;

use kapelle_core::{Account, Money, TenantId, yaml::nearest};
use kapelle_engine::NO_LIMIT;
use serde::{Deserialize, Serialize};

use crate::config::ConfigProblem;

/// Spending limits. At a limit tasks are parked until it is raised; the day's limit starts again each day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetsConfig {
    /// Limit of all tenants together for one day, such as `$10`.
    pub day: Option<String>,
    /// Total limit of each tenant.
    pub tenant: Option<String>,
    /// Total limits of queues, for each tenant.
    pub queues: BTreeMap<String, String>,
    /// Total limits of workers, for each tenant; tasks and processes count.
    pub workers: BTreeMap<String, String>,
    /// Limits of single tenants, by number, which replace the common ones.
    pub tenants: BTreeMap<String, TenantBudgets>,
}

/// The limits of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantBudgets {
    /// For one day.
    pub day: Option<String>,
    /// In total.
    pub tenant: Option<String>,
    /// Total of a queue's tasks.
    pub queues: BTreeMap<String, String>,
    /// Total of a worker's tasks and processes.
    pub workers: BTreeMap<String, String>,
}

impl TenantBudgets {
    fn limits(&self, place: &str) -> Result<Vec<(Account, Money)>, ConfigProblem> {
        let money = |name: &str, text: &str| {
            let money = Money::parse(text).map_err(|error| ConfigProblem::at(format!("{place}.{name}"), error))?;
            if money >= NO_LIMIT {
                return Err(ConfigProblem::at(format!("{place}.{name}"), format!("{money}: the amount is too large")));
            }
            Ok(money)
        };
        let mut limits = Vec::new();
        for (name, text, account) in [("day", &self.day, Account::Day), ("tenant", &self.tenant, Account::Tenant)] {
            if let Some(text) = text {
                limits.push((account, money(name, text)?));
            }
        }
        for (name, text) in &self.queues {
            limits.push((Account::Queue(name.clone()), money(&format!("queues.{name}"), text)?));
        }
        for (name, text) in &self.workers {
            limits.push((Account::Worker(name.clone()), money(&format!("workers.{name}"), text)?));
        }
        Ok(limits)
    }
}

impl BudgetsConfig {
    /// Returns the limits of workers that are not among the known names: nobody spends from them. A worker of a host
    /// that has not registered yet is unknown, too.
    #[must_use]
    pub fn unknown_workers(&self, known: &[String]) -> Vec<ConfigProblem> {
        let common = self.workers.keys().map(|name| (format!("budgets.workers.{name}"), name));
        let single = self.tenants.iter().flat_map(|(tenant, budgets)| {
            budgets.workers.keys().map(move |name| (format!("budgets.tenants.{tenant}.workers.{name}"), name))
        });
        let unknown = common.chain(single).filter(|(_, name)| !known.contains(name));
        let problem = |(field, name): (String, &String)| {
            let near = nearest(name, known.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "a worker host that registers it makes it known".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            ConfigProblem::at(field, format!("no worker or script is called `{name}`; {hint}"))
        };
        unknown.map(problem).collect()
    }

    /// Returns the limits by tenant and account. Those of [`TenantId::EACH`] apply to each tenant but the first, which
    /// has them as its own.
    ///
    /// # Errors
    /// An invalid amount or tenant, with its field.
    pub fn limits(&self) -> Result<Vec<(TenantId, Account, Money)>, ConfigProblem> {
        let general = TenantBudgets {
            day: self.day.clone(),
            tenant: self.tenant.clone(),
            queues: self.queues.clone(),
            workers: self.workers.clone(),
        };
        let mut limits = Vec::new();
        for (account, limit) in general.limits("budgets")? {
            if account != Account::Day {
                limits.push((TenantId::EACH, account.clone(), limit));
            }
            limits.push((TenantId::DEFAULT, account, limit));
        }
        for (name, budgets) in &self.tenants {
            let number = name.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(|| {
                let what = "this is not a tenant; expected its number, such as 2 (`kapelle keys list` shows it)";
                ConfigProblem::at(format!("budgets.tenants.{name}"), what)
            })?;
            if number == TenantId::DEFAULT.0 && budgets.day.is_some() {
                let what = "the day of tenant 1 is that of all tenants together; set `budgets.day`";
                return Err(ConfigProblem::at(format!("budgets.tenants.{name}.day"), what));
            }
            let tenant = TenantId(number);
            for (account, limit) in budgets.limits(&format!("budgets.tenants.{name}"))? {
                limits.retain(|(whose, of, _)| (*whose, of) != (tenant, &account));
                limits.push((tenant, account, limit));
            }
        }
        Ok(limits)
    }
}
