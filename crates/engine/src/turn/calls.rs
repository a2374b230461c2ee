//! Model calls: reserved, settled, recorded; and parking of tasks without money.

use std::sync::Arc;

use kapelle_core::{
    Account, CallId, Money, TaskId, TenantId,
    account::{day_of, end_of},
    budget::DoesNotFit,
    spending::{NO_LIMIT, charged, is_given, is_spent, key_of},
    task::{Lift, Park, Task, TaskState},
};
use kapelle_store::{BudgetRow, CallRow, CallState, CallWrite, IdKind, KeptRow, StoreError};

use crate::error::EngineError;

use super::{
    command::{self, AnswerRecord, CallOrder, Decide, LimitBy, Reserved},
    effect::Effect,
    notice::Notice,
    payload::NewPayload,
    runs::Answer,
    state::LoopState,
    tasks,
};

/// Limit of nested runs that pay for a call.
const RUNS_MAX: usize = 64;
/// Limit of parked tasks that are checked in one turn.
const LOOKS_MAX: u32 = 512;

impl Decide for command::Reserve {
    fn decide(&self, state: &mut LoopState) -> Answer<Reserved> {
        reserve(state, &self.0).map(Ok)
    }
}

impl Decide for command::Spend {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.ledger.spend(&mut state.rows, self.call, &self.order, self.at).map(Ok)
    }
}

impl Decide for command::Settle {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.ledger.close_call(&mut state.rows, self.call, &self.over).map(Ok)
    }
}

impl Decide for command::Record {
    fn decide(&self, state: &mut LoopState) -> Answer {
        record_answer(state, &self.0)
    }
}

impl Decide for command::Keep {
    fn decide(&self, state: &mut LoopState) -> Answer {
        keep_answer(state, self.row, self.answer.as_ref())
    }
}

impl Decide for command::Short {
    fn decide(&self, state: &mut LoopState) -> Answer {
        park(state, self.task, self.attempt, self.needs)
    }
}

impl Decide for command::SetLimit {
    fn decide(&self, state: &mut LoopState) -> Answer {
        set_limit(state, self.tenant, &self.account, self.limit, self.by)
    }
}

pub(super) fn reserve(state: &mut LoopState, order: &CallOrder) -> Result<Reserved, StoreError> {
    let mut payer = order.payer.clone();
    let task = payer.iter().find_map(|account| match account {
        Account::Task(id) => Some(*id),
        _ => None,
    });
    let mut run = None;
    if let Some(id) = task {
        let Some(task) = state.rows.spender(id, order.attempt)? else { return Ok(Reserved::Over) };
        run = task.origin.as_ref().map(|origin| origin.run);
        if let Some(refused) = over_task_limit(state, &task, order.worst)? {
            return Ok(refused);
        }
        payer.extend(payers_of(state, &task)?);
    }
    payer.extend([Account::Tenant, Account::Day]);
    payer.sort_unstable();
    payer.dedup();
    if let Some(refused) = no_money(state, order, &payer)? {
        return Ok(refused);
    }
    let now = state.rows.now;
    let id = CallId(state.rows.store.ids(IdKind::Call, 1)?);
    let row = CallRow {
        id,
        tenant: order.tenant,
        task,
        attempt: order.attempt,
        run,
        epoch: order.epoch,
        payer,
        operation: Arc::clone(&order.operation),
        provider: Arc::clone(&order.provider),
        model: Arc::clone(&order.model),
        fingerprint: order.fingerprint,
        state: CallState::Open,
        reserved: order.worst,
        cost: Money::ZERO,
        input: 0,
        output: 0,
        at: now,
        ended_at: None,
        request_id: None,
        answer: None,
    };
    state.ledger.open_call(&mut state.rows, row.clone())?;
    state.ledger.draw(&mut state.rows, order.purse, &row)?;
    Ok(Reserved::Yes(id))
}

/// Returns the reason why the payer cannot pay, if there is one.
pub(super) fn no_money(
    state: &mut LoopState,
    order: &CallOrder,
    payer: &[Account],
) -> Result<Option<Reserved>, StoreError> {
    let day = day_of(state.rows.now);
    let mut later = false;
    for key in charged(order.tenant, payer, day) {
        let mut fits = state.ledger.fits(&mut state.rows, &key, order.worst, 0)?;
        // A call is never refused for the sake of future calls.
        if fits.is_err() && state.ledger.give_back_of(&mut state.rows, key.0, &key.1)? {
            fits = state.ledger.fits(&mut state.rows, &key, order.worst, 0)?;
        }
        match fits {
            Ok(()) => {}
            Err(DoesNotFit::Later(_)) => later = true,
            Err(DoesNotFit::Never { needs, left }) => {
                return Ok(Some(Reserved::Never { account: key.1.shown(), needs, left }));
            }
        }
    }
    Ok(later.then_some(Reserved::Later))
}

/// Checks the limit that a task was submitted with, or its worker has: no call begins once it is spent. A call's answer
/// is cut beforehand to the rest, so that the limit need not hold the highest cost.
pub(super) fn over_task_limit(
    state: &mut LoopState,
    task: &Task,
    worst: Money,
) -> Result<Option<Reserved>, StoreError> {
    let account = Account::Task(task.id);
    let Some(limit) = task.policy.max_cost else { return Ok(None) };
    if state.ledger.bound(&mut state.rows, task.tenant, &account)?.is_some() {
        return Ok(None);
    }
    let used = state.ledger.used(&mut state.rows, &key_of(task.tenant, &account, 0))?;
    let spent = is_spent(limit, used);
    let account = account.shown();
    Ok(spent.then_some(Reserved::Never { account, needs: worst, left: Money::ZERO }))
}

/// Returns the payers of a task besides itself: its worker, its queue, its run and the runs that led to that.
pub(super) fn payers_of(state: &mut LoopState, task: &Task) -> Result<Vec<Account>, StoreError> {
    let mut payers = vec![Account::Worker(task.worker.to_string()), Account::Queue(task.queue.to_string())];
    let mut next = task.origin.as_ref().map(|origin| origin.run);
    while let Some(id) = next.filter(|_| payers.len() < RUNS_MAX) {
        payers.push(Account::Run(id));
        // A run that has ended still pays for the runs that it started.
        let parent = match state.rows.cache.run(id) {
            Some(run) => run.parent,
            None => state.rows.store.run(id)?.and_then(|(row, _)| row.parent),
        };
        next = parent.map(|parent| parent.run);
    }
    Ok(payers)
}

pub(super) fn record_answer(state: &mut LoopState, record: &AnswerRecord) -> Answer {
    let answer = state.rows.place_answer(&record.body, &record.meta)?;
    if let Some(call) = record.call {
        if state.ledger.prepaid.holds(call) {
            // A full disk delays the row of the call; an answer without its call would be lost.
            let why = "the call of this answer is not written down yet".to_owned();
            return Ok(Err(EngineError::Store(Arc::new(StoreError::Database(why)))));
        }
        state.ledger.writes.calls.push(CallWrite::Answer(call, answer));
        return Ok(Ok(()));
    }
    let id = CallId(state.rows.store.ids(IdKind::Call, 1)?);
    let now = state.rows.now;
    let run = if state.rows.load(record.task)? { state.rows.cache.task(record.task) } else { None };
    let run = run.and_then(|task| task.origin.as_ref()).map(|origin| origin.run);
    state.ledger.writes.calls.push(CallWrite::New(Box::new(CallRow {
        id,
        tenant: record.tenant,
        task: Some(record.task),
        attempt: record.attempt,
        run,
        epoch: record.epoch,
        payer: Vec::new(),
        operation: Arc::from(""),
        provider: Arc::clone(&record.provider),
        model: Arc::clone(&record.model),
        fingerprint: record.fingerprint,
        state: CallState::Given,
        reserved: Money::ZERO,
        cost: Money::ZERO,
        input: 0,
        output: 0,
        at: now,
        ended_at: Some(now),
        request_id: None,
        answer: Some(answer),
    })));
    Ok(Ok(()))
}

pub(super) fn keep_answer(state: &mut LoopState, row: KeptRow, answer: Option<&(NewPayload, Arc<str>)>) -> Answer {
    if let Some((body, meta)) = answer {
        let answer = state.rows.place_answer(body, meta)?;
        state.ledger.writes.calls.push(CallWrite::Answer(row.call, answer));
    }
    state.ledger.writes.kept.push(row);
    Ok(Ok(()))
}

pub(super) fn park(state: &mut LoopState, id: TaskId, attempt: u32, needs: Money) -> Answer {
    let Some(task) = state.rows.spender(id, attempt)? else { return Ok(Ok(())) };
    let park = Park { needs, ageing: state.rows.options.ageing };
    if let Ok(event) = park.decide(&task, state.rows.now) {
        tasks::change(state, id, &event)?;
        state.rows.effects.push(Effect::Tell(Notice::Parked { tenant: task.tenant, task: id, needs }));
        state.ledger.day_ends = Some(end_of(day_of(state.rows.now)));
        // A budget that was raised meanwhile is seen at once.
        look_at_parked(state);
    }
    Ok(Ok(()))
}

pub(super) fn set_limit(
    state: &mut LoopState,
    tenant: TenantId,
    account: &Account,
    limit: Money,
    by: LimitBy,
) -> Answer {
    let known = state.ledger.limit_of(&mut state.rows, tenant, account)?.is_some();
    let row = BudgetRow { at: state.rows.now, ..state.ledger.row_of(&mut state.rows, tenant, account)? };
    let row = match by {
        LimitBy::File if known && row.base == limit => return Ok(Ok(())),
        LimitBy::File => BudgetRow { limit, base: limit, ..row },
        // A tenant's own limit applies in addition to the owner's, never instead of it.
        LimitBy::Tenant if is_given(account) => BudgetRow { own: Some(limit), ..row },
        LimitBy::Tenant | LimitBy::Owner => BudgetRow { limit, ..row },
        LimitBy::OwnerReset if row.base > Money::ZERO => BudgetRow { limit: row.base, ..row },
        LimitBy::OwnerReset => BudgetRow { limit: NO_LIMIT, ..row },
        LimitBy::TenantReset => BudgetRow { own: None, ..row },
    };
    state.ledger.put_limit(row);
    state.ledger.give_back_of(&mut state.rows, tenant, account)?;
    look_at_parked(state);
    Ok(Ok(()))
}

/// Schedules a check of every parked task: money may be available.
pub(super) fn look_at_parked(state: &mut LoopState) {
    state.ledger.lifting = Some(TaskId(0));
    state.ledger.promised.clear();
}

/// Begins the new day: tasks that were parked on the old one may continue.
pub(super) fn roll_day(state: &mut LoopState) {
    if state.ledger.day_ends.is_some_and(|end| end <= state.rows.now) {
        state.ledger.day_ends = None;
        look_at_parked(state);
    }
}

/// Lifts parked tasks for which there is money now, a bounded number in a turn.
pub(super) fn lift_parked(state: &mut LoopState) -> Result<(), StoreError> {
    let Some(after) = state.ledger.lifting.take() else { return Ok(()) };
    let parked = state.rows.store.parked(after, LOOKS_MAX)?;
    let mut fresh: Vec<Task> = Vec::new();
    if after == TaskId(0) {
        let changed = state.rows.cache.changed_tasks.values().map(|changed| &changed.row);
        fresh.extend(changed.filter(|task| matches!(task.state, TaskState::Parked { .. })).cloned());
        fresh.sort_unstable_by_key(|task| task.id);
    }
    if parked.len() == LOOKS_MAX as usize {
        state.ledger.lifting = parked.last().map(|task| task.id);
        state.scratch.more_held = true;
    }
    let day = day_of(state.rows.now);
    let mut left = !fresh.is_empty();
    for stored in parked.into_iter().chain(fresh) {
        let id = stored.id;
        if !state.rows.load(id)? {
            continue;
        }
        let Some(task) = state.rows.cache.task(id).cloned() else { continue };
        let TaskState::Parked { needs, .. } = task.state else { continue };
        if !affords(state, &task, needs, day)? {
            left = true;
            continue;
        }
        if let Ok(event) = Lift.decide(&task) {
            tasks::change(state, id, &event)?;
        }
    }
    if left {
        state.ledger.day_ends.get_or_insert(end_of(day));
    }
    Ok(())
}

/// Tells whether there is money for the next call of a parked task, besides what tasks before it were promised.
pub(super) fn affords(state: &mut LoopState, task: &Task, needs: Money, day: i64) -> Result<bool, StoreError> {
    if let Some(Reserved::Never { .. }) = over_task_limit(state, task, needs)? {
        return Ok(false);
    }
    let mut payers = payers_of(state, task)?;
    payers.extend([Account::Task(task.id), Account::Tenant, Account::Day]);
    let keys = charged(task.tenant, &payers, day);
    for key in &keys {
        let promised = state.ledger.promised.get(key).copied().unwrap_or(0);
        let mut fits = state.ledger.fits(&mut state.rows, key, needs, promised)?.is_ok();
        if !fits && state.ledger.give_back_of(&mut state.rows, key.0, &key.1)? {
            fits = state.ledger.fits(&mut state.rows, key, needs, promised)?.is_ok();
        }
        if !fits {
            return Ok(false);
        }
    }
    for key in keys {
        let promised = state.ledger.promised.entry(key).or_default();
        *promised = promised.saturating_add(needs.0);
    }
    Ok(true)
}
