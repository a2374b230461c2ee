//! Subscriptions to events, and the outbox of their deliveries.

use std::collections::BTreeMap;

use kapelle_core::{Name, TenantId, Timestamp};

use super::{reader::MemReader, store::MemStore};
use crate::{
    batch::Batch,
    contract::Conflicts,
    error::StoreError,
    subscription::{DeliveryRow, DeliveryState, SubscriptionReader, SubscriptionRow, SubscriptionStore},
};

/// Rows of subscriptions.
#[derive(Debug, Default)]
pub(super) struct SubscriptionRows {
    subscriptions: BTreeMap<(TenantId, Name), SubscriptionRow>,
    deliveries: BTreeMap<i64, DeliveryRow>,
}

impl SubscriptionRows {
    /// Looks for rows that have changed since they were read.
    pub(super) fn check(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        for write in &batch.subscriptions {
            conflicts.other |= self.subscriptions.get(&write.key).map(|row| row.revision) != write.expected;
        }
        for write in &batch.deliveries {
            let known = self.deliveries.get(&write.row.id).map(|row| row.revision);
            conflicts.other |= known != write.expected && (known.is_some() || write.expected.is_none());
        }
    }

    pub(super) fn apply(&mut self, batch: &Batch<'_>) {
        for write in &batch.subscriptions {
            match &write.row {
                Some(row) => drop(self.subscriptions.insert(write.key.clone(), row.clone())),
                None => {
                    self.subscriptions.remove(&write.key);
                    self.deliveries.retain(|_, row| (row.tenant, &row.subscription) != (write.key.0, &write.key.1));
                }
            }
        }
        for write in &batch.deliveries {
            if write.expected.is_none() || self.deliveries.contains_key(&write.row.id) {
                self.deliveries.insert(write.row.id, write.row.clone());
            }
        }
    }

    /// Tells whether a delivery ended before a time.
    pub(super) fn has_expired(&self, before: Timestamp) -> bool {
        self.deliveries.values().any(|row| row.ended_at.is_some_and(|at| at < before))
    }

    /// Deletes deliveries that ended before a time, and returns their number.
    pub(super) fn prune(&mut self, before: Timestamp, most: u32) -> u32 {
        let ended = self.deliveries.values().filter_map(|row| Some((row.ended_at.filter(|at| *at < before)?, row.id)));
        let mut ended: Vec<(Timestamp, i64)> = ended.collect();
        ended.sort_unstable();
        ended.truncate(most as usize);
        ended.iter().for_each(|(_, id)| drop(self.deliveries.remove(id)));
        u32::try_from(ended.len()).unwrap_or(u32::MAX)
    }

    fn of(&self, tenant: TenantId, name: &Name) -> impl Iterator<Item = &DeliveryRow> {
        self.deliveries.values().filter(move |row| row.tenant == tenant && row.subscription == *name)
    }

    fn pending(&self, tenant: TenantId, name: &Name) -> impl Iterator<Item = &DeliveryRow> {
        self.of(tenant, name).filter(|row| row.state == DeliveryState::Pending)
    }
}

impl SubscriptionStore for MemStore {
    fn subscriptions(&mut self) -> Result<Vec<SubscriptionRow>, StoreError> {
        Ok(self.state().subscriptions.subscriptions.values().cloned().collect())
    }

    fn delivery(&mut self, id: i64) -> Result<Option<DeliveryRow>, StoreError> {
        Ok(self.state().subscriptions.deliveries.get(&id).cloned())
    }
}

impl SubscriptionReader for MemReader {
    fn subscription(&self, tenant: TenantId, name: &Name) -> Result<Option<SubscriptionRow>, StoreError> {
        Ok(self.state().subscriptions.subscriptions.get(&(tenant, name.clone())).cloned())
    }

    fn all_subscriptions(&self) -> Result<Vec<SubscriptionRow>, StoreError> {
        Ok(self.state().subscriptions.subscriptions.values().cloned().collect())
    }

    fn due_deliveries(
        &self,
        tenant: TenantId,
        subscription: &Name,
        now: Timestamp,
        ordered: bool,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let state = self.state();
        let rows = &state.subscriptions;
        let first = |row: &&DeliveryRow| {
            let mut earlier = rows.pending(tenant, subscription).take_while(|other| other.id < row.id);
            !ordered || !earlier.any(|other| other.subject == row.subject)
        };
        let due = rows.pending(tenant, subscription).filter(|row| row.next_at <= now).filter(first);
        let mut due: Vec<DeliveryRow> = due.cloned().collect();
        due.sort_by_key(|row| (row.next_at, row.id));
        due.truncate(most.min(1_000) as usize);
        Ok(due)
    }

    fn next_delivery(&self, tenant: TenantId, subscription: &Name) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().subscriptions.pending(tenant, subscription).map(|row| row.next_at).min())
    }

    fn pending_deliveries(&self, tenant: TenantId, subscription: &Name, most: u32) -> Result<u32, StoreError> {
        let count = self.state().subscriptions.pending(tenant, subscription).take(most as usize).count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn deliveries(
        &self,
        tenant: TenantId,
        subscription: &Name,
        state: Option<DeliveryState>,
        before: Option<i64>,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let rows = self.state();
        let fits = |row: &&DeliveryRow| {
            state.is_none_or(|state| row.state == state) && before.is_none_or(|before| row.id < before)
        };
        let mut found: Vec<DeliveryRow> = rows.subscriptions.of(tenant, subscription).filter(fits).cloned().collect();
        found.reverse();
        found.truncate(most.min(1_000) as usize);
        Ok(found)
    }
}
