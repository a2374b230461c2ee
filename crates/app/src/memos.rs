//! Memos: what workers keep for a tenant, by collection and key.

use std::sync::Arc;

use kapelle_core::{Category, TaskError, TenantId, Timestamp};
use kapelle_engine::command;
use kapelle_store::{MemoRow, MemoWrite};
use serde_json::Value;

use crate::{app::App, app_error::AppError};

/// Memos that are read at a time.
const PAGE: u32 = 500;
/// Changes of one turn.
pub(crate) const WRITES_MAX: usize = 256;
/// Bytes of a key.
const KEY_MAX: usize = 200;
/// Bytes of the JSON of one memo.
pub(crate) const VALUE_MAX: usize = 16 << 10;

impl App {
    /// Returns one memo of a tenant.
    pub(crate) async fn memo(
        self: &Arc<Self>,
        tenant: TenantId,
        collection: &str,
        key: &str,
    ) -> Result<Option<MemoRow>, AppError> {
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.list_for(tenant, move |app| Ok(app.reader().memo(tenant, &collection, &key)?)).await
    }

    /// Returns the memos of a collection by key, at most `most`.
    pub(crate) async fn memos(
        self: &Arc<Self>,
        tenant: TenantId,
        collection: &str,
        most: usize,
    ) -> Result<Vec<MemoRow>, AppError> {
        let collection = collection.to_owned();
        let read = move |app: &App| {
            let mut rows: Vec<MemoRow> = Vec::new();
            while rows.len() < most {
                let page = {
                    let after = rows.last().map(|row| &*row.key);
                    app.reader().memos(tenant, &collection, after, PAGE)?
                };
                let is_last = page.len() < PAGE as usize;
                rows.extend(page);
                if is_last {
                    break;
                }
            }
            rows.truncate(most);
            Ok(rows)
        };
        self.list_for(tenant, move |app| read(app)).await
    }

    /// Writes changes in one commit. Returns false, and writes nothing, when one of the memos changed meanwhile.
    pub(crate) async fn keep_memos(self: &Arc<Self>, writes: Vec<MemoWrite>) -> Result<bool, AppError> {
        if writes.is_empty() {
            return Ok(true);
        }
        Ok(self.engine.ask(command::KeepMemos { writes: writes.into() }).await?)
    }
}

/// Makes the change of a memo to a value.
///
/// # Errors
/// A key or a value that is too long.
pub(crate) fn put(
    (tenant, collection, key): (TenantId, &str, &str),
    value: &Value,
    expected: Option<u32>,
    at: Timestamp,
) -> Result<MemoWrite, TaskError> {
    let text = value.to_string();
    if text.len() > VALUE_MAX {
        let message = format!("{key}: it would have {} bytes; at most {VALUE_MAX} are kept", text.len());
        return Err(TaskError::new(Category::InvalidInput, message).permanent());
    }
    let row = MemoRow {
        tenant,
        collection: Arc::from(collection),
        key: Arc::from(key),
        value: Arc::from(text),
        revision: expected.map_or(1, |revision| revision.saturating_add(1)),
        at,
    };
    Ok(MemoWrite::Put { row, expected })
}

/// Makes the deletion of a memo.
pub(crate) fn delete(row: &MemoRow) -> MemoWrite {
    MemoWrite::Delete {
        tenant: row.tenant,
        collection: Arc::clone(&row.collection),
        key: Arc::clone(&row.key),
        expected: row.revision,
    }
}

/// Reads a key of an input.
///
/// # Errors
/// A key that is empty or too long, or holds a control character.
pub(crate) fn key_of<'a>(field: &str, input: &'a Value) -> Result<&'a str, TaskError> {
    let text = input[field].as_str().unwrap_or_default();
    if text.is_empty() || text.len() > KEY_MAX || text.starts_with('.') || text.chars().any(char::is_control) {
        let message = format!("{field}: write a text of 1 to {KEY_MAX} bytes that does not begin with a dot");
        return Err(TaskError::new(Category::InvalidInput, message).permanent());
    }
    Ok(text)
}

/// Makes the error of a task of a refusal.
pub(crate) fn failed(error: &AppError) -> TaskError {
    TaskError::new(Category::Unavailable, error.message.clone())
}
