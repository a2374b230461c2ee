//! Rate limits of providers, for the engine.

use std::sync::Arc;

use kapelle_core::{Name, TaskId};
use kapelle_engine::{Admission, Calls};
use kapelle_gateway::{Admission as Admitted, Gateway};

/// The calls of a gateway.
pub(crate) struct OfGateway(pub(crate) Arc<Gateway>);

impl Calls for OfGateway {
    fn admit(&self, model: &Name, task: TaskId) -> Admission {
        match self.0.admit(model.as_str(), task) {
            Admitted::Free => Admission::Free,
            Admitted::Promised => Admission::Right,
            Admitted::Wait(wait) => Admission::Wait(wait),
        }
    }

    fn end(&self, task: TaskId) {
        self.0.dismiss(task);
    }
}
