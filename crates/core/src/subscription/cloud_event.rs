//! An event as a CloudEvent 1.0 in JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event_kind::EventKind;
use crate::{id::TenantId, time::Timestamp};

/// An event of the product, before it has a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Occurrence {
    pub tenant: TenantId,
    pub kind: EventKind,
    /// Id of the object that it is about, such as `run_7`.
    pub subject: String,
    /// Its data, a JSON object.
    pub data: Value,
}

/// Returns the public id of an event.
#[must_use]
pub fn event_id(number: i64) -> String {
    format!("evt_{number}")
}

impl Occurrence {
    /// Returns the event as a structured CloudEvent. Its `id` is filled in by [`number`].
    #[must_use]
    pub fn event(&self, at: Timestamp) -> Value {
        json!({
            "specversion": "1.0",
            "id": "",
            "source": format!("/kapelle/tenants/{}", self.tenant.0),
            "type": self.kind.as_str(),
            "subject": self.subject,
            "time": at.rfc3339(),
            "datacontenttype": "application/json",
            "data": self.data,
        })
    }
}

/// Gives an event its number.
pub fn number(event: &mut Value, number: i64) {
    event["id"] = Value::String(event_id(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_every_required_attribute() {
        let told = Occurrence {
            tenant: TenantId(3),
            kind: EventKind::RunFailed,
            subject: "run_7".to_owned(),
            data: json!({ "state": "failed" }),
        };
        let mut event = told.event(Timestamp(1_796_083_200_123));
        number(&mut event, 12);
        let expected = json!({
            "specversion": "1.0",
            "id": "evt_12",
            "source": "/kapelle/tenants/3",
            "type": "kapelle.run.failed",
            "subject": "run_7",
            "time": "2026-12-01T00:00:00.123Z",
            "datacontenttype": "application/json",
            "data": { "state": "failed" },
        });
        assert_eq!(event, expected);
    }
}
