//! A log in memory: for tests, and where nothing has to be replayed after a restart.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{CallLog, LogError, Recorded, TaskKey};
use crate::money::Pending;

/// Tasks whose answers are kept; the oldest are evicted first.
const TASKS_MAX: usize = 1_024;

/// Log in memory of the latest tasks.
#[derive(Default)]
pub struct MemoryLog {
    rows: Mutex<Rows>,
    broken: Mutex<bool>,
}

#[derive(Default)]
struct Rows {
    answers: HashMap<TaskKey, Vec<Recorded>>,
    /// Tasks in the order of their first answers.
    order: VecDeque<TaskKey>,
}

impl MemoryLog {
    /// Makes every later append fail, or succeed again.
    pub fn set_broken(&self, broken: bool) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn append(&mut self, key: TaskKey, answer: Recorded) {
        let answers = self.answers.entry(key).or_default();
        if answers.is_empty() {
            self.order.push_back(key);
        }
        answers.push(answer);
        if self.order.len() > TASKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

impl CallLog for MemoryLog {
    fn recorded(&self, key: TaskKey) -> Pending<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move { Ok(self.lock().answers.get(&key).cloned().unwrap_or_default()) })
    }

    fn append(&self, key: TaskKey, answer: Recorded) -> Pending<'_, Result<(), LogError>> {
        Box::pin(async move {
            if *self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(LogError("it is set to fail".to_owned()));
            }
            self.lock().append(key, answer);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use kapelle_core::{Money, TaskId, TenantId};

    use super::*;
    use crate::{answer::Usage, replay::Fingerprint};

    #[test]
    fn the_oldest_tasks_are_forgotten_first() {
        let answer = Recorded {
            fingerprint: Fingerprint([1; 32]),
            content_type: "application/json",
            body: vec![1].into(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            usage: Usage::default(),
            cost: Money(1),
            degraded: None,
            attempt: 1,
            call: None,
        };
        let key = |task: usize| TaskKey { tenant: TenantId(1), task: TaskId(task as i64), replay_epoch: 0 };
        let mut rows = Rows::default();
        for task in 0..=TASKS_MAX {
            rows.append(key(task), answer.clone());
            rows.append(key(task), answer.clone());
        }
        assert_eq!((rows.answers.len(), rows.order.len()), (TASKS_MAX, TASKS_MAX));
        assert!(!rows.answers.contains_key(&key(0)) && rows.answers[&key(1)].len() == 2);
    }
}
