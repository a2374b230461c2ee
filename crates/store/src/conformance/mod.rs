//! The conformance suite, run against each store.

mod access;
mod commits;
mod faults;
pub(crate) mod fixtures;
mod folder;
mod histories;
mod hosted;
mod ledger;
mod memos;
#[cfg(unix)]
mod private;
mod progress;
mod pruning;
mod queries;
mod queues;
mod random;
mod rig;
mod schedules;
mod subscriptions;

pub(crate) use rig::{Rig, Scratch};

/// Runs each of the named functions against every store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod on_mem {
            $(#[test] fn $name() { super::$name($crate::conformance::Rig::mem()); })*
        }
        mod on_sqlite {
            $(#[test] fn $name() { super::$name($crate::conformance::Rig::sqlite()); })*
        }
    };
}
use on_every_store;
