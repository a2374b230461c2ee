//! The keys that let callers in, in memory: by the hash of their secret.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kapelle_core::Timestamp;
use kapelle_store::AccessKey;
use tokio::sync::watch;

use crate::{
    caller::{Caller, Role},
    secrets::digest,
};

/// A caller with the key that it came with.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who calls.
    pub caller: Caller,
    /// Raised once its key was revoked.
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
    /// A caller whose key never ends.
    #[must_use]
    pub fn new(caller: Caller, digest: [u8; 32]) -> Identity {
        Identity { caller, revoked: Arc::default(), digest, expires_at: None }
    }

    /// How long its key still works. Returns `None` for a key without end.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.expires_at.map(|end| Duration::from_millis(end.since(now).0))
    }
}

/// The keys that let callers in.
#[derive(Debug)]
pub struct Keyring {
    /// By the hash of the secret.
    known: RwLock<HashMap<[u8; 32], Arc<Identity>>>,
    /// Told of every key that is revoked.
    changes: watch::Sender<()>,
}

impl Keyring {
    /// The keys of a folder that are in force.
    #[must_use]
    pub fn new(keys: &[AccessKey]) -> Keyring {
        let keyring = Keyring { known: RwLock::default(), changes: watch::Sender::default() };
        keys.iter().filter(|key| key.revoked_at.is_none()).for_each(|key| keyring.admit(key));
        keyring
    }

    /// Lets the bearer of the folder's own token in, who is its owner.
    pub fn admit_owner(&self, token: &str) {
        let digest = digest(token);
        let identity = Identity::new(Caller::owner("key"), digest);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::new(identity));
    }

    /// Lets a key in. One with a role that this version does not know stays outside.
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

    /// Lets a key in no more. Whatever waits with it ends at once.
    pub(crate) fn expel(&self, id: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, known| {
            let stays = known.actor != id;
            known.revoked.fetch_or(!stays, Ordering::AcqRel);
            stays
        });
        self.changes.send_replace(());
    }

    /// Told when a key was revoked.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether a key lets in, by its id.
    #[must_use]
    pub fn holds(&self, id: &str, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.values().filter(|known| known.actor == id);
        known.any(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// Whether a caller that was let in would still be.
    #[must_use]
    pub fn still(&self, who: &Identity, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&who.digest).is_some_and(|known| known.expires_at.is_none_or(|end| end > now))
    }

    /// The caller with that secret. Returns `None` when its key is not known or has expired.
    #[must_use]
    pub fn find(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Identity>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|known| known.expires_at.is_none_or(|end| end > now)).map(Arc::clone)
    }
}
