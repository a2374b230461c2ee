//! Drawing, spending and release of prepaid amounts.

use std::sync::Arc;

use kapelle_core::{
    Account, CallId, Money, TenantId, Timestamp,
    account::day_of,
    spending::{charged, is_ample, is_of_use, prepaid_for, to_draw},
};
use kapelle_store::{CallRow, CallState, IdKind, PrepaidRow, PrepaidWrite, StoreError};

use super::{
    command::{CallOrder, CallOver, Taken},
    effect::Effect,
    ledger::Ledger,
    notice::Notice,
    prepaid::Prepaid,
    rows::Rows,
};

/// Name in the row of a call of which only the prepaid amount is known.
const UNKNOWN: &str = "unknown";

impl Ledger {
    /// Reads the outstanding amounts, before the first turn and after a rollback.
    pub(super) fn prime_prepaid(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let mut after = CallId(0);
        loop {
            let found = rows.store.prepaid(after, 512)?;
            let Some(last) = found.last() else { break };
            after = last.id;
            for row in found {
                // One that nobody holds is another process's, or was released in the turn that is forgotten.
                let held = self.prepaid.before.remove(&row.id);
                let block = held.unwrap_or_else(|| Prepaid::gone(row));
                self.put_out(rows, block)?;
            }
        }
        self.prepaid.before.clear();
        Ok(())
    }

    /// Releases those that nobody can take and nobody has taken.
    pub(super) fn clear_gone(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let gone = self.prepaid.out.values().filter(|block| block.is_gone());
        let gone: Vec<CallId> = gone.map(|block| block.row.id).collect();
        gone.into_iter().try_for_each(|id| self.take_in(rows, id).map(drop))
    }

    /// Charges the calls that a former process had sent on its amounts, and withdraws the rest.
    pub(super) fn settle_lost_prepaid(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let out: Vec<CallId> = self.prepaid.out.keys().copied().collect();
        let taken = self.left_taken.clone();
        for id in out {
            let Some(block) = self.take_in(rows, id)? else { continue };
            let order = match &taken {
                Taken::Unknown => Some(None),
                Taken::Known(calls) => calls.iter().find(|(call, _)| *call == id).map(|(_, order)| Some(order)),
            };
            let Some(order) = order else { continue };
            let row = call_on(&block, order, block.row.at);
            self.open_call(rows, row)?;
            self.close_call(rows, id, &CallOver::UNKNOWN)?;
        }
        Ok(())
    }

    /// Records a call that was sent on an amount.
    pub(super) fn spend(
        &mut self,
        rows: &mut Rows,
        call: CallId,
        order: &CallOrder,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // A repeated report has no effect.
        let Some(block) = self.take_in(rows, call)? else { return Ok(()) };
        let row = call_on(&block, Some(order), at);
        self.open_call(rows, row.clone())?;
        rows.effects.push(Effect::Tell(Notice::Spent(row.id)));
        self.draw(rows, order.purse, &row)
    }

    /// Reserves the amounts that are missing in a purse for calls like that one.
    pub(super) fn draw(&mut self, rows: &mut Rows, purse: Option<u64>, like: &CallRow) -> Result<(), StoreError> {
        let Some(purse) = purse else { return Ok(()) };
        if let Some(id) = like.task {
            // A task with its own limit is checked before each call.
            let running = rows.spender(id, like.attempt)?;
            if running.is_none_or(|task| task.policy.max_cost.is_some()) {
                return Ok(());
            }
        }
        let amount = prepaid_for(like.reserved);
        let own = self.prepaid.of_purse.get(&purse).cloned().unwrap_or_default();
        for id in own {
            // An amount that is too small for the next call is useless.
            let small = |block: &Arc<Prepaid>| !is_of_use(block.row.amount, like.reserved);
            if self.prepaid.out.get(&id).is_some_and(small) {
                self.give_back(rows, id)?;
            }
        }
        let missing = to_draw(self.prepaid.of_purse.get(&purse).map_or(0, Vec::len));
        for _ in 0..missing {
            if !self.is_ample(rows, like, amount)? {
                break;
            }
            let row = PrepaidRow {
                id: CallId(rows.store.ids(IdKind::Call, 1)?),
                tenant: like.tenant,
                task: like.task,
                attempt: like.attempt,
                run: like.run,
                epoch: like.epoch,
                payer: like.payer.clone(),
                amount,
                at: rows.now,
            };
            self.writes.prepaid.push(PrepaidWrite::Drawn(Box::new(row.clone())));
            let block = Prepaid::free(row, purse);
            self.put_out(rows, Arc::clone(&block))?;
            rows.effects.push(Effect::Tell(Notice::Drawn(block)));
        }
        Ok(())
    }

    /// Tells whether every limit of the payer leaves many times the amount.
    fn is_ample(&mut self, rows: &mut Rows, like: &CallRow, amount: Money) -> Result<bool, StoreError> {
        let day = day_of(rows.now);
        for key in charged(like.tenant, &like.payer, day) {
            let Some(limit) = self.bound(rows, key.0, &key.1)? else { continue };
            let used = self.used(rows, &key)?;
            if !is_ample(limit, used, amount) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Releases what is out of the money of an account; whether there was any.
    pub(super) fn give_back_of(
        &mut self,
        rows: &mut Rows,
        tenant: TenantId,
        account: &Account,
    ) -> Result<bool, StoreError> {
        let blocks = self.prepaid.out.values();
        // The day of the first tenant is that of all, and a limit for each tenant concerns every one.
        let all = tenant == TenantId::EACH || (tenant == TenantId::DEFAULT && *account == Account::Day);
        let own = blocks.filter(|block| (all || block.row.tenant == tenant) && block.row.payer.contains(account));
        let own: Vec<CallId> = own.map(|block| block.row.id).collect();
        let mut any = false;
        for id in own {
            any |= self.give_back(rows, id)?;
        }
        Ok(any)
    }

    /// Releases the blocks of attempts that end in this turn.
    pub(super) fn give_back_ended(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let blocks = &self.prepaid;
        if blocks.of_task.is_empty() {
            return Ok(());
        }
        let mut ended: Vec<CallId> = Vec::new();
        for (task, changed) in &rows.cache.changed_tasks {
            let ids = blocks.of_task.get(task).into_iter().flatten();
            let of = |id: &&CallId| blocks.out.get(id).is_some_and(|block| block.is_of_ended(&changed.row.state));
            ended.extend(ids.filter(of));
        }
        // An equal turn has equal effects, in one order.
        ended.sort_unstable();
        ended.into_iter().try_for_each(|id| self.give_back(rows, id).map(drop))
    }

    /// Releases what nobody has used for a while.
    pub(super) fn give_back_idle(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let steady = rows.steady_ms;
        while let Some(id) = self.prepaid.idle(steady) {
            if !self.give_back(rows, id)? {
                // It was used, and the report of that is on its way.
                self.prepaid.postpone(steady);
            }
        }
        Ok(())
    }

    /// Releases everything that is not taken: the end. Returns whether there is something to commit.
    pub(super) fn give_back_all(&mut self, rows: &mut Rows) -> Result<bool, StoreError> {
        let out: Vec<CallId> = self.prepaid.out.keys().copied().collect();
        out.iter().try_for_each(|id| self.give_back(rows, *id).map(drop))?;
        Ok(!out.is_empty())
    }

    /// Releases a block unless it was taken.
    fn give_back(&mut self, rows: &mut Rows, id: CallId) -> Result<bool, StoreError> {
        let free = self.prepaid.out.get(&id).is_some_and(|block| rows.outside.withdraw(block));
        if free {
            self.take_in(rows, id)?;
        }
        Ok(free)
    }

    fn put_out(&mut self, rows: &mut Rows, block: Arc<Prepaid>) -> Result<(), StoreError> {
        let day = day_of(block.row.at);
        for key in charged(block.row.tenant, &block.row.payer, day) {
            self.reserve_in(rows, &key, block.row.amount)?;
        }
        self.prepaid.insert(block, rows.steady_ms);
        Ok(())
    }

    /// Ends an amount: its money is no longer reserved.
    fn take_in(&mut self, rows: &mut Rows, id: CallId) -> Result<Option<Arc<Prepaid>>, StoreError> {
        let Some(block) = self.prepaid.remove(id) else { return Ok(None) };
        let day = day_of(block.row.at);
        for key in charged(block.row.tenant, &block.row.payer, day) {
            self.release_in(rows, &key, block.row.amount)?;
        }
        self.writes.prepaid.push(PrepaidWrite::Gone(id));
        Ok(Some(block))
    }
}

/// Makes the row of a call that was sent on an amount; without an order its details are not known.
fn call_on(block: &Prepaid, order: Option<&CallOrder>, at: Timestamp) -> CallRow {
    let unknown = || Arc::from(UNKNOWN);
    let row = block.row.clone();
    CallRow {
        id: row.id,
        tenant: row.tenant,
        task: row.task,
        attempt: row.attempt,
        run: row.run,
        epoch: row.epoch,
        payer: row.payer,
        operation: order.map_or_else(unknown, |order| Arc::clone(&order.operation)),
        provider: order.map_or_else(unknown, |order| Arc::clone(&order.provider)),
        model: order.map_or_else(unknown, |order| Arc::clone(&order.model)),
        fingerprint: order.map_or([0; 32], |order| order.fingerprint),
        state: CallState::Open,
        reserved: order.map_or(row.amount, |order| order.worst),
        cost: Money::ZERO,
        input: 0,
        output: 0,
        at,
        ended_at: None,
        request_id: None,
        answer: None,
    }
}
