//! What may be spent: as files say, and raised by hand.

use kapelle_core::{Account, Money, TenantId};
use kapelle_engine::{BookCommand, Command, NO_LIMIT};
use kapelle_store::{Act, BudgetRow};

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
        let tenant = TenantId::DEFAULT;
        for row in self.engine.reader().budgets(tenant, MOST)? {
            let of_file =
                matches!(row.account, Account::Day | Account::Tenant | Account::Queue(_) | Account::Worker(_));
            let named = limits.iter().any(|(account, _)| *account == row.account);
            if of_file && !named && row.base > Money::ZERO && row.base < NO_LIMIT {
                limits.push((row.account, NO_LIMIT));
            }
        }
        for (account, limit) in limits {
            self.engine.ask(Command::Book(BookCommand::Limit { tenant, account, limit, file: true })).await?;
        }
        self.books.stir();
        Ok(())
    }

    /// Sets what an account may spend, and writes down who did. Tasks for which there is money then go on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_budget(&self, act: Act, account: Account, limit: Money) -> Result<(), Error> {
        let tenant = act.tenant;
        let command = Command::Book(BookCommand::Limit { tenant, account, limit, file: false });
        self.engine.ask(Command::Audited { act, command: Box::new(command) }).await?;
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

/// The budgets of a tenant, or of all, with what is spent of each: of the day's, what was spent today.
///
/// # Errors
/// When the store fails.
pub fn standing(
    reader: &dyn kapelle_store::Reader,
    tenant: Option<TenantId>,
    now: kapelle_core::Timestamp,
) -> Result<Vec<(BudgetRow, Money)>, Error> {
    let mut found = Vec::new();
    let rows = match tenant {
        Some(tenant) => reader.budgets(tenant, MOST)?,
        None => reader.all_budgets(MOST)?,
    };
    for row in rows {
        if row.limit >= NO_LIMIT {
            continue;
        }
        let day = if row.account == Account::Day { kapelle_core::account::day_of(now) } else { 0 };
        let spent = reader.account(row.tenant, &row.account, day)?.map_or(Money::ZERO, |account| account.spent);
        found.push((row, spent));
    }
    Ok(found)
}
