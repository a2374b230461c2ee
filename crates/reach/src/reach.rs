//! All kinds of this crate, for a program that offers them.

use std::{path::Path, sync::Arc};

use kapelle_workers::configured::Kind;

#[cfg(feature = "code")]
use crate::CodeImprovement;
#[cfg(feature = "mail")]
use crate::EmailDispatcher;
use crate::{ClearTemp, Command, EffectLog, HealthCheck, Http, OwnHealth, Secrets, Storage};

/// The folder of records of effects, in the folder of the state.
const EFFECTS: &str = "effects";

/// Returns the time, in milliseconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Parts that the kinds share.
pub struct Reach {
    /// The secrets that the owner declared.
    pub secrets: Secrets,
    /// The health of the server itself.
    pub own_health: Arc<dyn OwnHealth>,
    /// Returns the wall clock, in milliseconds since 1970.
    pub now: Now,
}

impl Reach {
    /// Returns every kind. `state` is the folder of the state, in which effects are recorded.
    #[must_use]
    pub fn kinds(self, state: &Path) -> Vec<Arc<dyn Kind>> {
        let log = EffectLog::in_folder(state.join(EFFECTS));
        vec![
            Arc::new(Http::new(self.secrets.clone(), log.clone())),
            Arc::new(Storage),
            #[cfg(feature = "code")]
            Arc::new(CodeImprovement),
            #[cfg(feature = "mail")]
            Arc::new(EmailDispatcher::new(self.secrets.clone(), log.clone(), Arc::clone(&self.now))),
            Arc::new(Command::new(self.secrets, log)),
            Arc::new(HealthCheck::new(self.own_health)),
            Arc::new(ClearTemp::new(state, self.now)),
        ]
    }
}
