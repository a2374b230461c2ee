//! What may be spent: as files say, and raised by hand.

use kapelle_core::{Account, Money, TenantId};
use kapelle_engine::{Audited, LimitBy, NO_LIMIT, command};
use kapelle_store::{Act, BudgetRow, Reader};

use crate::{config::Config, error::Error, kapelle::Kapelle};

/// Budgets that are read at once.
const MOST: u32 = 1_000;

impl Kapelle {
    /// Takes another configuration of providers, models, prices and budgets. Calls under way end with what they began
    /// with.
    ///
    /// # Errors
    /// When it is wrong; the one before stays in force then.
    pub async fn reload(&self, config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        let problem = |message: String| Error::Config(message);
        config.budgets.limits().map_err(|error| problem(error.to_string()))?;
        self.gateway.reload(&config.gateway(), env).map_err(|error| problem(error.to_string()))?;
        self.set_budgets(config).await
    }

    /// Sets the budgets that the configuration names. One that was raised by hand stays while the file says the same;
    /// one that the file no longer names ends.
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
        self.books.stir();
        Ok(())
    }

    /// Sets what an account of a tenant may spend, and writes down who did. Tasks for which there is money then go on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_budget(&self, act: Act, tenant: TenantId, account: Account, limit: Money) -> Result<(), Error> {
        let by = LimitBy::Owner;
        let command = command::SetLimit { tenant, account, limit, by };
        self.engine.ask(Audited { act, command }).await?;
        self.books.stir();
        Ok(())
    }

    /// Has those look again who wait for money: a budget was raised.
    pub fn budgets_changed(&self) {
        self.books.stir();
    }

    /// The budgets of a tenant with what is spent of each.
    ///
    /// # Errors
    /// When the store fails.
    pub fn budgets(&self, tenant: TenantId) -> Result<Vec<(BudgetRow, Money)>, Error> {
        let reader = self.engine.reader();
        crate::budgets::standing(&**reader, Some(tenant), self.clock.now())
    }

    /// The budgets of all tenants with what is spent of each.
    ///
    /// # Errors
    /// When the store fails.
    pub fn all_budgets(&self) -> Result<Vec<(BudgetRow, Money)>, Error> {
        crate::budgets::standing(&**self.engine.reader(), None, self.clock.now())
    }
}

/// What an account of a tenant was given: for it alone, or for each tenant. None where nothing limits it.
///
/// # Errors
/// When the store fails.
pub fn given(reader: &dyn Reader, tenant: TenantId, account: &Account) -> Result<Option<Money>, Error> {
    let find = |tenant: TenantId, account: &Account| -> Result<Option<Money>, Error> {
        let rows = reader.budgets(tenant, MOST)?;
        Ok(rows.into_iter().find(|row| row.account == *account && row.limit < NO_LIMIT).map(|row| row.limit))
    };
    let shared = match account {
        // No tenant may spend more on a day than all of them together.
        Account::Day => find(TenantId::DEFAULT, &Account::Day)?,
        account if tenant != TenantId::DEFAULT => find(TenantId::EACH, account)?,
        _ => None,
    };
    Ok(find(tenant, account)?.or(shared))
}

/// The budgets of a tenant with the day that all share, or those of all, each as it is in force and with what is spent of
/// it: of the day's, what was spent today.
///
/// # Errors
/// When the store fails.
pub fn standing(
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
