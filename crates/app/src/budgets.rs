//! Budgets: from files, and raised by hand.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Account, Money, TenantId};
use kapelle_engine::{LimitBy, NO_LIMIT, command};
use kapelle_store::{BudgetRow, Page, Reader};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    config::Config,
    error::Error,
    to_api,
};

/// Budgets that are read at once.
const MOST: u32 = 1_000;

impl App {
    /// Applies another configuration of providers, models, prices and budgets. Calls in progress end with the one they
    /// began with.
    ///
    /// # Errors
    /// When it is invalid; then the previous one stays in force.
    pub async fn reload(&self, config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        let problem = |message: String| Error::Config(message);
        config.budgets.limits().map_err(|error| problem(error.to_string()))?;
        self.gateway.reload(&config.gateway(), env).map_err(|error| problem(error.to_string()))?;
        self.set_budgets(config).await
    }

    /// Sets the budgets that the configuration names. A budget raised by hand stays while the file is unchanged; one
    /// that the file no longer names ends.
    pub(crate) async fn set_budgets(&self, config: &Config) -> Result<(), Error> {
        let mut limits = config.budgets.limits().map_err(|error| Error::Config(error.to_string()))?;
        for row in self.engine.reader().all_budgets(MOST)? {
            let of_file =
                matches!(row.account, Account::Day | Account::Tenant | Account::Queue(_) | Account::Worker(_));
            let named = limits.iter().any(|(tenant, account, _)| *tenant == row.tenant && *account == row.account);
            if of_file && !named && row.base > Money::ZERO && row.base < NO_LIMIT {
                limits.push((row.tenant, row.account, NO_LIMIT));
            }
        }
        for (tenant, account, limit) in limits {
            let by = LimitBy::File;
            self.engine.ask(command::SetLimit { tenant, account, limit, by }).await?;
        }
        self.ledger.stir();
        Ok(())
    }

    /// Returns the budgets of the caller's tenant; those of all tenants for admins of the first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn budgets(self: &Arc<Self>, by: &Caller) -> Result<api::BudgetList, AppError> {
        by.allow(Permission::Read)?;
        let of = (!by.sees_all()).then_some(by.tenant);
        let listed = move |app: &App| Ok(api::BudgetList { budgets: listed(app.reader(), of, app.now())? });
        self.list_for(by.tenant, listed).await
    }

    /// Gives an account the limit of the configuration file again; without one it is unlimited. A tenant's admin gives
    /// up the tenant's own limit.
    ///
    /// # Errors
    /// When the account is invalid, has no budget, or belongs to another tenant.
    pub async fn reset_budget(
        self: &Arc<Self>,
        by: &Caller,
        given: api::ResetBudget,
    ) -> Result<api::BudgetReset, AppError> {
        by.allow(Permission::Administer)?;
        let account = Account::parse(&given.account).map_err(|error| AppError::input("account", error))?;
        let owner = by.tenant == TenantId::DEFAULT;
        let tenant = TenantId(given.tenant.unwrap_or(by.tenant.0));
        if tenant != by.tenant && !owner {
            return Err(AppError::forbidden("tenant: only admins of tenant 1 reset the budgets of other tenants"));
        }
        let limit_of = move |app: &App, account: &Account| -> Result<Option<Money>, AppError> {
            let found = standing(app.reader(), Some(tenant), app.now())?;
            let own = found.into_iter().find(|(row, _)| row.account == *account && row.tenant == tenant);
            Ok(own.map(|(row, _)| row.limit))
        };
        let wanted = account.clone();
        if self.list_for(by.tenant, move |app| limit_of(app, &wanted)).await?.is_none() {
            return Err(AppError::not_found(format!("a budget of {}", account.shown())));
        }
        let limit_by = if owner { LimitBy::OwnerReset } else { LimitBy::TenantReset };
        let command = command::SetLimit { tenant, account: account.clone(), limit: NO_LIMIT, by: limit_by };
        let of = if tenant == by.tenant { String::new() } else { format!(" of tenant {}", tenant.0) };
        self.act(by, "budget.reset", &format!("{}{of}", account.written()), command).await?;
        self.ledger.stir();
        let wanted = account.clone();
        let limit = self.list_for(by.tenant, move |app| limit_of(app, &wanted)).await?;
        Ok(api::BudgetReset { account: account.written(), limit_nanousd: limit.map(|limit| limit.0) })
    }

    /// Sets the limit of an account. Tasks that the limit now allows continue.
    ///
    /// # Errors
    /// When the account or the limit is invalid, or the account belongs to another tenant.
    pub async fn set_budget(self: &Arc<Self>, by: &Caller, given: api::SetBudget) -> Result<api::Budget, AppError> {
        by.allow(Permission::Administer)?;
        let account = Account::parse(&given.account).map_err(|error| AppError::input("account", error))?;
        let limit = Money(given.limit_nanousd);
        if matches!(account, Account::Provider(_) | Account::Model(_)) {
            return Err(AppError::input("account", "providers and models cannot have a budget"));
        }
        if limit >= NO_LIMIT {
            return Err(AppError::input("limit_nanousd", "the amount is too large"));
        }
        let owner = by.tenant == TenantId::DEFAULT;
        let tenant = TenantId(given.tenant.unwrap_or(by.tenant.0));
        if tenant != by.tenant && !owner {
            return Err(AppError::forbidden("tenant: only admins of tenant 1 set the budgets of other tenants"));
        }
        if tenant == TenantId::EACH {
            return Err(AppError::input("tenant", "0 is not a tenant; expected 1 or more"));
        }
        if !owner {
            self.within_given(tenant, &account, limit).await?;
        }
        let missing = match &account {
            Account::Task(id) => self.reader().task(tenant, *id)?.is_none(),
            Account::Run(id) => self.reader().run(tenant, *id)?.is_none(),
            _ => false,
        };
        if missing {
            return Err(AppError::not_found(account.shown()));
        }
        let limit_by = if owner { LimitBy::Owner } else { LimitBy::Tenant };
        let command = command::SetLimit { tenant, account: account.clone(), limit, by: limit_by };
        let of = if tenant == by.tenant { String::new() } else { format!(" of tenant {}", tenant.0) };
        let resource = format!("{}{of} {limit}", account.written());
        self.act(by, "budget.set", &resource, command).await?;
        self.ledger.stir();
        let found = self.list_for(by.tenant, move |app| Ok(standing(app.reader(), Some(tenant), app.now())?)).await?;
        let found = found.iter().find(|(row, _)| row.account == account && row.tenant == tenant);
        let (row, spent) = found.ok_or_else(|| AppError::internal("the stored budget is missing"))?;
        Ok(budget(row, *spent))
    }

    /// Refuses more than the owner of the server granted a tenant: its admins may only lower that.
    async fn within_given(self: &Arc<Self>, tenant: TenantId, account: &Account, limit: Money) -> Result<(), AppError> {
        let wanted = account.clone();
        let found = self.list_for(tenant, move |app| Ok(given(app.reader(), tenant, &wanted)?)).await?;
        let limited = matches!(account, Account::Tenant | Account::Day | Account::Queue(_) | Account::Worker(_));
        match found.filter(|given| limited && limit > *given) {
            None => Ok(()),
            Some(given) => Err(AppError::forbidden(format!(
                "limit_nanousd: {limit} is more than the {given} granted to {}; an admin of tenant 1 may raise that",
                account.shown()
            ))),
        }
    }
}

fn budget(row: &BudgetRow, spent: Money) -> api::Budget {
    api::Budget {
        tenant: row.tenant.0,
        account: row.account.written(),
        limit_nanousd: row.limit.0,
        spent_nanousd: spent.0,
        set_at: to_api::time(row.at),
        of_file: row.own.is_none() && row.base == row.limit,
        set_by: None,
    }
}

/// Returns the budgets of a tenant or of all, with the limit in force and the spending of each.
///
/// A limit set by hand names the person.
///
/// # Errors
/// When the store fails.
pub(crate) fn listed(
    reader: &dyn Reader,
    tenant: Option<TenantId>,
    now: kapelle_core::Timestamp,
) -> Result<Vec<api::Budget>, Error> {
    let found = standing(reader, tenant, now)?;
    let acts = reader.audit(Some(tenant.unwrap_or(TenantId::DEFAULT)), Page { before: None, most: MOST })?;
    let by = |row: &BudgetRow| {
        // The resource is the account, then the tenant where it is another one, then the amount.
        let of = |act: &&kapelle_store::AuditRow| {
            let mut words = act.act.resource.split(' ');
            &*act.act.action == "budget.set" && words.next() == Some(row.account.written().as_str())
        };
        acts.iter().find(of).map(|act| act.act.actor.to_string())
    };
    let shown = found.iter().map(|(row, spent)| {
        let shown = budget(row, *spent);
        let set_by = if shown.of_file { None } else { by(row) };
        api::Budget { set_by, ..shown }
    });
    Ok(shown.collect())
}

/// Returns the limit that was granted to a tenant's account: for it alone, or for each tenant. `None` when it is
/// unlimited.
///
/// # Errors
/// When the store fails.
pub(crate) fn given(reader: &dyn Reader, tenant: TenantId, account: &Account) -> Result<Option<Money>, Error> {
    let find = |tenant: TenantId, account: &Account| -> Result<Option<Money>, Error> {
        let rows = reader.budgets(tenant, MOST)?;
        Ok(rows.into_iter().find(|row| row.account == *account && row.limit < NO_LIMIT).map(|row| row.limit))
    };
    let shared = match account {
        // A tenant may never spend more on a day than all of them together.
        Account::Day => find(TenantId::DEFAULT, &Account::Day)?,
        account if tenant != TenantId::DEFAULT => find(TenantId::EACH, account)?,
        _ => None,
    };
    Ok(find(tenant, account)?.or(shared))
}

/// Returns the budgets of a tenant with the shared budget of the day, or those of all, each with its limit in force and
/// its spending: for the day, today's.
///
/// # Errors
/// When the store fails.
pub(crate) fn standing(
    reader: &dyn Reader,
    tenant: Option<TenantId>,
    now: kapelle_core::Timestamp,
) -> Result<Vec<(BudgetRow, Money)>, Error> {
    let mut rows = match tenant {
        Some(tenant) => reader.budgets(tenant, MOST)?,
        None => reader.all_budgets(MOST)?,
    };
    let mut tenants: Vec<TenantId> = rows.iter().map(|row| row.tenant).collect();
    tenants.extend(tenant);
    if tenant.is_none() {
        tenants.extend(reader.tenant_accounts(MOST)?.into_iter().map(|row| row.tenant));
    }
    tenants.sort_unstable();
    tenants.dedup();
    let each = reader.budgets(TenantId::EACH, MOST)?;
    for tenant in tenants.into_iter().filter(|tenant| *tenant > TenantId::DEFAULT) {
        for rule in each.iter().filter(|rule| rule.limit < NO_LIMIT) {
            match rows.iter_mut().find(|row| row.tenant == tenant && row.account == rule.account) {
                Some(row) if row.limit >= NO_LIMIT => row.limit = rule.limit,
                Some(_) => {}
                None => rows.push(BudgetRow { tenant, ..rule.clone() }),
            }
        }
    }
    if tenant.is_some_and(|tenant| tenant != TenantId::DEFAULT) {
        rows.extend(reader.budgets(TenantId::DEFAULT, MOST)?.into_iter().filter(|row| row.account == Account::Day));
    }
    let mut found = Vec::new();
    for mut row in rows {
        row.limit = row.own.map_or(row.limit, |own| own.min(row.limit));
        if row.limit >= NO_LIMIT || row.tenant == TenantId::EACH {
            continue;
        }
        let day = if row.account == Account::Day { kapelle_core::account::day_of(now) } else { 0 };
        let spent = reader.account(row.tenant, &row.account, day)?.map_or(Money::ZERO, |account| account.spent);
        found.push((row, spent));
    }
    Ok(found)
}
