//! The desk where tokens are given out: to attempts of tasks and to processes of workers.
//!
//! Whoever starts a process asks here for a token, puts it into the child's environment as `OPENAI_API_KEY` beside
//! `OPENAI_BASE_URL` ([`Desk::base_url`]), and gives it back when the process ends. A task's token also ends by itself
//! when the attempt is no longer the one under way ([`Desk::lease`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use kapelle_core::{Account, Money, TaskId, TenantId};

use crate::{
    access::{Grant, NoRandomness, TokenId},
    money::{Ledger, Payer},
    replay::TaskKey,
    service::Service,
};

/// What the holder of a token may do besides what every holder may.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// The aliases and models that may be named. Empty: all.
    pub models: Vec<String>,
    /// How long an answer may be taken from the cache or from an equal call under way; nothing: never.
    pub cache: Option<Duration>,
    /// The most that one call may cost.
    pub max_cost: Option<Money>,
    /// Whether a later link of a chain may answer.
    pub fallback: bool,
    /// The longest that one call may take.
    pub timeout: Duration,
}

impl Default for Scope {
    fn default() -> Scope {
        Scope { models: Vec::new(), cache: None, max_cost: None, fallback: true, timeout: Duration::from_secs(600) }
    }
}

/// A token that was just made. It is shown this once: only its digest is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// What revokes it.
    pub id: TokenId,
    /// The token itself, `kapelle_...`.
    pub token: String,
}

/// Gives out tokens and takes them back.
pub struct Desk {
    service: Arc<Service>,
    ledger: Arc<dyn Ledger>,
    /// The tokens of attempts under way.
    attempts: Mutex<HashMap<TaskId, Vec<(u32, TokenId)>>>,
    base_url: OnceLock<String>,
}

impl Desk {
    /// A desk for the tokens of a service.
    #[must_use]
    pub fn new(service: Arc<Service>, ledger: Arc<dyn Ledger>) -> Desk {
        Desk { service, ledger, attempts: Mutex::default(), base_url: OnceLock::new() }
    }

    /// The service behind the tokens.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Where the holders of tokens find the service, such as `http://127.0.0.1:7863/v1`; nothing while no server serves
    /// it.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.get().map(String::as_str)
    }

    /// Says where the service is served. Only the first address is kept.
    pub fn serve_at(&self, base_url: String) {
        let _ = self.base_url.set(base_url);
    }

    /// A token for one attempt of a task: the task pays (with its run, worker, queue, tenant and day), its answers are
    /// recorded and replayed, and the token ends with the attempt.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn issue_task_token(&self, task: TaskKey, attempt: u32, scope: Scope) -> Result<Issued, NoRandomness> {
        let accounts = vec![Account::Task(task.task)];
        let payer = Payer { tenant: task.tenant, accounts, attempt, replay_epoch: task.replay_epoch };
        let grant = Grant { task: Some(task), fresh: task.replay_epoch > 0, ..granted(payer, scope) };
        let (id, token) = self.service.tokens().issue(grant)?;
        self.lock().entry(task.task).or_default().push((attempt, id));
        Ok(Issued { id, token })
    }

    /// A token for one process of a worker that is no attempt of a task, such as a daemon. The worker pays (with the
    /// tenant and the day), and at most `budget` from this start of the process on. `process` names it and is used once.
    ///
    /// # Errors
    /// When the system gives no random numbers.
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
        let (id, token) = self.service.tokens().issue(granted(payer, Scope::default()))?;
        Ok(Issued { id, token })
    }

    /// Ends a token: its next call gets 401, and its calls under way are cut, upstream too. Says whether it was in
    /// force.
    pub fn revoke(&self, id: TokenId) -> bool {
        let mut attempts = self.lock();
        for tokens in attempts.values_mut() {
            tokens.retain(|(_, own)| *own != id);
        }
        attempts.retain(|_, tokens| !tokens.is_empty());
        drop(attempts);
        self.service.tokens().revoke(id)
    }

    /// Whether any attempt has a token: while none has, nobody needs to tell of leases.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Told when a task changes hands: ends the tokens of all its attempts but the one that runs now.
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

fn granted(payer: Payer, scope: Scope) -> Grant {
    let Scope { models, cache, max_cost, fallback, timeout } = scope;
    Grant { models, cache, max_cost, fallback, timeout, ..Grant::of(payer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gateway, GatewayConfig, money::MemoryLedger, replay::MemoryLog};

    fn desk() -> Desk {
        let gateway = Arc::new(Gateway::new(&GatewayConfig::default(), &|_| None).unwrap());
        let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::default());
        Desk::new(Arc::new(Service::new(gateway, Arc::clone(&ledger), Arc::new(MemoryLog::default()))), ledger)
    }

    #[test]
    fn a_task_token_ends_when_another_attempt_runs_or_none() {
        let desk = desk();
        let key = TaskKey { tenant: TenantId(1), task: TaskId(7), replay_epoch: 0 };
        let first = desk.issue_task_token(key, 1, Scope::default()).unwrap();
        desk.lease(TaskId(7), Some(1));
        assert!(desk.service.tokens().find(&first.token).is_some() && desk.is_watching());
        let second = desk.issue_task_token(key, 2, Scope::default()).unwrap();
        desk.lease(TaskId(7), Some(2));
        assert!(desk.service.tokens().find(&first.token).is_none());
        assert!(desk.service.tokens().find(&second.token).is_some());
        desk.lease(TaskId(7), None);
        assert!(desk.service.tokens().find(&second.token).is_none() && !desk.is_watching());
    }

    #[test]
    fn a_process_token_ends_when_it_is_revoked() {
        let desk = desk();
        let issued = desk.issue_process_token(TenantId(1), "w", "process_1", Some(Money(5))).unwrap();
        assert!(issued.token.starts_with("kapelle_") && desk.service.tokens().find(&issued.token).is_some());
        assert!(desk.revoke(issued.id) && !desk.revoke(issued.id));
        assert!(desk.service.tokens().find(&issued.token).is_none());
    }
}
