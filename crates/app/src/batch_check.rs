//! The check of a batch: every wrong task is named, not the first alone.

use kapelle_api as api;
use kapelle_core::TenantId;
use kapelle_engine::SubmitTask;

use crate::{app::App, app_error::AppError, submission};

/// Wrong tasks that a refusal lists.
const LISTED_MAX: usize = 20;
/// Wrong tasks that the sentence of a refusal names.
const NAMED_MAX: usize = 3;
/// Wrong tasks with which the check ends: a batch of nothing else costs no more.
const WRONG_MAX: u64 = 1_000;

/// Builds the tasks of a batch for the engine. An item that could not be read is refused with the wrong ones.
///
/// # Errors
/// The wrong tasks; a fault of the application itself.
pub(crate) fn tasks(
    app: &App,
    tenant: TenantId,
    given: impl Iterator<Item = Result<api::SubmitTask, AppError>>,
) -> Result<Vec<SubmitTask>, AppError> {
    let (mut tasks, mut wrong) = (Vec::new(), Wrong::default());
    for (index, item) in given.enumerate() {
        match item.and_then(|task| submission::task(app, tenant, task)) {
            Ok(task) if wrong.total == 0 => tasks.push(task),
            Ok(_) => {}
            Err(error) if error.is_own_fault() => return Err(error.within(&place(index))),
            Err(error) => wrong.add(index, error),
        }
        if wrong.total == WRONG_MAX {
            break;
        }
    }
    match wrong.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(tasks),
    }
}

fn place(index: usize) -> String {
    format!("tasks[{index}]")
}

/// The wrong tasks of a batch.
#[derive(Default)]
struct Wrong {
    listed: Vec<(usize, AppError)>,
    total: u64,
}

impl Wrong {
    fn add(&mut self, index: usize, error: AppError) {
        self.total += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push((index, error));
        }
    }

    /// Returns the refusal: that of the first wrong task, which names the others. `None` when all are right.
    fn refusal(self) -> Option<AppError> {
        let item = |(index, error): &(usize, AppError)| api::ItemProblem {
            index: *index as u64,
            code: error.code.to_owned(),
            detail: error.to_string(),
            field: error.field.clone(),
        };
        let items: Vec<api::ItemProblem> = self.listed.iter().map(item).collect();
        let mut named = self.listed.into_iter().map(|(index, error)| error.within(&place(index)));
        let first = named.next()?;
        // The sentence of one wrong task is that of its error.
        let mut refusal = AppError { items, items_total: self.total, ..first };
        if self.total > 1 {
            let mut all = vec![std::mem::take(&mut refusal.message)];
            if let Some(next) = refusal.next.take() {
                all[0] = format!("{}; {next}", all[0]);
            }
            all.extend(named.take(NAMED_MAX - 1).map(|error| error.to_string()));
            let more = self.total - all.len() as u64;
            if more > 0 {
                all.push(format!("and {more} more wrong tasks"));
            }
            refusal.message = all.join("; ");
        }
        Some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use kapelle_api::code;

    use super::*;

    fn refusal(count: usize) -> Option<AppError> {
        let mut wrong = Wrong::default();
        for index in 0..count {
            wrong.add(2 * index, AppError::input("priority", "101 is not within -100 and 100").next("lower it"));
        }
        wrong.refusal()
    }

    #[test]
    fn one_wrong_task_is_refused_as_if_it_were_alone() {
        let one = refusal(1).unwrap();
        assert_eq!(one.to_string(), "tasks[0]: priority: 101 is not within -100 and 100; lower it");
        assert_eq!((one.items.len(), one.items_total, one.code), (1, 1, code::INVALID_INPUT));
        assert_eq!(refusal(0), None);
    }

    #[test]
    fn every_wrong_task_is_named_up_to_a_bound() {
        let text = "priority: 101 is not within -100 and 100; lower it";
        let two = refusal(2).unwrap();
        assert_eq!(two.to_string(), format!("tasks[0]: {text}; tasks[2]: {text}"));
        let many = refusal(50).unwrap();
        let named = format!("tasks[0]: {text}; tasks[2]: {text}; tasks[4]: {text}; and 47 more wrong tasks");
        assert_eq!(many.to_string(), named);
        assert_eq!((many.items.len(), many.items_total), (20, 50));
        let last = &many.items[19];
        assert_eq!((last.index, last.field.as_deref(), last.detail.as_str()), (38, Some("priority"), text));
    }
}
