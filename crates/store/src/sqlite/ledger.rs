//! The ledger: money and model calls.

use std::sync::Arc;

use kapelle_core::{Account, AccountKind, CallId, Money, PayloadId, RunId, TaskId, TenantId, Timestamp};
use rusqlite::{Connection, Row, params, types::ToSql};

use super::{
    columns,
    fault::{Sql, Trouble, written},
    prepaid, spending,
};
use crate::{
    contract::Conflicts,
    ledger::{
        AccountRow, AccountWrite, BudgetRow, CallAnswer, CallEnd, CallFilter, CallRow, CallState, CallWrite, KeptRow,
        LedgerWrites,
    },
    rows::Page,
    spending::Sums,
};

/// Limit of rows on one page.
const PAGE_MOST: u32 = 1_000;

const CALL: &str = "SELECT id, tenant, task, attempt, run, epoch, payer, operation, provider, model, fingerprint, state, \
                    reserved, cost, input, output, at, ended_at, request_id, answer_id, answer FROM model_call ";
const ACCOUNT: &str = "SELECT kind, name, tenant, day, spent, unknown, calls, input, output, revision FROM account ";
const BUDGET: &str = "SELECT kind, name, tenant, most, base, warned, at, own FROM budget ";

/// Converts an amount to its column, capped at nine billion dollars.
fn nanos(money: Money) -> i64 {
    i64::try_from(money.0).unwrap_or(i64::MAX)
}

fn money(row: &Row<'_>, at: usize) -> Sql<Money> {
    Ok(Money(row.get::<_, i64>(at)?.cast_unsigned()))
}

fn count(row: &Row<'_>, at: usize) -> Sql<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes the money and calls of a turn. Part of a transaction.
pub(super) fn write(conn: &Connection, ledger: &LedgerWrites, conflicts: &mut Conflicts) -> Sql<()> {
    let mut spent = Sums::default();
    for write in &ledger.calls {
        match write {
            CallWrite::New(row) => {
                conflicts.other |= !insert(conn, row)?;
                spent.count(row);
            }
            CallWrite::End(id, end) => {
                if let Some(row) = settle(conn, *id, end)? {
                    spent.count(&row);
                }
            }
            CallWrite::Answer(id, answer) => {
                let sql = "UPDATE model_call SET answer_id = ?2, answer = ?3 WHERE id = ?1 AND answer_id IS NULL";
                conn.prepare_cached(sql)?.execute(params![id.0, answer.payload.0, &*answer.meta])?;
            }
        }
    }
    spending::write(spent, conn)?;
    prepaid::write(conn, &ledger.prepaid, conflicts)?;
    for write in &ledger.accounts {
        conflicts.other |= !put_account(conn, write)?;
    }
    ledger.budgets.iter().try_for_each(|row| put_budget(conn, row))?;
    ledger.kept.iter().try_for_each(|row| keep(conn, row))
}

fn insert(conn: &Connection, row: &CallRow) -> Sql<bool> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO model_call (id, tenant, task, attempt, run, epoch, payer, operation, provider, model, \
         fingerprint, state, reserved, cost, input, output, at, ended_at, request_id, answer_id, answer) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
    )?;
    let done = insert.execute(params![
        row.id.0,
        row.tenant.0,
        row.task.map(|task| task.0),
        row.attempt,
        row.run.map(|run| run.0),
        signed(row.epoch),
        columns::to_json(&row.payer)?,
        &*row.operation,
        &*row.provider,
        &*row.model,
        row.fingerprint,
        row.state as u8,
        nanos(row.reserved),
        nanos(row.cost),
        signed(row.input),
        signed(row.output),
        row.at.0,
        row.ended_at.map(|at| at.0),
        row.request_id.as_deref(),
        row.answer.as_ref().map(|answer| answer.payload.0),
        row.answer.as_ref().map(|answer| &*answer.meta)
    ]);
    written(done.map(drop).map_err(Trouble::from))
}

/// Settles an open call, and returns it. A settled or missing call is not changed: its accounts reveal a conflict.
fn settle(conn: &Connection, id: CallId, end: &CallEnd) -> Sql<Option<CallRow>> {
    let mut update = conn.prepare_cached(
        "UPDATE model_call SET state = ?2, cost = ?3, input = ?4, output = ?5, ended_at = ?6, request_id = ?7 \
         WHERE id = ?1 AND state = 0",
    )?;
    let (input, output) = (signed(end.input), signed(end.output));
    let request = end.request_id.as_deref();
    let done = update.execute(params![id.0, end.state as u8, nanos(end.cost), input, output, end.at.0, request])?;
    if done == 0 {
        return Ok(None);
    }
    Ok(all(conn, &format!("{CALL} WHERE id = ?1"), [id.0], call_row)?.pop())
}

fn put_account(conn: &Connection, write: &AccountWrite) -> Sql<bool> {
    let row = &write.row;
    let mut put = match write.expected {
        None => conn.prepare_cached(
            "INSERT INTO account (kind, name, tenant, day, spent, unknown, calls, input, output, revision) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        )?,
        Some(_) => conn.prepare_cached(
            "UPDATE account SET spent = ?5, unknown = ?6, calls = ?7, input = ?8, output = ?9, revision = ?10 \
             WHERE kind = ?1 AND name = ?2 AND tenant = ?3 AND day = ?4 AND revision = ?11",
        )?,
    };
    let (kind, name) = (row.account.kind() as u8, row.account.name());
    let (spent, unknown) = (nanos(row.spent), nanos(row.unknown));
    let (calls, input, output) = (signed(row.calls), signed(row.input), signed(row.output));
    let tenant = row.tenant.0;
    let done = match write.expected {
        None => {
            put.execute(params![kind, name, tenant, row.day, spent, unknown, calls, input, output, row.revision])?
        }
        Some(expected) => put.execute(params![
            kind,
            name,
            tenant,
            row.day,
            spent,
            unknown,
            calls,
            input,
            output,
            row.revision,
            expected
        ])?,
    };
    Ok(done == 1)
}

fn put_budget(conn: &Connection, row: &BudgetRow) -> Sql<()> {
    let mut put = conn.prepare_cached(
        "INSERT INTO budget (kind, name, tenant, most, base, warned, at, own) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT DO UPDATE SET most = ?4, base = ?5, warned = ?6, at = ?7, own = ?8",
    )?;
    let (kind, name) = (row.account.kind() as u8, row.account.name());
    let own = row.own.map(nanos);
    let (limit, base, warned) = (nanos(row.limit), nanos(row.base), nanos(row.warned));
    put.execute(params![kind, name, row.tenant.0, limit, base, warned, row.at.0, own])?;
    Ok(())
}

fn keep(conn: &Connection, row: &KeptRow) -> Sql<()> {
    let mut put = conn.prepare_cached(
        "INSERT INTO kept_call (tenant, fingerprint, call, until) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET call = ?3, until = ?4",
    )?;
    put.execute(params![row.tenant.0, row.fingerprint, row.call.0, row.until.0])?;
    Ok(())
}

fn named(row: &Row<'_>) -> Sql<Account> {
    let kind: u8 = row.get(0)?;
    let name = columns::must(columns::text(row, 1)?, "name")?;
    let kind = AccountKind::ALL.into_iter().find(|known| *known as u8 == kind);
    let account = kind.and_then(|kind| kind.named(name));
    account.ok_or_else(|| Trouble::Damaged(format!("the account `{name}` is of no kind")))
}

fn account_row(row: &Row<'_>) -> Sql<AccountRow> {
    Ok(AccountRow {
        tenant: TenantId(row.get(2)?),
        account: named(row)?,
        day: row.get(3)?,
        spent: money(row, 4)?,
        unknown: money(row, 5)?,
        calls: count(row, 6)?,
        input: count(row, 7)?,
        output: count(row, 8)?,
        revision: row.get(9)?,
    })
}

fn budget_row(row: &Row<'_>) -> Sql<BudgetRow> {
    Ok(BudgetRow {
        tenant: TenantId(row.get(2)?),
        account: named(row)?,
        limit: money(row, 3)?,
        base: money(row, 4)?,
        warned: money(row, 5)?,
        at: Timestamp(row.get(6)?),
        own: row.get::<_, Option<i64>>(7)?.map(|own| Money(own.unsigned_abs())),
    })
}

fn call_row(row: &Row<'_>) -> Sql<CallRow> {
    let state: u8 = row.get(11)?;
    let state = CallState::ALL.into_iter().find(|known| *known as u8 == state);
    let payload: Option<i64> = row.get(19)?;
    let meta: Option<Arc<str>> = row.get(20)?;
    Ok(CallRow {
        id: CallId(row.get(0)?),
        tenant: TenantId(row.get(1)?),
        task: row.get::<_, Option<i64>>(2)?.map(TaskId),
        attempt: row.get(3)?,
        run: row.get::<_, Option<i64>>(4)?.map(RunId),
        epoch: count(row, 5)?,
        payer: columns::from_json(columns::must(columns::text(row, 6)?, "payer")?, "payer")?,
        operation: row.get(7)?,
        provider: row.get(8)?,
        model: row.get(9)?,
        fingerprint: row.get(10)?,
        state: columns::must(state, "state")?,
        reserved: money(row, 12)?,
        cost: money(row, 13)?,
        input: count(row, 14)?,
        output: count(row, 15)?,
        at: Timestamp(row.get(16)?),
        ended_at: row.get::<_, Option<i64>>(17)?.map(Timestamp),
        request_id: row.get(18)?,
        answer: payload.zip(meta).map(|(payload, meta)| CallAnswer { payload: PayloadId(payload), meta }),
    })
}

fn all<T>(conn: &Connection, sql: &str, params: impl rusqlite::Params, read: fn(&Row<'_>) -> Sql<T>) -> Sql<Vec<T>> {
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = query.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Returns open calls after an id.
pub(super) fn open(conn: &Connection, after: CallId, most: u32) -> Sql<Vec<CallRow>> {
    all(conn, &format!("{CALL} WHERE state = 0 AND id > ?1 ORDER BY id LIMIT ?2"), (after.0, most), call_row)
}

/// Returns the totals of an account.
pub(super) fn account(conn: &Connection, tenant: TenantId, account: &Account, day: i64) -> Sql<Option<AccountRow>> {
    let sql = format!("{ACCOUNT} WHERE kind = ?1 AND name = ?2 AND tenant = ?3 AND day = ?4");
    Ok(all(conn, &sql, params![account.kind() as u8, account.name(), tenant.0, day], account_row)?.pop())
}

/// Returns the accounts of a kind.
pub(super) fn accounts(conn: &Connection, tenant: TenantId, kind: AccountKind, most: u32) -> Sql<Vec<AccountRow>> {
    let sql = format!("{ACCOUNT} WHERE kind = ?1 AND tenant = ?2 ORDER BY day DESC, spent DESC, name LIMIT ?3");
    all(conn, &sql, (kind as u8, tenant.0, most.min(PAGE_MOST)), account_row)
}

/// Returns the limit of an account.
pub(super) fn budget(conn: &Connection, tenant: TenantId, account: &Account) -> Sql<Option<BudgetRow>> {
    let sql = format!("{BUDGET} WHERE kind = ?1 AND name = ?2 AND tenant = ?3");
    Ok(all(conn, &sql, params![account.kind() as u8, account.name(), tenant.0], budget_row)?.pop())
}

/// Returns the accounts of all tenants.
pub(super) fn tenant_accounts(conn: &Connection, most: u32) -> Sql<Vec<AccountRow>> {
    let sql = format!("{ACCOUNT} WHERE kind = ?1 ORDER BY spent DESC, tenant LIMIT ?2");
    all(conn, &sql, (AccountKind::Tenant as u8, most.min(PAGE_MOST)), account_row)
}

/// Returns the budgets of all tenants.
pub(super) fn all_budgets(conn: &Connection, most: u32) -> Sql<Vec<BudgetRow>> {
    let sql = format!("{BUDGET} ORDER BY tenant, kind, name LIMIT ?1");
    all(conn, &sql, [most.min(PAGE_MOST)], budget_row)
}

/// Returns the budgets of a tenant.
pub(super) fn budgets(conn: &Connection, tenant: TenantId, most: u32) -> Sql<Vec<BudgetRow>> {
    let sql = format!("{BUDGET} WHERE tenant = ?1 ORDER BY kind, name LIMIT ?2");
    all(conn, &sql, (tenant.0, most.min(PAGE_MOST)), budget_row)
}

/// Returns the answers recorded for a task.
pub(super) fn recorded(conn: &Connection, task: TaskId, epoch: u64) -> Sql<Vec<CallRow>> {
    let sql = format!("{CALL} WHERE task = ?1 AND epoch = ?2 AND answer_id IS NOT NULL ORDER BY answer_id");
    all(conn, &sql, (task.0, signed(epoch)), call_row)
}

/// Returns one call.
pub(super) fn one(conn: &Connection, tenant: TenantId, id: CallId) -> Sql<Option<CallRow>> {
    Ok(all(conn, &format!("{CALL} WHERE id = ?1 AND tenant = ?2"), (id.0, tenant.0), call_row)?.pop())
}

/// Returns calls, newest first.
pub(super) fn calls(conn: &Connection, tenant: TenantId, filter: &CallFilter, page: Page) -> Sql<Vec<CallRow>> {
    let (before, most) = (page.before.unwrap_or(i64::MAX), page.most.min(PAGE_MOST));
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(tenant.0), Box::new(before), Box::new(most)];
    let mut sql = format!("{CALL} WHERE tenant = ?1 AND id < ?2");
    let mut narrow = |condition: &str, value: Box<dyn ToSql>| {
        values.push(value);
        sql += &format!(" AND {}", condition.replace('?', &format!("?{}", values.len())));
    };
    match (filter.task, filter.run) {
        (Some(task), run) => {
            narrow("task = ?", Box::new(task.0));
            if let Some(run) = run {
                narrow("run = ?", Box::new(run.0));
            }
        }
        // Goes through the steps of the run, so that calls of others are not read.
        (None, Some(run)) => narrow("task IN (SELECT id FROM task WHERE task.run = ?)", Box::new(run.0)),
        (None, None) => {}
    }
    if let Some(provider) = &filter.provider {
        narrow("provider = ?", Box::new(provider.clone()));
    }
    if let Some(model) = &filter.model {
        narrow("model = ?", Box::new(model.clone()));
    }
    if let Some(state) = filter.state {
        narrow("state = ?", Box::new(state as u8));
    }
    if let Some(since) = filter.since {
        narrow("at >= ?", Box::new(since.0));
    }
    if let Some(until) = filter.until {
        narrow("at < ?", Box::new(until.0));
    }
    sql += " ORDER BY id DESC LIMIT ?3";
    all(conn, &sql, rusqlite::params_from_iter(values), call_row)
}

/// Returns the call whose answer may be reused.
pub(super) fn kept(
    conn: &Connection,
    tenant: TenantId,
    fingerprint: &[u8; 32],
    now: Timestamp,
) -> Sql<Option<CallRow>> {
    let sql = format!(
        "{CALL} WHERE answer_id IS NOT NULL AND id = \
         (SELECT call FROM kept_call WHERE tenant = ?1 AND fingerprint = ?2 AND until > ?3)"
    );
    Ok(all(conn, &sql, params![tenant.0, fingerprint, now.0], call_row)?.pop())
}

/// Deletes the rows of an account that no longer exists.
pub(super) fn forget_account(conn: &Connection, account: &Account) -> Sql<()> {
    let (kind, name) = (account.kind() as u8, account.name());
    conn.prepare_cached("DELETE FROM account WHERE kind = ?1 AND name = ?2")?.execute((kind, &name))?;
    conn.prepare_cached("DELETE FROM budget WHERE kind = ?1 AND name = ?2")?.execute((kind, &name))?;
    Ok(())
}

/// Deletes the calls of a task, their answers, and the task's account.
pub(super) fn forget_task(conn: &Connection, task: i64) -> Sql<()> {
    conn.prepare_cached(
        "DELETE FROM payload WHERE id IN (SELECT answer_id FROM model_call WHERE task = ?1 AND answer_id IS NOT NULL)",
    )?
    .execute([task])?;
    let deleted = conn.prepare_cached("DELETE FROM model_call WHERE task = ?1")?.execute([task])?;
    if deleted > 0 {
        forget_account(conn, &Account::Task(TaskId(task)))?;
    }
    Ok(())
}

/// Deletes older calls without a task, and expired entries. Returns their number.
pub(super) fn prune(conn: &Connection, calls: Timestamp, kept: Timestamp, most: u32) -> Sql<usize> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM kept_call WHERE (tenant, fingerprint) IN \
         (SELECT tenant, fingerprint FROM kept_call WHERE until < ?1 ORDER BY until, tenant, fingerprint LIMIT ?2)",
    )?;
    let entries = delete.execute((kept.0, most))?;
    let left = most.saturating_sub(u32::try_from(entries).unwrap_or(u32::MAX));
    let old = "SELECT id FROM model_call INDEXED BY model_call_loose \
               WHERE task IS NULL AND at < ?1 AND state <> 0 ORDER BY at, id LIMIT ?2";
    conn.prepare_cached(&format!(
        "DELETE FROM payload WHERE id IN (SELECT answer_id FROM model_call WHERE answer_id IS NOT NULL AND id IN ({old}))"
    ))?
    .execute((calls.0, left))?;
    let deleted =
        conn.prepare_cached(&format!("DELETE FROM model_call WHERE id IN ({old})"))?.execute((calls.0, left))?;
    Ok(entries + deleted)
}
