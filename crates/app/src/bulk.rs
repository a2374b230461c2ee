//! One act on many things, each as a request of its own, so that each is audited and refused for its own reason.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_api as api;
use kapelle_core::{Account, RunId, TaskId, TenantId, run::StatusKind, task::StateKind};
use kapelle_store::{Page, RunRow, TaskFilter};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    filters, to_api,
};

/// Things of one act.
const MOST: usize = 1_000;
/// Refusals that are told.
const REFUSED: usize = 100;
/// Dead letters that are grouped, and groups that are shown.
const LETTERS: usize = 5_000;
const GROUPS: usize = 200;
/// Characters of an error that tell a group.
const MESSAGE: usize = 300;

/// Things that a request names.
struct Matched {
    ids: Vec<i64>,
    more: bool,
}

impl App {
    /// Cancels, pauses, resumes or reruns many runs.
    ///
    /// # Errors
    /// When the request names nothing, or the caller may not do it.
    pub async fn bulk_runs(self: &Arc<Self>, by: &Caller, given: api::BulkRuns) -> Result<api::BulkResult, AppError> {
        by.allow(Permission::Submit)?;
        let matched = match (&given.ids, &given.filter) {
            (Some(ids), None) => of_ids(ids, |id: RunId| id.0)?,
            (None, Some(filter)) => {
                let query = api::RunQuery { limit: Some(MOST as u32), cursor: None, ..filter.clone() };
                let page = self.runs(by, query).await?;
                of_page(page.runs.iter().map(|run| run.id.as_str()), page.next_cursor.is_some(), |id: RunId| id.0)?
            }
            _ => return Err(either()),
        };
        let mut result = begin(given.dry_run, &matched, RunId);
        for id in matched.ids.into_iter().map(RunId) {
            let account = Account::Run(id);
            let done = match (given.dry_run, given.action) {
                (true, action) => self.may(by.tenant, id, action).map(|()| id),
                (false, api::RunAct::Cancel) => self.cancel_run(by, id, given.why()).await.map(|_| id),
                (false, api::RunAct::Pause) => self.pause_run(by, id).await.map(|_| id),
                (false, api::RunAct::Resume) => self.resume_run(by, id).await.map(|_| id),
                (false, api::RunAct::Rerun) => self.rerun(by, id, api::Rerun::default(), None).await,
            };
            self.add(&mut result, (by.tenant, &account), &id.to_string(), done.map(|id| id.to_string()))?;
        }
        Ok(result)
    }

    /// Says whether an act on a run would take effect now.
    fn may(&self, tenant: TenantId, id: RunId, action: api::RunAct) -> Result<(), AppError> {
        let row: RunRow = self.one_run(tenant, id)?;
        let (kind, paused) = (row.status.kind(), row.paused.is_some());
        let fits = match action {
            api::RunAct::Cancel => !kind.is_terminal(),
            api::RunAct::Rerun => kind.is_terminal(),
            api::RunAct::Pause => kind == StatusKind::Running && !paused,
            api::RunAct::Resume => !kind.is_terminal() && paused,
        };
        let state = if paused { "paused" } else { kind.as_str() };
        fits.then_some(()).ok_or_else(|| AppError::conflict(format!("{id} is {state}")))
    }

    /// Cancels many tasks.
    ///
    /// # Errors
    /// As [`App::bulk_runs`].
    pub async fn bulk_tasks(self: &Arc<Self>, by: &Caller, given: api::BulkTasks) -> Result<api::BulkResult, AppError> {
        by.allow(Permission::Submit)?;
        let matched = match (&given.ids, &given.filter) {
            (Some(ids), None) => of_ids(ids, |id: TaskId| id.0)?,
            (None, Some(filter)) => {
                let query = api::TaskQuery { limit: Some(MOST as u32), cursor: None, ..filter.clone() };
                let page = self.tasks(by, query).await?;
                of_page(page.tasks.iter().map(|task| task.id.as_str()), page.next_cursor.is_some(), |id: TaskId| id.0)?
            }
            _ => return Err(either()),
        };
        let mut result = begin(given.dry_run, &matched, TaskId);
        for id in matched.ids.into_iter().map(TaskId) {
            let done = match given.action {
                api::TaskAct::Cancel if given.dry_run => {
                    let open = |kind: StateKind| !kind.is_terminal();
                    self.is_in(by.tenant, id, open)
                }
                api::TaskAct::Cancel => self.cancel_task(by, id, given.why()).await.map(|_| ()),
            };
            self.add(&mut result, (by.tenant, &Account::Task(id)), &id.to_string(), done.map(|()| id.to_string()))?;
        }
        Ok(result)
    }

    /// Retries or discards many dead letters.
    ///
    /// # Errors
    /// As [`App::bulk_runs`].
    pub async fn bulk_dead(self: &Arc<Self>, by: &Caller, given: api::BulkDead) -> Result<api::BulkResult, AppError> {
        by.allow(Permission::Operate)?;
        let matched = match (&given.ids, &given.filter) {
            (Some(ids), None) => of_ids(ids, |id: TaskId| id.0)?,
            (None, Some(filter)) => {
                let query = api::DeadQuery { limit: Some(MOST as u32), cursor: None, ..filter.clone() };
                let page = self.dead_letters(by, query).await?;
                of_page(page.tasks.iter().map(|task| task.id.as_str()), page.next_cursor.is_some(), |id: TaskId| id.0)?
            }
            _ => return Err(either()),
        };
        let mut result = begin(given.dry_run, &matched, TaskId);
        for id in matched.ids.into_iter().map(TaskId) {
            let done = match (given.dry_run, given.action) {
                (true, _) => self.is_in(by.tenant, id, |kind| kind == StateKind::Failed),
                (false, api::DeadAct::Retry) => self.retry_dead(by, id, None).await.map(|_| ()),
                (false, api::DeadAct::Discard) => self.discard_dead(by, id, given.why()).await.map(|_| ()),
            };
            self.add(&mut result, (by.tenant, &Account::Task(id)), &id.to_string(), done.map(|()| id.to_string()))?;
        }
        Ok(result)
    }

    fn is_in(&self, tenant: TenantId, id: TaskId, fits: impl Fn(StateKind) -> bool) -> Result<(), AppError> {
        let kind = self.one_task(tenant, id)?.state.kind();
        fits(kind).then_some(()).ok_or_else(|| AppError::conflict(format!("{id} is {}", kind.as_str())))
    }

    /// Adds the result of one act. A failure of the application itself ends the whole.
    fn add(
        &self,
        result: &mut api::BulkResult,
        (tenant, account): (TenantId, &Account),
        id: &str,
        done: Result<String, AppError>,
    ) -> Result<(), AppError> {
        match done {
            Ok(done) => {
                result.done += 1;
                result.ids.push(done);
                if let Some(book) = self.reader().account(tenant, account, 0)? {
                    result.spent_nanousd = result.spent_nanousd.saturating_add(book.spent.0);
                }
            }
            Err(error) if error.is_own_fault() => return Err(error),
            Err(error) if result.refused.len() < REFUSED => {
                result.refused.push(api::BulkRefusal { id: id.to_owned(), detail: error.to_string() });
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Returns dead letters by worker and error, the largest groups first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn dead_groups(self: &Arc<Self>, by: &Caller) -> Result<api::DeadGroups, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        self.list_for(tenant, move |app| app.grouped(tenant)).await
    }

    fn grouped(&self, tenant: TenantId) -> Result<api::DeadGroups, AppError> {
        let filter = TaskFilter { state: Some(StateKind::Failed), ..TaskFilter::default() };
        let mut groups: BTreeMap<(String, String, String), api::DeadGroup> = BTreeMap::new();
        let (mut before, mut seen) = (None, 0);
        let more = loop {
            let rows = self.reader().tasks(tenant, &filter, Page { before, most: MOST as u32 })?;
            let Some(last) = rows.last() else { break false };
            before = Some(last.id.0);
            seen += rows.len();
            for row in &rows {
                let Some(error) = filters::error_of(row) else { continue };
                let message = pattern(&error.message);
                let (worker, category) = (row.worker.to_string(), error.category.as_str().to_owned());
                let at = row.ended_at().map(to_api::time).unwrap_or_default();
                let key = (worker.clone(), category.clone(), message.clone());
                let group = groups.entry(key).or_insert_with(|| api::DeadGroup {
                    worker,
                    category,
                    message,
                    tasks: 0,
                    newest_at: at.clone(),
                    oldest_at: at.clone(),
                    ids: Vec::new(),
                });
                group.tasks += 1;
                group.oldest_at = at;
                if group.ids.len() < MOST {
                    group.ids.push(row.id.to_string());
                }
            }
            if seen >= LETTERS {
                break true;
            }
        };
        let mut groups: Vec<api::DeadGroup> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.tasks));
        groups.truncate(GROUPS);
        Ok(api::DeadGroups { groups, more })
    }
}

/// Returns an error without what differs from task to task: numbers, and words with digits such as ids.
fn pattern(message: &str) -> String {
    let short: String = message.chars().take(MESSAGE).collect();
    let mut told = String::with_capacity(short.len());
    for word in short.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        let end = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_').len();
        told.push_str(if word[..end].contains(|c: char| c.is_ascii_digit()) { "#" } else { &word[..end] });
        told.push_str(&word[end..]);
    }
    told
}

fn either() -> AppError {
    AppError::unprocessable("ids, filter: expected one of the two")
}

fn begin<T: ToString>(dry_run: bool, matched: &Matched, id: impl Fn(i64) -> T) -> api::BulkResult {
    api::BulkResult {
        dry_run,
        matched: matched.ids.len() as u64,
        more: matched.more,
        last: matched.ids.last().map(|last| id(*last).to_string()),
        ..api::BulkResult::default()
    }
}

fn of_ids<T: std::str::FromStr>(ids: &[String], number: impl Fn(T) -> i64) -> Result<Matched, AppError> {
    if ids.is_empty() || ids.len() > MOST {
        return Err(AppError::input("ids", format!("{} ids; expected 1 to {MOST}", ids.len())));
    }
    of_page(ids.iter().map(String::as_str), false, number)
}

fn of_page<'a, T: std::str::FromStr>(
    ids: impl Iterator<Item = &'a str>,
    more: bool,
    number: impl Fn(T) -> i64,
) -> Result<Matched, AppError> {
    let wrong =
        |text: &str| AppError::input("ids", format!("`{}` is not an id", text.chars().take(40).collect::<String>()));
    let ids = ids.map(|text| text.parse().map(&number).map_err(|_| wrong(text)));
    Ok(Matched { ids: ids.collect::<Result<_, _>>()?, more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_numbers_are_one_group() {
        assert_eq!(pattern("run_7: timed out after 60,000 ms (try 2)"), "#: timed out after #,# ms (try #)");
        assert_eq!(pattern("no such file"), "no such file");
        assert_eq!(pattern("é 5é x"), "é # x");
        assert_eq!(pattern(""), "");
        assert!(pattern(&"x".repeat(5_000)).len() == MESSAGE);
    }

    #[test]
    fn ids_are_checked_before_anything_is_done() {
        let of = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            of_ids(&ids, |id: TaskId| id.0).map(|matched| matched.ids)
        };
        assert_eq!(of(&["task_7", "task_8"]).unwrap(), [7, 8]);
        assert!(of(&[]).is_err() && of(&["task_7", "run_8"]).is_err());
    }
}
