//! Queues and workers that were paused by hand.

use std::sync::Arc;

use kapelle_core::{TenantId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    columns::{must, text},
    fault::Sql,
    names::Names,
};
use crate::batch::{Gate, GateKind};

/// Writes a pause state and replaces the earlier one. Part of a transaction.
pub(super) fn put(conn: &Connection, names: &mut Names, gate: &Gate) -> Sql<()> {
    let name = names.id(conn, &gate.name)?;
    conn.prepare_cached(
        "INSERT INTO gate (tenant, kind, name, paused, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO UPDATE SET paused = ?4, reason = ?5, at = ?6",
    )?
    .execute(params![gate.tenant.0, gate.kind as u8, name, gate.paused, &*gate.reason, gate.at.0])?;
    Ok(())
}

/// Returns the pause states of all tenants.
pub(super) fn all(conn: &Connection, names: &mut Names) -> Sql<Vec<Gate>> {
    let mut query = conn.prepare_cached("SELECT tenant, kind, name, paused, reason, at FROM gate")?;
    let mut rows = query.query([])?;
    let mut gates = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: i64 = row.get(1)?;
        gates.push(Gate {
            tenant: TenantId(row.get(0)?),
            kind: must(GateKind::ALL.into_iter().find(|known| *known as i64 == kind), "kind of gate")?,
            name: names.name(conn, row.get(2)?)?,
            paused: row.get(3)?,
            reason: Arc::from(must(text(row, 4)?, "reason")?),
            at: Timestamp(row.get(5)?),
        });
    }
    gates.sort_unstable_by(|a, b| (a.tenant, a.kind, &a.name).cmp(&(b.tenant, b.kind, &b.name)));
    Ok(gates)
}
