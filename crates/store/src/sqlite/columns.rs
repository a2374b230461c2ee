//! Single values as columns.

use std::sync::Arc;

use kapelle_core::{Payload, PayloadId};
use rusqlite::{Row, types::ValueRef};

use super::fault::{Sql, Trouble};

/// Formats a value as compact JSON.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Sql<String> {
    serde_json::to_string(value).map_err(|error| Trouble::Refused(format!("a value cannot be stored: {error}")))
}

/// Reads a value that a column holds as JSON.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Sql<T> {
    serde_json::from_str(text).map_err(|error| Trouble::Damaged(format!("a {what} cannot be read: {error}")))
}

/// Returns the two columns of a payload: the key of its row, or its bytes.
pub(super) fn payload_columns(payload: &Payload) -> (Option<i64>, Option<&[u8]>) {
    match payload {
        Payload::None => (None, None),
        Payload::Inline(bytes) => (None, Some(bytes)),
        Payload::Row(id) => (Some(id.0), None),
    }
}

/// Reads the payload of two columns.
pub(super) fn payload(row: &Row<'_>, id: usize, bytes: usize) -> Sql<Payload> {
    if let Some(id) = row.get::<_, Option<i64>>(id)? {
        return Ok(Payload::Row(PayloadId(id)));
    }
    Ok(match row.get_ref(bytes)? {
        ValueRef::Null => Payload::None,
        value => Payload::Inline(Arc::from(value.as_blob().map_err(rusqlite::Error::from)?)),
    })
}

/// Reads a text that may be missing, without copying it.
pub(super) fn text<'a>(row: &'a Row<'_>, at: usize) -> Sql<Option<&'a str>> {
    Ok(row.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from)?)
}

/// Requires a value that the state of the row needs.
pub(super) fn must<T>(value: Option<T>, what: &str) -> Sql<T> {
    value.ok_or_else(|| Trouble::Damaged(format!("a row lacks its {what}")))
}
