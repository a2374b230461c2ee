//! Paths of steps as people write them: `classify[17].score`.

use std::fmt::Write as _;

use super::{
    model::Run,
    scope::{ScopeId, ScopeKind, Slot},
};

impl Run {
    /// Returns the path of a slot. Steps are joined by dots, items and turns are numbered from 0 in brackets, a handler
    /// stands before the failed step (`tell(fetch)`), and steps of the end part begin with their block
    /// (`finally.clean`).
    #[must_use]
    pub fn path(&self, scope: ScopeId, slot: Slot) -> String {
        let mut path = String::new();
        self.write_path(scope, slot, &mut path);
        path
    }

    fn write_path(&self, id: ScopeId, slot: Slot, path: &mut String) {
        let Some(scope) = self.scopes.get(&id) else {
            path.push('?');
            return;
        };
        if let Some((outer, holder)) = scope.parent {
            self.write_path(outer, holder, path);
        } else {
            path.push_str(match id {
                ScopeId::ON_ERROR => "on_error",
                ScopeId::ON_CANCEL => "on_cancel",
                ScopeId::FINALLY => "finally",
                _ => "",
            });
        }
        match &scope.kind {
            ScopeKind::Items(_) | ScopeKind::Turns(_) => {
                let _ = write!(path, "[{}]", slot.0);
            }
            ScopeKind::Block(block) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(self.step(id, slot).map_or("?", |step| step.name.as_str()));
                let steps = &self.definition.block(block.block).steps;
                if let Some(failed) = block.handled(slot).and_then(|failed| steps.get(failed.0 as usize)) {
                    let _ = write!(path, "({})", failed.name);
                }
            }
        }
    }
}
