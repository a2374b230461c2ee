//! The open connections, and the choice of the one to close when the limit is reached.
//!
//! A connection belongs to a stranger until a request on it shows a right credential. An idle stranger is closed before
//! a newcomer is refused, the longest idle first; a connection of a known key is never closed for a stranger of its
//! address. Known connections are shared by key and tenant.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::shares::{Bounds, Full, Party, Share, Shares};

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// In all.
    pub all: usize,
    /// Unauthenticated ones from one address.
    pub per_peer: usize,
}

/// The party that opened a connection, as far as it is known.
#[derive(Debug)]
enum Whose {
    Stranger,
    Known { key: [u8; 32], _share: Share },
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    whose: Whose,
    /// Requests under way.
    busy: u32,
    /// Order of becoming idle: greater is later.
    since: u64,
    cut: Arc<Notify>,
}

/// Idle connections of one group, by when they became idle.
type Idle = BTreeMap<u64, u64>;

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: HashMap<u64, Entry>,
    strangers: HashMap<IpAddr, usize>,
    idle_strangers: Idle,
    idle_at: HashMap<IpAddr, Idle>,
    idle_known: HashMap<[u8; 32], Idle>,
}

/// The open connections.
#[derive(Debug)]
pub struct Connections {
    most: Most,
    known: Arc<Shares>,
    state: Mutex<State>,
}

/// One connection, counted until this is dropped.
#[derive(Debug)]
pub struct Connection {
    table: Arc<Connections>,
    id: u64,
    /// Signals that the connection has to end.
    pub cut: Arc<Notify>,
}

/// A request in progress. Its connection is not idle until this is dropped.
#[derive(Debug)]
pub struct Busy(Arc<Connection>);

impl Connections {
    /// Makes the empty set.
    pub fn new(most: Most) -> Arc<Connections> {
        let known = Shares::new(Bounds::halves(most.all as u64));
        Arc::new(Connections { most, known, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection, closing an idle one when the limit is reached. Returns `None` when every one is in use.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Connection>> {
        let mut state = self.lock();
        if state.strangers.get(&peer).copied().unwrap_or(0) >= self.most.per_peer {
            let oldest = state.idle_at.get(&peer).and_then(|idle| idle.first_key_value()).map(|(_, id)| *id);
            state.close(oldest?);
        }
        if state.entries.len() >= self.most.all {
            let oldest = state.idle_strangers.first_key_value().map(|(_, id)| *id);
            let id = oldest.or_else(|| state.idle_of_largest())?;
            state.close(id);
        }
        state.next += 1;
        let (id, cut) = (state.next, Arc::<Notify>::default());
        let entry = Entry { peer, whose: Whose::Stranger, busy: 0, since: id, cut: Arc::clone(&cut) };
        state.entries.insert(id, entry);
        *state.strangers.entry(peer).or_default() += 1;
        state.index(id);
        Some(Arc::new(Connection { table: Arc::clone(self), id, cut }))
    }

    /// Returns their number.
    pub fn count(&self) -> usize {
        self.lock().entries.len()
    }
}

impl State {
    /// Notes that a connection is idle.
    fn index(&mut self, id: u64) {
        let Some(entry) = self.entries.get(&id).filter(|entry| entry.busy == 0) else { return };
        match &entry.whose {
            Whose::Stranger => {
                self.idle_strangers.insert(entry.since, id);
                self.idle_at.entry(entry.peer).or_default().insert(entry.since, id);
            }
            Whose::Known { key, .. } => drop(self.idle_known.entry(*key).or_default().insert(entry.since, id)),
        }
    }

    /// Removes a connection from the idle ones.
    fn unindex(&mut self, id: u64) {
        let Some(entry) = self.entries.get(&id) else { return };
        match &entry.whose {
            Whose::Stranger => {
                self.idle_strangers.remove(&entry.since);
                take_out(&mut self.idle_at, &entry.peer, entry.since);
            }
            Whose::Known { key, .. } => take_out(&mut self.idle_known, key, entry.since),
        }
    }

    /// Returns the oldest idle connection of the key with the most idle ones.
    fn idle_of_largest(&self) -> Option<u64> {
        let largest = self.idle_known.values().max_by_key(|idle| idle.len())?;
        largest.first_key_value().map(|(_, id)| *id)
    }

    fn close(&mut self, id: u64) {
        if let Some(cut) = self.forget(id) {
            cut.notify_one();
        }
    }

    fn forget(&mut self, id: u64) -> Option<Arc<Notify>> {
        self.unindex(id);
        let entry = self.entries.remove(&id)?;
        if matches!(entry.whose, Whose::Stranger) {
            self.leave(entry.peer);
        }
        Some(entry.cut)
    }

    fn leave(&mut self, peer: IpAddr) {
        if let Some(count) = self.strangers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&peer);
            }
        }
    }
}

fn take_out<K: Eq + std::hash::Hash>(groups: &mut HashMap<K, Idle>, group: &K, since: u64) {
    if let Some(idle) = groups.get_mut(group) {
        idle.remove(&since);
        if idle.is_empty() {
            groups.remove(group);
        }
    }
}

impl Connection {
    /// Begins a request.
    pub fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.table.lock();
        state.unindex(self.id);
        if let Some(entry) = state.entries.get_mut(&self.id) {
            entry.busy += 1;
        }
        Busy(Arc::clone(self))
    }

    /// Records that a request showed a right credential. When the key or its tenant has used its share of connections,
    /// an idle one of the key is closed.
    ///
    /// # Errors
    /// [`Full`] when all of them are in use.
    pub fn known(&self, party: Party) -> Result<(), Full> {
        let mut state = self.table.lock();
        let Some(entry) = state.entries.get(&self.id) else { return Ok(()) };
        if matches!(&entry.whose, Whose::Known { key, .. } if *key == party.key) {
            return Ok(());
        }
        let share = match self.table.known.take(party, 1) {
            Ok(share) => share,
            Err(full) => {
                let oldest = state.idle_known.get(&party.key).and_then(|idle| idle.first_key_value());
                let Some(oldest) = oldest.map(|(_, id)| *id).filter(|id| *id != self.id) else { return Err(full) };
                state.close(oldest);
                self.table.known.take(party, 1)?
            }
        };
        state.unindex(self.id);
        let Some(entry) = state.entries.get_mut(&self.id) else { return Ok(()) };
        let peer = entry.peer;
        let before = std::mem::replace(&mut entry.whose, Whose::Known { key: party.key, _share: share });
        if matches!(before, Whose::Stranger) {
            state.leave(peer);
        }
        state.index(self.id);
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.table.lock().forget(self.id));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let connection = &self.0;
        let mut state = connection.table.lock();
        state.next += 1;
        let since = state.next;
        if let Some(entry) = state.entries.get_mut(&connection.id) {
            entry.busy = entry.busy.saturating_sub(1);
            entry.since = since;
        }
        state.index(connection.id);
    }
}

#[cfg(test)]
mod tests {
    use kapelle_core::TenantId;

    use super::*;
    use crate::shares::Rank;

    fn table(all: usize, per_peer: usize) -> Arc<Connections> {
        Connections::new(Most { all, per_peer })
    }

    fn peer(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    fn party(key: u8) -> Party {
        Party { tenant: TenantId(u32::from(key)), key: [key; 32], rank: Rank::Plain }
    }

    fn is_cut(connection: &Connection) -> bool {
        !connection.table.lock().entries.contains_key(&connection.id)
    }

    #[test]
    fn the_stranger_idle_for_longest_goes_first_and_none_in_use() {
        let table = table(100, 2);
        let first = table.admit(peer(1)).unwrap();
        let second = table.admit(peer(1)).unwrap();
        drop(first.begin());
        let third = table.admit(peer(1)).unwrap();
        assert!(is_cut(&second) && !is_cut(&first));
        let (_one, _three) = (first.begin(), third.begin());
        assert!(table.admit(peer(1)).is_none());
        assert!(table.admit(peer(2)).is_some());
        assert_eq!(table.count(), 2, "the last was dropped at once");
    }

    #[test]
    fn a_known_connection_takes_no_place_of_strangers_and_stays() {
        let table = table(100, 1);
        let known = table.admit(peer(1)).unwrap();
        known.known(party(1)).unwrap();
        let stranger = table.admit(peer(1)).unwrap();
        let _next = table.admit(peer(1)).unwrap();
        assert!(is_cut(&stranger) && !is_cut(&known));
    }

    #[test]
    fn a_key_with_its_share_loses_its_own_oldest() {
        let table = table(8, 8);
        let own: Vec<_> = (0..3).map(|_| table.admit(peer(1)).unwrap()).collect();
        own.iter().for_each(|one| one.known(party(2)).unwrap());
        assert!(is_cut(&own[0]) && !is_cut(&own[1]) && !is_cut(&own[2]));
        let _busy = (own[1].begin(), own[2].begin());
        let fourth = table.admit(peer(1)).unwrap();
        assert_eq!(fourth.known(party(2)).unwrap_err(), Full::Key(2));
        fourth.known(party(3)).unwrap();
    }

    #[test]
    fn with_every_place_taken_an_idle_one_of_the_largest_key_goes() {
        let table = table(16, 16);
        let mut open = Vec::new();
        for key in [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6] {
            let connection = table.admit(peer(1)).unwrap();
            connection.known(party(key)).unwrap();
            open.push(connection);
        }
        let strangers: Vec<_> = (0..2).map(|_| table.admit(peer(1)).unwrap()).collect();
        let busy: Vec<_> = strangers.iter().map(Connection::begin).collect();
        let _more = table.admit(peer(2)).unwrap();
        assert!(is_cut(&open[0]));
        drop((busy, strangers, open));
        assert_eq!(table.count(), 1);
    }
}
