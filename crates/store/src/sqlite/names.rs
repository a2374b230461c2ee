//! Names and policies as small integers and shared values, so that a million rows do not repeat them.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{Name, task::Policy};
use rusqlite::{Connection, OptionalExtension};

use super::{
    columns,
    fault::{Sql, Trouble},
};

/// Limit of entries in memory, after which all are dropped and read again: names come from users, so their number is
/// not bounded otherwise.
const MOST: usize = 10_000;

/// Cached names and policies of one connection.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: HashMap<Name, i64>,
    texts: HashMap<i64, Name>,
    /// Names written by the open transaction: dropped again when it is rolled back.
    fresh: Vec<(Name, i64)>,
    policies: HashMap<Box<str>, Arc<Policy>>,
    plain: Arc<Policy>,
    last: Option<(Arc<Policy>, Option<Box<str>>)>,
}

impl Names {
    /// Returns the number of a name, if it has one.
    pub fn find(&mut self, conn: &Connection, name: &Name) -> Sql<Option<i64>> {
        if let Some(id) = self.ids.get(name) {
            return Ok(Some(*id));
        }
        let mut query = conn.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
        let id: Option<i64> = query.query_row([name.as_str()], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            self.keep(name.clone(), id);
        }
        Ok(id)
    }

    /// Returns the number of a name, and assigns one if it has none yet. Part of a transaction.
    pub fn id(&mut self, conn: &Connection, name: &Name) -> Sql<i64> {
        if let Some(id) = self.find(conn, name)? {
            return Ok(id);
        }
        conn.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.execute([name.as_str()])?;
        let id = conn.last_insert_rowid();
        self.keep(name.clone(), id);
        self.fresh.push((name.clone(), id));
        Ok(id)
    }

    /// Returns the name with that number.
    pub fn name(&mut self, conn: &Connection, id: i64) -> Sql<Name> {
        if let Some(name) = self.texts.get(&id) {
            return Ok(name.clone());
        }
        let mut query = conn.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
        let text: Option<String> = query.query_row([id], |row| row.get(0)).optional()?;
        let text = text.ok_or_else(|| Trouble::Damaged(format!("name {id} is missing")))?;
        let name = Name::new(&text);
        self.keep(name.clone(), id);
        Ok(name)
    }

    fn keep(&mut self, name: Name, id: i64) {
        if self.ids.len() >= MOST {
            self.ids.clear();
            self.texts.clear();
        }
        self.texts.insert(id, name.clone());
        self.ids.insert(name, id);
    }

    /// Records that the open transaction was committed.
    pub fn committed(&mut self) {
        self.fresh.clear();
    }

    /// Records that the open transaction was rolled back.
    pub fn rolled_back(&mut self) {
        for (name, id) in self.fresh.drain(..) {
            self.ids.remove(&name);
            self.texts.remove(&id);
        }
    }

    /// Formats a policy for its column. Returns `None` for the default. Tasks submitted together share theirs, so the
    /// last one is cached.
    pub fn policy_text(&mut self, policy: &Arc<Policy>) -> Sql<Option<&str>> {
        let known = self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, policy));
        if !known {
            let plain = *policy == self.plain;
            let text = if plain { None } else { Some(columns::to_json(&**policy)?.into_boxed_str()) };
            self.last = Some((Arc::clone(policy), text));
        }
        Ok(self.last.as_ref().and_then(|(_, text)| text.as_deref()))
    }

    /// Reads the policy of a column.
    pub fn policy(&mut self, text: Option<&str>) -> Sql<Arc<Policy>> {
        let Some(text) = text else { return Ok(Arc::clone(&self.plain)) };
        if let Some(policy) = self.policies.get(text) {
            return Ok(Arc::clone(policy));
        }
        let policy: Arc<Policy> = Arc::new(columns::from_json(text, "policy")?);
        if self.policies.len() >= 256 {
            self.policies.clear();
        }
        self.policies.insert(Box::from(text), Arc::clone(&policy));
        Ok(policy)
    }
}
