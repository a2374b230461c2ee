//! Files: uploaded once, stored under their hash, and readable only by tenants that uploaded them.

use std::{path::PathBuf, sync::Arc};

use kapelle_api as api;
use kapelle_core::{TenantId, worker::FileSource};
use kapelle_engine::command;
use kapelle_store::ArtifactRow;
use serde_json::Value;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, to_api,
};

/// Characters of a name.
const NAME_MAX: usize = 255;
/// References that one input may hold.
const REFERENCES_MAX: usize = 10_000;

/// A file whose bytes can be read.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StoredFile {
    /// The description for the API.
    pub artifact: api::Artifact,
    pub sha256: String,
    /// Path of its bytes.
    pub path: PathBuf,
}

impl App {
    /// Checks the name of a new file; `file` when it has none.
    ///
    /// # Errors
    /// When it is empty, too long, or contains separators.
    pub fn file_name(&self, by: &Caller, given: Option<String>) -> Result<String, AppError> {
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let name = given.unwrap_or_else(|| "file".to_owned());
        let wrong = |c: char| c.is_control() || "/\\".contains(c);
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(wrong) {
            return Err(AppError::input("name", format!("1 to {NAME_MAX} characters without separators are possible")));
        }
        Ok(name)
    }

    /// Records a file whose bytes are in their place and synced.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn give(
        &self,
        by: &Caller,
        (name, media_type): (String, String),
        (sha256, bytes): (String, u64),
    ) -> Result<api::Artifact, AppError> {
        by.allow(Permission::Submit)?;
        let artifact = ArtifactRow {
            tenant: by.tenant,
            sha256: Arc::from(sha256),
            name: Arc::from(name),
            media_type: Arc::from(media_type),
            bytes,
            at: self.now(),
        };
        // The bytes are synced, now the row: a crash in between leaves a file without a row, which is never served.
        self.engine.ask(command::Give { artifact: artifact.clone() }).await?;
        let row = self.reader().artifact(artifact.tenant, &artifact.sha256)?.unwrap_or(artifact);
        Ok(to_api::artifact(&row))
    }

    /// Returns the files of the tenant, by hash.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub async fn artifacts(self: &Arc<Self>, by: &Caller, given: api::Paging) -> Result<api::ArtifactPage, AppError> {
        by.allow(Permission::Read)?;
        let most = cursor::page_of(given.limit, None)?.most;
        if given.cursor.as_deref().is_some_and(|cursor| hash(cursor).is_none()) {
            return Err(AppError::invalid("invalid cursor; expected `next_cursor`, unchanged"));
        }
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let after = given.cursor.as_deref().and_then(hash);
            let rows = app.reader().artifacts(tenant, after, most)?;
            let full = rows.len() >= most as usize;
            let next_cursor = rows.last().filter(|_| full).map(|row| format!("sha256:{}", row.sha256));
            Ok(api::ArtifactPage { artifacts: rows.iter().map(to_api::artifact).collect(), next_cursor })
        });
        listed.await
    }

    /// Returns a file of the tenant, to be read.
    ///
    /// # Errors
    /// When the tenant has no such file.
    pub fn artifact(&self, by: &Caller, text: &str) -> Result<StoredFile, AppError> {
        by.allow(Permission::Read)?;
        let row = hash(text).map(|sha256| self.reader().artifact(by.tenant, sha256)).transpose()?.flatten();
        self.stored_file(&row.ok_or_else(|| missing(text))?)
    }

    /// Returns a file for a worker host, also one that the owner of the folder put there without the server. Hosts
    /// learn hashes from the inputs of tasks alone.
    ///
    /// # Errors
    /// When the tenant has no such file.
    pub fn file_for_host(&self, by: &Caller, text: &str) -> Result<StoredFile, AppError> {
        by.allow(Permission::Work)?;
        let tenant = by.tenant;
        let sha256 = hash(text).ok_or_else(|| missing(text))?;
        let given = self.reader().artifact(tenant, sha256)?;
        let local = || {
            let path = self.blobs.path(sha256).filter(|_| tenant == TenantId::DEFAULT)?;
            let bytes = std::fs::metadata(path).ok()?.len();
            let (name, media_type) = (Arc::from("file"), Arc::from("application/octet-stream"));
            Some(ArtifactRow { tenant, sha256: Arc::from(sha256), name, media_type, bytes, at: self.now() })
        };
        self.stored_file(&given.or_else(local).ok_or_else(|| missing(text))?)
    }

    fn stored_file(&self, row: &ArtifactRow) -> Result<StoredFile, AppError> {
        let path = self.blobs.path(&row.sha256);
        let path = path.ok_or_else(|| AppError::internal("the bytes of the file are missing from the folder"))?;
        Ok(StoredFile { artifact: to_api::artifact(row), sha256: row.sha256.to_string(), path })
    }
}

/// Returns the hash of a reference such as `sha256:ba78...`.
fn hash(reference: &str) -> Option<&str> {
    let hash = reference.strip_prefix("sha256:").unwrap_or(reference);
    let plain = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then_some(hash)
}

fn missing(text: &str) -> AppError {
    AppError::not_found(format!("file {}", text.chars().take(80).collect::<String>()))
}

/// Refuses references to files that the tenant does not have. The first tenant is the folder's: files that its owner
/// put there without the server count too.
pub(crate) fn check(app: &App, tenant: TenantId, input: &Value) -> Result<(), AppError> {
    let mut references = Vec::new();
    gather(input, &mut references);
    if references.len() > REFERENCES_MAX {
        return Err(AppError::input("input", format!("at most {REFERENCES_MAX} files can be referred to")));
    }
    for reference in references {
        let own = hash(reference).is_some_and(|sha256| {
            let given = app.reader().artifact(tenant, sha256).is_ok_and(|row| row.is_some());
            given || (tenant == TenantId::DEFAULT && app.blobs.path(sha256).is_some())
        });
        if !own {
            let shown: String = reference.chars().take(80).collect();
            let message = format!("there is no file `{shown}`: POST /api/v1/artifacts takes its bytes first");
            return Err(AppError::input("input", message));
        }
    }
    Ok(())
}

fn gather<'v>(value: &'v Value, references: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$file").and_then(Value::as_str));
            map.values().for_each(|value| gather(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_at_any_depth() {
        let value =
            serde_json::json!({ "a": [{ "$file": "x" }, 1], "b": { "c": { "$file": "y", "d": { "$file": 3 } } } });
        let mut found = Vec::new();
        gather(&value, &mut found);
        assert_eq!(found, ["x", "y"]);
    }
}
