//! A batch checked against the rows, then applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kapelle_core::{
    PayloadId, RunId, TaskId,
    run::{Run, RunStatus},
    task::{Task, TaskState},
};

use super::state::{State, place, row};
use crate::{
    access::{AccessKey, AccessWrite},
    batch::{Batch, KeyWrite, VersionRow},
    contract::{Commit, Conflicts},
    error::StoreError,
    hosted::HostWorkerWrite,
    memo::MemoWrite,
    rows::RunRow,
};

impl State {
    /// Writes the whole batch, or nothing.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        let mut conflicts = Conflicts::default();
        self.check_write_once(batch, &mut conflicts);
        self.check_runs(batch, &mut conflicts);
        self.check_tasks(batch, &mut conflicts);
        self.check_histories(batch, &mut conflicts);
        if let Some(conflict) = conflicts.into_commit() {
            return Ok(conflict);
        }
        self.check_references(batch)?;
        self.apply(batch);
        self.subscriptions.apply(batch);
        if let Some(retention) = batch.expired {
            self.prune(retention);
        }
        Ok(Commit::Committed)
    }

    fn check_write_once(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        let mut payloads = BTreeSet::new();
        for (id, _) in &batch.payloads {
            conflicts.other |= self.payloads.contains_key(id) || !payloads.insert(id);
        }
        let mut versions = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for row in &batch.versions {
            let number = (row.tenant, row.workflow.clone(), row.number);
            conflicts.other |= self.versions.contains_key(&row.id) || !versions.insert(row.id);
            conflicts.other |= self.numbers.contains(&number) || !numbers.insert(number);
        }
        let mut keys = BTreeMap::new();
        for KeyWrite { row, at } in &batch.keys {
            let key = (row.tenant, row.key.clone());
            let known = keys.get(&key).copied().or_else(|| self.keys.get(&key).map(|known| known.until));
            conflicts.other |= known.is_some_and(|until| until >= *at);
            keys.insert(key, row.until);
        }
        for id in &batch.deleted_versions {
            let newer = |gone: &VersionRow| {
                let same = |row: &&VersionRow| row.tenant == gone.tenant && row.workflow == gone.workflow;
                self.versions.values().filter(same).any(|row| row.number > gone.number)
            };
            let used = self.runs.values().any(|run| run.version == *id);
            conflicts.other |= used || !self.versions.get(id).is_some_and(newer);
        }
        let taken =
            |key: &AccessKey| self.access.values().any(|known| known.id == key.id || known.sha256 == key.sha256);
        conflicts.other |= batch.access.iter().any(|write| matches!(write, AccessWrite::Add(key) if taken(key)));
        self.ledger.check(&batch.ledger, conflicts);
        self.schedules.check(batch, conflicts);
        self.subscriptions.check(batch, conflicts);
        conflicts.other |= batch.audit.iter().any(|row| self.audit.contains_key(&row.seq));
        let mut memos = BTreeMap::new();
        for write in &batch.memos {
            let (tenant, collection, key) = write.place();
            let place = (tenant, Arc::clone(collection), Arc::clone(key));
            let stored = || self.memos.get(&place).map(|row| row.revision);
            let found = memos.get(&place).copied().unwrap_or_else(stored);
            conflicts.other |= found != write.expected();
            memos.insert(place, write.revision());
        }
        conflicts.other |= batch.session.as_ref().is_some_and(|row| self.session.contains_key(&row.seq));
    }

    fn check_runs(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        let mut written: BTreeMap<RunId, u32> = BTreeMap::new();
        for write in &batch.runs {
            let id = write.run.id;
            let found = written.get(&id).copied().or_else(|| self.runs.get(&id).map(|run| run.revision));
            if found == write.expected {
                written.insert(id, write.run.revision);
            } else {
                conflicts.runs.insert(id);
            }
        }
    }

    fn check_tasks(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        let mut written: BTreeMap<TaskId, u32> = BTreeMap::new();
        let mut places = BTreeSet::new();
        for write in &batch.tasks {
            let id = write.task.id;
            let found = written.get(&id).copied().or_else(|| self.tasks.get(&id).map(|task| task.revision));
            if found != write.expected {
                conflicts.tasks.insert(id);
                continue;
            }
            if let (None, Some(place)) = (write.expected, place(write.task))
                && (self.steps.contains_key(&place) || !places.insert(place))
            {
                conflicts.tasks.insert(id);
                conflicts.runs.insert(place.0);
                continue;
            }
            written.insert(id, write.task.revision);
        }
    }

    fn check_histories(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        let mut attempts = BTreeSet::new();
        for row in &batch.attempts {
            let key = (row.task, row.epoch);
            if self.attempts.contains_key(&key) || !attempts.insert(key) {
                conflicts.tasks.insert(row.task);
            }
        }
        let mut entries = BTreeSet::new();
        for entry in &batch.journal {
            let key = (entry.run, entry.seq);
            if self.journal.contains_key(&key) || !entries.insert(key) {
                conflicts.runs.insert(entry.run);
            }
        }
    }

    /// Checks the references that a database checks as foreign keys.
    fn check_references(&self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let tasks: BTreeSet<TaskId> = batch.tasks.iter().map(|write| write.task.id).collect();
        let runs: BTreeSet<RunId> = batch.runs.iter().map(|write| write.run.id).collect();
        let payloads: BTreeSet<PayloadId> = batch.payloads.iter().map(|(id, _)| *id).collect();
        let payload_is_there = |payload| match row(payload) {
            Some(id) => self.payloads.contains_key(&id) || payloads.contains(&id),
            None => true,
        };
        let run_is_there = |run| self.runs.contains_key(&run) || runs.contains(&run);
        let task_is_there = |task| self.tasks.contains_key(&task) || tasks.contains(&task);
        // Only the last state of a row is kept, and only the first write holds the fields of the submission.
        let last: BTreeMap<TaskId, &Task> = batch.tasks.iter().map(|write| (write.task.id, write.task)).collect();
        let last_runs: BTreeMap<RunId, &Run> = batch.runs.iter().map(|write| (write.run.id, write.run)).collect();
        let mut whole = last.values().all(|task| match &task.state {
            TaskState::Succeeded { output, .. } => payload_is_there(output),
            _ => true,
        });
        whole &= last_runs.values().all(|run| match &run.status {
            RunStatus::Succeeded { outputs, .. } => payload_is_there(outputs),
            _ => true,
        });
        for write in batch.tasks.iter().filter(|write| write.expected.is_none()) {
            whole &= payload_is_there(&write.task.input);
            whole &= write.task.origin.as_ref().is_none_or(|origin| run_is_there(origin.run));
        }
        for write in batch.runs.iter().filter(|write| write.expected.is_none()) {
            let version = write.run.version;
            whole &= self.versions.contains_key(&version) || batch.versions.iter().any(|row| row.id == version);
            whole &= payload_is_there(&write.run.inputs);
        }
        whole &= batch.attempts.iter().all(|row| task_is_there(row.task));
        whole &= batch.given.iter().all(|row| task_is_there(row.task));
        whole &= batch.journal.iter().all(|entry| run_is_there(entry.run));
        if whole { Ok(()) } else { Err(StoreError::Database("a row refers to one that does not exist".to_owned())) }
    }

    fn apply(&mut self, batch: &Batch<'_>) {
        self.payloads.extend(batch.payloads.iter().cloned());
        for row in &batch.versions {
            self.numbers.insert((row.tenant, row.workflow.clone(), row.number));
            self.versions.insert(row.id, row.clone());
        }
        for id in &batch.deleted_versions {
            self.versions.remove(id);
        }
        for KeyWrite { row, .. } in &batch.keys {
            self.keys.insert((row.tenant, row.key.clone()), row.clone());
        }
        for gate in &batch.gates {
            self.gates.insert((gate.tenant, gate.kind, gate.name.clone()), gate.clone());
        }
        self.answers.extend(batch.answers.iter().map(|row| ((row.tenant, row.key), *row)));
        for write in &batch.access {
            match write {
                AccessWrite::Add(key) => {
                    self.access.insert(Arc::clone(&key.id), key.clone());
                }
                AccessWrite::Revoke { id, at } => {
                    if let Some(key) = self.access.get_mut(id) {
                        key.revoked_at.get_or_insert(*at);
                    }
                }
            }
        }
        self.ledger.apply(&batch.ledger);
        self.schedules.apply(batch);
        self.audit.extend(batch.audit.iter().map(|row| (row.seq, row.clone())));
        for write in &batch.host_workers {
            match write {
                HostWorkerWrite::Put(row) => {
                    self.host_workers.insert((row.tenant, row.spec.name.clone()), row.clone());
                }
                HostWorkerWrite::Forget(tenant, name) => {
                    self.host_workers.remove(&(*tenant, name.clone()));
                }
            }
        }
        for row in &batch.given {
            self.given.retain(|(task, attempt, _), _| *task != row.task || *attempt >= row.attempt);
            let count = self.given.entry((row.task, row.attempt, row.fingerprint)).or_default();
            *count = row.count.max(*count);
        }
        for row in &batch.artifacts {
            self.artifacts.entry((row.tenant, Arc::clone(&row.sha256))).or_insert_with(|| row.clone());
        }
        self.apply_memos(batch);
        self.session.extend(batch.session.iter().map(|row| (row.seq, row.clone())));
        if let Some(seq) = batch.session_written {
            self.session.retain(|known, _| *known >= seq);
        }
        for write in &batch.runs {
            let mut row = RunRow::from(write.run);
            if let (Some(_), Some(old)) = (write.expected, self.runs.get(&row.id)) {
                (row.tenant, row.version) = (old.tenant, old.version);
                (row.workflow, row.inputs) = (old.workflow.clone(), old.inputs.clone());
            }
            self.put_run(row);
        }
        for write in &batch.tasks {
            let old = write.expected.and_then(|_| self.tasks.get(&write.task.id));
            self.put_task(old.map_or_else(|| write.task.clone(), |old| moved(old, write.task)));
        }
        self.attempts.extend(batch.attempts.iter().map(|row| ((row.task, row.epoch), row.clone())));
        let entries = batch.journal.iter().map(|entry| ((entry.run, entry.seq), (entry.at, entry.event.clone())));
        self.journal.extend(entries);
    }

    fn apply_memos(&mut self, batch: &Batch<'_>) {
        for write in &batch.memos {
            let (tenant, collection, key) = write.place();
            let place = (tenant, Arc::clone(collection), Arc::clone(key));
            match write {
                MemoWrite::Put { row, .. } => self.memos.insert(place, row.clone()),
                MemoWrite::Delete { .. } => self.memos.remove(&place),
            };
        }
    }
}

/// Merges a new state into a row: the fields of the submission stay.
fn moved(old: &Task, new: &Task) -> Task {
    Task {
        state: new.state.clone(),
        epoch: new.epoch,
        failures: new.failures,
        crashes: new.crashes,
        revision: new.revision,
        ..old.clone()
    }
}
