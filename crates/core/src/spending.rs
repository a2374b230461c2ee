//! Rules of money: charged accounts, limits, warnings, and prepaid amounts.

use crate::{
    account::Account,
    id::TenantId,
    money::Money,
    mutant::{Mutant, planted},
};

/// A limit that stands for none.
pub const NO_LIMIT: Money = Money(i64::MAX as u64);

/// Prepaid amounts that a payer has at once: the next call can begin while the amount for the one after it is drawn.
pub const PER_PAYER: usize = 2;

/// Life of an unused prepaid amount, in milliseconds. A payer that calls less often has no use for one.
pub const IDLE_MS: u64 = 2_000;

/// A prepaid amount covers a call that costs this many times the last one: conversations grow.
const ROOM: u64 = 2;
/// An amount is prepaid only while every limit leaves this many times as much: near a limit each call is checked alone.
const AMPLE: u128 = 16;
/// The share of a budget at which it is said to run low, in percent.
const LOW_PERCENT: u128 = 80;

/// An account: whose, which, and of which day.
pub type AccountKey = (TenantId, Account, i64);

/// Returns the accounts that a payer of a tenant is charged to. The day of the first tenant is that of all tenants together.
#[must_use]
pub fn charged(tenant: TenantId, payer: &[Account], day: i64) -> Vec<AccountKey> {
    let mut keys: Vec<AccountKey> = payer.iter().map(|account| key_of(tenant, account, day)).collect();
    if tenant != TenantId::DEFAULT && payer.contains(&Account::Day) && !planted(Mutant::DayOfEachTenant) {
        keys.push(key_of(TenantId::DEFAULT, &Account::Day, day));
    }
    keys
}

/// Returns the key of an account on a day. Only the day's own account changes with it.
#[must_use]
pub fn key_of(tenant: TenantId, account: &Account, day: i64) -> AccountKey {
    (tenant, account.clone(), if *account == Account::Day { day } else { 0 })
}

/// Whether the owner of the server says what an account may spend, where it is not the first tenant's.
#[must_use]
pub fn is_given(account: &Account) -> bool {
    matches!(account, Account::Tenant | Account::Day | Account::Queue(_) | Account::Worker(_))
}

/// Whether an account without a limit of its own has the one that is given to each tenant.
#[must_use]
pub fn takes_each(tenant: TenantId, account: &Account) -> bool {
    let of_tenant = tenant != TenantId::DEFAULT && is_given(account) && *account != Account::Day;
    of_tenant && !planted(Mutant::GivenIgnored)
}

/// Returns what an account may spend: what it was given, and no more than its tenant allows itself. `None` is unlimited.
#[must_use]
pub fn bound(given: Option<Money>, own: Option<Money>) -> Option<Money> {
    [given.filter(|limit| *limit < NO_LIMIT), own].into_iter().flatten().min()
}

/// Whether the limit that a task brought along is spent. Its calls are cut to what is left, so that the limit need not
/// hold their worst case.
#[must_use]
pub fn is_spent(limit: Money, used: u64) -> bool {
    used > 0 && used >= limit.0
}

/// Whether an account has spent so much that its owner is told. An account that may spend nothing is never low.
#[must_use]
pub fn is_low(spent: Money, limit: Money) -> bool {
    limit > Money::ZERO && u128::from(spent.0) * 100 >= u128::from(limit.0) * LOW_PERCENT
}

/// Returns the mark of a limit that was told to be low. A day's budget is told once a day: each day's limit is another one.
#[must_use]
pub fn mark_of(limit: Money, day: i64) -> Money {
    Money(limit.0 ^ day.unsigned_abs())
}

/// Returns how much to prepay for the call after one of that worst case.
#[must_use]
pub fn prepaid_for(worst: Money) -> Money {
    Money(worst.0.saturating_mul(ROOM))
}

/// Whether a prepaid amount is of use to a payer whose calls cost that much. One that is not only binds money.
#[must_use]
pub fn is_of_use(amount: Money, worst: Money) -> bool {
    amount >= worst
}

/// Returns how many amounts to draw for a payer that has some.
#[must_use]
pub fn to_draw(held: usize) -> usize {
    PER_PAYER.saturating_sub(held)
}

/// Whether a limit leaves enough to prepay an amount.
#[must_use]
pub fn is_ample(limit: Money, used: u64, amount: Money) -> bool {
    u128::from(limit.0.saturating_sub(used)) >= u128::from(amount.0) * AMPLE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OTHER: TenantId = TenantId(7);

    #[test]
    fn the_day_of_the_first_tenant_is_charged_with_all() {
        let payer = [Account::Tenant, Account::Day];
        let first = charged(TenantId::DEFAULT, &payer, 3);
        assert_eq!(first, [(TenantId::DEFAULT, Account::Tenant, 0), (TenantId::DEFAULT, Account::Day, 3)]);
        let other = charged(OTHER, &payer, 3);
        let own = [(OTHER, Account::Tenant, 0), (OTHER, Account::Day, 3)];
        assert_eq!(other[..2], own);
        assert_eq!(other[2..], [(TenantId::DEFAULT, Account::Day, 3)]);
        assert_eq!(charged(OTHER, &[Account::Tenant], 3).len(), 1, "without the day nothing is shared");
    }

    #[test]
    fn a_tenant_lowers_what_it_was_given_and_never_raises_it() {
        let (given, less, more) = (Some(Money(10)), Some(Money(4)), Some(Money(40)));
        assert_eq!((bound(given, None), bound(given, less), bound(given, more)), (given, less, given));
        assert_eq!((bound(None, less), bound(Some(NO_LIMIT), None), bound(Some(NO_LIMIT), less)), (less, None, less));
        assert!(takes_each(OTHER, &Account::Tenant) && takes_each(OTHER, &Account::Queue("q".to_owned())));
        assert!(!takes_each(OTHER, &Account::Day) && !takes_each(TenantId::DEFAULT, &Account::Tenant));
        assert!(!takes_each(OTHER, &Account::Key("k".to_owned())), "nobody gives a key anything");
    }

    #[test]
    fn a_budget_is_low_at_four_fifths_and_one_of_nothing_never() {
        assert!(!is_low(Money(79), Money(100)) && is_low(Money(80), Money(100)) && is_low(Money(300), Money(100)));
        assert!(!is_low(Money(0), Money::ZERO) && !is_low(Money(5), Money::ZERO));
        assert!(is_low(Money(u64::MAX), Money(u64::MAX)), "no sum is too large");
        assert_ne!(mark_of(Money(100), 1), mark_of(Money(100), 2), "each day is told once");
        assert_ne!(mark_of(Money(100), 0), mark_of(Money(200), 0), "a raised limit is told anew");
    }

    #[test]
    fn a_task_may_spend_its_limit_and_begins_no_call_after_it() {
        assert!(!is_spent(Money(10), 9) && is_spent(Money(10), 10) && is_spent(Money(10), 11));
        assert!(
            !is_spent(Money::ZERO, 0),
            "the first call of a task whose limit is nothing is free or refused by price"
        );
    }

    #[test]
    fn two_amounts_are_drawn_and_no_more() {
        assert_eq!([to_draw(0), to_draw(1), to_draw(2), to_draw(9)], [2, 1, 0, 0]);
    }

    proptest! {
        /// Every prepaid amount covers the call it was drawn for and leaves most of every limit to others.
        #[test]
        fn what_is_prepaid_is_of_use_and_leaves_room(worst in any::<u64>(), limit in any::<u64>(), used in any::<u64>()) {
            let amount = prepaid_for(Money(worst));
            prop_assert!(is_of_use(amount, Money(worst)));
            if is_ample(Money(limit), used, amount) && amount > Money::ZERO {
                let both = u128::from(used) + u128::from(amount.0) * PER_PAYER as u128;
                prop_assert!(both <= u128::from(limit), "{both} of {limit}");
            }
        }
    }
}
