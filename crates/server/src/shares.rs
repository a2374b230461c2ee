//! Bounded amounts that many parties share, so that a single key or tenant cannot use up all of one.

use std::{
    collections::HashMap,
    hash::Hash,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use kapelle_api::code;
use kapelle_core::TenantId;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::problem::Problem;

/// The part of a whole that is reserved for a higher rank: an eighth.
const RESERVE: u64 = 8;

/// The rank of a party, which decides what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Administers the server: the folder's token, and admins of its tenant. Limited by the whole alone.
    Owner,
    /// Administers another tenant. Limited by the tenant's share.
    Admin,
    /// Any other holder of a credential.
    Plain,
}

/// A holder of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Party {
    /// The tenant whose share it draws on.
    pub tenant: TenantId,
    /// The hash of the credential.
    pub key: [u8; 32],
    pub rank: Rank,
}

/// The division of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The whole. Owners may use all of it, others all but an eighth.
    pub all: u64,
    /// One tenant's share. Its admins may use all of it, others all but an eighth.
    pub tenant: u64,
    /// One key's share.
    pub key: u64,
}

impl Bounds {
    /// Returns half of the whole for a tenant, and a quarter for a key.
    pub const fn halves(all: u64) -> Bounds {
        Bounds { all, tenant: all.div_ceil(2), key: all.div_ceil(4) }
    }
}

/// The share that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The key's share.
    Key(u64),
    /// The tenant's share.
    Tenant(u64),
    /// The whole.
    All(u64),
}

impl Full {
    /// Returns the refusal: 429 for a used-up share, 503 for the whole.
    pub fn problem(self, what: &str, after: u32) -> Problem {
        let told = |whose: &str, bound: u64| format!("{what}: {whose} share of {bound} is used up; end some, or wait");
        let (status, detail) = match self {
            Full::Key(bound) => (StatusCode::TOO_MANY_REQUESTS, told("this key's", bound)),
            Full::Tenant(bound) => (StatusCode::TOO_MANY_REQUESTS, told("this tenant's", bound)),
            Full::All(bound) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("{what}: the server's {bound} are in use; try again soon"))
            }
        };
        Problem::new(status, code::TOO_MANY, detail).after(after)
    }
}

#[derive(Debug, Default)]
struct Used {
    all: u64,
    tenants: HashMap<TenantId, u64>,
    keys: HashMap<[u8; 32], u64>,
}

/// A shared amount.
#[derive(Debug)]
pub struct Shares {
    bounds: Bounds,
    used: Mutex<Used>,
    freed: Notify,
}

impl Shares {
    /// Makes an amount with nothing in use.
    pub fn new(bounds: Bounds) -> Arc<Shares> {
        Arc::new(Shares { bounds, used: Mutex::default(), freed: Notify::new() })
    }

    /// Returns the division.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Returns the amount in use.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.lock().all
    }

    /// Takes some, until the share is dropped. Never waits: a party that holds some while it waits for more could keep
    /// all others waiting.
    ///
    /// # Errors
    /// [`Full`] when the key, the tenant or the server has no more.
    pub fn take(self: &Arc<Self>, party: Party, amount: u64) -> Result<Share, Full> {
        let mut share = Share { of: Arc::clone(self), party, amount: 0 };
        share.grow(amount)?;
        Ok(share)
    }

    /// Takes some as [`Shares::take`] does, waiting for it until the given time. Only for a party that holds none of it
    /// for the thing it waits with.
    ///
    /// # Errors
    /// As for [`Shares::take`], when nothing was released by then.
    pub async fn take_by(self: &Arc<Self>, party: Party, amount: u64, until: Instant) -> Result<Share, Full> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Registered before the check, so that a release after the check is noticed.
            freed.as_mut().enable();
            let full = match self.take(party, amount) {
                Ok(share) => return Ok(share),
                Err(full) => full,
            };
            if amount > self.bounds.key || timeout_at(until, freed).await.is_err() {
                return Err(full);
            }
        }
    }

    fn add(&self, party: Party, more: u64) -> Result<(), Full> {
        let Bounds { all, tenant, key } = self.bounds;
        let mut used = self.lock();
        let of_all = if party.rank == Rank::Owner { all } else { all - all / RESERVE };
        if used.all.saturating_add(more) > of_all {
            return Err(Full::All(of_all));
        }
        if party.rank != Rank::Owner {
            let of_tenant = if party.rank == Rank::Admin { tenant } else { tenant - tenant / RESERVE };
            if used.tenants.get(&party.tenant).copied().unwrap_or(0).saturating_add(more) > of_tenant {
                return Err(Full::Tenant(of_tenant));
            }
            if used.keys.get(&party.key).copied().unwrap_or(0).saturating_add(more) > key {
                return Err(Full::Key(key));
            }
            *used.tenants.entry(party.tenant).or_default() += more;
            *used.keys.entry(party.key).or_default() += more;
        }
        used.all += more;
        Ok(())
    }

    fn sub(&self, party: Party, less: u64) {
        let mut used = self.lock();
        used.all = used.all.saturating_sub(less);
        if party.rank != Rank::Owner {
            reduce(&mut used.tenants, &party.tenant, less);
            reduce(&mut used.keys, &party.key, less);
        }
        drop(used);
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reduce<K: Eq + Hash>(amounts: &mut HashMap<K, u64>, key: &K, less: u64) {
    if let Some(amount) = amounts.get_mut(key) {
        *amount = amount.saturating_sub(less);
        if *amount == 0 {
            amounts.remove(key);
        }
    }
}

/// An amount that one party holds. Dropping it releases the amount.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    party: Party,
    amount: u64,
}

impl Share {
    /// Takes more.
    ///
    /// # Errors
    /// [`Full`] when the key, the tenant or the server has no more; the share is unchanged.
    pub fn grow(&mut self, more: u64) -> Result<(), Full> {
        if more > 0 {
            self.of.add(self.party, more)?;
            self.amount += more;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.of.sub(self.party, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(tenant: u32, key: u8, rank: Rank) -> Party {
        Party { tenant: TenantId(tenant), key: [key; 32], rank }
    }

    #[test]
    fn a_key_and_a_tenant_have_shares_and_admins_and_owners_a_reserve() {
        let shares = Shares::new(Bounds { all: 64, tenant: 32, key: 16 });
        let plain = |key| party(2, key, Rank::Plain);
        let first = shares.take(plain(1), 16).unwrap();
        assert_eq!(shares.take(plain(1), 1).unwrap_err(), Full::Key(16));
        let second = shares.take(plain(2), 12).unwrap();
        assert_eq!(shares.take(plain(3), 1).unwrap_err(), Full::Tenant(28));
        let admin = shares.take(party(2, 4, Rank::Admin), 4).unwrap();
        assert_eq!(shares.take(party(2, 4, Rank::Admin), 1).unwrap_err(), Full::Tenant(32));
        let other = shares.take(party(3, 5, Rank::Plain), 16).unwrap();
        let rest = shares.take(party(4, 6, Rank::Admin), 8).unwrap();
        assert_eq!(shares.take(party(5, 7, Rank::Admin), 1).unwrap_err(), Full::All(56));
        let owner = shares.take(party(1, 8, Rank::Owner), 8).unwrap();
        assert_eq!(shares.take(party(1, 8, Rank::Owner), 1).unwrap_err(), Full::All(64));
        drop((first, second, admin, other, rest, owner));
        assert_eq!(shares.used(), 0);
        assert!(shares.lock().tenants.is_empty() && shares.lock().keys.is_empty());
    }

    #[tokio::test]
    async fn who_holds_none_may_wait_for_room() {
        let shares = Shares::new(Bounds { all: 16, tenant: 16, key: 8 });
        let plain = party(2, 1, Rank::Plain);
        let held = shares.take(plain, 8).unwrap();
        let late = Instant::now() + std::time::Duration::from_secs(60);
        assert!(shares.take_by(plain, 9, late).await.is_err(), "that is never possible");
        assert_eq!(shares.take_by(plain, 4, Instant::now()).await.unwrap_err(), Full::Key(8));
        let (taken, ()) = tokio::join!(shares.take_by(plain, 4, late), async { drop(held) });
        drop(taken.unwrap());
        assert_eq!(shares.used(), 0);
    }

    #[test]
    fn a_share_that_cannot_grow_keeps_what_it_has() {
        let shares = Shares::new(Bounds { all: 16, tenant: 16, key: 8 });
        let mut share = shares.take(party(2, 1, Rank::Plain), 6).unwrap();
        assert_eq!(share.grow(4).unwrap_err(), Full::Key(8));
        share.grow(2).unwrap();
        assert_eq!(shares.used(), 8);
        assert_eq!(share.grow(u64::MAX).unwrap_err(), Full::All(14));
    }
}
