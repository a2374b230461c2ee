//! The shipped workers with effects outside, as kinds that files configure.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Weak},
};

use kapelle_api as api;
use kapelle_reach::{OwnHealth, Reach, SecretSource, Secrets};
use kapelle_workers::configured::Kind;
use tokio::sync::watch;

use crate::{app::App, audit_processor, goal_tracker, goal_watcher, memory_sync, open::Parts, training_request};

/// The application, which is made after its workers.
#[derive(Clone)]
pub(crate) struct Home(Arc<watch::Sender<State>>);

#[derive(Clone, Default)]
enum State {
    /// This process makes no application, as a worker host.
    #[default]
    Absent,
    /// It is being made; recovered tasks may run already.
    Coming,
    Here(Weak<App>),
}

impl Default for Home {
    fn default() -> Home {
        Home(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Home {
    /// Announces an application.
    pub(crate) fn expect(&self) {
        self.0.send_replace(State::Coming);
    }

    /// Sets the application.
    pub(crate) fn bind(&self, app: &Arc<App>) {
        self.0.send_replace(State::Here(Arc::downgrade(app)));
    }

    /// Returns the application, once it is made. `None` in a process without one.
    pub(crate) async fn app(&self) -> Option<Arc<App>> {
        let mut state = self.0.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Coming)).await.ok()?.clone();
        match state {
            State::Here(app) => app.upgrade(),
            State::Absent | State::Coming => None,
        }
    }

    fn now(&self) -> Option<Arc<App>> {
        match &*self.0.borrow() {
            State::Here(app) => app.upgrade(),
            State::Absent | State::Coming => None,
        }
    }
}

impl OwnHealth for Home {
    fn failing(&self) -> Option<Vec<(String, String)>> {
        let bad = |check: &api::CheckResult| check.status != api::HealthStatus::Ok;
        let checks = self.now()?.checks().into_iter().filter(bad);
        Some(checks.map(|check| (check.name, check.reason)).collect())
    }
}

/// Returns the kinds of workers that files of the parts' folders can configure.
pub(crate) fn kinds(parts: &Parts) -> Vec<Arc<dyn Kind>> {
    let clock = Arc::clone(&parts.clock);
    let reach = Reach {
        secrets: secrets(parts),
        own_health: Arc::new(parts.home.clone()),
        now: Arc::new(move || clock.now().0),
    };
    let mut kinds = reach.kinds(&parts.folder);
    let own =
        [training_request::kind, audit_processor::kind, memory_sync::kind, goal_tracker::kind, goal_watcher::kind];
    kinds.extend(own.map(|kind| Arc::new(kind(parts.home.clone())) as Arc<dyn Kind>));
    kinds
}

fn secrets(parts: &Parts) -> Secrets {
    let mut sources = BTreeMap::new();
    for (name, place) in &parts.config.secrets {
        let source = match (&place.env, &place.file) {
            (Some(variable), _) => SecretSource::Variable(variable.clone()),
            (None, Some(file)) => SecretSource::File(PathBuf::from(file)),
            (None, None) => continue,
        };
        sources.insert(name.clone(), source);
    }
    let environment = Arc::clone(&parts.environment);
    Secrets::new(sources, Arc::new(move |name| environment(name)))
}
