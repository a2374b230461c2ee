//! The schema and its migrations.

use rusqlite::Connection;

use super::{
    commit::control,
    fault::{Sql, Trouble},
};

const MIGRATIONS: [&str; 13] = [
    include_str!("../../migrations/0001_tasks_and_runs.sql"),
    include_str!("../../migrations/0002_access.sql"),
    include_str!("../../migrations/0003_hosts_and_session.sql"),
    include_str!("../../migrations/0004_ledger.sql"),
    include_str!("../../migrations/0005_prepaid.sql"),
    include_str!("../../migrations/0006_given.sql"),
    include_str!("../../migrations/0007_own_limits.sql"),
    include_str!("../../migrations/0008_key_scopes.sql"),
    include_str!("../../migrations/0009_run_parent.sql"),
    include_str!("../../migrations/0010_spend.sql"),
    include_str!("../../migrations/0011_memos.sql"),
    include_str!("../../migrations/0012_schedules.sql"),
    include_str!("../../migrations/0013_subscriptions.sql"),
];

/// The schema that this program writes. A newer one is refused, an older one is migrated when opened for writing.
pub const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Application id of the file: "Kapl".
const APPLICATION: i64 = 0x4b61_706c;

/// Returns the schema of a database; 0 for an empty one.
pub(super) fn found(conn: &Connection) -> Sql<i64> {
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let schema: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && schema == 0 && tables == 0;
    if application != APPLICATION && !empty {
        return Err(Trouble::Refused("the file is a database of another program".to_owned()));
    }
    Ok(schema)
}

/// Migrates the schema, one migration a transaction: a crash leaves a whole schema, and the next start continues.
pub(super) fn migrate(conn: &Connection) -> Sql<()> {
    let from = usize::try_from(found(conn)?).unwrap_or(usize::MAX);
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        control(conn, "BEGIN IMMEDIATE")?;
        conn.execute_batch(migration)?;
        conn.execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}", number + 1))?;
        control(conn, "COMMIT")?;
    }
    Ok(())
}
