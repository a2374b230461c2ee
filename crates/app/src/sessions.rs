//! Sessions of the web console: a one-time code, printed for a person, is exchanged for an ordinary key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_api::{self as api, code};
use kapelle_core::{DurationMs, Timestamp, approval::OWNER};
use kapelle_engine::command;
use kapelle_store::{AccessKey, AccessWrite};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    keyring::Identity,
    secrets, to_api,
};

/// Lifetime of a code, in milliseconds.
const CODE_MS: u64 = 10 * 60_000;
/// Lifetime of a session, in milliseconds.
const SESSION_MS: u64 = 12 * 3_600_000;
/// The most codes at once; a further one evicts the oldest of its maker, else it is refused.
const CODES: usize = 1_000;
const CODES_EACH: usize = 10;

/// A code that was not exchanged yet.
struct Code {
    by: Caller,
    /// The end of its maker's key.
    ends: Option<Timestamp>,
    until: Timestamp,
}

/// Codes by the hash of their text. In memory only: a restart makes them void.
#[derive(Default)]
pub(crate) struct Codes(Mutex<HashMap<[u8; 32], Code>>);

impl Codes {
    /// Keeps a code. Returns false when there are too many of other makers.
    fn keep(&self, digest: [u8; 32], code: Code, now: Timestamp) -> bool {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, code| code.until > now);
        let own = || codes.iter().filter(|(_, other)| other.by.actor == code.by.actor);
        let oldest = own().min_by_key(|(_, other)| other.until).map(|(digest, _)| *digest);
        if (own().count() >= CODES_EACH || codes.len() >= CODES)
            && let Some(oldest) = oldest
        {
            codes.remove(&oldest);
        }
        if codes.len() >= CODES {
            return false;
        }
        codes.insert(digest, code);
        true
    }

    /// Takes a code, which is then void. Returns `None` for an unknown or expired one.
    fn take(&self, text: &str, now: Timestamp) -> Option<Code> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.remove(&secrets::digest(text)).filter(|code| code.until > now)
    }
}

/// Returns the name of the keys of a maker's sessions.
fn name_of(actor: &str) -> String {
    format!("session of {actor}")
}

impl App {
    /// Makes a one-time code that a browser exchanges for a session with the rights of the caller.
    ///
    /// # Errors
    /// When the caller may not read, or there are too many codes.
    pub fn session_code(&self, by: &Identity) -> Result<api::SessionCode, AppError> {
        let ends = by.left(self.now()).map(|left| self.now() + DurationMs(millis(left)));
        self.code(by.caller.clone(), ends)
    }

    /// Makes a one-time code for the owner of the folder.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn owner_code(&self) -> Result<api::SessionCode, AppError> {
        self.code(Caller::owner("key"), None)
    }

    fn code(&self, by: Caller, ends: Option<Timestamp>) -> Result<api::SessionCode, AppError> {
        by.allow(Permission::Read)?;
        let code = secrets::fresh().map_err(|error| AppError::internal(error.to_string()))?;
        let now = self.now();
        let kept = Code { by, ends, until: now + DurationMs(CODE_MS) };
        if !self.memory.codes.keep(secrets::digest(&code), kept, now) {
            let message = format!("codes: {CODES} wait to be used; expected fewer; try again in 10 minutes");
            return Err(AppError { retry_after: Some(60), ..AppError::new(code::TOO_MANY, message) });
        }
        let path = format!("/ui/#code={code}");
        Ok(api::SessionCode { code, expires_in_ms: CODE_MS, path })
    }

    /// Exchanges a code for a key with the rights of its maker, which lives for 12 hours and survives a restart.
    ///
    /// # Errors
    /// `unauthorized` for a code that is unknown, used or expired, or whose maker's key is no longer valid.
    pub async fn open_session(&self, given: &api::OpenSession) -> Result<api::SessionStarted, AppError> {
        let now = self.now();
        let refused = || {
            let message = "code: unknown, already used, or older than 10 minutes; `kapelle ui` prints a new one";
            AppError::new(code::UNAUTHORIZED, message)
        };
        let Code { by, ends, .. } = self.memory.codes.take(&given.code, now).ok_or_else(refused)?;
        if !self.memory.keyring.holds(&by.actor, now) {
            return Err(refused());
        }
        let secret = secrets::fresh().map_err(|error| AppError::internal(error.to_string()))?;
        let sha256 = secrets::digest(&secret);
        let longest = now + DurationMs(SESSION_MS);
        let key = AccessKey {
            id: Arc::from(format!("key_{}", secrets::hex(&sha256[..8]))),
            tenant: by.tenant,
            name: Arc::from(name_of(&by.actor)),
            role: Arc::from(by.role.as_str()),
            sha256,
            created_at: now,
            expires_at: Some(ends.map_or(longest, |ends| ends.min(longest))),
            revoked_at: None,
            scope: by.scope.clone(),
        };
        let resource = format!("{} ({} of tenant {})", key.id, by.role.as_str(), by.tenant.0);
        let write = AccessWrite::Add(key.clone());
        self.act(&by, "session.start", &resource, command::Access { write }).await?;
        self.memory.keyring.admit(&key);
        Ok(api::SessionStarted { secret, key: to_api::key(&key) })
    }

    /// Ends the session of the caller: its key is revoked.
    ///
    /// # Errors
    /// When the caller came with the folder's own token.
    pub async fn end_session(self: &Arc<Self>, by: &Caller) -> Result<api::SessionEnded, AppError> {
        by.allow(Permission::Known)?;
        if by.actor == OWNER {
            return Err(AppError::conflict(
                "the folder's own token cannot be revoked; remove its file to get a new one",
            ));
        }
        self.revoke(by, "session.end", Arc::from(by.actor.as_str())).await?;
        Ok(api::SessionEnded { id: by.actor.clone(), revoked: true })
    }

    /// Revokes the sessions that a key made.
    pub(crate) async fn end_sessions_of(self: &Arc<Self>, by: &Caller, key: &AccessKey) -> Result<(), AppError> {
        let (tenant, name) = (key.tenant, name_of(&key.id));
        let keys = self.list_for(by.tenant, |app| Ok(app.reader().access_keys()?)).await?;
        let made = |other: &AccessKey| other.tenant == tenant && *other.name == *name && other.revoked_at.is_none();
        for session in keys.into_iter().filter(made) {
            self.revoke(by, "session.end", session.id).await?;
        }
        Ok(())
    }

    async fn revoke(&self, by: &Caller, action: &str, id: Arc<str>) -> Result<(), AppError> {
        let write = AccessWrite::Revoke { id: Arc::clone(&id), at: self.now() };
        self.act(by, action, &id, command::Access { write }).await?;
        self.memory.keyring.expel(&id);
        Ok(())
    }

    /// Returns what the server knows about a caller.
    ///
    /// # Errors
    /// When the caller has no key.
    pub fn me(&self, by: &Identity) -> Result<api::Me, AppError> {
        by.allow(Permission::Known)?;
        let now = self.now();
        let may = api::Right::ALL.iter().copied().filter(|right| by.may(permission(*right))).collect();
        Ok(api::Me {
            tenant: by.tenant.0,
            role: api::Role::from_word(by.role.as_str()).unwrap_or(api::Role::Viewer),
            id: by.actor.clone(),
            name: by.name.clone(),
            expires_at: by.left(now).map(|left| to_api::time(now + DurationMs(millis(left)))),
            may,
            server: by.tenant == kapelle_core::TenantId::DEFAULT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn permission(right: api::Right) -> Permission {
    match right {
        api::Right::Read => Permission::Read,
        api::Right::Submit => Permission::Submit,
        api::Right::Approve => Permission::Approve,
        api::Right::Operate => Permission::Operate,
        api::Right::Work => Permission::Work,
        api::Right::Ask => Permission::Ask,
        api::Right::Administer => Permission::Administer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(actor: &str, until: i64) -> Code {
        Code { by: Caller { actor: actor.to_owned(), ..Caller::owner("key") }, ends: None, until: Timestamp(until) }
    }

    #[test]
    fn a_code_is_taken_once_and_before_its_end() {
        let codes = Codes::default();
        for text in ["one", "two"] {
            assert!(codes.keep(secrets::digest(text), code("token", 100), Timestamp(0)));
        }
        assert!(codes.take("none", Timestamp(0)).is_none());
        assert!(codes.take("one", Timestamp(99)).is_some() && codes.take("one", Timestamp(99)).is_none());
        assert!(codes.take("two", Timestamp(100)).is_none());
    }

    #[test]
    fn codes_are_bounded_and_a_maker_evicts_its_own() {
        let codes = Codes::default();
        for number in 0..=CODES_EACH as i64 {
            assert!(codes.keep(secrets::digest(&number.to_string()), code("a", 100 + number), Timestamp(0)));
        }
        assert!(codes.take("0", Timestamp(1)).is_none() && codes.take("1", Timestamp(1)).is_some());
        for number in 0..CODES {
            let maker = format!("b{number}");
            codes.keep(secrets::digest(&maker), code(&maker, 100), Timestamp(0));
        }
        assert!(!codes.keep(secrets::digest("more"), code("c", 100), Timestamp(0)));
        assert!(codes.keep(secrets::digest("later"), code("c", 200), Timestamp(120)), "expired ones make room");
    }
}
