//! The accepted keys, in memory, by the hash of their secret.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kapelle_core::{Timestamp, approval::OWNER};
use kapelle_store::AccessKey;
use tokio::sync::watch;

use crate::{
    caller::{Caller, Role},
    secrets::digest,
};

/// A caller with the key that it came with.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Identity {
    pub caller: Caller,
    /// Set once its key was revoked.
    pub revoked: Arc<AtomicBool>,
    /// The hash of its secret.
    pub digest: [u8; 32],
    expires_at: Option<Timestamp>,
}

impl std::ops::Deref for Identity {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Identity {
    /// Makes a caller whose key never expires.
    #[must_use]
    pub fn new(caller: Caller, digest: [u8; 32]) -> Identity {
        Identity { caller, revoked: Arc::default(), digest, expires_at: None }
    }

    /// Returns the remaining lifetime of its key; `None` for a key without expiry.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.expires_at.map(|end| Duration::from_millis(end.since(now).0))
    }
}

/// The accepted keys.
#[derive(Debug)]
pub struct Keyring {
    /// Identities, by the hash of the secret.
    known: RwLock<HashMap<[u8; 32], Arc<Identity>>>,
    /// Notified of every key that is revoked.
    changes: watch::Sender<()>,
}

impl Keyring {
    /// Makes the keyring of a folder's valid keys.
    #[must_use]
    pub fn new(keys: &[AccessKey]) -> Keyring {
        let keyring = Keyring { known: RwLock::default(), changes: watch::Sender::default() };
        keys.iter().filter(|key| key.revoked_at.is_none()).for_each(|key| keyring.admit(key));
        keyring
    }

    /// Accepts the folder's own token, which belongs to its owner.
    pub fn admit_owner(&self, token: &str) {
        let digest = digest(token);
        let identity = Identity::new(Caller::owner("key"), digest);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::new(identity));
    }

    /// Accepts another token of the folder in place of the present one. Everything that waits with that ends at once.
    pub(crate) fn replace_owner(&self, token: &str) {
        self.expel(OWNER);
        self.admit_owner(token);
    }

    /// Accepts a key. One with a role unknown to this version is left out.
    pub(crate) fn admit(&self, key: &AccessKey) {
        let Some(role) = Role::from_word(&key.role) else { return };
        let caller = Caller {
            tenant: key.tenant,
            actor: key.id.to_string(),
            name: key.name.to_string(),
            role,
            scope: key.scope.clone(),
            via: "key",
        };
        let identity = Identity { expires_at: key.expires_at, ..Identity::new(caller, key.sha256) };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key.sha256, Arc::new(identity));
    }

    /// Removes a key. Everything that waits with it ends at once.
    pub(crate) fn expel(&self, id: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, known| {
            let stays = known.actor != id;
            known.revoked.fetch_or(!stays, Ordering::AcqRel);
            stays
        });
        self.changes.send_replace(());
    }

    /// Returns a notification of revoked keys.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Says whether a key is valid, by its id.
    #[must_use]
    pub fn holds(&self, id: &str, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.values().filter(|known| known.actor == id);
        known.any(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// Says whether the key of an accepted caller is still valid.
    #[must_use]
    pub fn still(&self, who: &Identity, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&who.digest).is_some_and(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// Returns the caller with that secret; `None` when its key is unknown or has expired.
    #[must_use]
    pub fn find(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Identity>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|known| known.expires_at.is_none_or(|end| end > now)).map(Arc::clone)
    }
}
