//! Position of a reference node in the engine.

use kapelle_core::run::{ScopeId, Slot};
use kapelle_testkit::reference::{Address, Outer};

/// Returns the scope and slot of an address.
pub fn key(address: &Address) -> (ScopeId, Slot) {
    let outer = match address.outer {
        Outer::Root => ScopeId::ROOT,
        Outer::OnError => ScopeId::ON_ERROR,
        Outer::OnCancel => ScopeId::ON_CANCEL,
        Outer::Finally => ScopeId::FINALLY,
    };
    let Some((last, before)) = address.slots.split_last() else { return (outer, Slot(u32::MAX)) };
    let scope = before.iter().fold(outer, |scope, slot| ScopeId::inner(scope, Slot(*slot)));
    (scope, Slot(*last))
}
