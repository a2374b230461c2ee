//! Who asks.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use kapelle::{
    core::{TenantId, Timestamp, approval::OWNER},
    store::{AccessKey, KeyScope},
};
use kapelle_api::code;
use tokio::sync::watch;

use super::{failures::Failures, role::Role, secret::digest};
use crate::{
    problem::Problem,
    query,
    route::{Permission, Route, Scope},
    shares::{Bounds, Party, Rank, Share, Shares},
};

/// How long a pass is good for.
pub const TICKET_MS: i64 = 30_000;
/// Passes there can be at once.
const TICKETS: Bounds = Bounds::halves(1_000);
/// Passes of one key; one more takes the place of its oldest.
const TICKETS_EACH: usize = 100;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What the audit trail calls it: `token`, or the id of its key.
    pub actor: String,
    /// What it may do.
    pub role: Role,
    /// Whose data it opens.
    pub tenant: TenantId,
    /// What people call its key.
    pub name: String,
    /// What its key may do besides its role, and what it is kept to.
    pub scope: KeyScope,
    /// Raised once its key was revoked.
    pub revoked: Arc<AtomicBool>,
    digest: [u8; 32],
    expires_at: Option<Timestamp>,
}

impl Identity {
    fn new(actor: &str, role: Role, digest: [u8; 32]) -> Identity {
        Identity {
            actor: actor.to_owned(),
            role,
            tenant: TenantId::DEFAULT,
            name: actor.to_owned(),
            scope: KeyScope::default(),
            revoked: Arc::default(),
            digest,
            expires_at: None,
        }
    }

    /// Whether its role or its key may do that.
    pub fn may(&self, permission: Permission) -> bool {
        let granted = match permission {
            Permission::Ask => self.scope.ask,
            Permission::Approve => self.scope.approve,
            _ => false,
        };
        granted || self.role.may(permission)
    }

    /// How long its key still works. `None`: without end.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.expires_at.map(|end| Duration::from_millis(end.since(now).0))
    }

    /// Whose shares it draws on.
    pub fn party(&self) -> Party {
        let rank = match (self.role, self.tenant) {
            (Role::Admin, TenantId::DEFAULT) => Rank::Owner,
            (Role::Admin, _) => Rank::Admin,
            _ => Rank::Plain,
        };
        Party { tenant: self.tenant, key: self.digest, rank }
    }
}

/// One way in for one time.
#[derive(Debug)]
struct Pass {
    who: Arc<Identity>,
    until: Timestamp,
    _share: Share,
}

/// Those who are let in.
#[derive(Debug)]
pub struct Auth {
    /// By the hash of the secret.
    known: RwLock<HashMap<[u8; 32], Arc<Identity>>>,
    failures: Failures,
    failures_most: u32,
    /// Passes by their hash, with the end of their time.
    tickets: Mutex<HashMap<[u8; 32], Pass>>,
    ticket_shares: Arc<Shares>,
    /// Told of every key that is revoked.
    changes: watch::Sender<()>,
    anonymous: Arc<Identity>,
}

impl Auth {
    /// The bearer of the token is let in, and those with keys.
    pub fn new(token: &str, keys: &[AccessKey], failures_most: u32) -> Auth {
        let anonymous = Arc::new(Identity::new("nobody", Role::Viewer, [0; 32]));
        let root = Identity::new(OWNER, Role::Admin, digest(token));
        let auth = Auth {
            known: RwLock::new(HashMap::from([(root.digest, Arc::new(root))])),
            failures: Failures::default(),
            failures_most,
            tickets: Mutex::default(),
            ticket_shares: Shares::new(TICKETS),
            changes: watch::Sender::default(),
            anonymous,
        };
        keys.iter().filter(|key| key.revoked_at.is_none()).for_each(|key| auth.admit(key));
        auth
    }

    /// Lets a key in. One with a role that this version does not know stays outside.
    pub fn admit(&self, key: &AccessKey) {
        let Some(role) = Role::from_word(&key.role) else { return };
        let identity = Identity {
            actor: key.id.to_string(),
            role,
            tenant: key.tenant,
            name: key.name.to_string(),
            scope: key.scope.clone(),
            revoked: Arc::default(),
            digest: key.sha256,
            expires_at: key.expires_at,
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key.sha256, Arc::new(identity));
    }

    /// Lets a key in no more. Whatever waits with it ends at once.
    pub fn expel(&self, id: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, known| {
            let stays = known.actor != id;
            known.revoked.fetch_or(!stays, Ordering::AcqRel);
            stays
        });
        self.changes.send_replace(());
    }

    /// Told when a key was revoked.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether a key lets in, by its id.
    pub fn holds(&self, id: &str, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.values().filter(|known| known.actor == id);
        known.any(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// Whether somebody who was let in would still be.
    pub fn still(&self, who: &Identity, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&who.digest).is_some_and(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// Nobody in particular.
    pub fn anonymous(&self) -> Arc<Identity> {
        Arc::clone(&self.anonymous)
    }

    /// Who sends these headers.
    ///
    /// # Errors
    /// When they name nobody who is let in; when an address has tried too often.
    pub fn identify(&self, headers: &HeaderMap, address: IpAddr, now: Timestamp) -> Result<Arc<Identity>, Problem> {
        let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail);
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            let detail =
                "send `Authorization: Bearer TOKEN`; the token is in the file `token` of the server's data folder";
            return Err(refused(detail));
        };
        let secret = value.to_str().ok().and_then(|value| {
            let (scheme, secret) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
        });
        if let (Some(secret), None) = (secret, values.next())
            && let Some(who) = self.find(&digest(secret), now)
        {
            return Ok(who);
        }
        let detail = "the token or key is not one of this server, was taken back, or has expired";
        Err(self.count(address, now, refused(detail)))
    }

    /// Who sends these headers, on a route that may have been asked with a pass that is not good.
    ///
    /// # Errors
    /// As for [`Auth::identify`].
    pub fn identify_ticketed(
        &self,
        route: &Route,
        parts: &Parts,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Arc<Identity>, Problem> {
        if ticket(route, parts).is_some() && !parts.headers.contains_key(header::AUTHORIZATION) {
            let detail = "ticket: used already, older than 30 s, or not of this server; POST /api/v1/tickets makes one";
            let refused = Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail);
            return Err(self.count(address, now, refused));
        }
        self.identify(&parts.headers, address, now)
    }

    /// Counts a wrong secret of any kind, and gives the refusal: the given one, or that too many were wrong. Right ones are
    /// not asked here, so they pass from any address.
    pub fn count(&self, address: IpAddr, now: Timestamp, refusal: Problem) -> Problem {
        match self.failures.count(address, now.0, self.failures_most) {
            None => refusal,
            Some(seconds) => {
                let detail = "too many wrong tokens, keys, passes or links came from this address";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY, detail).after(seconds)
            }
        }
    }

    fn find(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Identity>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|known| known.expires_at.is_none_or(|end| end > now)).map(Arc::clone)
    }

    /// Makes a pass for opening one stream, for those who cannot send headers.
    ///
    /// # Errors
    /// When its tenant, or the server, has as many as there may be.
    pub fn ticket(&self, who: &Arc<Identity>, secret: &str, now: Timestamp) -> Result<(), Problem> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, pass| pass.until > now);
        let own = || tickets.iter().filter(|(_, pass)| pass.who.digest == who.digest);
        if own().count() >= TICKETS_EACH
            && let Some(oldest) = own().min_by_key(|(_, pass)| pass.until).map(|(digest, _)| *digest)
        {
            tickets.remove(&oldest);
        }
        let share = self.ticket_shares.take(who.party(), 1).map_err(|full| full.problem("passes", 30))?;
        let until = Timestamp(now.0 + TICKET_MS);
        tickets.insert(digest(secret), Pass { who: Arc::clone(who), until, _share: share });
        Ok(())
    }

    /// Who shows a pass, on a route that takes them. It is good for one time.
    pub fn redeem(&self, route: &Route, parts: &Parts, now: Timestamp) -> Option<Arc<Identity>> {
        let ticket = digest(&ticket(route, parts)?);
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let Pass { who, until, .. } = tickets.remove(&ticket)?;
        drop(tickets);
        (until > now && self.still(&who, now)).then_some(who)
    }
}

/// The pass in the query, on a route that takes them.
fn ticket(route: &Route, parts: &Parts) -> Option<String> {
    if route.scope == Scope::Nobody || !route.query.iter().any(|(name, _)| *name == "ticket") {
        return None;
    }
    query::read::<HashMap<String, String>>(&parts.uri).ok()?.remove("ticket")
}
