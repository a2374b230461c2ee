//! A script with its processes.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock, Weak,
    atomic::{AtomicBool, Ordering},
};

use kapelle_core::{Timestamp, schedule::Schedule};
use kapelle_supervisor::machine::{Event, Policy, Restart};
use tokio::sync::watch;

use super::{Keeps, ProcessStatus, handle::Inner, instance::Instance, pool::Seats};
use crate::{
    discover::Script,
    log::Log,
    settings::{Mode, Settings},
};

/// Completion of the previous processes, if any.
type Before = Option<watch::Receiver<bool>>;

/// A script with its processes.
pub(super) struct Group {
    pub(super) id: String,
    pub(super) log: Arc<Log>,
    pub(super) seats: Seats,
    script: RwLock<Arc<Script>>,
    instances: Mutex<Vec<Instance>>,
    /// Set while no task has woken the script; holds the completion of the previous processes, which a start waits for.
    asleep: Mutex<Option<Before>>,
    /// Set once the group is being removed: nothing is started any more.
    closed: AtomicBool,
    inner: Weak<Inner>,
}

impl Group {
    /// Starts the processes of a script once those before it have ended; with [`Keeps::Asked`], once it is given a
    /// task.
    pub(super) fn begin(inner: &Arc<Inner>, script: Script, before: Before) -> Arc<Group> {
        let id = inner.id(&script);
        let log = Log::open(&inner.options.logs.join(format!("{id}.log")), script.settings.log_max);
        let group = Arc::new(Group {
            id,
            log: Arc::new(log),
            seats: Seats::default(),
            script: RwLock::new(Arc::new(script)),
            instances: Mutex::default(),
            asleep: Mutex::new(Some(before)),
            closed: AtomicBool::new(false),
            inner: Arc::downgrade(inner),
        });
        if inner.options.keeps == Keeps::All {
            group.wake();
        }
        group
    }

    fn asleep(&self) -> std::sync::MutexGuard<'_, Option<Before>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts its processes, if the script was waiting for its first task.
    pub(super) fn wake(self: &Arc<Self>) {
        let Some(before) = self.asleep().take() else { return };
        let wanted = self.script().settings.instances;
        match before {
            None => self.scale(wanted),
            Some(mut before) => {
                let group = Arc::clone(self);
                tokio::spawn(async move {
                    let _ = before.wait_for(|ended| *ended).await;
                    group.scale(wanted);
                });
            }
        }
    }

    /// Returns the current text of the script.
    pub(super) fn script(&self) -> Arc<Script> {
        Arc::clone(&self.script.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn instances(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the restart rules of its processes. A pool's process is restarted even after a normal exit, because
    /// tasks may come.
    pub(super) fn policy(&self) -> Policy {
        let script = self.script();
        let mut policy = script.settings.policy;
        if script.mode() == Mode::Pool && policy.restart == Restart::OnFailure {
            policy.restart = Restart::Always;
        }
        policy
    }

    /// Returns the time until its next scheduled start, in milliseconds; `None` without a fixed schedule.
    pub(super) fn due_in(&self, now_ms: i64) -> Option<u64> {
        match &self.script().settings.schedule {
            Some(schedule @ Schedule::At(_)) => Some(schedule.after(Timestamp(now_ms)).since(Timestamp(now_ms)).0),
            _ => None,
        }
    }

    /// Sets how many processes run.
    pub(super) fn scale(self: &Arc<Self>, wanted: u32) {
        let Some(inner) = self.inner.upgrade() else { return };
        let wanted = if self.script().mode() == Mode::Task { 0 } else { wanted };
        let mut instances = self.instances();
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        while instances.len() > wanted as usize {
            if let Some(instance) = instances.pop() {
                instance.close();
            }
        }
        while instances.len() < wanted as usize {
            let number = u32::try_from(instances.len()).unwrap_or(u32::MAX) + 1;
            instances.push(Instance::begin(&inner, self, number));
        }
    }

    /// Says whether its processes can take on a new text one by one; otherwise the group must be started from the
    /// beginning.
    pub(super) fn rolls_over(&self, script: &Script) -> bool {
        let old = self.script();
        let fixed = |of: &Settings| (of.policy, of.schedule.clone(), of.log_max, of.instances);
        old.name == script.name && old.mode() == script.mode() && fixed(&old.settings) == fixed(&script.settings)
    }

    /// Takes on a new text: restarts each process, one at a time, and continues when that process works.
    pub(super) fn change(self: &Arc<Self>, script: Script) {
        *self.script.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
        let (group, numbers) = (Arc::clone(self), self.instances().len());
        tokio::spawn(async move {
            for at in 0..numbers {
                let turned = group.instances().get(at).map(Instance::roll);
                if let Some(turned) = turned {
                    turned.await;
                }
            }
        });
    }

    /// Sends an event to one of its processes, or to all. Returns how many received it.
    pub(super) fn tell(&self, number: Option<u32>, event: &Event) -> usize {
        let instances = self.instances();
        let told = instances.iter().filter(|instance| number.is_none_or(|number| instance.number == number));
        told.map(|instance| instance.tell(event.clone())).count()
    }

    /// Returns the status of its processes.
    pub(super) fn processes(&self) -> Vec<ProcessStatus> {
        self.instances().iter().map(Instance::status).collect()
    }

    /// Returns the state of the whole in one word.
    pub(super) fn word(&self) -> &'static str {
        let script = self.script();
        if script.mode() == Mode::Task {
            return if self.seats.busy() > 0 { "running" } else { "idle" };
        }
        if self.asleep().is_some() {
            return "idle";
        }
        let states: Vec<&str> = self.processes().iter().map(|process| process.state).collect();
        let order = ["running", "starting", "stopping", "waiting", "parked", "crashed", "finished", "stopped"];
        order.into_iter().find(|word| states.contains(word)).unwrap_or("stopped")
    }

    /// Says whether it can work on tasks without intervention.
    pub(super) fn works(&self) -> bool {
        self.script().mode() == Mode::Task || !matches!(self.word(), "crashed" | "finished" | "stopped")
    }

    /// Returns how its processes ended.
    pub(super) fn last_words(&self) -> String {
        let ended = self.processes().into_iter().find_map(|process| process.last_exit);
        ended.map_or_else(|| "it does not run".to_owned(), |exit| exit.to_string())
    }

    /// Updates the registration after a change that decides whether tasks are given to it.
    pub(super) fn standing_changed(self: &Arc<Self>) {
        if let Some(inner) = self.inner.upgrade() {
            // A group that was replaced meanwhile must not change the registration.
            let current = inner.groups().values().any(|group| Arc::ptr_eq(group, self));
            if current {
                inner.post(self);
            }
        }
    }

    /// Ends its processes and waits for their end.
    pub(super) async fn stop(&self) {
        let instances = {
            let mut instances = self.instances();
            self.closed.store(true, Ordering::Release);
            std::mem::take(&mut *instances)
        };
        for instance in &instances {
            instance.close();
        }
        for instance in instances {
            instance.closed().await;
        }
    }
}
