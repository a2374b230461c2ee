//! Administrative acts.

use std::sync::Arc;

use kapelle_api as api;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, to_api,
    trail::{Noted, TrailKey, written},
    trail_check::check,
};

/// Entries that are read at a time.
const PAGE: u32 = 1_000;

impl App {
    /// Returns administrative acts on the data of the caller's tenant, newest first. Admins of the first tenant may name
    /// another tenant, or all.
    ///
    /// # Errors
    /// When the page cannot be read, or the tenant is not one that the caller sees.
    pub async fn audit(self: &Arc<Self>, by: &Caller, given: api::AuditQuery) -> Result<api::AuditPage, AppError> {
        by.allow(Permission::Administer)?;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let of = by.listed_tenant(given.tenant, given.all == Some(true))?;
        let listed = self.list_for(by.tenant, move |app| {
            let rows = app.reader().audit(of, page)?;
            let last = rows.last().and_then(|row| i64::try_from(row.seq).ok());
            let next_cursor = cursor::after(rows.len(), page.most, last);
            Ok(api::AuditPage { entries: rows.iter().map(to_api::audit).collect(), next_cursor })
        });
        listed.await
    }

    /// Checks the audit trail of all tenants: the chain of hashes, and the heads that the session log holds.
    ///
    /// # Errors
    /// When the caller is no admin of tenant 1, or the trail cannot be read.
    pub async fn verify_audit(self: &Arc<Self>, by: &Caller) -> Result<api::AuditCheck, AppError> {
        by.allow_server(Permission::Administer)?;
        let checked = self.list_for(by.tenant, move |app| {
            let unreadable = |error: std::io::Error| AppError::internal(format!("the heads cannot be read: {error}"));
            let noted = Noted::of_session(app.folder()).map_err(unreadable)?;
            let key = TrailKey::read(app.folder()).map_err(unreadable)?;
            Ok(check(&mut |after| app.reader().audit_from(after, PAGE), &noted, key.as_ref(), &[])?)
        });
        let checked = checked.await?;
        Ok(api::AuditCheck {
            ok: checked.faults.is_empty(),
            entries: checked.entries,
            head: checked.head.map(written),
            heads: checked.agree as u64,
            known: checked.known,
            faults: checked.faults,
        })
    }
}
