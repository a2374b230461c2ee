//! Administrative acts. An act that took effect is recorded with its actor, in one commit.

use kapelle_store::{Act, Deletion};

use super::{
    command::{Command, Reply},
    runs::Answer,
    state::LoopState,
};

/// Decides a command of an actor, and adds it to the audit trail when it changed anything.
pub(super) fn audited(state: &mut LoopState, act: &Act, command: &Command) -> Answer<Reply> {
    let idle = changes_nothing(state, command);
    let (versions, keys) = (state.rows.cache.versions.len(), state.rows.cache.keys.len());
    let reply = state.apply(command)?;
    let done = match (&reply, command) {
        (Err(_), _) => false,
        (Ok(Reply::DeleteVersion(deletion)), _) => *deletion == Deletion::Deleted,
        (Ok(Reply::KeepMemos(kept)), _) => *kept,
        // The newest version may have this text already.
        (Ok(_), Command::StoreVersion(_)) => state.rows.cache.versions.len() > versions,
        // A key that was used before gives the first reply again.
        (Ok(_), command) if has_key(command) => state.rows.cache.keys.len() > keys,
        (Ok(_), _) => !idle,
    };
    if done {
        state.rows.write_down(act)?;
    }
    Ok(reply)
}

fn has_key(command: &Command) -> bool {
    match command {
        Command::StartRun(start) => start.key.is_some(),
        Command::Signal(signal) => signal.key.is_some(),
        Command::RetryByHand(retry) => retry.key.is_some(),
        _ => false,
    }
}

/// Tells whether a command asks for the present state.
pub(super) fn changes_nothing(state: &LoopState, command: &Command) -> bool {
    match command {
        Command::Pause(pause) => state.limits.pauses(pause.tenant, pause.kind, &pause.name) == pause.paused,
        Command::ForgetWorker(forget) => !state.host_workers.knows(forget.tenant, &forget.worker),
        _ => false,
    }
}
