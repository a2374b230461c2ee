//! Issues tokens to attempts of tasks and to processes of workers.
//!
//! The code that starts a process requests a token here, puts it into the child's environment as `OPENAI_API_KEY`
//! beside `OPENAI_BASE_URL` ([`TokenIssuer::base_url`]), and revokes it when the process ends. A task's token also ends
//! by itself when its attempt is no longer the current one ([`TokenIssuer::lease`]).
//!
//! An attempt on a worker host survives a restart of its server, and so does its token: its secret is a keyed hash of
//! the lease ([`TokenIssuer::keep_tokens`]), so that it is recognised for as long as the store says that the lease is
//! in force.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use kapelle_core::{Account, Money, TaskId, TenantId};

use subtle::ConstantTimeEq;

use crate::{
    access::{self, Grant, NoRandomness, TokenId},
    mac,
    money::{Ledger, Payer, Pending},
    replay::{Fingerprint, LogError, TaskKey},
    service::Service,
};

/// Rights of a token's holder beyond those of every holder.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Aliases and models that may be named. Empty: all.
    pub models: Vec<String>,
    /// Maximum age of a cached answer, or of an equal call in flight that may be shared. `None`: neither is used.
    pub cache: Option<Duration>,
    /// Cost limit of one call.
    pub max_cost: Option<Money>,
    /// Whether a later link of a chain may answer.
    pub fallback: bool,
    /// Timeout of one call.
    pub timeout: Duration,
    /// Whether answers come only from the record of the run that the task's run repeats, without calling a provider.
    pub recorded: bool,
}

impl Default for Scope {
    fn default() -> Scope {
        Scope {
            models: Vec::new(),
            cache: None,
            max_cost: None,
            fallback: true,
            timeout: Duration::from_secs(600),
            recorded: false,
        }
    }
}

/// An attempt of a task on a worker host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// Task and replay epoch.
    pub task: TaskKey,
    /// Number of the attempt.
    pub attempt: u32,
    /// Random number of its lease.
    pub nonce: u64,
    /// Timeout of the attempt.
    pub timeout: Duration,
    /// Whether its run is answered from the record of another run.
    pub recorded: bool,
}

/// Stored state of attempts in progress on worker hosts, and of the answers replayed to them.
pub trait Leases: Send + Sync {
    /// Returns the attempt of a task that is in progress on a host. Returns `None` when there is no such attempt.
    fn leased(&self, task: TaskId) -> Option<Leased>;

    /// Returns the number of recorded answers that were replayed to the attempt, per request.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<(Fingerprint, u32)>, LogError>;

    /// Stores that the attempt is about to receive another answer, with the new count for that request. When this has
    /// returned, a crash does not lose it.
    fn give(&self, task: TaskId, attempt: u32, given: (Fingerprint, u32)) -> Pending<'_, Result<(), LogError>>;
}

/// Key and leases from which tokens of attempts are recognised after a restart.
struct Lasting {
    key: [u8; 32],
    leases: Arc<dyn Leases>,
}

/// Bit that marks numbers of tokens made from a lease; the task and the attempt stand below it.
const LASTING: u64 = 1 << 63;
/// Bits of the attempt. Attempts and tasks with a greater number get a token that ends with the server.
const ATTEMPT_BITS: u32 = 24;

/// A token that was just made. It is returned only here: its digest alone is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Number with which it is revoked.
    pub id: TokenId,
    /// The token, `sk-kapelle-...`.
    pub token: String,
}

/// Issues and revokes tokens.
pub struct TokenIssuer {
    service: Arc<Service>,
    ledger: Arc<dyn Ledger>,
    /// Tokens of attempts in progress.
    attempts: Mutex<HashMap<TaskId, Vec<(u32, TokenId)>>>,
    base_url: OnceLock<String>,
    lasting: OnceLock<Lasting>,
}

impl TokenIssuer {
    /// Makes an issuer for the tokens of a service.
    #[must_use]
    pub fn new(service: Arc<Service>, ledger: Arc<dyn Ledger>) -> TokenIssuer {
        TokenIssuer { service, ledger, attempts: Mutex::default(), base_url: OnceLock::new(), lasting: OnceLock::new() }
    }

    /// Returns the service behind the tokens.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Returns the address of the service for holders of tokens, such as `http://127.0.0.1:7863/v1`. Returns `None`
    /// while no server serves it.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.get().map(String::as_str)
    }

    /// Sets the address of the service. Later calls of this method change nothing.
    pub fn serve_at(&self, base_url: String) {
        let _ = self.base_url.set(base_url);
    }

    /// Issues a token for one attempt of a task. The task pays (with its run, worker, queue, tenant and day), its
    /// answers are recorded and replayed, and the token ends with the attempt.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn issue_task_token(&self, task: TaskKey, attempt: u32, scope: Scope) -> Result<Issued, NoRandomness> {
        let (id, token) = self.service.tokens().issue(task_grant(task, attempt, scope))?;
        self.lock().entry(task.task).or_default().push((attempt, id));
        Ok(Issued { id, token })
    }

    /// Sets the key from which tokens of attempts on worker hosts are made. A restarted server with this key recognises
    /// them. Later calls of this method change nothing.
    pub fn keep_tokens(&self, key: [u8; 32], leases: Arc<dyn Leases>) {
        let _ = self.lasting.set(Lasting { key, leases });
    }

    /// Issues a token for an attempt on a worker host, as [`TokenIssuer::issue_task_token`] does. It is recognised
    /// after a restart, for as long as the lease is in force.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn issue_leased_token(&self, leased: &Leased) -> Result<Issued, NoRandomness> {
        let number = number_of(leased.task.task, leased.attempt);
        match (self.lasting.get(), number) {
            (Some(lasting), Some(number)) => Ok(self.take_in(number, leased, &lasting.key)),
            _ => self.issue_task_token(leased.task, leased.attempt, leased.scope()),
        }
    }

    fn take_in(&self, number: u64, leased: &Leased, key: &[u8; 32]) -> Issued {
        let grant = task_grant(leased.task, leased.attempt, leased.scope());
        let secret = mac::hmac(key, &leased.text());
        // Locked, so that two calls with one token get one holder, which knows the answers already used.
        let mut attempts = self.lock();
        let leases = self.lasting.get().map(|lasting| Arc::clone(&lasting.leases));
        let (id, token) = self.service.tokens().admit(number, &secret, grant, leases);
        let known = attempts.entry(leased.task.task).or_default();
        if !known.contains(&(leased.attempt, id)) {
            known.push((leased.attempt, id));
        }
        Issued { id, token }
    }

    /// Restores a token that was issued before this process began, if its lease is in force. Any other token will be
    /// refused.
    pub fn bring_back(&self, token: &str) {
        let (Some(lasting), Some((number, secret))) = (self.lasting.get(), access::split(token)) else { return };
        if number & LASTING == 0 || self.service.tokens().has(number) {
            return;
        }
        let task = TaskId(((number & !LASTING) >> ATTEMPT_BITS).cast_signed());
        let Some(leased) = lasting.leases.leased(task) else { return };
        let right: String = mac::hmac(&lasting.key, &leased.text()).iter().map(|byte| format!("{byte:02x}")).collect();
        let same = bool::from(right.as_bytes().ct_eq(secret.as_bytes()));
        if !same || number_of(task, leased.attempt) != Some(number) {
            return;
        }
        let id = self.take_in(number, &leased, &lasting.key).id;
        // A lease that ended meanwhile was reported before the token existed, so the token is ended here.
        if lasting.leases.leased(task) != Some(leased) {
            self.revoke(id);
        }
    }

    /// Returns the tenant that pays for the calls of a token. Returns `None` when the token is not in force.
    #[must_use]
    pub fn tenant_of(&self, token: &str) -> Option<TenantId> {
        self.bring_back(token);
        self.service.tokens().find(token).map(|holder| holder.grant.payer.tenant)
    }

    /// Issues a token for one process of a worker outside a task attempt, such as a daemon. The worker pays (with the
    /// tenant and the day), at most `budget` from this start of the process on. `process` names the process and is used
    /// once.
    ///
    /// # Errors
    /// When the system returns no random numbers.
    pub fn issue_process_token(
        &self,
        tenant: TenantId,
        worker: &str,
        process: &str,
        budget: Option<Money>,
    ) -> Result<Issued, NoRandomness> {
        let own = Account::Token(process.to_owned());
        if let Some(limit) = budget {
            self.ledger.limit(tenant, &own, limit);
        }
        let payer = Payer::of(tenant, vec![own, Account::Worker(worker.to_owned())]);
        let (id, token) = self.service.tokens().issue(Grant::of(payer))?;
        Ok(Issued { id, token })
    }

    /// Revokes a token: its next call gets 401, and its calls in flight are cut, upstream too. Returns whether it was
    /// in force.
    pub fn revoke(&self, id: TokenId) -> bool {
        let mut attempts = self.lock();
        for tokens in attempts.values_mut() {
            tokens.retain(|(_, own)| *own != id);
        }
        attempts.retain(|_, tokens| !tokens.is_empty());
        drop(attempts);
        self.service.tokens().revoke(id)
    }

    /// Tells whether any attempt has a token. Otherwise leases need not be reported.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Ends the tokens of all attempts of a task but the running one. Called when a lease changes.
    pub fn lease(&self, task: TaskId, running: Option<u32>) {
        let mut attempts = self.lock();
        let Some(tokens) = attempts.get_mut(&task) else { return };
        let over: Vec<TokenId> =
            tokens.iter().filter(|(attempt, _)| Some(*attempt) != running).map(|(_, id)| *id).collect();
        tokens.retain(|(attempt, _)| Some(*attempt) == running);
        if tokens.is_empty() {
            attempts.remove(&task);
        }
        drop(attempts);
        for id in over {
            self.service.tokens().revoke(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Vec<(u32, TokenId)>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn task_grant(task: TaskKey, attempt: u32, scope: Scope) -> Grant {
    let Scope { models, cache, max_cost, fallback, timeout, recorded } = scope;
    Grant { models, cache, max_cost, fallback, timeout, recorded, ..Grant::of_task(task, attempt) }
}

/// Computes the number of the token of an attempt. Returns `None` when the two numbers do not fit.
fn number_of(task: TaskId, attempt: u32) -> Option<u64> {
    let task = u64::try_from(task.0).ok().filter(|task| task.leading_zeros() > ATTEMPT_BITS)?;
    (attempt >> ATTEMPT_BITS == 0).then_some(LASTING | task << ATTEMPT_BITS | u64::from(attempt))
}

impl Leased {
    /// Returns the bytes that the secret of the token is made from.
    fn text(&self) -> Vec<u8> {
        format!("{}.{}.{}.{}", self.task.tenant.0, self.task.task.0, self.attempt, self.nonce).into_bytes()
    }

    fn scope(&self) -> Scope {
        Scope { timeout: self.timeout, recorded: self.recorded, ..Scope::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gateway, GatewayConfig, money::MemoryLedger};

    fn token_issuer() -> TokenIssuer {
        let gateway = Arc::new(Gateway::new(&GatewayConfig::default(), &|_| None).unwrap());
        TokenIssuer::new(Arc::new(Service::new(gateway)), Arc::new(MemoryLedger::default()))
    }

    #[test]
    fn a_task_token_ends_when_another_attempt_runs_or_none() {
        let token_issuer = token_issuer();
        let key = TaskKey { tenant: TenantId(1), task: TaskId(7), replay_epoch: 0 };
        let first = token_issuer.issue_task_token(key, 1, Scope::default()).unwrap();
        token_issuer.lease(TaskId(7), Some(1));
        assert!(token_issuer.service.tokens().find(&first.token).is_some() && token_issuer.is_watching());
        let second = token_issuer.issue_task_token(key, 2, Scope::default()).unwrap();
        token_issuer.lease(TaskId(7), Some(2));
        assert!(token_issuer.service.tokens().find(&first.token).is_none());
        assert!(token_issuer.service.tokens().find(&second.token).is_some());
        token_issuer.lease(TaskId(7), None);
        assert!(token_issuer.service.tokens().find(&second.token).is_none() && !token_issuer.is_watching());
    }

    /// Lease that the store reports.
    #[derive(Default)]
    struct Said(Mutex<Option<Leased>>);

    impl Leases for Said {
        fn leased(&self, task: TaskId) -> Option<Leased> {
            self.0.lock().unwrap().filter(|leased| leased.task.task == task)
        }

        fn given(&self, _task: TaskId, _attempt: u32) -> Result<Vec<(Fingerprint, u32)>, LogError> {
            Ok(Vec::new())
        }

        fn give(&self, _task: TaskId, _attempt: u32, _given: (Fingerprint, u32)) -> Pending<'_, Result<(), LogError>> {
            Box::pin(async { Ok(()) })
        }
    }

    #[test]
    fn the_token_of_a_lease_is_known_again_while_the_lease_is_in_force() {
        let leased = Leased {
            task: TaskKey { tenant: TenantId(1), task: TaskId(7), replay_epoch: 1 },
            attempt: 2,
            nonce: 99,
            timeout: Duration::from_secs(5),
            recorded: false,
        };
        let told = Arc::new(Said::default());
        let fresh = |key: u8| {
            let token_issuer = token_issuer();
            token_issuer.keep_tokens([key; 32], Arc::clone(&told) as _);
            token_issuer
        };
        let before = fresh(1);
        let token = before.issue_leased_token(&leased).unwrap().token;
        assert!(before.service.tokens().find(&token).is_some());
        let known = |token_issuer: &TokenIssuer, token: &str| {
            token_issuer.bring_back(token);
            token_issuer.service.tokens().find(token).is_some()
        };
        let after = fresh(1);
        assert!(!known(&after, &token), "nothing is leased");
        for other in [
            Leased { nonce: 98, ..leased },
            Leased { attempt: 3, ..leased },
            Leased { task: TaskKey { tenant: TenantId(2), ..leased.task }, ..leased },
        ] {
            *told.0.lock().unwrap() = Some(other);
            assert!(!known(&after, &token), "{other:?}");
        }
        *told.0.lock().unwrap() = Some(leased);
        assert!(!known(&fresh(2), &token), "another folder's key");
        let last = if token.ends_with('0') { '1' } else { '0' };
        assert!(!known(&after, &format!("{}{last}", &token[..token.len() - 1])), "a forged one");
        assert!(known(&after, &token) && known(&after, &token));
        assert_eq!(after.service.tokens().count(), 1);
        let holder = after.service.tokens().find(&token).unwrap();
        assert_eq!((holder.grant.payer.attempt, holder.grant.timeout), (2, Duration::from_secs(5)));
        after.lease(TaskId(7), None);
        *told.0.lock().unwrap() = None;
        assert!(!known(&after, &token) && !after.is_watching());
    }

    #[test]
    fn a_number_holds_its_task_and_attempt_or_there_is_none() {
        assert_eq!(number_of(TaskId(1), 2), Some(LASTING | 1 << 24 | 2));
        let most = TaskId((1 << 39) - 1);
        assert_eq!(number_of(most, (1 << 24) - 1), Some(u64::MAX));
        assert_eq!((number_of(TaskId(1 << 39), 1), number_of(TaskId(-1), 1)), (None, None));
        assert_eq!(number_of(TaskId(1), 1 << 24), None);
    }

    #[test]
    fn a_process_token_ends_when_it_is_revoked() {
        let token_issuer = token_issuer();
        let issued = token_issuer.issue_process_token(TenantId(1), "w", "process_1", Some(Money(5))).unwrap();
        assert!(issued.token.starts_with("sk-kapelle-") && token_issuer.service.tokens().find(&issued.token).is_some());
        assert!(token_issuer.revoke(issued.id) && !token_issuer.revoke(issued.id));
        assert!(token_issuer.service.tokens().find(&issued.token).is_none());
    }
}
