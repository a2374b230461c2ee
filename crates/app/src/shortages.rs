//! Processes of scripts whose latest call was refused for lack of money.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_core::{Account, Money, Timestamp, account::day_of};
use kapelle_gateway::money::{NoMoney, Payer};

/// A refused call of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The account that refused, with what lifts the refusal, for people.
    pub why: String,
    /// The highest possible cost of the call.
    pub needs: Money,
    /// Whether the limit of the process itself refused.
    pub own: bool,
    /// Number of the day (UTC).
    pub day: i64,
}

/// The refused calls, by process.
#[derive(Debug, Default)]
pub(crate) struct Shortages {
    /// Whether there are any: a call that is paid asks this first.
    any: AtomicBool,
    by_process: Mutex<HashMap<String, Refused>>,
}

fn process(payer: &Payer) -> Option<&String> {
    payer.accounts.iter().find_map(|account| match account {
        Account::Token(process) => Some(process),
        _ => None,
    })
}

impl Shortages {
    fn by_process(&self) -> MutexGuard<'_, HashMap<String, Refused>> {
        self.by_process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a call was refused, when a process pays for it.
    pub(crate) fn note(&self, payer: &Payer, why: &NoMoney, now: Timestamp) {
        let Some(process) = process(payer) else { return };
        let (shown, needs) = match why {
            NoMoney::Spent { account, needs, .. } => (account, *needs),
            NoMoney::Calls { account, .. } => (account, Money::ZERO),
            NoMoney::Over | NoMoney::Broken(_) => return,
        };
        let account = [Account::Day, Account::Tenant].into_iter().chain(payer.accounts.iter().cloned());
        let account = account.into_iter().find(|account| account.shown() == *shown);
        let own = matches!(account, Some(Account::Token(_)));
        let lifted = match &account {
            Some(Account::Token(_)) => "`max_cost` of its settings is used up; it goes on after 00:00 UTC, when it \
                                        is restarted, or when `max_cost` is raised"
                .to_owned(),
            Some(Account::Day) => {
                "it goes on after 00:00 UTC, or when the budget is raised: `kapelle budgets raise day AMOUNT`"
                    .to_owned()
            }
            Some(account) => {
                format!("it goes on when the budget is raised: `kapelle budgets raise {} AMOUNT`", account.written())
            }
            None => "it goes on when the budget is raised".to_owned(),
        };
        let what = if own { "no money".to_owned() } else { format!("no money: {}", said(why)) };
        let refused = Refused { why: format!("{what}; {lifted}"), needs, own, day: day_of(now) };
        self.by_process().insert(process.clone(), refused);
        self.any.store(true, Ordering::Release);
    }

    /// Records that a call of the payer is paid.
    pub(crate) fn paid(&self, payer: &Payer) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        if let Some(process) = process(payer) {
            drop(self.take(process));
        }
    }

    /// Removes and returns the refused call of a process.
    pub(crate) fn take(&self, process: &str) -> Option<Refused> {
        let mut by_process = self.by_process();
        let taken = by_process.remove(process);
        self.any.store(!by_process.is_empty(), Ordering::Release);
        taken
    }
}

/// Formats a refusal without the advice that follows it.
fn said(why: &NoMoney) -> String {
    let text = why.to_string();
    text.strip_suffix(": raise the budget").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use kapelle_core::TenantId;

    use super::*;

    fn payer() -> Payer {
        Payer::of(TenantId::DEFAULT, vec![Account::Token("w.1.7".to_owned()), Account::Worker("inbox".to_owned())])
    }

    #[test]
    fn a_refusal_says_what_lifts_it_and_ends_with_the_next_paid_call() {
        let shortages = Shortages::default();
        let spent = |account: Account| NoMoney::Spent { account: account.shown(), needs: Money(5), left: Money(1) };
        for (account, part) in [
            (Account::Day, "goes on after 00:00 UTC, or when the budget is raised: `kapelle budgets raise day AMOUNT`"),
            (Account::Worker("inbox".to_owned()), "`kapelle budgets raise worker:inbox AMOUNT`"),
            (Account::Token("w.1.7".to_owned()), "`max_cost` of its settings is used up"),
        ] {
            shortages.note(&payer(), &spent(account.clone()), Timestamp(0));
            let refused = shortages.take("w.1.7").unwrap();
            assert!(refused.why.starts_with("no money") && refused.why.contains(part), "{}", refused.why);
            assert_eq!((refused.own, refused.needs), (matches!(account, Account::Token(_)), Money(5)));
        }
        shortages.note(&payer(), &spent(Account::Day), Timestamp(0));
        shortages.paid(&payer());
        assert_eq!(shortages.take("w.1.7"), None);
        shortages.note(&Payer::of(TenantId::DEFAULT, Vec::new()), &spent(Account::Day), Timestamp(0));
        assert!(shortages.by_process().is_empty(), "only processes of scripts are parked");
    }
}
