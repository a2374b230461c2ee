//! Commands that change what holds from now on and refuse nothing: limits, what is paused, keys, what hosts serve.

use std::sync::Arc;

use kapelle_store::Gate;

use super::{command::Command, state::LoopState};

impl LoopState {
    /// Takes up a command that no state machine has a say in.
    pub(super) fn take_note(&mut self, command: &Command) {
        match command {
            Command::LimitQueue { queue, slots } => self.limits.queue(queue).slots = *slots,
            Command::Pause { tenant, kind, name, paused, reason } => {
                let (name, reason, at) = (name.clone(), Arc::clone(reason), self.scratch.now);
                let gate = Gate { tenant: *tenant, kind: *kind, name, paused: *paused, reason, at };
                self.limits.gate(&gate);
                self.cache.gates.push(gate);
            }
            Command::Access { write } => self.cache.access.push(write.clone()),
            Command::Serve { tenant, specs } => self.serve(*tenant, specs),
            Command::ForgetWorker { tenant, worker } => self.forget_worker(*tenant, worker),
            Command::Give { artifact } => self.cache.artifacts.push(artifact.clone()),
            Command::Note { note } => self.scratch.notes.push(Arc::clone(note)),
            Command::SessionWritten { seq } => self.cache.session_written = Some(*seq),
            Command::WorkersChanged => self.scratch.sweep = true,
            // Decided elsewhere: `LoopState::apply` names them.
            _ => {}
        }
    }
}
