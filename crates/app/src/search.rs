//! Search by id, number and name.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{CallId, RunId, TaskId, TenantId};
use kapelle_store::Page;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    to_api,
};

/// Hits by default, and at most.
const USUAL: u32 = 20;
const MOST: u32 = 100;
/// Newest workflows, runs and tasks that are looked at.
const LOOKED_AT: u32 = 1_000;
/// Characters of a search.
const TEXT_MAX: usize = 200;

impl App {
    /// Finds runs, tasks and calls by their id or number, and everything with a name by a part of it.
    ///
    /// # Errors
    /// When the text is empty or too long, or the store fails.
    pub async fn search(self: &Arc<Self>, by: &Caller, given: api::SearchQuery) -> Result<api::SearchReport, AppError> {
        by.allow(Permission::Read)?;
        let text = given.q.trim().to_lowercase();
        if text.is_empty() || text.chars().count() > TEXT_MAX {
            return Err(AppError::parameter("q", format!("expected 1 to {TEXT_MAX} characters")));
        }
        let most = given.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&most) {
            return Err(AppError::parameter("limit", format!("{most}; expected 1 to {MOST}")));
        }
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let mut hits = app.by_id(tenant, &text)?;
            app.by_name(tenant, &text, &mut hits)?;
            hits.truncate(most as usize);
            Ok(api::SearchReport { hits })
        });
        listed.await
    }

    fn by_id(&self, tenant: TenantId, text: &str) -> Result<Vec<api::SearchHit>, AppError> {
        let number: Option<i64> = text.parse().ok();
        let (mut hits, reader) = (Vec::new(), self.reader());
        if let Some(id) = text.parse().ok().or(number.map(RunId))
            && let Some(row) = reader.run(tenant, id)?
        {
            hits.push(run(&row));
        }
        if let Some(id) = text.parse().ok().or(number.map(TaskId))
            && let Some(row) = reader.task(tenant, id)?
        {
            let path = row.origin.as_ref().map_or_else(|| row.worker.to_string(), |origin| origin.path.to_string());
            hits.push(api::SearchHit {
                kind: "task".to_owned(),
                id: row.id.to_string(),
                title: path,
                state: Some(row.state.kind().as_str().to_owned()),
                at: Some(to_api::time(row.created_at)),
            });
        }
        if let Some(id) = text.parse().ok().or(number.map(CallId))
            && let Some(row) = reader.call(tenant, id)?
        {
            hits.push(api::SearchHit {
                kind: "call".to_owned(),
                id: row.id.to_string(),
                title: format!("{}/{}", row.provider, row.model),
                state: Some(row.state.as_str().to_owned()),
                at: Some(to_api::time(row.at)),
            });
        }
        Ok(hits)
    }

    fn by_name(&self, tenant: TenantId, text: &str, hits: &mut Vec<api::SearchHit>) -> Result<(), AppError> {
        let named = |kind: &str, name: &str, title: &str| api::SearchHit {
            kind: kind.to_owned(),
            id: name.to_owned(),
            title: title.to_owned(),
            state: None,
            at: None,
        };
        let fits = |name: &str| name.to_lowercase().contains(text);
        let page = Page { before: None, most: LOOKED_AT };
        let versions = self.reader().versions(tenant, None, page)?;
        let mut workflows: Vec<String> = versions.into_iter().map(|row| row.workflow.to_string()).collect();
        workflows.sort();
        workflows.dedup();
        hits.extend(workflows.iter().filter(|name| fits(name)).map(|name| named("workflow", name, name)));
        for spec in self.specs(tenant).iter().filter(|spec| fits(spec.name.as_str())) {
            hits.push(named("worker", spec.name.as_str(), &spec.description));
        }
        let settings = self.settings();
        let mut queues: Vec<&str> =
            settings.queues.keys().map(|name| name.as_str()).filter(|name| fits(name)).collect();
        queues.sort_unstable();
        hits.extend(queues.into_iter().map(|name| named("queue", name, name)));
        for script in self.all_scripts(tenant).into_iter().filter(|script| fits(&script.name) || fits(&script.file)) {
            hits.push(named("script", &script.id, &script.file));
        }
        let runs = self.reader().runs(tenant, &kapelle_store::RunFilter::default(), page)?;
        let known: Vec<String> = hits.iter().filter(|hit| hit.kind == "run").map(|hit| hit.id.clone()).collect();
        let found = runs.iter().filter(|row| fits(row.workflow.as_str()) && !known.contains(&row.id.to_string()));
        hits.extend(found.take(MOST as usize).map(run));
        Ok(())
    }
}

fn run(row: &kapelle_store::RunRow) -> api::SearchHit {
    api::SearchHit {
        kind: "run".to_owned(),
        id: row.id.to_string(),
        title: row.workflow.to_string(),
        state: Some(row.status.kind().as_str().to_owned()),
        at: Some(to_api::time(row.created_at)),
    }
}
