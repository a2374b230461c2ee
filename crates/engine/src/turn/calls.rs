//! Calls of models: reserved, settled, recorded; and what becomes of tasks for which there is no money.

use std::sync::Arc;

use kapelle_core::{
    Account, CallId, Money, TaskId, TenantId,
    account::{day_of, end_of},
    budget::DoesNotFit,
    task::{Lift, Park, Task, TaskState},
};
use kapelle_store::{BudgetRow, CallAnswer, CallRow, CallState, CallWrite, IdKind, KeptRow, StoreError};

use crate::error::EngineError;

use super::{
    command::{self, AnswerRecord, CallOrder, Decide, LimitBy, Reserved},
    effect::Effect,
    ledger::{is_given, key_of, keys_of},
    notice::Notice,
    payload::NewPayload,
    runs::Answer,
    state::LoopState,
};

/// Runs within runs that pay for a call.
const RUNS_MAX: usize = 64;
/// Parked tasks that are looked at in one turn.
const LOOKS_MAX: u32 = 512;

impl Decide for command::Reserve {
    fn decide(&self, state: &mut LoopState) -> Answer<Reserved> {
        state.reserve(&self.0).map(Ok)
    }
}

impl Decide for command::Spend {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.spend(self.call, &self.order, self.at).map(Ok)
    }
}

impl Decide for command::Settle {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let over = &self.over;
        let tokens = (over.input, over.output);
        state.close_call(self.call, over.state, over.cost, tokens, over.request_id.clone()).map(Ok)
    }
}

impl Decide for command::Record {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.record_answer(&self.0)
    }
}

impl Decide for command::Keep {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.keep_answer(self.row, self.answer.as_ref())
    }
}

impl Decide for command::Short {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.park(self.task, self.attempt, self.needs)
    }
}

impl Decide for command::SetLimit {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.set_limit(self.tenant, &self.account, self.limit, self.by)
    }
}

impl LoopState {
    fn reserve(&mut self, order: &CallOrder) -> Result<Reserved, StoreError> {
        let mut payer = order.payer.clone();
        let task = payer.iter().find_map(|account| match account {
            Account::Task(id) => Some(*id),
            _ => None,
        });
        let mut run = None;
        if let Some(id) = task {
            let Some(task) = self.spender(id, order.attempt)? else { return Ok(Reserved::Over) };
            run = task.origin.as_ref().map(|origin| origin.run);
            if let Some(refused) = self.over_task_limit(&task, order.worst)? {
                return Ok(refused);
            }
            payer.extend(self.payers_of(&task)?);
        }
        payer.extend([Account::Tenant, Account::Day]);
        payer.sort_unstable();
        payer.dedup();
        if let Some(refused) = self.no_money(order, &payer)? {
            return Ok(refused);
        }
        let now = self.scratch.now;
        let id = CallId(self.store.ids(IdKind::Call, 1)?);
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
        self.open_call(row.clone())?;
        self.draw(order.purse, &row)?;
        Ok(Reserved::Yes(id))
    }

    /// Why the payer cannot pay, when that is so.
    fn no_money(&mut self, order: &CallOrder, payer: &[Account]) -> Result<Option<Reserved>, StoreError> {
        let day = day_of(self.scratch.now);
        let mut later = false;
        for key in keys_of(order.tenant, payer, day) {
            let mut fits = self.fits(&key, order.worst, 0)?;
            // Nobody is refused for the sake of calls that are yet to be made.
            if fits.is_err() && self.give_back_of(key.0, &key.1)? {
                fits = self.fits(&key, order.worst, 0)?;
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

    /// The task, when that attempt of it is the one under way.
    pub(super) fn spender(&mut self, id: TaskId, attempt: u32) -> Result<Option<Task>, StoreError> {
        if !self.load(id)? {
            return Ok(None);
        }
        let task = self.cache.task(id).cloned();
        let runs =
            |task: &Task| matches!(task.state, TaskState::Running(lease) if attempt == 0 || lease.epoch == attempt);
        Ok(task.filter(runs))
    }

    /// The limit that a task was submitted with, or its worker has: no call begins once it is spent. A call's answer is
    /// cut beforehand to what is left, so that the limit need not hold the worst case.
    fn over_task_limit(&mut self, task: &Task, worst: Money) -> Result<Option<Reserved>, StoreError> {
        let account = Account::Task(task.id);
        let Some(limit) = task.policy.max_cost else { return Ok(None) };
        if self.bound(task.tenant, &account)?.is_some() {
            return Ok(None);
        }
        let used = self.used(&key_of(task.tenant, &account, 0))?;
        let spent = used > 0 && used >= limit.0;
        let account = account.shown();
        Ok(spent.then_some(Reserved::Never { account, needs: worst, left: Money::ZERO }))
    }

    /// Who pays for a task besides itself: its worker, its queue, its run and the runs that led to that.
    fn payers_of(&mut self, task: &Task) -> Result<Vec<Account>, StoreError> {
        let mut payers = vec![Account::Worker(task.worker.to_string()), Account::Queue(task.queue.to_string())];
        let mut next = task.origin.as_ref().map(|origin| origin.run);
        while let Some(id) = next.filter(|_| payers.len() < RUNS_MAX) {
            payers.push(Account::Run(id));
            if self.load_run(id)?.is_err() {
                break;
            }
            next = self.cache.run(id).and_then(|run| run.parent).map(|parent| parent.run);
        }
        Ok(payers)
    }

    fn new_answer(&mut self, body: &NewPayload, meta: &Arc<str>) -> Result<CallAnswer, StoreError> {
        let id = kapelle_core::PayloadId(self.store.ids(IdKind::Payload, 1)?);
        self.cache.payloads.push((id, body.body()));
        Ok(CallAnswer { payload: id, meta: Arc::clone(meta) })
    }

    fn record_answer(&mut self, record: &AnswerRecord) -> Answer {
        let answer = self.new_answer(&record.body, &record.meta)?;
        if let Some(call) = record.call {
            if self.ledger.prepaid.holds(call) {
                // A full disk keeps the row of the call waiting; an answer without its call would be lost.
                let why = "the call of this answer is not written down yet".to_owned();
                return Ok(Err(EngineError::Store(Arc::new(StoreError::Database(why)))));
            }
            self.ledger.writes.calls.push(CallWrite::Answer(call, answer));
            return Ok(Ok(()));
        }
        let id = CallId(self.store.ids(IdKind::Call, 1)?);
        let now = self.scratch.now;
        let run = if self.load(record.task)? { self.cache.task(record.task) } else { None };
        let run = run.and_then(|task| task.origin.as_ref()).map(|origin| origin.run);
        self.ledger.writes.calls.push(CallWrite::New(Box::new(CallRow {
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

    fn keep_answer(&mut self, row: KeptRow, answer: Option<&(NewPayload, Arc<str>)>) -> Answer {
        if let Some((body, meta)) = answer {
            let answer = self.new_answer(body, meta)?;
            self.ledger.writes.calls.push(CallWrite::Answer(row.call, answer));
        }
        self.ledger.writes.kept.push(row);
        Ok(Ok(()))
    }

    fn park(&mut self, id: TaskId, attempt: u32, needs: Money) -> Answer {
        let Some(task) = self.spender(id, attempt)? else { return Ok(Ok(())) };
        let park = Park { needs, ageing: self.options.ageing };
        if let Ok(event) = park.decide(&task, self.scratch.now) {
            self.change(id, &event)?;
            self.scratch.effects.push(Effect::Tell(Notice::Parked { tenant: task.tenant, task: id, needs }));
            self.ledger.day_ends = Some(end_of(day_of(self.scratch.now)));
            // What was raised between the refusal and now is seen at once.
            self.look_at_parked();
        }
        Ok(Ok(()))
    }

    fn set_limit(&mut self, tenant: TenantId, account: &Account, limit: Money, by: LimitBy) -> Answer {
        let known = self.limit_of(tenant, account)?.is_some();
        let row = BudgetRow { at: self.scratch.now, ..self.row_of(tenant, account)? };
        let row = match by {
            LimitBy::File if known && row.base == limit => return Ok(Ok(())),
            LimitBy::File => BudgetRow { limit, base: limit, ..row },
            // What a tenant allows itself holds besides what it was given, and never instead of it.
            LimitBy::Tenant if is_given(account) => BudgetRow { own: Some(limit), ..row },
            LimitBy::Tenant | LimitBy::Owner => BudgetRow { limit, ..row },
        };
        self.put_limit(row);
        self.give_back_of(tenant, account)?;
        self.look_at_parked();
        Ok(Ok(()))
    }

    /// Has every parked task looked at: money may be there.
    pub(super) fn look_at_parked(&mut self) {
        self.ledger.lifting = Some(TaskId(0));
        self.ledger.promised.clear();
    }

    /// Begins the new day: what was parked on the old one may go on.
    pub(super) fn roll_day(&mut self) {
        if self.ledger.day_ends.is_some_and(|end| end <= self.scratch.now) {
            self.ledger.day_ends = None;
            self.look_at_parked();
        }
    }

    /// Puts parked tasks back in the order for which there is money now, a bounded number in a turn.
    pub(super) fn lift_parked(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.ledger.lifting.take() else { return Ok(()) };
        let parked = self.store.parked(after, LOOKS_MAX)?;
        let mut fresh: Vec<Task> = Vec::new();
        if after == TaskId(0) {
            let changed = self.cache.changed_tasks.values().map(|changed| &changed.row);
            fresh.extend(changed.filter(|task| matches!(task.state, TaskState::Parked { .. })).cloned());
        }
        if parked.len() == LOOKS_MAX as usize {
            self.ledger.lifting = parked.last().map(|task| task.id);
            self.scratch.more_held = true;
        }
        let day = day_of(self.scratch.now);
        let mut left = !fresh.is_empty();
        for stored in parked.into_iter().chain(fresh) {
            let id = stored.id;
            if !self.load(id)? {
                continue;
            }
            let Some(task) = self.cache.task(id).cloned() else { continue };
            let TaskState::Parked { needs, .. } = task.state else { continue };
            if !self.affords(&task, needs, day)? {
                left = true;
                continue;
            }
            if let Ok(event) = Lift.decide(&task) {
                self.change(id, &event)?;
            }
        }
        if left {
            self.ledger.day_ends.get_or_insert(end_of(day));
        }
        Ok(())
    }

    /// Whether there is money for the next call of a parked task, besides what tasks before it were promised.
    fn affords(&mut self, task: &Task, needs: Money, day: i64) -> Result<bool, StoreError> {
        if let Some(Reserved::Never { .. }) = self.over_task_limit(task, needs)? {
            return Ok(false);
        }
        let mut payers = self.payers_of(task)?;
        payers.extend([Account::Task(task.id), Account::Tenant, Account::Day]);
        let keys = keys_of(task.tenant, &payers, day);
        for key in &keys {
            let promised = self.ledger.promised.get(key).copied().unwrap_or(0);
            let mut fits = self.fits(key, needs, promised)?.is_ok();
            if !fits && self.give_back_of(key.0, &key.1)? {
                fits = self.fits(key, needs, promised)?.is_ok();
            }
            if !fits {
                return Ok(false);
            }
        }
        for key in keys {
            let promised = self.ledger.promised.entry(key).or_default();
            *promised = promised.saturating_add(needs.0);
        }
        Ok(true)
    }
}
