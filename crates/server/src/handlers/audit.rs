//! Administrative acts.

use kapelle_api as api;

use crate::{
    call::{Call, ok},
    cursor::{self, Paging},
    route::Answer,
    shown,
};

/// `GET /api/v1/audit`
pub async fn list(call: Call) -> Answer {
    let given: Paging = call.query()?;
    let page = cursor::page(given.limit, given.cursor.as_deref())?;
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let rows = app.engine().reader().audit(tenant, page)?;
        let last = rows.last().and_then(|row| i64::try_from(row.seq).ok());
        let next_cursor = cursor::after(rows.len(), page.most, last);
        Ok(api::AuditPage { entries: rows.iter().map(shown::audit).collect(), next_cursor })
    });
    ok(&shown.await?)
}
