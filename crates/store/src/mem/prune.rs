//! Deletion of expired rows, in pieces.

use kapelle_core::RunId;

use super::state::State;
use crate::contract::Retention;

impl State {
    /// Tells whether there is something to delete.
    pub fn has_expired(&self, retention: Retention) -> bool {
        self.keys.values().any(|row| row.until < retention.keys_before)
            || self.answers.values().any(|row| row.until < retention.keys_before)
            || self.has_expired_calls(retention.tasks_before, retention.keys_before)
            || self.subscriptions.has_expired(retention.tasks_before)
            || self.ended_tasks.first().is_some_and(|(ended, _)| *ended < retention.tasks_before)
            || self.ended_runs.first().is_some_and(|(ended, _)| *ended < retention.runs_before)
    }

    /// Deletes a bounded number of rows.
    pub fn prune(&mut self, retention: Retention) {
        let mut left = retention.most;
        let mut keys: Vec<_> = self.keys.values().filter(|row| row.until < retention.keys_before).cloned().collect();
        keys.sort_unstable_by(|a, b| (a.until, a.tenant, &a.key).cmp(&(b.until, b.tenant, &b.key)));
        for row in keys.into_iter().take(left as usize) {
            self.keys.remove(&(row.tenant, row.key));
            left -= 1;
        }
        let old = self.answers.values().filter(|row| row.until < retention.keys_before);
        let mut old: Vec<_> = old.map(|row| (row.until, row.tenant, row.key)).collect();
        old.sort_unstable();
        for (_, tenant, key) in old.into_iter().take(left as usize) {
            self.answers.remove(&(tenant, key));
            left -= 1;
        }
        left -= self.prune_ledger(retention.tasks_before, retention.keys_before, left);
        left -= self.subscriptions.prune(retention.tasks_before, left);
        while left > 0 {
            let Some(&(ended, id)) = self.ended_tasks.first() else { break };
            if ended >= retention.tasks_before {
                break;
            }
            self.delete_task(id);
            left -= 1;
        }
        while left > 0 {
            let Some(&(ended, run)) = self.ended_runs.first() else { break };
            if ended >= retention.runs_before {
                break;
            }
            self.prune_run(run, &mut left);
        }
    }

    fn prune_run(&mut self, run: RunId, left: &mut u32) {
        let from = (run, kapelle_core::run::ScopeId(0), kapelle_core::run::Slot(0));
        let steps = self.steps.range(from..).take_while(|(place, _)| place.0 == run);
        let steps: Vec<_> = steps.map(|(_, task)| *task).take(*left as usize).collect();
        for task in steps {
            self.delete_task(task);
            *left -= 1;
        }
        let entries = self.journal.range((run, 0)..=(run, u64::MAX));
        let entries: Vec<_> = entries.map(|(key, _)| *key).take(*left as usize).collect();
        for key in entries {
            self.journal.remove(&key);
            *left -= 1;
        }
        if *left > 0 {
            self.delete_run(run);
            *left -= 1;
        }
    }
}
