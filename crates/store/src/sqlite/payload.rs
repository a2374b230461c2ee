//! Payloads: rows that are written once.

use std::sync::Arc;

use kapelle_core::PayloadId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{columns::must, fault::Sql};
use crate::batch::PayloadBody;

/// Inserts a row. Part of a transaction.
pub(super) fn insert(conn: &Connection, id: PayloadId, body: &PayloadBody) -> Sql<()> {
    let mut insert = conn.prepare_cached("INSERT INTO payload (id, sha256, length, bytes) VALUES (?1, ?2, ?3, ?4)")?;
    match body {
        PayloadBody::Bytes(bytes) => {
            insert.execute(params![id.0, None::<&str>, None::<i64>, &**bytes])?;
        }
        PayloadBody::File { sha256, bytes } => {
            insert.execute(params![id.0, sha256, bytes.cast_signed(), None::<&[u8]>])?;
        }
    }
    Ok(())
}

/// Returns the contents of a row.
pub(super) fn one(conn: &Connection, id: PayloadId) -> Sql<Option<PayloadBody>> {
    let mut query = conn.prepare_cached("SELECT sha256, length, bytes FROM payload WHERE id = ?1")?;
    let row = query
        .query_row([id.0], |row| {
            let bytes = row.get_ref(2)?.as_blob_or_null()?.map(Arc::from);
            Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?, bytes))
        })
        .optional()?;
    Ok(match row {
        None => None,
        Some((_, _, Some(bytes))) => Some(PayloadBody::Bytes(bytes)),
        Some((sha256, length, None)) => {
            Some(PayloadBody::File { sha256: must(sha256, "hash")?, bytes: must(length, "length")?.cast_unsigned() })
        }
    })
}
