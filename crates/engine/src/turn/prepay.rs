//! How blocks are drawn, spent and given back.

use std::sync::Arc;

use kapelle_core::{Account, CallId, Money, TenantId, Timestamp, account::day_of};
use kapelle_store::{CallRow, CallState, IdKind, PrepaidRow, PrepaidWrite, StoreError};

use super::{
    command::{CallOrder, Taken},
    effect::Effect,
    ledger::keys_of,
    notice::Notice,
    prepaid::Prepaid,
    state::LoopState,
};

/// Prepaid amounts that a payer has at once: the next call can begin while the block for the one after it is being drawn.
const PER_PAYER: usize = 2;
/// A block is enough for a call that is so many times as dear as the last one: conversations grow.
const ROOM: u64 = 2;
/// A block is drawn only where a limit leaves so many times as much: near a limit every call is looked at by itself.
const AMPLE: u128 = 16;
/// What a call is called of which nothing is known but its block.
const UNKNOWN: &str = "unknown";

impl LoopState {
    /// Says which calls the former process had sent on its blocks. To be said before [`LoopState::recover`]; else each of
    /// its blocks is charged.
    pub fn taken(&mut self, taken: Taken) {
        self.left_taken = taken;
    }

    /// Reads which blocks are out, before the first turn and after one that was forgotten.
    pub(super) fn prime_prepaid(&mut self) -> Result<(), StoreError> {
        let mut after = CallId(0);
        loop {
            let rows = self.store.prepaid(after, 512)?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows {
                // One that nobody holds is another process's, or was given back in the turn that is forgotten.
                let held = self.ledger.prepaid.before.remove(&row.id);
                let block = held.unwrap_or_else(|| Prepaid::gone(row));
                self.put_out(block)?;
            }
        }
        self.ledger.prepaid.before.clear();
        Ok(())
    }

    /// Gives back those that nobody can take and nobody has taken.
    pub(super) fn clear_gone(&mut self) -> Result<(), StoreError> {
        let gone = self.ledger.prepaid.out.values().filter(|block| block.is_gone());
        let gone: Vec<CallId> = gone.map(|block| block.row.id).collect();
        gone.into_iter().try_for_each(|id| self.take_in(id).map(drop))
    }

    /// Charges what a former process had sent on its blocks, and gives the rest back.
    pub(super) fn settle_lost_prepaid(&mut self) -> Result<(), StoreError> {
        let out: Vec<CallId> = self.ledger.prepaid.out.keys().copied().collect();
        let taken = self.left_taken.clone();
        for id in out {
            let Some(block) = self.take_in(id)? else { continue };
            let order = match &taken {
                Taken::Unknown => Some(None),
                Taken::Known(calls) => calls.iter().find(|(call, _)| *call == id).map(|(_, order)| Some(order)),
            };
            let Some(order) = order else { continue };
            let row = call_on(&block, order, block.row.at);
            self.open_call(row)?;
            self.close_call(id, CallState::Unknown, Money::ZERO, (0, 0), None)?;
        }
        Ok(())
    }

    /// A call was sent on a block.
    pub(super) fn spend(&mut self, call: CallId, order: &CallOrder, at: Timestamp) -> Result<(), StoreError> {
        // Said twice, it is done once.
        let Some(block) = self.take_in(call)? else { return Ok(()) };
        let row = call_on(&block, Some(order), at);
        self.open_call(row.clone())?;
        self.scratch.effects.push(Effect::Tell(Notice::Spent(row.id)));
        self.draw(order.purse, &row)
    }

    /// Draws what is missing in a purse for calls like that one.
    pub(super) fn draw(&mut self, purse: Option<u64>, like: &CallRow) -> Result<(), StoreError> {
        let Some(purse) = purse else { return Ok(()) };
        if let Some(id) = like.task {
            // A task with a limit of its own is looked at before each call.
            let running = self.spender(id, like.attempt)?;
            if running.is_none_or(|task| task.policy.max_cost.is_some()) {
                return Ok(());
            }
        }
        let amount = Money(like.reserved.0.saturating_mul(ROOM));
        let own = self.ledger.prepaid.of_purse.get(&purse).cloned().unwrap_or_default();
        for id in own {
            // What would not do for the next call either only stands in the way.
            let small = |block: &Arc<Prepaid>| block.row.amount < like.reserved;
            if self.ledger.prepaid.out.get(&id).is_some_and(small) {
                self.give_back(id)?;
            }
        }
        let missing = PER_PAYER.saturating_sub(self.ledger.prepaid.of_purse.get(&purse).map_or(0, Vec::len));
        for _ in 0..missing {
            if !self.is_ample(like, amount)? {
                break;
            }
            let row = PrepaidRow {
                id: CallId(self.store.ids(IdKind::Call, 1)?),
                tenant: like.tenant,
                task: like.task,
                attempt: like.attempt,
                run: like.run,
                epoch: like.epoch,
                payer: like.payer.clone(),
                amount,
                at: self.scratch.now,
            };
            self.ledger.writes.prepaid.push(PrepaidWrite::Drawn(Box::new(row.clone())));
            let block = Prepaid::free(row, purse);
            self.put_out(Arc::clone(&block))?;
            self.scratch.effects.push(Effect::Tell(Notice::Drawn(block)));
        }
        Ok(())
    }

    /// Whether every limit of the payer leaves many times the amount.
    fn is_ample(&mut self, like: &CallRow, amount: Money) -> Result<bool, StoreError> {
        let day = day_of(self.scratch.now);
        for key in keys_of(like.tenant, &like.payer, day) {
            let Some(limit) = self.bound(key.0, &key.1)? else { continue };
            let used = self.used(&key)?;
            if u128::from(limit.0.saturating_sub(used)) < u128::from(amount.0) * AMPLE {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives back what is out of the money of an account; whether there was any.
    pub(super) fn give_back_of(&mut self, tenant: TenantId, account: &Account) -> Result<bool, StoreError> {
        let blocks = self.ledger.prepaid.out.values();
        // The day of the first tenant is that of all, and what holds for each tenant concerns every one.
        let all = tenant == TenantId::EACH || (tenant == TenantId::DEFAULT && *account == Account::Day);
        let own = blocks.filter(|block| (all || block.row.tenant == tenant) && block.row.payer.contains(account));
        let own: Vec<CallId> = own.map(|block| block.row.id).collect();
        let mut any = false;
        for id in own {
            any |= self.give_back(id)?;
        }
        Ok(any)
    }

    /// Gives back the blocks of attempts that end in this turn.
    pub(super) fn give_back_ended(&mut self) -> Result<(), StoreError> {
        let blocks = &self.ledger.prepaid;
        if blocks.of_task.is_empty() {
            return Ok(());
        }
        let mut ended: Vec<CallId> = Vec::new();
        for (task, changed) in &self.cache.changed_tasks {
            let ids = blocks.of_task.get(task).into_iter().flatten();
            let of = |id: &&CallId| blocks.out.get(id).is_some_and(|block| block.is_of_ended(&changed.row.state));
            ended.extend(ids.filter(of));
        }
        // The same turn does the same, in the same order.
        ended.sort_unstable();
        ended.into_iter().try_for_each(|id| self.give_back(id).map(drop))
    }

    /// Gives back what nobody has used for a while.
    pub(super) fn give_back_idle(&mut self) -> Result<(), StoreError> {
        let steady = self.scratch.steady_ms;
        while let Some(id) = self.ledger.prepaid.idle(steady) {
            if !self.give_back(id)? {
                // It was taken, and the word of that is on its way.
                self.ledger.prepaid.postpone(steady);
            }
        }
        Ok(())
    }

    /// Gives everything back that is not taken: the end.
    pub(crate) fn give_back_all(&mut self) -> Result<(), StoreError> {
        let out: Vec<CallId> = self.ledger.prepaid.out.keys().copied().collect();
        if out.is_empty() {
            return Ok(());
        }
        out.into_iter().try_for_each(|id| self.give_back(id).map(drop))?;
        self.commit().map(drop)
    }

    /// Gives a block back unless it was taken.
    fn give_back(&mut self, id: CallId) -> Result<bool, StoreError> {
        let free = self.ledger.prepaid.out.get(&id).is_some_and(|block| block.give_back());
        if free {
            self.take_in(id)?;
        }
        Ok(free)
    }

    fn put_out(&mut self, block: Arc<Prepaid>) -> Result<(), StoreError> {
        let day = day_of(block.row.at);
        for key in keys_of(block.row.tenant, &block.row.payer, day) {
            self.reserve_in(&key, block.row.amount)?;
        }
        self.ledger.prepaid.insert(block, self.scratch.steady_ms);
        Ok(())
    }

    /// Ends a block: its money is no longer set aside.
    fn take_in(&mut self, id: CallId) -> Result<Option<Arc<Prepaid>>, StoreError> {
        let Some(block) = self.ledger.prepaid.remove(id) else { return Ok(None) };
        let day = day_of(block.row.at);
        for key in keys_of(block.row.tenant, &block.row.payer, day) {
            self.release_in(&key, block.row.amount)?;
        }
        self.ledger.writes.prepaid.push(PrepaidWrite::Gone(id));
        Ok(Some(block))
    }
}

/// The row of a call that was sent on a block; without an order nothing is known of it.
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
