//! Subscriptions to events, and the outbox of their deliveries.

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    subscription::{SubscriptionSpec, SubscriptionState},
};

use crate::error::StoreError;

/// A subscription.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SubscriptionRow {
    pub tenant: TenantId,
    pub name: Name,
    pub spec: Arc<SubscriptionSpec>,
    pub state: SubscriptionState,
    pub revision: u32,
}

/// A subscription to write or to delete, with its deliveries. The row gets `row.revision`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionWrite {
    /// Tenant and name.
    pub key: (TenantId, Name),
    /// The new row. `None` deletes it.
    pub row: Option<SubscriptionRow>,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// State of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DeliveryState {
    /// It is to be sent.
    Pending = 0,
    /// The receiver accepted it.
    Delivered = 1,
    /// It was given up.
    Failed = 2,
}

impl DeliveryState {
    /// Returns the state of a stored number; `None` for another number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<DeliveryState> {
        [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Failed]
            .into_iter()
            .find(|state| *state as i64 == number)
    }
}

/// An event that is told to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DeliveryRow {
    pub id: i64,
    pub tenant: TenantId,
    pub subscription: Name,
    /// Number of the event: one event of several subscriptions has one number.
    pub event_id: i64,
    /// Type of the event.
    pub kind: Arc<str>,
    /// Subject of the event.
    pub subject: Arc<str>,
    /// The event as JSON.
    pub event: Arc<str>,
    pub created_at: Timestamp,
    pub state: DeliveryState,
    /// Attempts that ended.
    pub attempts: u32,
    /// Time of the next attempt, while it is pending.
    pub next_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub status: Option<u16>,
    /// Reason of the last failure.
    pub error: Option<Arc<str>>,
    pub revision: u32,
}

/// A delivery to write. The row gets `row.revision`. A change whose subscription was deleted meanwhile is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryWrite {
    /// Row as it is to be.
    pub row: DeliveryRow,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// The writing side of subscriptions.
pub trait SubscriptionStore {
    /// Returns all subscriptions, by tenant and name.
    fn subscriptions(&mut self) -> Result<Vec<SubscriptionRow>, StoreError>;

    /// Returns one delivery.
    fn delivery(&mut self, id: i64) -> Result<Option<DeliveryRow>, StoreError>;
}

/// The reading side of subscriptions.
pub trait SubscriptionReader {
    /// Returns one subscription of a tenant.
    fn subscription(&self, tenant: TenantId, name: &Name) -> Result<Option<SubscriptionRow>, StoreError>;

    /// Returns all subscriptions, by tenant and name.
    fn all_subscriptions(&self) -> Result<Vec<SubscriptionRow>, StoreError>;

    /// Returns deliveries of a subscription that are due, in the order of their times. With `ordered` those whose subject
    /// has an earlier pending one are left out.
    fn due_deliveries(
        &self,
        tenant: TenantId,
        subscription: &Name,
        now: Timestamp,
        ordered: bool,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError>;

    /// Returns the earliest time at which a delivery of a subscription is due.
    fn next_delivery(&self, tenant: TenantId, subscription: &Name) -> Result<Option<Timestamp>, StoreError>;

    /// Counts the pending deliveries of a subscription, at most `most`.
    fn pending_deliveries(&self, tenant: TenantId, subscription: &Name, most: u32) -> Result<u32, StoreError>;

    /// Returns deliveries of a subscription, newest first, before an id.
    fn deliveries(
        &self,
        tenant: TenantId,
        subscription: &Name,
        state: Option<DeliveryState>,
        before: Option<i64>,
        most: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError>;
}
