//! The reading side.

use std::{path::Path, sync::Arc};

use kapelle_core::{
    Account, AccountKind, CallId, Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    run::{ScopeId, Slot},
    task::{Attempt, Rank, Task},
};

use super::{
    access, attempt, audit, gate, hosted, journal, ledger, memo, payload, pool::Pool, progress, run, schedule, session,
    spending, subscription, task_queries, version,
};
use crate::{
    access::AccessKey,
    audit::AuditRow,
    batch::{Gate, JournalEntry, PayloadBody, VersionRow},
    blobs::Blobs,
    contract::{Lane, Reader},
    error::StoreError,
    hosted::{ArtifactRow, GivenRow, HostWorkerRow},
    ledger::{AccountRow, BudgetRow, CallFilter, CallRow, LedgerReader},
    memo::MemoRow,
    progress::{Attention, ProgressReader, Replays, StepProgress, StepTotals},
    rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter},
    schedule::{FireRow, ScheduleReader, ScheduleRow},
    session::SessionRow,
    spending::{SpendFilter, SpendRow},
    subscription::{DeliveryRow, DeliveryState, SubscriptionReader, SubscriptionRow},
};

/// The reading connections of a folder. Clones share them.
#[derive(Debug, Clone)]
pub struct SqliteReader {
    pool: Arc<Pool>,
    blobs: Blobs,
}

impl SqliteReader {
    pub(super) fn new(pool: Pool, blobs: Blobs) -> SqliteReader {
        SqliteReader { pool: Arc::new(pool), blobs }
    }

    /// Returns the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.pool.path()
    }

    /// Returns the files of the folder.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Checks the whole database; takes seconds on a large one.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first fault found.
    pub fn check(&self) -> Result<(), StoreError> {
        let found: String =
            self.pool.long_query(|conn| Ok(conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?))?;
        if found == "ok" {
            return Ok(());
        }
        Err(StoreError::Damaged { path: self.path().to_owned(), message: found })
    }
}

impl Reader for SqliteReader {
    fn task(&self, tenant: TenantId, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.pool.query(|conn, names| task_queries::one_of(conn, names, tenant, id))
    }

    fn payload(&self, id: PayloadId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.pool.query(|conn, _| payload::one(conn, id))? {
            None => Ok(None),
            Some(PayloadBody::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
            Some(PayloadBody::File { sha256, .. }) => self.blobs.read(&sha256).map(Some),
        }
    }

    fn attempts(&self, id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        self.pool.query(|conn, _| attempt::of(conn, id))
    }

    fn tasks(&self, tenant: TenantId, filter: &TaskFilter, page: Page) -> Result<Vec<Task>, StoreError> {
        self.pool.query(|conn, names| task_queries::page(conn, names, tenant, filter, page))
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<RunRow>, StoreError> {
        self.pool.query(|conn, names| run::one_of(conn, names, tenant, id))
    }

    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<RunRow>, StoreError> {
        self.pool.query(|conn, names| run::page(conn, names, tenant, filter, page))
    }

    fn steps(&self, run: RunId, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        self.pool.query(|conn, names| task_queries::steps(conn, names, run, after, most.min(1_000)))
    }

    fn scope(&self, run: RunId, scope: ScopeId, after: Option<Slot>, most: u32) -> Result<Vec<Task>, StoreError> {
        self.pool.query(|conn, names| task_queries::scope(conn, names, (run, scope), after, most.min(1_000)))
    }

    fn journal(&self, run: RunId, from: u64, most: u32) -> Result<Vec<JournalEntry>, StoreError> {
        self.pool.query(|conn, _| journal::from(conn, run, from, most.min(1_000)))
    }

    fn version(&self, tenant: TenantId, id: i64) -> Result<Option<VersionRow>, StoreError> {
        self.pool.query(|conn, names| version::one_of(conn, names, tenant, id))
    }

    fn versions(&self, tenant: TenantId, workflow: Option<&Name>, page: Page) -> Result<Vec<VersionRow>, StoreError> {
        self.pool.query(|conn, names| version::page(conn, names, tenant, workflow, page))
    }

    fn gates(&self, tenant: TenantId) -> Result<Vec<Gate>, StoreError> {
        let mut gates = self.pool.query(gate::all)?;
        gates.retain(|gate| gate.tenant == tenant);
        Ok(gates)
    }

    fn access_keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        self.pool.query(|conn, _| access::all(conn))
    }

    fn audit(&self, tenant: Option<TenantId>, page: Page) -> Result<Vec<AuditRow>, StoreError> {
        self.pool.query(|conn, _| audit::page(conn, tenant, page))
    }

    fn audit_from(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.pool.query(|conn, _| audit::from(conn, after, most))
    }

    fn host_workers(&self) -> Result<Vec<HostWorkerRow>, StoreError> {
        self.pool.query(|conn, _| hosted::host_workers(conn))
    }

    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<GivenRow>, StoreError> {
        self.pool.query(|conn, _| hosted::given(conn, task, attempt))
    }

    fn memo(&self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError> {
        self.pool.query(|conn, _| memo::one(conn, tenant, collection, key))
    }

    fn memos(
        &self,
        tenant: TenantId,
        collection: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<MemoRow>, StoreError> {
        self.pool.query(|conn, _| memo::list(conn, tenant, collection, after, most))
    }

    fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<ArtifactRow>, StoreError> {
        self.pool.query(|conn, _| hosted::artifact(conn, tenant, sha256))
    }

    fn artifacts(&self, tenant: TenantId, after: Option<&str>, most: u32) -> Result<Vec<ArtifactRow>, StoreError> {
        self.pool.query(|conn, _| hosted::artifacts(conn, tenant, after, most))
    }

    fn session(&self, after: u64, most: u32) -> Result<Vec<SessionRow>, StoreError> {
        self.pool.query(|conn, _| session::after(conn, after, most))
    }

    fn task_of_any(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.pool.query(|conn, names| task_queries::one(conn, names, id))
    }

    fn open_run_count(&self) -> Result<u64, StoreError> {
        self.pool.query(|conn, _| run::open_count(conn))
    }

    fn busy_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        self.pool.query(|conn, _| task_queries::busy_tenants(conn))
    }

    fn open_tasks(&self, tenant: TenantId) -> Result<Vec<LaneCount>, StoreError> {
        self.pool.query(|conn, names| task_queries::open_counts(conn, names, tenant))
    }
}

impl LedgerReader for SqliteReader {
    fn account(&self, tenant: TenantId, account: &Account, day: i64) -> Result<Option<AccountRow>, StoreError> {
        self.pool.query(|conn, _| ledger::account(conn, tenant, account, day))
    }

    fn accounts(&self, tenant: TenantId, kind: AccountKind, most: u32) -> Result<Vec<AccountRow>, StoreError> {
        self.pool.query(|conn, _| ledger::accounts(conn, tenant, kind, most))
    }

    fn tenant_accounts(&self, most: u32) -> Result<Vec<AccountRow>, StoreError> {
        self.pool.query(|conn, _| ledger::tenant_accounts(conn, most))
    }

    fn all_budgets(&self, most: u32) -> Result<Vec<BudgetRow>, StoreError> {
        self.pool.query(|conn, _| ledger::all_budgets(conn, most))
    }

    fn budgets(&self, tenant: TenantId, most: u32) -> Result<Vec<BudgetRow>, StoreError> {
        self.pool.query(|conn, _| ledger::budgets(conn, tenant, most))
    }

    fn recorded(&self, task: TaskId, epoch: u64) -> Result<Vec<CallRow>, StoreError> {
        self.pool.query(|conn, _| ledger::recorded(conn, task, epoch))
    }

    fn calls(&self, tenant: TenantId, filter: &CallFilter, page: Page) -> Result<Vec<CallRow>, StoreError> {
        self.pool.query(|conn, _| ledger::calls(conn, tenant, filter, page))
    }

    fn spending(&self, tenant: TenantId, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        self.pool.query(|conn, _| spending::read(conn, tenant, filter))
    }

    fn call(&self, tenant: TenantId, id: CallId) -> Result<Option<CallRow>, StoreError> {
        self.pool.query(|conn, _| ledger::one(conn, tenant, id))
    }

    fn kept(&self, tenant: TenantId, fingerprint: &[u8; 32], now: Timestamp) -> Result<Option<CallRow>, StoreError> {
        self.pool.query(|conn, _| ledger::kept(conn, tenant, fingerprint, now))
    }
}

impl ProgressReader for SqliteReader {
    fn step_progress(&self, run: RunId, scope: Option<ScopeId>) -> Result<Vec<StepProgress>, StoreError> {
        self.pool.query(|conn, _| progress::steps(conn, run, scope))
    }

    fn step_at(&self, run: RunId, path: &str) -> Result<Option<Task>, StoreError> {
        self.pool.query(|conn, names| progress::at_path(conn, names, run, path))
    }

    fn step_totals(&self, run: RunId, most: u32) -> Result<StepTotals, StoreError> {
        self.pool.query(|conn, _| progress::totals(conn, run, most))
    }

    fn replayed(&self, of: Replays) -> Result<u64, StoreError> {
        self.pool.query(|conn, _| progress::replayed(conn, of))
    }

    fn children(&self, tenant: TenantId, run: RunId, most: u32) -> Result<Vec<RunId>, StoreError> {
        self.pool.query(|conn, _| progress::children(conn, tenant, run, most))
    }

    fn attention(&self, tenant: TenantId, most: u32) -> Result<Attention, StoreError> {
        self.pool.query(|conn, _| progress::attention(conn, tenant, most))
    }

    fn newest_successes(
        &self,
        tenant: TenantId,
        before: Option<TaskId>,
        looked_at: u32,
    ) -> Result<Vec<Task>, StoreError> {
        self.pool.query(|conn, names| progress::newest_successes(conn, names, tenant, before, looked_at))
    }

    fn ahead(&self, lane: &Lane, before: (Rank, TaskId), most: u32) -> Result<u32, StoreError> {
        self.pool.query(|conn, names| progress::ahead(conn, names, lane, before, most))
    }
}

impl ScheduleReader for SqliteReader {
    fn schedule(&self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError> {
        self.pool.query(|conn, _| schedule::one(conn, tenant, name))
    }

    fn schedules(&self, tenant: TenantId, after: Option<&Name>, most: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        self.pool.query(|conn, _| schedule::page(conn, tenant, after, most))
    }

    fn fires(&self, tenant: TenantId, name: &Name, most: u32) -> Result<Vec<FireRow>, StoreError> {
        self.pool.query(|conn, _| schedule::fires(conn, tenant, name, most))
    }
}

impl SubscriptionReader for SqliteReader {
    fn subscription(&self, tenant: TenantId, name: &Name) -> Result<Option<SubscriptionRow>, StoreError> {
        self.pool.query(|conn, _| subscription::one(conn, tenant, name))
    }

    fn all_subscriptions(&self) -> Result<Vec<SubscriptionRow>, StoreError> {
        self.pool.query(|conn, _| subscription::every(conn))
    }

    fn due_deliveries(
        &self,
        tenant: TenantId,
        name: &Name,
        now: Timestamp,
        ordered: bool,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.pool.query(|conn, _| subscription::due(conn, (tenant, name), now, ordered, most))
    }

    fn next_delivery(&self, tenant: TenantId, name: &Name) -> Result<Option<Timestamp>, StoreError> {
        self.pool.query(|conn, _| subscription::next(conn, tenant, name))
    }

    fn pending_deliveries(&self, tenant: TenantId, name: &Name, most: u32) -> Result<u32, StoreError> {
        self.pool.query(|conn, _| subscription::pending(conn, tenant, name, most))
    }

    fn deliveries(
        &self,
        tenant: TenantId,
        name: &Name,
        state: Option<DeliveryState>,
        before: Option<i64>,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.pool.query(|conn, _| subscription::page(conn, (tenant, name), state, before, most))
    }
}
