//! The writing side.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kapelle_core::{
    Account, CallId, Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{ScopeId, Slot, StepRow},
    schedule::FireKind,
    task::{HoldReason, Rank, Task},
};
use rusqlite::{Connection, config::DbConfig};

use super::{
    answer, audit, commit, copy,
    fault::{Sql, Trouble},
    gate, held, hosted,
    ids::Ids,
    key, ledger,
    lock::FolderLock,
    memo,
    names::Names,
    payload, prepaid, prune, run, schedule, session, subscription, task_queries, version,
};
use crate::{
    audit::AuditHead,
    batch::{Batch, Gate, KeyRow, PayloadBody, VersionRow},
    contract::{Commit, Deletion, HeldPlace, IdKind, Lane, Retention, Store},
    error::StoreError,
    hosted::HostWorkerRow,
    ledger::{AccountRow, BudgetRow, CallRow, LedgerStore, PrepaidRow},
    memo::MemoRow,
    rows::RunRow,
    schedule::{FireRow, ScheduleRow, ScheduleStore},
    subscription::{DeliveryRow, SubscriptionRow, SubscriptionStore},
};

/// Wait at the end for readers that keep the log from being emptied.
const CLOSING: Duration = Duration::from_secs(1);

/// The writing connection of a folder. There is one per folder at a time.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) conn: Connection,
    pub(super) names: Names,
    pub(super) ids: Ids,
    pub(super) log: WriteAheadLog,
    /// Reason why nothing may be written any more.
    pub(super) broken: Option<String>,
    pub(super) path: PathBuf,
    /// Declared last: released only after the connection is closed.
    pub(super) _lock: FolderLock,
}

/// Length of the write-ahead log, and the length at which it is copied into the database.
#[derive(Debug)]
pub(super) struct WriteAheadLog {
    /// Length in pages, which SQLite reports at every commit.
    pub pages: Arc<AtomicU32>,
    /// Length in pages from which it is copied.
    pub limit: u32,
    /// Length at which the next copy is tried: later than `limit` while a reader blocks it.
    pub next: u32,
}

impl SqliteStore {
    /// Runs a query on the writing connection.
    fn query<T>(&mut self, query: impl FnOnce(&Connection, &mut Names) -> Sql<T>) -> Result<T, StoreError> {
        query(&self.conn, &mut self.names).map_err(|trouble| trouble.explain(&self.path))
    }

    fn usable(&self) -> Result<(), StoreError> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(StoreError::Io {
                path: self.path.clone(),
                message: format!("writing stopped after this fault: {why}"),
            }),
        }
    }

    /// Runs a transaction, and updates the state in memory by its end.
    fn transaction<T>(&mut self, end: Sql<T>, kept: impl FnOnce(&T) -> bool) -> Result<T, StoreError> {
        if let Ok(value) = &end
            && kept(value)
        {
            self.names.committed();
            self.ids.saved();
            self.copy_log();
            return end.map_err(|trouble| trouble.explain(&self.path));
        }
        self.names.rolled_back();
        let undone = commit::roll_back(&self.conn);
        if let Err(trouble) = &end
            && trouble.is_fatal()
        {
            self.give_up(format!("{trouble:?}"));
        }
        if let Err(trouble) = undone {
            self.give_up(format!("a turn could not be undone: {trouble:?}"));
        }
        end.map_err(|trouble| trouble.explain(&self.path))
    }

    /// Stops all writing. After a failed sync the system may have dropped data and report the next sync as a success,
    /// so there is no next one: not even the copy of the log that closing would make.
    fn give_up(&mut self, why: String) {
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.broken.get_or_insert(why);
    }

    /// Copies the log into the database when it is long. The turn before it is safe in any case, so a fault here is
    /// reported by the next turn.
    fn copy_log(&mut self) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.log.limit {
            self.log.next = self.log.limit;
        }
        if pages < self.log.next {
            return;
        }
        let copied = self
            .conn
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
            .and_then(|mut pragma| pragma.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))));
        match copied.map_err(Trouble::from) {
            Ok((length, copied)) if copied >= length => self.log.next = self.log.limit,
            Err(trouble) if trouble.is_fatal() => self.give_up(format!("{trouble:?}")),
            // A reader blocks the copy, or the disk is full: the log grows a little before the next try.
            _ => self.log.next = pages.saturating_add(self.log.limit / 4 + 1),
        }
    }
}

impl Store for SqliteStore {
    fn ids(&mut self, kind: IdKind, n: u32) -> Result<i64, StoreError> {
        self.usable()?;
        self.ids.draw(kind, n).ok_or_else(|| StoreError::Database(format!("the sequence {kind:?} is used up")))
    }

    fn task(&mut self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.query(|conn, names| task_queries::one(conn, names, id))
    }

    fn run(&mut self, id: RunId) -> Result<Option<(RunRow, Vec<StepRow>)>, StoreError> {
        self.query(|conn, names| {
            let Some(row) = run::one(conn, names, id)? else { return Ok(None) };
            Ok(Some((row, task_queries::step_rows(conn, id)?)))
        })
    }

    fn version(&mut self, id: i64) -> Result<Option<VersionRow>, StoreError> {
        self.query(|conn, names| version::one(conn, names, id))
    }

    fn newest_version(&mut self, tenant: TenantId, workflow: &Name) -> Result<Option<VersionRow>, StoreError> {
        self.query(|conn, names| version::newest(conn, names, tenant, workflow))
    }

    fn deletable(
        &mut self,
        tenant: TenantId,
        workflow: &Name,
        number: u32,
    ) -> Result<Result<i64, Deletion>, StoreError> {
        self.query(|conn, names| version::deletable(conn, names, (tenant, workflow, number)))
    }

    fn key(&mut self, tenant: TenantId, text: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError> {
        Ok(self.query(|conn, _| key::one(conn, tenant, text))?.filter(|row| row.until >= now))
    }

    fn lanes(&mut self) -> Result<Vec<Lane>, StoreError> {
        self.query(task_queries::lanes)
    }

    fn ready(&mut self, lane: &Lane, after: Option<(Rank, TaskId)>, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| task_queries::ready(conn, names, lane, after, most))
    }

    fn held(&mut self, reason: HoldReason, key: Option<&Name>, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| held::of(conn, names, reason, key, most))
    }

    fn held_in(&mut self, reason: HoldReason, place: HeldPlace<'_>, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| held::of_place(conn, names, reason, place, most))
    }

    fn held_lanes(&mut self, reason: HoldReason) -> Result<Vec<(Lane, Option<Name>)>, StoreError> {
        self.query(|conn, names| held::lanes(conn, names, reason))
    }

    fn memo(&mut self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError> {
        self.query(|conn, _| memo::one(conn, tenant, collection, key))
    }

    fn gates(&mut self) -> Result<Vec<Gate>, StoreError> {
        self.query(gate::all)
    }

    fn answer(&mut self, tenant: TenantId, key: CacheKey, now: Timestamp) -> Result<Option<TaskId>, StoreError> {
        self.query(|conn, _| answer::one(conn, tenant, key, now))
    }

    fn held_steps(&mut self, run: RunId, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| task_queries::held_steps(conn, names, run, most))
    }

    fn step(&mut self, run: RunId, scope: ScopeId, slot: Slot) -> Result<Option<Task>, StoreError> {
        self.query(|conn, names| task_queries::step(conn, names, run, scope, slot))
    }

    fn payload(&mut self, id: PayloadId) -> Result<Option<PayloadBody>, StoreError> {
        self.query(|conn, _| payload::one(conn, id))
    }

    fn due(&mut self, now: Timestamp, most: u32) -> Result<Vec<TaskId>, StoreError> {
        self.query(|conn, _| task_queries::due(conn, now, most))
    }

    fn due_runs(&mut self, now: Timestamp, most: u32) -> Result<Vec<RunId>, StoreError> {
        self.query(|conn, _| run::due(conn, now, most))
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.query(|conn, _| {
            let (task, run) = (task_queries::next_due(conn)?, run::next_due(conn)?);
            Ok(task.into_iter().chain(run).min())
        })
    }

    fn running(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| task_queries::running(conn, names, after, most))
    }

    fn open_runs(&mut self, after: RunId, most: u32) -> Result<Vec<RunId>, StoreError> {
        self.query(|conn, _| run::open(conn, after, most))
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, StoreError> {
        self.query(|conn, _| audit::head(conn))
    }

    fn host_workers(&mut self) -> Result<Vec<HostWorkerRow>, StoreError> {
        self.query(|conn, _| hosted::host_workers(conn))
    }

    fn session_last(&mut self) -> Result<u64, StoreError> {
        self.query(|conn, _| session::last(conn))
    }

    fn has_expired(&mut self, retention: Retention) -> Result<bool, StoreError> {
        self.query(|conn, _| prune::has_expired(conn, retention))
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        self.usable()?;
        batch.check()?;
        if batch.is_empty() {
            return Ok(Commit::Committed);
        }
        let end = commit::turn(&self.conn, &mut self.names, &self.ids, batch);
        self.transaction(end, |end| *end == Commit::Committed)
    }

    fn close(&mut self) {
        // After a failed sync nothing may be copied any more.
        if self.broken.is_none() && self.conn.busy_timeout(CLOSING).is_ok() {
            let _ = copy::empty_log(&self.conn);
        }
    }
}

impl LedgerStore for SqliteStore {
    fn open_calls(&mut self, after: CallId, most: u32) -> Result<Vec<CallRow>, StoreError> {
        self.query(|conn, _| ledger::open(conn, after, most))
    }

    fn prepaid(&mut self, after: CallId, most: u32) -> Result<Vec<PrepaidRow>, StoreError> {
        self.query(|conn, _| prepaid::after(conn, after, most))
    }

    fn account(&mut self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError> {
        self.query(|conn, _| ledger::account(conn, tenant, account, day))
    }

    fn budget(&mut self, tenant: TenantId, account: &Account) -> Result<Option<BudgetRow>, StoreError> {
        self.query(|conn, _| ledger::budget(conn, tenant, account))
    }

    fn parked(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        self.query(|conn, names| task_queries::parked(conn, names, after, most))
    }
}

impl ScheduleStore for SqliteStore {
    fn schedule(&mut self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError> {
        self.query(|conn, _| schedule::one(conn, tenant, name))
    }

    fn due_schedules(&mut self, now: Timestamp, most: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        self.query(|conn, _| schedule::due(conn, now, most))
    }

    fn next_schedule(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.query(|conn, _| schedule::next(conn))
    }

    fn waiting_schedules(&mut self) -> Result<Vec<ScheduleRow>, StoreError> {
        self.query(|conn, _| schedule::waiting(conn))
    }

    fn fire(
        &mut self,
        tenant: TenantId,
        name: &Name,
        scheduled: Timestamp,
        kind: FireKind,
    ) -> Result<Option<FireRow>, StoreError> {
        self.query(|conn, _| schedule::one_fire(conn, (tenant, name, scheduled, kind)))
    }
}

impl SubscriptionStore for SqliteStore {
    fn subscriptions(&mut self) -> Result<Vec<SubscriptionRow>, StoreError> {
        self.query(|conn, _| subscription::every(conn))
    }

    fn delivery(&mut self, id: i64) -> Result<Option<DeliveryRow>, StoreError> {
        self.query(|conn, _| subscription::delivery(conn, id))
    }
}
