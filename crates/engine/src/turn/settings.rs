//! Commands that change settings and refuse nothing.

use std::sync::Arc;

use kapelle_store::Gate;

use super::{
    command::{self, Decide},
    due, leases,
    runs::Answer,
    state::LoopState,
};

impl Decide for command::LimitQueue {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.limits.set_slots(&self.queue, self.slots);
        Ok(Ok(()))
    }
}

impl Decide for command::Pause {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let (name, reason, at) = (self.name.clone(), Arc::clone(&self.reason), state.rows.now);
        let gate = Gate { tenant: self.tenant, kind: self.kind, name, paused: self.paused, reason, at };
        state.limits.gate(&gate);
        state.rows.cache.gates.push(gate);
        Ok(Ok(()))
    }
}

impl Decide for command::Access {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.rows.cache.access.push(self.write.clone());
        Ok(Ok(()))
    }
}

impl Decide for command::Give {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.rows.cache.artifacts.push(self.artifact.clone());
        Ok(Ok(()))
    }
}

impl Decide for command::Note {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.scratch.notes.push(Arc::clone(&self.note));
        Ok(Ok(()))
    }
}

impl Decide for command::SessionWritten {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.rows.cache.session_written = Some(self.seq);
        Ok(Ok(()))
    }
}

impl Decide for command::WorkersChanged {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.scratch.sweep = true;
        Ok(Ok(()))
    }
}

impl Decide for command::Tick {
    fn decide(&self, state: &mut LoopState) -> Answer {
        due::wake_due(state)?;
        leases::reap_leases(state)?;
        state.ledger.give_back_idle(&mut state.rows)?;
        Ok(Ok(()))
    }
}
