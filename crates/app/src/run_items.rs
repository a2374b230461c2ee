//! Items of a fan-out and turns of a loop.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    RunId,
    run::{Opening, ScopeId, Slot},
    task::{TaskState, WaitFor},
};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, to_api,
};

/// The byte of an item that has not begun.
const NOT_BEGUN: u8 = 255;
/// Items of one request that are looked at for a state.
const LOOKED_AT: usize = 20_000;

impl App {
    /// Returns the items of a fan-out or the turns of a loop, in order.
    ///
    /// # Errors
    /// When the tenant has no such run, or the step does not exist or has no items.
    pub async fn items(
        self: &Arc<Self>,
        by: &Caller,
        id: RunId,
        given: api::ItemQuery,
    ) -> Result<api::ItemPage, AppError> {
        by.allow(Permission::Read)?;
        let run = self.one_run(by.tenant, id)?.id;
        let page = cursor::page_of(given.limit, given.cursor.as_deref())?;
        let state = given.state.as_deref().map(state).transpose()?;
        let listed = self.list_for(by.tenant, move |app| {
            let (scope, total) = app.items_of(run, &given.step)?;
            let rows = app.reader().step_progress(run, Some(scope))?;
            let mut counts = api::StateCounts::default();
            rows.iter().for_each(|row| *counts.of(to_api::state(row.state)) += 1);
            let (mut items, mut after) = (Vec::new(), page.before.and_then(|slot| u32::try_from(slot).ok()).map(Slot));
            let mut looked = 0;
            let mut next_cursor = None;
            'pages: loop {
                let found = app.reader().scope(run, scope, after, page.most)?;
                let is_last = found.len() < page.most as usize;
                for task in &found {
                    let Some(origin) = &task.origin else { continue };
                    after = Some(origin.slot);
                    looked += 1;
                    if state.is_none_or(|state| to_api::state(task.state.kind()) == state) {
                        items.push(to_api::listed_task(app, task)?);
                    }
                    if items.len() == page.most as usize || looked == LOOKED_AT {
                        next_cursor = cursor::after(1, 1, Some(i64::from(origin.slot.0)));
                        break 'pages;
                    }
                }
                if is_last {
                    break;
                }
            }
            let total = total.max(rows.last().map_or(0, |row| row.slot.0 + 1));
            Ok(api::ItemPage { step: given.step, total, counts, items, next_cursor })
        });
        listed.await
    }

    /// Returns the states of all items of a fan-out, a byte each: the number of the state, 255 for one that has not
    /// begun.
    ///
    /// # Errors
    /// As [`App::items`].
    pub async fn item_states(self: &Arc<Self>, by: &Caller, id: RunId, step: String) -> Result<Vec<u8>, AppError> {
        by.allow(Permission::Read)?;
        let run = self.one_run(by.tenant, id)?.id;
        let listed = self.list_for(by.tenant, move |app| {
            let (scope, total) = app.items_of(run, &step)?;
            let rows = app.reader().step_progress(run, Some(scope))?;
            let begun = rows.last().map_or(0, |row| row.slot.0 as usize + 1);
            let mut states = vec![NOT_BEGUN; begun.max(total as usize)];
            for row in rows {
                if let Some(state) = states.get_mut(row.slot.0 as usize) {
                    *state = row.state as u8;
                }
            }
            Ok(states)
        });
        listed.await
    }

    /// Returns the scope of the items of a step, and their number as far as the step's row tells.
    fn items_of(&self, run: RunId, path: &str) -> Result<(ScopeId, u32), AppError> {
        let shown: String = path.chars().take(200).collect();
        let holder = self.reader().step_at(run, path)?;
        let holder = holder.ok_or_else(|| {
            AppError::parameter(
                "step",
                format!("{run} has no step `{shown}` that has begun; expected a path such as `classify`"),
            )
        })?;
        let Some(origin) = &holder.origin else { return Err(AppError::internal("a step without its place")) };
        let total = match &holder.state {
            TaskState::Waiting(WaitFor::Scope(Opening::Items { total })) => *total,
            _ => 0,
        };
        Ok((ScopeId::inner(origin.scope, origin.slot), total))
    }
}

fn state(word: &str) -> Result<api::TaskState, AppError> {
    api::TaskState::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = api::TaskState::ALL.iter().map(|state| state.as_str()).collect();
        let word: String = word.chars().take(40).collect();
        AppError::parameter("state", format!("`{word}` is not a state; expected one of {}", words.join(", ")))
    })
}
