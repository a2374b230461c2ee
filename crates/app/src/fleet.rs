//! Scripts of a folder as workers of the engine.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kapelle_core::{
    Account, Money, Name, TaskId, TenantId, Timestamp,
    account::day_of,
    worker::{TaskContext, Worker, WorkerSpec},
};
use kapelle_engine::{Clock, Engine, NO_LIMIT, command};
use kapelle_gateway::{
    Gateway, TokenId,
    replay::TaskKey,
    tokens::{Issued, Scope, TokenIssuer},
};
use kapelle_scripts::{
    Access, Fleet, FleetEvent, FleetOptions, Shortage, TokenSource,
    environment::Surroundings,
    fleet::{Keeps, WorkerSink},
};
use kapelle_store::Reader;
use kapelle_supervisor::helper_process::Helper;
use kapelle_workers::Catalogue;

use crate::{app::App, budgets::given, error::Error, ledger::EngineLedger, shortages::Refused};

/// The folder for logs of scripts, in the folder of the state.
pub(crate) const LOGS: &str = "logs/workers";

/// Registers scripts that take tasks as workers of the engine.
struct OfEngine {
    engine: Engine,
    shipped: Catalogue,
}

impl WorkerSink for OfEngine {
    fn put(&self, worker: Arc<dyn Worker>) {
        let shipped = self.shipped.get(worker.spec().name.as_str());
        self.engine.registry().replace(worker, shipped);
        self.engine.workers_changed();
    }

    fn take(&self, name: &Name) {
        self.engine.registry().remove(name, self.shipped.get(name.as_str()));
        self.engine.workers_changed();
    }

    fn get(&self, tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>> {
        self.engine.registry().get(tenant, name)
    }
}

/// Tokens of the model gateway.
struct FromIssuer {
    token_issuer: Arc<TokenIssuer>,
    ledger: Arc<EngineLedger>,
    gateway: Arc<Gateway>,
    clock: Arc<dyn Clock>,
    given: Mutex<(u64, HashMap<u64, Given>)>,
}

/// A token that a script has.
struct Given {
    token: TokenId,
    /// The name of its process; `None` for an attempt of a task.
    process: Option<String>,
}

impl FromIssuer {
    fn given(&self) -> MutexGuard<'_, (u64, HashMap<u64, Given>)> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn access(&self, issued: Issued, process: Option<&str>) -> Option<Access> {
        let base_url = self.token_issuer.base_url()?.to_owned();
        let mut given = self.given();
        given.0 += 1;
        let id = given.0;
        given.1.insert(id, Given { token: issued.id, process: process.map(str::to_owned) });
        Some(Access { id, token: issued.token, base_url })
    }
}

impl TokenSource for FromIssuer {
    fn for_task(&self, worker: &WorkerSpec, attempt: &TaskContext) -> Result<Option<Access>, String> {
        let Ok(task) = attempt.task.parse::<TaskId>() else { return Ok(None) };
        if self.token_issuer.base_url().is_none() {
            return Ok(None);
        }
        let key = TaskKey { tenant: attempt.tenant, task, replay_epoch: attempt.replay_epoch };
        let mut scope = Scope { max_cost: worker.max_cost, recorded: attempt.recorded, ..Scope::default() };
        if let Some(timeout) = attempt.timeout {
            scope.timeout = Duration::from_millis(timeout.0);
        }
        let issued =
            self.token_issuer.issue_task_token(key, attempt.attempt, scope).map_err(|error| error.to_string())?;
        Ok(self.access(issued, None))
    }

    fn for_process(&self, worker: &Name, process: &str, budget: Option<Money>) -> Result<Option<Access>, String> {
        if self.token_issuer.base_url().is_none() {
            return Ok(None);
        }
        let issued = self.token_issuer.issue_process_token(TenantId::DEFAULT, worker.as_str(), process, budget);
        Ok(self.access(issued.map_err(|error| error.to_string())?, Some(process)))
    }

    fn revoke(&self, id: u64) {
        let given = self.given().1.remove(&id);
        if let Some(given) = given {
            self.token_issuer.revoke(given.token);
            drop(given.process.and_then(|process| self.ledger.shortages.take(&process)));
        }
    }

    fn shortage(&self, id: u64) -> Option<Shortage> {
        let process = self.given().1.get(&id)?.process.clone()?;
        let Refused { why, needs, own, day } = self.ledger.shortages.take(&process)?;
        Some(Shortage { why, needs, own, day })
    }

    fn least_call(&self, model: &str) -> Option<(String, Money)> {
        self.gateway.least_reservation(model)
    }

    fn has_room(&self, worker: &Name, shortage: &Shortage) -> bool {
        let now = self.clock.now();
        if shortage.own && day_of(now) == shortage.day {
            return false;
        }
        let Some(engine) = self.ledger.now() else { return false };
        // A store that fails is asked again later.
        has_room(&**engine.reader(), worker.as_str(), shortage.needs, now).unwrap_or(false)
    }
}

impl App {
    /// Finds the scripts of a folder, starts and supervises them from now on, and registers those that take tasks as
    /// workers. They ask models with tokens of the gateway, once a server serves it. Their events are written to the
    /// session log, if there is one. A second call returns the existing fleet. Must be called within a tokio runtime.
    pub async fn supervise(&self, helper: Helper, folder: &Path, surroundings: Surroundings) -> Fleet {
        self.keep_scripts(helper, folder, surroundings, Keeps::All).await
    }

    /// Does as [`App::supervise`] for the scripts that take tasks alone, each started with its first task: for a
    /// process that lives as long as its runs. Daemons are left to [`App::supervise`].
    pub async fn lend_scripts(&self, helper: Helper, folder: &Path, surroundings: Surroundings) -> Fleet {
        self.keep_scripts(helper, folder, surroundings, Keeps::Asked).await
    }

    async fn keep_scripts(&self, helper: Helper, folder: &Path, surroundings: Surroundings, keeps: Keeps) -> Fleet {
        if let Some(fleet) = self.fleet.get() {
            return fleet.clone();
        }
        let clock = Arc::clone(&self.clock);
        let options = FleetOptions {
            root: folder.to_owned(),
            logs: self.folder.join(LOGS),
            surroundings,
            path: std::env::var_os("PATH"),
            tokens: Arc::new(FromIssuer {
                token_issuer: Arc::clone(&self.token_issuer),
                ledger: Arc::clone(&self.ledger),
                gateway: Arc::clone(&self.gateway),
                clock: Arc::clone(&self.clock),
                given: Mutex::default(),
            }),
            told: note_into(self.session.is_some().then(|| self.engine.clone())),
            worker_sink: Arc::new(OfEngine { engine: self.engine.clone(), shipped: self.shipped.clone() }),
            now: Arc::new(move || clock.now().0),
            keeps,
        };
        let fleet = Fleet::start(helper, options).await;
        self.fleet.get_or_init(|| fleet).clone()
    }

    /// Returns the scripts, when they are supervised here.
    #[must_use]
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.get()
    }

    pub(crate) async fn end_scripts(&self) {
        if let Some(fleet) = self.fleet.get() {
            fleet.stop().await;
        }
    }
}

/// Writes events of scripts into the session log.
fn note_into(engine: Option<Engine>) -> Box<dyn Fn(&FleetEvent) + Send + Sync> {
    Box::new(move |event| {
        let Some(engine) = &engine else { return };
        let mut note = serde_json::to_value(event).unwrap_or_default();
        if let Some(fields) = note.as_object_mut() {
            fields.remove("at_ms");
            fields.insert("event".to_owned(), format!("worker_{}", event.what).into());
        }
        engine.tell(command::Note { note: Arc::from(note.to_string()) });
    })
}

/// Says whether the accounts of a worker of the first tenant have room for an amount.
///
/// # Errors
/// When the store fails.
fn has_room(reader: &dyn Reader, worker: &str, needs: Money, now: Timestamp) -> Result<bool, Error> {
    for account in [Account::Day, Account::Tenant, Account::Worker(worker.to_owned())] {
        let limit = given(reader, TenantId::DEFAULT, &account)?.unwrap_or(NO_LIMIT);
        let day = if account == Account::Day { day_of(now) } else { 0 };
        let spent = reader.account(TenantId::DEFAULT, &account, day)?.map_or(Money::ZERO, |row| row.spent);
        if spent.0.saturating_add(needs.0) > limit.0 {
            return Ok(false);
        }
    }
    Ok(true)
}
