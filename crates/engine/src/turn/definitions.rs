//! Definitions in memory, by their version: those that runs in memory stay on, and a bounded number of others.
//!
//! Text is read where a command is made, or on the pool, and handed over by [`super::Directory::definition`]. The loop
//! reads it itself only at the start, and after a conflict for a run whose definition has left memory.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{TenantId, definition::Definition};
use kapelle_store::{IdKind, StoreError, VersionRow};

use super::{command::VersionRef, part::Part, rows::Rows};
use crate::error::EngineError;

/// Definitions kept in memory besides those that runs in memory stay on.
pub const DEFINITIONS_MAX: usize = 256;

#[derive(Debug)]
struct Known {
    definition: Arc<Definition>,
    /// The turn of the clock of uses in which it was last asked for.
    used: u64,
}

/// Definitions in memory, by the key of their version.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    known: HashMap<i64, Known>,
    uses: u64,
    /// Versions that the turn under way made.
    fresh: Vec<i64>,
}

impl Part for Definitions {
    fn forget(&mut self, _rows: &mut Rows) {
        for version in std::mem::take(&mut self.fresh) {
            self.known.remove(&version);
        }
    }

    fn committed(&mut self) {
        self.fresh.clear();
    }
}

impl Definitions {
    /// Returns their number.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The version is no more.
    pub(super) fn remove(&mut self, version: i64) {
        self.known.remove(&version);
    }

    /// The definition to run and the key of its version, which is made when the text is new.
    pub(super) fn version(
        &mut self,
        rows: &mut Rows,
        tenant: TenantId,
        wanted: &VersionRef,
    ) -> Result<Result<(i64, Arc<Definition>), EngineError>, StoreError> {
        let (definition, source, sha256, file) = match wanted {
            VersionRef::Stored(id) => return Ok(self.stored(rows, *id)?.map(|definition| (*id, definition))),
            VersionRef::Source { definition, source, sha256, file } => (definition, source, sha256, file),
        };
        let mut fresh = rows.cache.versions.iter().rev();
        let fresh = fresh.find(|row| row.tenant == tenant && row.workflow == definition.name).cloned();
        let newest = match fresh {
            Some(row) => Some(row),
            None => rows.store.newest_version(tenant, &definition.name)?,
        };
        if let Some(row) = newest.as_ref().filter(|row| row.sha256 == *sha256) {
            let known = self.get(row.id);
            let kept = known.unwrap_or_else(|| self.insert(row.id, Arc::clone(definition)));
            return Ok(Ok((row.id, kept)));
        }
        let id = rows.store.ids(IdKind::Version, 1)?;
        rows.cache.versions.push(VersionRow {
            id,
            tenant,
            workflow: definition.name.clone(),
            number: newest.map_or(0, |row| row.number) + 1,
            sha256: *sha256,
            source: Arc::clone(source),
            file: Arc::clone(file),
            created_at: rows.now,
        });
        self.fresh.push(id);
        Ok(Ok((id, self.insert(id, Arc::clone(definition)))))
    }

    /// The definition of a version that is stored.
    pub(super) fn stored(
        &mut self,
        rows: &mut Rows,
        id: i64,
    ) -> Result<Result<Arc<Definition>, EngineError>, StoreError> {
        let missing = || EngineError::InvalidInput(format!("version {id} does not exist"));
        if rows.cache.deleted_versions.contains(&id) {
            return Ok(Err(missing()));
        }
        if let Some(definition) = self.get(id) {
            return Ok(Ok(definition));
        }
        if let Some(definition) = rows.directory.definition(id) {
            return Ok(Ok(self.insert(id, definition)));
        }
        let Some(row) = rows.store.version(id)? else { return Ok(Err(missing())) };
        match Definition::parse(&row.source, &row.file) {
            Ok(definition) => Ok(Ok(self.insert(id, Arc::new(definition)))),
            Err(problems) => Ok(Err(EngineError::InvalidInput(problems.to_string()))),
        }
    }

    fn get(&mut self, id: i64) -> Option<Arc<Definition>> {
        self.uses += 1;
        let known = self.known.get_mut(&id)?;
        known.used = self.uses;
        Some(Arc::clone(&known.definition))
    }

    fn insert(&mut self, id: i64, definition: Arc<Definition>) -> Arc<Definition> {
        self.uses += 1;
        self.known.insert(id, Known { definition: Arc::clone(&definition), used: self.uses });
        if self.known.len() > 2 * DEFINITIONS_MAX {
            self.let_go();
        }
        definition
    }

    /// Drops those that no run in memory stays on, but for the latest.
    fn let_go(&mut self) {
        let idle = |known: &&Known| Arc::strong_count(&known.definition) == 1;
        let mut uses: Vec<u64> = self.known.values().filter(idle).map(|known| known.used).collect();
        uses.sort_unstable();
        let Some(oldest) = uses.len().checked_sub(DEFINITIONS_MAX).and_then(|at| uses.get(at)).copied() else { return };
        self.known.retain(|_, known| Arc::strong_count(&known.definition) > 1 || known.used >= oldest);
    }
}
