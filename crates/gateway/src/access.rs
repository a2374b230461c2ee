//! Tokens that the gateway issues. A worker's process is given one of these and never a provider's key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use kapelle_core::{Account, Money};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::{
    gateway::Limits,
    money::Payer,
    replay::{ReplayCursor, TaskKey},
    tokens::Leases,
    watched::Voice,
};

/// Prefix of every token. Public scripts check that their key begins with `sk-`; the rest helps to find a leaked token.
pub const PREFIX: &str = "sk-kapelle-";
const ID_DIGITS: usize = 16;
pub(crate) const SECRET_DIGITS: usize = 64;

/// Rights of a token's holder, and the accounts that pay.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Accounts that are charged.
    pub payer: Payer,
    /// The task whose answers are recorded and replayed. `None` for a daemon.
    pub task: Option<TaskKey>,
    /// Whether the task is answered from the record of an earlier run, without calling a provider.
    pub recorded: bool,
    /// Aliases and models that may be named. Empty: all.
    pub models: Vec<String>,
    /// Maximum age of a cached answer, or of an equal call in flight that may be shared. `None`: neither is used.
    pub cache: Option<Duration>,
    /// Whether the attempt wants new answers: cached and shared answers are not used, but its own are still cached.
    pub fresh: bool,
    /// Whether a later link of a chain may answer.
    pub fallback: bool,
    /// Whether a model of unknown price is refused. Otherwise it is charged at the high default price.
    pub known_price_only: bool,
    /// Cost limit of one call; the answer is cut to the length that the limit buys.
    pub max_cost: Option<Money>,
    /// Whether a call over the provider's rate is refused with the wait time instead of waiting here.
    pub hold: bool,
    /// Timeout of one call.
    pub timeout: Duration,
}

impl Grant {
    /// Grants everything, ten minutes a call, charged to these accounts.
    #[must_use]
    pub fn of(payer: Payer) -> Grant {
        Grant {
            payer,
            task: None,
            recorded: false,
            models: Vec::new(),
            cache: None,
            fresh: false,
            fallback: true,
            known_price_only: false,
            max_cost: None,
            hold: false,
            timeout: Duration::from_secs(600),
        }
    }

    /// Grants everything to an attempt of a task. The task pays (with its run, worker, queue, tenant and day); its
    /// answers are recorded, and replayed to its later attempts. An epoch after the first wants new answers.
    #[must_use]
    pub fn of_task(task: TaskKey, attempt: u32) -> Grant {
        let accounts = vec![Account::Task(task.task)];
        let payer = Payer { tenant: task.tenant, accounts, attempt, replay_epoch: task.replay_epoch };
        Grant { task: Some(task), fresh: task.replay_epoch > 0, ..Grant::of(payer) }
    }

    /// Returns the limits of one call of a token: it has no attempt to follow.
    pub(crate) fn limits(&self) -> Limits {
        Limits { timeout: self.timeout, max_cost: self.max_cost, no_fallback: !self.fallback, last_attempt: true }
    }

    pub(crate) fn allows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|name| name == model)
    }
}

/// Number of a token. It does not grant anything by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(pub(crate) u64);

/// The holder of a grant, with a token or in this process, and the recorded answers that are left to it.
pub(crate) struct Holder {
    pub(crate) grant: Grant,
    /// Recorded answers that are left, once they were read.
    pub(crate) cursor: tokio::sync::Mutex<Option<ReplayCursor>>,
    /// Record of the replayed answers, for an attempt that may outlive this process.
    pub(crate) leases: Option<Arc<dyn Leases>>,
    /// Shows the text of its calls to those who watch its task.
    pub(crate) voice: Voice,
    ended: watch::Sender<bool>,
}

impl Holder {
    /// Makes a holder without a token: for one call, or for the calls of a prompt worker's attempt.
    pub(crate) fn once(grant: Grant) -> Arc<Holder> {
        Holder::lasting(grant, None)
    }

    fn lasting(grant: Grant, leases: Option<Arc<dyn Leases>>) -> Arc<Holder> {
        let (cursor, ended) = (tokio::sync::Mutex::new(None), watch::Sender::new(false));
        Arc::new(Holder { grant, cursor, leases, voice: Voice::default(), ended })
    }

    /// Returns a channel that changes to true when the token ends.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }
}

/// Tokens in force.
#[derive(Default)]
pub struct Tokens {
    entries: RwLock<HashMap<u64, Entry>>,
    next: Mutex<u64>,
}

struct Entry {
    digest: [u8; 32],
    holder: Arc<Holder>,
}

/// Error of the system's random number generator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token can be made: the system gives no random numbers ({0})")]
pub struct NoRandomness(String);

impl Tokens {
    /// Makes a token. Only its digest is kept.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn issue(&self, grant: Grant) -> Result<(TokenId, String), NoRandomness> {
        let mut secret = [0u8; SECRET_DIGITS / 2];
        getrandom::fill(&mut secret).map_err(|error| NoRandomness(error.to_string()))?;
        let id = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        Ok(self.admit(id, &secret, grant, None))
    }

    /// Admits a token of that number and secret, unless that number is already in force. `leases` is set for an attempt
    /// that may outlive this process.
    pub(crate) fn admit(
        &self,
        id: u64,
        secret: &[u8; SECRET_DIGITS / 2],
        grant: Grant,
        leases: Option<Arc<dyn Leases>>,
    ) -> (TokenId, String) {
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("{PREFIX}{id:016x}{digits}");
        let entry =
            || Entry { digest: Sha256::digest(digits.as_bytes()).into(), holder: Holder::lasting(grant, leases) };
        self.entries.write().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert_with(entry);
        (TokenId(id), token)
    }

    /// Tells whether a token of that number is in force.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Revokes a token: its next call gets 401, and its calls in flight are cut, upstream too. Returns whether it was
    /// in force.
    pub fn revoke(&self, id: TokenId) -> bool {
        let gone = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&id.0);
        gone.map(|entry| entry.holder.ended.send_replace(true)).is_some()
    }

    /// Counts the tokens in force.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Finds the holder of a token. The number in the token finds the entry. The secret is compared by its digest in
    /// constant time, also when the entry is missing, so that the time taken reveals nothing.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<Holder>> {
        let (id, secret) = split(token)?;
        let given: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&id);
        let digest = entry.map_or([0; 32], |entry| entry.digest);
        let same = bool::from(digest.ct_eq(&given));
        entry.filter(|_| same).map(|entry| Arc::clone(&entry.holder))
    }
}

/// Splits a token into its number and its secret, in digits.
pub(crate) fn split(token: &str) -> Option<(u64, &str)> {
    let rest = token.strip_prefix(PREFIX).filter(|rest| rest.len() == ID_DIGITS + SECRET_DIGITS)?;
    let (id, secret) = rest.split_at_checked(ID_DIGITS)?;
    let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(id, 16).ok().filter(|_| digits).map(|id| (id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kapelle_core::TenantId;

    fn grant() -> Grant {
        Grant::of(Payer::of(TenantId(1), Vec::new()))
    }

    #[test]
    fn a_token_is_found_until_it_is_revoked_and_no_other_is() {
        let tokens = Tokens::default();
        let (id, token) = tokens.issue(grant()).unwrap();
        let (_, other) = tokens.issue(grant()).unwrap();
        assert!(tokens.find(&token).is_some() && token != other);
        let swapped = format!("{}{}", &token[..PREFIX.len() + ID_DIGITS], &other[PREFIX.len() + ID_DIGITS..]);
        for wrong in
            ["", PREFIX, "kapelle_", "sk-x", &token[..token.len() - 1], &format!("{token}0"), &swapped, "sk-kapelle-é"]
        {
            assert!(tokens.find(wrong).is_none(), "{wrong}");
        }
        let mut upper = token.to_uppercase();
        upper.replace_range(..PREFIX.len(), PREFIX);
        assert!(tokens.find(&upper).is_none() || upper == token);
        let ended = tokens.find(&token).unwrap().ended();
        assert!(tokens.revoke(id) && !tokens.revoke(id));
        assert!(*ended.borrow() && tokens.find(&token).is_none());
        assert_eq!(tokens.count(), 1);
    }

    #[test]
    fn the_models_of_a_grant_bind() {
        let some = Grant { models: vec!["fast".to_owned()], ..grant() };
        assert!(some.allows("fast") && !some.allows("openai/gpt-5") && grant().allows("any"));
    }
}
