//! Subscriptions: their life, and the ends of deliveries. `outbox.rs` writes the deliveries of a turn.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{
    DeliveryId, Name, TenantId,
    subscription::{EventKind, Filter, Occurrence, SubscriptionState, retry_at},
};
use kapelle_store::{DeliveryRow, DeliveryState, DeliveryWrite, StoreError, SubscriptionRow, SubscriptionWrite};
use serde_json::json;

use super::{
    command::{self, Decide, DeliveryOutcome},
    outbox,
    part::{Part, Undo},
    rows::Rows,
    runs::Answer,
    state::LoopState,
};
use crate::error::EngineError;

/// Subscriptions of one tenant.
const SUBSCRIPTIONS_MAX: usize = 50;

/// Tenant and name of a subscription.
pub(super) type SubscriptionKey = (TenantId, Name);

/// A subscription in memory.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) row: SubscriptionRow,
    /// Filter that was read. `None` for a stored one that this version cannot read: it gets no events.
    pub(super) filter: Option<Arc<Filter>>,
}

/// Memory of subscriptions: all of them, since each event asks them.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Undo<BTreeMap<SubscriptionKey, Known>>);

impl Part for Subscriptions {
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        let known = rows.store.subscriptions()?.into_iter().map(|row| {
            let filter = row.spec.filter().ok().map(Arc::new);
            ((row.tenant, row.name.clone()), Known { row, filter })
        });
        *self.0.change() = known.collect();
        Ok(())
    }

    fn forget(&mut self, _rows: &mut Rows) {
        self.0.forget();
    }

    fn committed(&mut self) {
        self.0.committed();
    }
}

impl Subscriptions {
    /// Returns the subscriptions of a tenant.
    pub(super) fn of(&self, tenant: TenantId) -> impl Iterator<Item = &Known> {
        let first = (tenant, Name::new(""));
        self.0.range(first..).take_while(move |((of, _), _)| *of == tenant).map(|(_, known)| known)
    }

    /// Tells whether there is no subscription at all: events then cost nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, key: &SubscriptionKey) -> Result<&Known, EngineError> {
        self.0.get(key).ok_or_else(|| EngineError::NoSuchSubscription(key.1.clone()))
    }
}

/// Puts the changed row of a subscription into the turn.
fn put(state: &mut LoopState, mut row: SubscriptionRow, is_new: bool) {
    let key = (row.tenant, row.name.clone());
    let writes = &mut state.rows.cache.subscriptions;
    match writes.get_mut(&key) {
        Some(write) => {
            row.revision = write.expected.map_or(0, |expected| expected + 1);
            write.row = Some(row.clone());
        }
        None => {
            let expected = (!is_new).then_some(row.revision);
            row.revision = expected.map_or(0, |expected| expected + 1);
            writes.insert(key.clone(), SubscriptionWrite { key: key.clone(), row: Some(row.clone()), expected });
        }
    }
    let filter = row.spec.filter().ok().map(Arc::new);
    state.subscriptions.0.change().insert(key, Known { row, filter });
}

/// Changes the state of a subscription.
fn change(state: &mut LoopState, key: &SubscriptionKey, change: impl FnOnce(&mut SubscriptionState)) -> Answer {
    let mut row = match state.subscriptions.get(key) {
        Ok(known) => known.row.clone(),
        Err(error) => return Ok(Err(error)),
    };
    change(&mut row.state);
    put(state, row, false);
    Ok(Ok(()))
}

impl Decide for command::PutSubscription {
    fn decide(&self, state: &mut LoopState) -> Answer {
        if let Err(error) = self.spec.filter() {
            return Ok(Err(EngineError::InvalidInput(error.to_string())));
        }
        let known = state.subscriptions.get(&(self.tenant, self.name.clone())).map(|known| known.row.clone());
        let (row, is_new) = match known {
            Ok(_) if !self.replace => return Ok(Err(EngineError::SubscriptionExists(self.name.clone()))),
            Ok(row) => (SubscriptionRow { spec: Arc::clone(&self.spec), ..row }, false),
            Err(error) if self.replace => return Ok(Err(error)),
            Err(_) if state.subscriptions.of(self.tenant).count() >= SUBSCRIPTIONS_MAX => {
                let message = format!("the tenant has {SUBSCRIPTIONS_MAX} subscriptions; delete one first");
                return Ok(Err(EngineError::InvalidInput(message)));
            }
            Err(_) => {
                let row = SubscriptionRow {
                    tenant: self.tenant,
                    name: self.name.clone(),
                    spec: Arc::clone(&self.spec),
                    state: SubscriptionState::new(Arc::clone(&self.salt)),
                    revision: 0,
                };
                (row, true)
            }
        };
        put(state, row, is_new);
        Ok(Ok(()))
    }
}

impl Decide for command::PauseSubscription {
    fn decide(&self, state: &mut LoopState) -> Answer {
        change(state, &(self.tenant, self.name.clone()), |row| match self.paused {
            true => row.paused = Some(Arc::clone(&self.reason)),
            false => (row.paused, row.disabled) = (None, None),
        })
    }
}

impl Decide for command::RotateSecret {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let key = (self.tenant, self.name.clone());
        change(state, &key, |row| row.rotate(Arc::clone(&self.salt), self.until))
    }
}

impl Decide for command::DeleteSubscription {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let key = (self.tenant, self.name.clone());
        let revision = match state.subscriptions.get(&key) {
            Ok(known) => known.row.revision,
            Err(error) => return Ok(Err(error)),
        };
        state.subscriptions.0.change().remove(&key);
        let cache = &mut state.rows.cache;
        cache.deliveries.retain(|write| (write.row.tenant, &write.row.subscription) != (key.0, &key.1));
        let expected = cache.subscriptions.get(&key).map_or(Some(revision), |write| write.expected);
        match expected {
            Some(_) => drop(cache.subscriptions.insert(key.clone(), SubscriptionWrite { key, row: None, expected })),
            // Made in this turn: there is nothing to delete.
            None => drop(cache.subscriptions.remove(&key)),
        }
        Ok(Ok(()))
    }
}

impl Decide for command::TestSubscription {
    fn decide(&self, state: &mut LoopState) -> Answer<i64> {
        if let Err(error) = state.subscriptions.get(&(self.tenant, self.name.clone())) {
            return Ok(Err(error));
        }
        let data = json!({ "subscription": self.name.as_str(), "message": "This is a test of the subscription." });
        let told = Occurrence { tenant: self.tenant, kind: EventKind::Test, subject: self.name.to_string(), data };
        Ok(Ok(outbox::add(&mut state.rows, &told, std::slice::from_ref(&self.name))?))
    }
}

impl Decide for command::Announce {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.scratch.told.push(Arc::clone(&self.told));
        Ok(Ok(()))
    }
}

impl Decide for command::ReplayDelivery {
    fn decide(&self, state: &mut LoopState) -> Answer<i64> {
        if let Err(error) = state.subscriptions.get(&(self.tenant, self.name.clone())) {
            return Ok(Err(error));
        }
        let found = load(&mut state.rows, self.delivery)?;
        let Some(row) = found.filter(|row| row.tenant == self.tenant && row.subscription == self.name) else {
            return Ok(Err(EngineError::NoSuchDelivery(DeliveryId(self.delivery))));
        };
        if row.state == DeliveryState::Pending {
            let id = DeliveryId(row.id);
            let message = format!("{id}: it is pending; expected one that was delivered or has failed");
            return Ok(Err(EngineError::InvalidInput(message)));
        }
        let id = outbox::fresh_id(&mut state.rows, 1)?;
        let now = state.rows.now;
        let row = outbox::pending(DeliveryRow { id, ..row }, now);
        state.rows.cache.deliveries.push(DeliveryWrite { row, expected: None });
        Ok(Ok(id))
    }
}

/// Returns a delivery as the turn has it.
fn load(rows: &mut Rows, id: i64) -> Result<Option<DeliveryRow>, StoreError> {
    match rows.cache.deliveries.iter().find(|write| write.row.id == id) {
        Some(write) => Ok(Some(write.row.clone())),
        None => rows.store.delivery(id),
    }
}

impl Decide for command::Delivered {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let Some(mut row) = load(&mut state.rows, self.delivery)? else { return Ok(Ok(())) };
        if row.revision != self.revision || row.state != DeliveryState::Pending {
            return Ok(Ok(()));
        }
        let now = state.rows.now;
        row.attempts += 1;
        row.revision += 1;
        match &self.outcome {
            DeliveryOutcome::Accepted { status } => {
                (row.status, row.error) = (Some(*status), None);
                (row.state, row.ended_at) = (DeliveryState::Delivered, Some(now));
            }
            DeliveryOutcome::Refused { status, error, retry_after_ms } => {
                (row.status, row.error) = (*status, Some(Arc::clone(error)));
                let spread = row.id.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                match retry_at(row.attempts, now, *retry_after_ms, spread) {
                    Some(next) => row.next_at = next,
                    None => (row.state, row.ended_at) = (DeliveryState::Failed, Some(now)),
                }
            }
            DeliveryOutcome::Gone => {
                (row.status, row.error) = (Some(410), Some("the receiver wants no more events".into()));
                (row.state, row.ended_at) = (DeliveryState::Failed, Some(now));
                let reason: Arc<str> = "the receiver answered 410: it wants no more events".into();
                // A subscription that was deleted meanwhile needs no reason.
                let _ = change(state, &(row.tenant, row.subscription.clone()), |row| row.disabled = Some(reason))?;
            }
        }
        state.rows.cache.deliveries.push(DeliveryWrite { row, expected: Some(self.revision) });
        Ok(Ok(()))
    }
}
