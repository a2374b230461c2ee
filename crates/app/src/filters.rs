//! Filters of lists: what the store narrows, and what is looked for in each row.

use kapelle_api as api;
use kapelle_core::{
    Name, RunId, TaskError, Timestamp,
    id::IdError,
    run::{RunStatus, StatusKind},
    task::{StateKind, Task, TaskState},
};
use kapelle_store::{CallFilter, CallState, Page, RunFilter, RunRow, TaskFilter};

use crate::{app_error::AppError, cursor, history::time, tasks::name_parameter};

/// Rows that are looked at for one page.
const LOOKED_AT: usize = 5_000;
/// Rows of one read, where each is looked at.
const READ: u32 = 1_000;
/// Characters of a text that is looked for.
const TEXT_MAX: usize = 200;

/// Words that are looked for in each row.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// In lower case.
    text: Option<String>,
    states: Vec<StateKind>,
    category: Option<String>,
    pub(crate) degraded: bool,
    paused: Option<bool>,
}

impl Words {
    /// Says whether every row fits, so that a page is one read.
    pub(crate) fn is_plain(&self) -> bool {
        self.text.is_none()
            && self.states.is_empty()
            && self.category.is_none()
            && !self.degraded
            && self.paused.is_none()
    }

    fn fits_text<'a>(&self, fields: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(text) = &self.text else { return true };
        fields.into_iter().any(|field| field.to_lowercase().contains(text.as_str()))
    }

    /// Says whether a run has the text. Whether it is degraded is known by its steps.
    pub(crate) fn fits_run(&self, row: &RunRow) -> bool {
        let error = match &row.status {
            RunStatus::Failed { error, .. } | RunStatus::Failing { error } => error.message.as_str(),
            RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason, .. } => reason,
            _ => "",
        };
        let by = row.started_by.as_deref().unwrap_or_default();
        self.paused.is_none_or(|paused| paused == row.paused.is_some())
            && self.fits_text([row.id.to_string().as_str(), row.workflow.as_str(), by, error])
    }

    /// Says whether a task fits.
    pub(crate) fn fits_task(&self, task: &Task) -> bool {
        let error = error_of(task);
        let degraded = match &task.state {
            TaskState::Succeeded { provenance, .. } => provenance.degraded.is_some(),
            _ => false,
        };
        let category = |wanted: &str| error.is_some_and(|error| error.category.as_str() == wanted);
        let path = task.origin.as_ref().map_or("", |origin| &origin.path);
        let key = task.key.as_ref().map_or("", |key| key.as_str());
        let message = error.map_or("", |error| error.message.as_str());
        (self.states.is_empty() || self.states.contains(&task.state.kind()))
            && (!self.degraded || degraded)
            && self.category.as_deref().is_none_or(category)
            && self.fits_text([task.id.to_string().as_str(), task.worker.as_str(), path, key, message])
    }
}

/// Returns the error of a task that failed or is retried.
pub(crate) fn error_of(task: &Task) -> Option<&TaskError> {
    match &task.state {
        TaskState::Failed { error, .. } | TaskState::Retrying { error, .. } | TaskState::Discarded { error, .. } => {
            Some(error)
        }
        _ => None,
    }
}

fn text(given: Option<&str>) -> Result<Option<String>, AppError> {
    let Some(text) = given.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > TEXT_MAX {
        return Err(AppError::parameter("q", format!("too long; expected at most {TEXT_MAX} characters")));
    }
    Ok(Some(text.to_lowercase()))
}

fn at(field: &str, given: Option<&str>) -> Result<Option<Timestamp>, AppError> {
    given.map(|text| time(field, text).map(Timestamp)).transpose()
}

fn states<T: Copy>(given: Option<&str>, all: &[T], word: impl Fn(T) -> &'static str) -> Result<Vec<T>, AppError> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let known = |text: &str| all.iter().copied().find(|state| word(*state) == text);
    let found: Option<Vec<T>> = given.split(',').map(|text| known(text.trim())).collect();
    found.ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|state| word(*state)).collect();
        AppError::parameter("state", format!("there are {}", words.join(", ")))
    })
}

pub(crate) fn id<T: std::str::FromStr<Err = IdError>>(given: Option<String>) -> Result<Option<T>, AppError> {
    given.map(|text| text.parse()).transpose().map_err(|error: IdError| AppError::invalid(error.to_string()))
}

/// Reads a filter of runs.
pub(crate) fn of_runs(given: &api::RunQuery) -> Result<(RunFilter, Words), AppError> {
    let workflow = given.workflow.as_deref().map(Name::parse).transpose();
    let filter = RunFilter {
        workflow: workflow.map_err(|error| AppError::parameter("workflow", error))?,
        open: given.open.unwrap_or(false),
        states: states(given.state.as_deref(), &StatusKind::ALL, StatusKind::as_str)?,
        since: at("since", given.since.as_deref())?,
        until: at("until", given.until.as_deref())?,
    };
    let words = Words {
        text: text(given.q.as_deref())?,
        degraded: given.degraded.unwrap_or(false),
        paused: given.paused,
        ..Words::default()
    };
    Ok((filter, words))
}

/// Reads a filter of tasks.
pub(crate) fn of_tasks(given: api::TaskQuery) -> Result<(TaskFilter, Words), AppError> {
    let mut states = states(given.state.as_deref(), &StateKind::ALL, StateKind::as_str)?;
    // The store narrows by one state.
    let state = if states.len() == 1 { states.pop() } else { None };
    let filter = TaskFilter {
        state,
        queue: name_parameter("queue", given.queue)?,
        worker: name_parameter("worker", given.worker)?,
        dead: given.dead.unwrap_or(false),
        steps: given.steps.unwrap_or(false),
        run: id::<RunId>(given.run)?,
        since: at("since", given.since.as_deref())?,
        until: at("until", given.until.as_deref())?,
    };
    let words = Words {
        text: text(given.q.as_deref())?,
        states,
        category: given.category,
        degraded: given.degraded.unwrap_or(false),
        ..Words::default()
    };
    Ok((filter, words))
}

/// Reads a filter of calls.
pub(crate) fn of_calls(given: api::CallQuery) -> Result<CallFilter, AppError> {
    let mut state = states(given.state.as_deref(), &CallState::ALL, CallState::as_str)?;
    if state.len() > 1 {
        return Err(AppError::parameter("state", "several states; expected one"));
    }
    Ok(CallFilter {
        task: id(given.task)?,
        run: id(given.run)?,
        provider: given.provider,
        model: given.model,
        state: state.pop(),
        since: at("since", given.since.as_deref())?,
        until: at("until", given.until.as_deref())?,
    })
}

/// Reads rows until a page is full, the rows end, or enough were looked at. Returns the kept rows and the cursor after
/// them: a page may be shorter than asked for and still have one.
pub(crate) fn scan<R, T>(
    page: Page,
    is_plain: bool,
    mut read: impl FnMut(Page) -> Result<Vec<R>, AppError>,
    id: impl Fn(&R) -> i64,
    mut keep: impl FnMut(&R) -> Result<Option<T>, AppError>,
) -> Result<(Vec<T>, Option<String>), AppError> {
    let most = if is_plain { page.most } else { READ };
    let (mut found, mut before, mut looked) = (Vec::new(), page.before, 0);
    loop {
        let rows = read(Page { before, most })?;
        for row in &rows {
            before = Some(id(row));
            looked += 1;
            found.extend(keep(row)?);
            if found.len() == page.most as usize {
                return Ok((found, cursor::after(1, 1, before)));
            }
        }
        if rows.len() < most as usize {
            return Ok((found, None));
        }
        if looked >= LOOKED_AT {
            return Ok((found, cursor::after(1, 1, before)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads numbers below a bound, from the highest on.
    fn numbers(page: Page) -> Result<Vec<i64>, AppError> {
        let before = page.before.unwrap_or(12_001);
        Ok((1..before).rev().take(page.most as usize).collect())
    }

    fn scanned(before: Option<i64>, most: u32, keep: impl Fn(i64) -> bool) -> (Vec<i64>, Option<i64>) {
        let page = Page { before, most };
        let (rows, next) =
            scan(page, false, numbers, |row| *row, |row| Ok(Some(*row).filter(|row| keep(*row)))).unwrap();
        (rows, next.map(|next| cursor::read(&next).unwrap()))
    }

    #[test]
    fn a_scan_ends_with_a_full_page_the_last_row_or_enough_rows() {
        assert_eq!(scanned(None, 2, |row| row % 1_000 == 0), (vec![12_000, 11_000], Some(11_000)));
        assert_eq!(scanned(None, 2, |row| row == 5), (vec![], Some(7_001)), "enough were looked at");
        assert_eq!(scanned(Some(2_001), 2, |row| row == 5), (vec![5], None));
        assert_eq!(scanned(Some(6), 5, |_| true), (vec![5, 4, 3, 2, 1], Some(1)), "a full page may be the last one");
    }

    #[test]
    fn filters_name_what_is_wrong_with_them() {
        let query = |state: &str| api::TaskQuery { state: Some(state.to_owned()), ..api::TaskQuery::default() };
        let (one, words) = of_tasks(query("failed")).unwrap();
        assert!(one.state == Some(StateKind::Failed) && words.is_plain());
        let (several, words) = of_tasks(query("failed, retrying")).unwrap();
        assert!(several.state.is_none() && !words.is_plain());
        assert_eq!(of_tasks(query("ended")).unwrap_err().field.as_deref(), Some("state"));
        let since = api::RunQuery { since: Some("yesterday".to_owned()), ..api::RunQuery::default() };
        assert_eq!(of_runs(&since).unwrap_err().field.as_deref(), Some("since"));
        let run = api::TaskQuery { run: Some("task_7".to_owned()), ..api::TaskQuery::default() };
        assert!(of_tasks(run).is_err());
    }
}
