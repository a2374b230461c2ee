//! Schedules: their life, and the times at which the loop wakes for them.
//!
//! The row of a schedule, the rows of its fires and what they start are one commit. So a crash leaves either all of a
//! fire or nothing of it, and a time is never started twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kapelle_core::{
    Name, TenantId, Timestamp,
    schedule::{self, FireKind, FireOutcome, Missed, Open, Plan, ScheduleSpec, ScheduleState},
};
use kapelle_store::{FireRow, KeyReply, ScheduleRow, ScheduleWrite, StoreError};

use super::{
    command::{self, Decide, Fired},
    fires,
    part::{Due, Part, Undo},
    rows::Rows,
    runs::Answer,
    state::LoopState,
    tasks,
};
use crate::error::EngineError;

/// Tenant and name of a schedule.
pub(super) type ScheduleKey = (TenantId, Name);

/// Memory of schedules: the next time, and fires that wait. The schedules themselves are rows, which cost nothing until
/// they are due.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    next: Option<Timestamp>,
    /// The next time may have changed.
    changed: bool,
    /// Whether nothing is fired any more.
    pub(super) stopped: bool,
    /// Runs and tasks of which a queued fire awaits the end.
    pub(super) waiting: Undo<BTreeMap<Open, ScheduleKey>>,
    /// Schedules whose next queued fire can start.
    pub(super) woken: Undo<BTreeSet<ScheduleKey>>,
}

impl Part for Schedules {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        if !rows.options.schedules {
            self.stopped = true;
            return Ok(());
        }
        self.next = rows.store.next_schedule()?;
        let (mut waiting, mut woken) = (BTreeMap::new(), BTreeSet::new());
        for row in rows.store.waiting_schedules()? {
            let key = (row.tenant, row.name);
            match row.state.last {
                Some(last) if fires::is_open(rows, last)? => drop(waiting.insert(last, key)),
                _ => drop(woken.insert(key)),
            }
        }
        (*self.waiting.change(), *self.woken.change()) = (waiting, woken);
        Ok(())
    }

    fn forget(&mut self, _rows: &mut Rows) {
        self.changed = false;
        self.waiting.forget();
        self.woken.forget();
    }

    fn committed(&mut self) {
        self.waiting.committed();
        self.woken.committed();
    }

    fn next_due(&self) -> Due {
        let wall = if self.woken.is_empty() { self.next } else { Some(Timestamp::default()) };
        Due { wall: wall.filter(|_| !self.stopped), steady: None }
    }
}

impl Schedules {
    /// Tells whether a schedule is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Notes the end of a run or task.
    pub(super) fn ended(&mut self, open: Open) {
        if self.waiting.contains_key(&open)
            && let Some(key) = self.waiting.change().remove(&open)
        {
            self.woken.change().insert(key);
        }
    }

    /// The turn is stored: looks up what is next when that may have changed.
    pub(super) fn look_up(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        if std::mem::take(&mut self.changed) && rows.options.schedules {
            self.next = rows.store.next_schedule()?;
        }
        Ok(())
    }
}

/// Returns a schedule as the turn has it.
pub(super) fn load(rows: &mut Rows, key: &ScheduleKey) -> Result<Option<ScheduleRow>, StoreError> {
    match rows.cache.schedules.get(key) {
        Some(write) => Ok(write.row.clone()),
        None => rows.store.schedule(key.0, &key.1),
    }
}

/// Puts the changed row of a schedule that was loaded into the turn.
pub(super) fn put(state: &mut LoopState, mut row: ScheduleRow) {
    let next = row.state.next.filter(|_| row.state.paused.is_none());
    row.due_at = next.map(|next| next + row.spec.jitter_of(next));
    state.schedules.changed = true;
    let key = (row.tenant, row.name.clone());
    if let Some(write) = state.rows.cache.schedules.get_mut(&key) {
        write.row = Some(row);
        return;
    }
    let expected = Some(row.revision);
    row.revision += 1;
    state.rows.cache.schedules.insert(key.clone(), ScheduleWrite { key, row: Some(row), expected });
}

/// Adds what became of a time to the turn.
pub(super) fn record(rows: &mut Rows, row: &ScheduleRow, scheduled: Timestamp, kind: FireKind, outcome: FireOutcome) {
    let (tenant, schedule, at) = (row.tenant, row.name.clone(), rows.now);
    rows.cache.fires.push(FireRow { tenant, schedule, scheduled, kind, at, outcome });
}

fn existing(state: &mut LoopState, tenant: TenantId, name: &Name) -> Answer<(ScheduleRow, Plan)> {
    let Some(row) = load(&mut state.rows, &(tenant, name.clone()))? else {
        return Ok(Err(EngineError::NoSuchSchedule(name.clone())));
    };
    let plan = row.spec.plan().map_err(|error| EngineError::InvalidInput(format!("{name}: {error}")));
    Ok(plan.map(|plan| (row, plan)))
}

impl Decide for command::PutSchedule {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let now = state.rows.now;
        let plan = match self.spec.plan() {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(EngineError::InvalidInput(error.to_string()))),
        };
        let key = (self.tenant, self.name.clone());
        let next = plan.next(now);
        if let Some(mut row) = load(&mut state.rows, &key)? {
            if let Some(file) = row.spec.file.clone() {
                return Ok(Err(EngineError::ScheduleOfFile(self.name.clone(), file)));
            }
            if !self.replace {
                return Ok(Err(EngineError::ScheduleExists(self.name.clone())));
            }
            row.spec = self.spec.clone();
            row.state.next = next;
            put(state, row);
            return Ok(Ok(()));
        }
        make(state, key, &self.spec, next);
        Ok(Ok(()))
    }
}

/// Makes a schedule that the turn does not have.
fn make(state: &mut LoopState, key: ScheduleKey, spec: &Arc<ScheduleSpec>, next: Option<Timestamp>) {
    // Deleted in this turn, it has a row in the store.
    let expected = state.rows.cache.schedules.get(&key).and_then(|write| write.expected);
    let row = ScheduleRow {
        tenant: key.0,
        name: key.1.clone(),
        spec: Arc::clone(spec),
        state: ScheduleState { next, ..ScheduleState::default() },
        due_at: None,
        revision: expected.map_or(0, |expected| expected + 1),
    };
    let write = ScheduleWrite { key: key.clone(), row: None, expected };
    state.rows.cache.schedules.insert(key, write);
    put(state, row);
}

impl Decide for command::ApplyFiles {
    /// Returns the schedules whose names are taken by others.
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<Name>> {
        let mut changes = Vec::new();
        for (name, spec) in &self.put {
            match spec.plan() {
                Ok(plan) => changes.push((name, spec, plan.next(state.rows.now))),
                Err(error) => return Ok(Err(EngineError::InvalidInput(format!("{name}: {error}")))),
            }
        }
        for name in &self.delete {
            let key = (self.tenant, name.clone());
            if let Some(row) = load(&mut state.rows, &key)?.filter(|row| row.spec.file.is_some()) {
                remove(state, key, &row);
            }
        }
        let mut taken = Vec::new();
        for (name, spec, next) in changes {
            let key = (self.tenant, name.clone());
            match load(&mut state.rows, &key)? {
                None => make(state, key, spec, next),
                Some(row) if row.spec.file.is_none() || row.spec.target != spec.target => taken.push(name.clone()),
                Some(mut row) => {
                    let times = |spec: &ScheduleSpec| (Arc::clone(&spec.cron), Arc::clone(&spec.zone));
                    if times(&row.spec) != times(spec) {
                        row.state.next = next;
                    }
                    row.spec = Arc::clone(spec);
                    put(state, row);
                }
            }
        }
        Ok(Ok(taken))
    }
}

impl Decide for command::PauseSchedule {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let (mut row, plan) = match existing(state, self.tenant, &self.name)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if self.paused {
            row.state.paused.get_or_insert_with(|| self.reason.clone());
        } else if row.state.paused.take().is_some() {
            let now = state.rows.now;
            if let Some(next) = row.state.next.filter(|next| *next <= now) {
                let before = Timestamp(next.0 - 1);
                let count = u32::try_from(plan.count(before, now)).unwrap_or(u32::MAX);
                let last = plan.last(before, now, 1).pop().unwrap_or(next);
                let passed = Missed { first: next, last, count };
                record(&mut state.rows, &row, next, FireKind::Due, FireOutcome::Paused(passed));
                row.state.next = plan.next(now);
            }
        }
        put(state, row);
        Ok(Ok(()))
    }
}

impl Decide for command::DeleteSchedule {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let key = (self.tenant, self.name.clone());
        let Some(row) = load(&mut state.rows, &key)? else {
            return Ok(Err(EngineError::NoSuchSchedule(self.name.clone())));
        };
        if let Some(file) = row.spec.file.clone() {
            return Ok(Err(EngineError::ScheduleOfFile(self.name.clone(), file)));
        }
        remove(state, key, &row);
        Ok(Ok(()))
    }
}

fn remove(state: &mut LoopState, key: ScheduleKey, row: &ScheduleRow) {
    state.schedules.changed = true;
    let cache = &mut state.rows.cache;
    cache.fires.retain(|fire| (fire.tenant, &fire.schedule) != (key.0, &key.1));
    let expected = cache.schedules.get(&key).map_or(Some(row.revision), |write| write.expected);
    match expected {
        Some(_) => drop(cache.schedules.insert(key.clone(), ScheduleWrite { key, row: None, expected })),
        // Made in this turn: there is nothing to delete.
        None => drop(cache.schedules.remove(&key)),
    }
}

impl Decide for command::FireSchedule {
    fn decide(&self, state: &mut LoopState) -> Answer<Fired> {
        let (mut row, plan) = match existing(state, self.tenant, &self.name)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(key) = &self.key
            && let Some(used) = tasks::used_key(state, self.tenant, key)?
        {
            let reused = EngineError::KeyReused(key.key.to_string());
            let Ok(KeyReply::Fire(scheduled)) = used else { return Ok(Err(reused)) };
            // A schedule that was deleted since, and made again, has no such fire.
            let known = fires::known(&mut state.rows, &row, scheduled, FireKind::Manual)?;
            let told = |fire: FireRow| Fired { scheduled, at: fire.at, outcome: fire.outcome };
            return Ok(known.map(told).ok_or(reused));
        }
        let mut scheduled = state.rows.now;
        while fires::known(&mut state.rows, &row, scheduled, FireKind::Manual)?.is_some() {
            scheduled.0 += 1;
        }
        let overlap = row.spec.overlap;
        let outcome = fires::fire(state, (&mut row, &plan), (scheduled, FireKind::Manual), overlap)?;
        put(state, row);
        if let Some(key) = &self.key {
            tasks::remember_key(state, self.tenant, key, KeyReply::Fire(scheduled));
        }
        Ok(Ok(Fired { scheduled, at: state.rows.now, outcome }))
    }
}

impl Decide for command::Backfill {
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<Fired>> {
        let (mut row, plan) = match existing(state, self.tenant, &self.name)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let times = match schedule::past_times(&plan, (self.from, self.to), state.rows.now) {
            Ok(times) => times,
            Err(wrong) => return Ok(Err(EngineError::InvalidInput(wrong.to_owned()))),
        };
        let mut fired = Vec::new();
        for scheduled in times {
            let known = fires::known(&mut state.rows, &row, scheduled, FireKind::Due)?;
            if known.is_some_and(|fire| fire.outcome.is_taken()) {
                continue;
            }
            let overlap = fires::one_by_one(row.spec.overlap);
            let outcome = fires::fire(state, (&mut row, &plan), (scheduled, FireKind::Due), overlap)?;
            fired.push(Fired { scheduled, at: state.rows.now, outcome });
        }
        put(state, row);
        Ok(Ok(fired))
    }
}
