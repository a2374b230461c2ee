//! Authentication of requests.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use kapelle_api::code;
use kapelle_app::{Caller, Identity, Keyring, Role, digest};
use kapelle_core::{TenantId, Timestamp};

use super::failures::Failures;
use crate::{
    problem::Problem,
    query,
    route::{Route, Scope},
    shares::{Bounds, Party, Rank, Share, Shares},
};

/// Lifetime of a ticket, in milliseconds.
pub const TICKET_MS: i64 = 30_000;
/// The most tickets at once.
const TICKETS: Bounds = Bounds::halves(1_000);
/// The most tickets of one key; a new one evicts its oldest.
const TICKETS_EACH: usize = 100;

/// Returns the party whose shares a caller draws on.
pub fn party(who: &Identity) -> Party {
    let rank = match (who.role, who.tenant) {
        (Role::Admin, TenantId::DEFAULT) => Rank::Owner,
        (Role::Admin, _) => Rank::Admin,
        _ => Rank::Plain,
    };
    Party { tenant: who.tenant, key: who.digest, rank }
}

/// A ticket: access for one use.
#[derive(Debug)]
struct Pass {
    who: Arc<Identity>,
    until: Timestamp,
    _share: Share,
}

/// Authentication: credentials of requests, counts of wrong ones, and tickets.
#[derive(Debug)]
pub struct Auth {
    failures: Failures,
    failures_most: u32,
    /// Tickets by their hash, with their expiry.
    tickets: Mutex<HashMap<[u8; 32], Pass>>,
    ticket_shares: Arc<Shares>,
    anonymous: Arc<Identity>,
}

impl Auth {
    /// Makes an authentication that accepts `failures_most` wrong credentials per minute from one address.
    pub fn new(failures_most: u32) -> Auth {
        let nobody = Caller { actor: "nobody".to_owned(), role: Role::Viewer, ..Caller::owner("key") };
        Auth {
            failures: Failures::default(),
            failures_most,
            tickets: Mutex::default(),
            ticket_shares: Shares::new(TICKETS),
            anonymous: Arc::new(Identity::new(nobody, [0; 32])),
        }
    }

    /// Returns the identity of an anonymous caller.
    pub fn anonymous(&self) -> Arc<Identity> {
        Arc::clone(&self.anonymous)
    }

    /// Identifies the sender of these headers.
    ///
    /// # Errors
    /// When the credentials are wrong or missing; when an address has tried too often.
    pub fn identify(
        &self,
        keyring: &Keyring,
        headers: &HeaderMap,
        (address, now): (IpAddr, Timestamp),
    ) -> Result<Arc<Identity>, Problem> {
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
            && let Some(who) = keyring.find(&digest(secret), now)
        {
            return Ok(who);
        }
        let detail = "the token or key is unknown here, revoked or expired";
        Err(self.count(address, now, refused(detail)))
    }

    /// Identifies the sender of these headers, on a route whose ticket was missing or invalid.
    ///
    /// # Errors
    /// As for [`Auth::identify`].
    pub fn identify_ticketed(
        &self,
        keyring: &Keyring,
        (route, parts): (&Route, &Parts),
        (address, now): (IpAddr, Timestamp),
    ) -> Result<Arc<Identity>, Problem> {
        if ticket(route, parts).is_some() && !parts.headers.contains_key(header::AUTHORIZATION) {
            let detail = "ticket: already used, older than 30 s, or unknown here; POST /api/v1/tickets makes one";
            let refused = Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail);
            return Err(self.count(address, now, refused));
        }
        self.identify(keyring, &parts.headers, (address, now))
    }

    /// Counts a wrong secret of any kind. Returns the given refusal, or the one for too many wrong secrets. Right ones
    /// do not come here, so they pass from any address.
    pub fn count(&self, address: IpAddr, now: Timestamp, refusal: Problem) -> Problem {
        match self.failures.count(address, now.0, self.failures_most) {
            None => refusal,
            Some(seconds) => {
                let detail = "too many wrong tokens, keys, tickets or links from this address";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY, detail).after(seconds)
            }
        }
    }

    /// Issues a ticket for opening one stream, for clients that cannot send headers.
    ///
    /// # Errors
    /// When its tenant, or the server, has its maximum of tickets.
    pub fn ticket(&self, who: &Arc<Identity>, secret: &str, now: Timestamp) -> Result<(), Problem> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, pass| pass.until > now);
        let own = || tickets.iter().filter(|(_, pass)| pass.who.digest == who.digest);
        if own().count() >= TICKETS_EACH
            && let Some(oldest) = own().min_by_key(|(_, pass)| pass.until).map(|(digest, _)| *digest)
        {
            tickets.remove(&oldest);
        }
        let share = self.ticket_shares.take(party(who), 1).map_err(|full| full.problem("passes", 30))?;
        let until = Timestamp(now.0 + TICKET_MS);
        tickets.insert(digest(secret), Pass { who: Arc::clone(who), until, _share: share });
        Ok(())
    }

    /// Redeems a ticket, on a route that accepts tickets. A ticket is valid once.
    pub fn redeem(&self, keyring: &Keyring, route: &Route, parts: &Parts, now: Timestamp) -> Option<Arc<Identity>> {
        let ticket = digest(&ticket(route, parts)?);
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let Pass { who, until, .. } = tickets.remove(&ticket)?;
        drop(tickets);
        (until > now && keyring.still(&who, now)).then_some(who)
    }
}

/// Returns the ticket in the query, on a route that accepts tickets.
fn ticket(route: &Route, parts: &Parts) -> Option<String> {
    if route.scope == Scope::Nobody || !route.query.iter().any(|(name, _)| *name == "ticket") {
        return None;
    }
    query::read::<HashMap<String, String>>(&parts.uri).ok()?.remove("ticket")
}
