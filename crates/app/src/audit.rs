//! Administrative acts.

use std::sync::Arc;

use kapelle_api as api;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, to_api,
};

impl App {
    /// Returns administrative acts on the tenant's data, newest first.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub async fn audit(self: &Arc<Self>, by: &Caller, given: api::Paging) -> Result<api::AuditPage, AppError> {
        by.allow(Permission::Administer)?;
        let page = cursor::page(&given)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().audit(tenant, page)?;
            let last = rows.last().and_then(|row| i64::try_from(row.seq).ok());
            let next_cursor = cursor::after(rows.len(), page.most, last);
            Ok(api::AuditPage { entries: rows.iter().map(to_api::audit).collect(), next_cursor })
        });
        listed.await
    }
}
