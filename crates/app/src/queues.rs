//! Queues.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_api as api;
use kapelle_core::{Name, task::StateKind};
use kapelle_store::{GateKind, Lane, LaneCount};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    waiting,
};

/// Warnings of one queue: there may be as many as there are workers.
const WARNINGS_MAX: usize = 20;

impl App {
    /// Returns the queues that are configured, paused, or have open tasks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queues(self: &Arc<Self>, by: &Caller) -> Result<api::QueueList, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let settings = app.settings();
            let mut queues: BTreeMap<Name, api::Queue> = BTreeMap::new();
            let fresh = |name: &Name| api::Queue {
                name: name.to_string(),
                slots: settings.slots(name),
                paused: false,
                paused_reason: None,
                tasks: BTreeMap::new(),
                ready: 0,
                running: 0,
                waiting: 0,
                listeners: waiting::listeners(app, tenant, name),
                warnings: Vec::new(),
            };
            for name in settings.queues.keys() {
                queues.insert(name.clone(), fresh(name));
            }
            for gate in app.reader().gates(tenant)?.into_iter().filter(|gate| gate.kind == GateKind::Queue) {
                let queue = queues.entry(gate.name.clone()).or_insert_with(|| fresh(&gate.name));
                queue.paused = gate.paused;
                queue.paused_reason = gate.paused.then(|| gate.reason.to_string());
            }
            for count in app.reader().open_tasks(tenant)? {
                let queue = queues.entry(count.queue.clone()).or_insert_with(|| fresh(&count.queue));
                *queue.tasks.entry(count.state.as_str().to_owned()).or_default() += count.tasks;
                match count.state {
                    StateKind::Ready => {
                        queue.ready += count.tasks;
                        let LaneCount { queue: name, worker, requires, .. } = count;
                        let warning = waiting::lane(app, &Lane { tenant, queue: name, worker, requires });
                        let warning = warning.map(|waiting| waiting.to_string());
                        let fresh =
                            |warning: &String| queue.warnings.len() < WARNINGS_MAX && !queue.warnings.contains(warning);
                        let warning = warning.filter(fresh);
                        queue.warnings.extend(warning);
                    }
                    StateKind::Running => queue.running += count.tasks,
                    _ => queue.waiting += count.tasks,
                }
            }
            Ok(api::QueueList { queues: queues.into_values().collect() })
        });
        listed.await
    }
}
