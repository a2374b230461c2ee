//! One turn.
//!
//! A turn is a function of the rows, its commands, the time and random numbers. They alone decide the order of its
//! effects, so that a repeated turn gives equal results on any machine: the order never depends on a hash map.

use kapelle_core::Timestamp;
use kapelle_store::StoreError;

use super::{
    advance, calls, claim,
    command::{Command, Input, Reply, Ticket},
    commit, due,
    effect::Effect,
    key_limits,
    outside::Learnt,
    retry_budget,
    state::{LoopState, Scratch},
    watchdog,
};
use crate::error::EngineError;

/// This many conflicts in a row mean that the two sides do not make progress.
const CONFLICTS_MAX: u32 = 1_000;

/// The result of a turn.
#[derive(Debug, Default)]
pub struct Turned {
    /// The replies.
    pub replies: Vec<(Ticket, Result<Reply, EngineError>)>,
    /// Effects outside the loop.
    pub effects: Vec<Effect>,
    /// There is more to do: turn again, with or without commands.
    pub more: bool,
    /// The store failed for good: nothing further can be committed.
    pub broken: bool,
    /// Answers from outside, in their order, when they are recorded ([`LoopState::record_outside`]).
    pub learnt: Vec<Learnt>,
}

impl LoopState {
    /// One turn: decides the commands, follows up, commits, and only then answers.
    pub fn turn(&mut self, inputs: &[Input], now: Timestamp, steady_ms: u64) -> Turned {
        let turned = self.decided(inputs, now, steady_ms);
        Turned { learnt: self.rows.outside.learnt(), ..turned }
    }

    fn decided(&mut self, inputs: &[Input], now: Timestamp, steady_ms: u64) -> Turned {
        let unfinished = std::mem::take(&mut self.scratch.more);
        let due_before = std::mem::take(&mut self.scratch.more_due);
        let unlifted = std::mem::take(&mut self.scratch.unlifted);
        for tried in 0..CONFLICTS_MAX {
            if self.broken {
                break;
            }
            let (touched, freed) = (unfinished.clone(), unlifted.clone());
            self.rows.begin(now, steady_ms);
            self.scratch = Scratch { touched, freed, ..Scratch::default() };
            match self.attempt(inputs, due_before, tried > 0) {
                Ok(Some(turned)) => return turned,
                Ok(None) => self.forget(),
                Err(error) => {
                    self.forget();
                    self.scratch = Scratch { more: unfinished, more_due: due_before, unlifted, ..Scratch::default() };
                    self.broken = !error.is_temporary();
                    return self.failed(inputs, &EngineError::from(error));
                }
            }
        }
        self.failed(inputs, &EngineError::Stopped)
    }

    /// Everything of a turn up to its commit. Returns `None` when it met a conflict. `fresh` says that nothing was in
    /// memory before.
    fn attempt(&mut self, inputs: &[Input], due: bool, fresh: bool) -> Result<Option<Turned>, StoreError> {
        let mut replies = Vec::with_capacity(inputs.len());
        let mut any_late = false;
        self.prime()?;
        if due {
            due::wake_due(self)?;
        }
        for input in inputs {
            let late = matches!(&input.command, Command::Claim(claim) if claim.late);
            any_late |= late;
            let reply = if late { Ok(Reply::Claim(Vec::new())) } else { self.apply(&input.command)? };
            replies.push((input.ticket, reply));
        }
        retry_budget::lift_retries(self)?;
        calls::roll_day(self);
        self.rate_admission.end_waits(self.rows.steady_ms);
        if std::mem::take(&mut self.scratch.sweep) {
            key_limits::sweep_keys(self)?;
        }
        // A start may push another out, which ends a step or makes place for the next of its key.
        loop {
            advance::advance_runs(self)?;
            key_limits::lift_keys(self)?;
            calls::lift_parked(self)?;
            claim::fill_slots(self)?;
            if self.scratch.touched.is_empty() && self.scratch.freed.is_empty() && !watchdog::end_stuck(self)? {
                if !std::mem::take(&mut any_late) {
                    break;
                }
                claim::decide_late(self, inputs, &mut replies)?;
            }
        }
        if (self.scratch.stale && !fresh) || !commit::commit(self)? {
            return Ok(None);
        }
        let scratch = &mut self.scratch;
        let more = !scratch.more.is_empty() || scratch.more_due || scratch.more_held || !scratch.unlifted.is_empty();
        Ok(Some(Turned { replies, effects: std::mem::take(&mut self.rows.effects), more, ..Turned::default() }))
    }

    fn failed(&self, inputs: &[Input], error: &EngineError) -> Turned {
        let replies = inputs.iter().map(|input| (input.ticket, Err(error.clone()))).collect();
        Turned { replies, broken: self.broken, ..Turned::default() }
    }
}
