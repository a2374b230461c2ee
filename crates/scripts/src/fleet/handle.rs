//! The fleet as its users hold it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kapelle_core::TenantId;
use kapelle_supervisor::{helper_process::Helper, machine::Event};
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
};

use super::{Counts, FleetEvent, ScriptStatus, WorkerSink, group::Group};
use crate::{
    discover::{Script, Start},
    environment::Surroundings,
    interpreter::Interpreters,
    log::{Log, Stream, presentable},
    redact::Redactor,
    scan::Scan,
    settings::{Fallback, Mode},
    token::TokenSource,
};

/// Interval between scans of the folder. A change takes effect within two scans.
const LOOK: Duration = Duration::from_millis(500);
/// Scans after which scripts that lacked something are checked again.
const AGAIN: u32 = 60;
/// Events kept for a slow watcher.
const EVENTS: usize = 1_024;

/// The settings of a fleet.
pub struct FleetOptions {
    /// The folder with the scripts.
    pub root: PathBuf,
    /// The folder for their logs.
    pub logs: PathBuf,
    /// Settings that all scripts share.
    pub surroundings: Surroundings,
    /// The `PATH` in which interpreters are searched.
    pub path: Option<std::ffi::OsString>,
    /// Source of tokens for models.
    pub tokens: Arc<dyn TokenSource>,
    /// Registry of the scripts that take tasks.
    pub worker_sink: Arc<dyn WorkerSink>,
    /// The wall clock, in milliseconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Called for every event, synchronously: it must be quick.
    pub told: Box<dyn Fn(&FleetEvent) + Send + Sync>,
    /// Selects which scripts are run.
    pub keeps: Keeps,
}

/// The selection of scripts that a fleet runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// All scripts, from now on.
    All,
    /// Only scripts that take tasks, each once it is given its first task: for a process that lives as long as a
    /// workflow.
    Asked,
}

/// The processes of all scripts of a folder. A clone is another handle.
#[derive(Clone)]
pub struct Fleet {
    pub(super) inner: Arc<Inner>,
    watching: Arc<Mutex<Option<JoinHandle<()>>>>,
}

pub(super) struct Inner {
    pub(super) helper: Helper,
    pub(super) options: FleetOptions,
    pub(super) interpreters: Interpreters,
    pub(super) groups: Mutex<BTreeMap<PathBuf, Arc<Group>>>,
    /// Every script that was found, started or not.
    pub(super) found: Mutex<Vec<Script>>,
    pub(super) events: broadcast::Sender<FleetEvent>,
    pub(super) begun: tokio::time::Instant,
    /// Groups on their way out.
    pub(super) ending: Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    /// Returns the monotonic clock, in milliseconds.
    pub(super) fn steady_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.options.now)()
    }

    pub(super) fn id(&self, script: &Script) -> String {
        script.id()
    }

    pub(super) fn tell(&self, event: FleetEvent) {
        (self.options.told)(&event);
        let _ = self.events.send(event);
    }

    pub(super) fn groups(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Arc<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn found(&self) -> std::sync::MutexGuard<'_, Vec<Script>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    /// Scans the folder, starts its scripts all at once, and keeps scanning. Must be called within a tokio runtime.
    /// Returns after the first scan; a broken script does not affect the others.
    pub async fn start(helper: Helper, options: FleetOptions) -> Fleet {
        let (events, _) = broadcast::channel(EVENTS);
        let interpreters = Interpreters::along(options.path.as_deref());
        let inner = Arc::new(Inner {
            helper,
            options,
            interpreters,
            groups: Mutex::default(),
            found: Mutex::default(),
            events,
            begun: tokio::time::Instant::now(),
            ending: Mutex::default(),
        });
        let (looked, mut first) = watch::channel(false);
        let watched = Arc::clone(&inner);
        let watching = tokio::spawn(async move {
            let mut scan = Scan::of(&watched.options.root);
            let mut looks = 0u32;
            loop {
                let differences = scan.look(&watched.interpreters, looks % AGAIN == AGAIN - 1).await;
                watched.apply(&scan, &differences);
                looked.send_replace(true);
                looks = looks.wrapping_add(1);
                tokio::time::sleep(LOOK).await;
            }
        });
        let _ = first.wait_for(|looked| *looked).await;
        Fleet { inner, watching: Arc::new(Mutex::new(Some(watching))) }
    }

    /// Returns the events from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<FleetEvent> {
        self.inner.events.subscribe()
    }

    /// Returns the status of every script, by its file.
    #[must_use]
    pub fn status(&self) -> Vec<ScriptStatus> {
        let found = self.inner.found().clone();
        let groups = self.inner.groups().clone();
        found.iter().map(|script| self.of(script, groups.get(&script.file))).collect()
    }

    /// Returns the number of scripts in each state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(&self.status())
    }

    fn of(&self, script: &Script, group: Option<&Arc<Group>>) -> ScriptStatus {
        let processes = group.map(|group| group.processes()).unwrap_or_default();
        ScriptStatus {
            id: self.inner.id(script),
            name: script.name.to_string(),
            file: script.file.display().to_string(),
            kind: script.kind.as_str(),
            mode: script.mode().as_str(),
            uses: script.uses.in_words(),
            standing: match script.start {
                Start::Yes(_) => "started",
                Start::No(_) => "not_started",
                Start::Cannot(_) => "cannot_start",
            },
            why: script.start.why().to_owned(),
            state: group.map_or("-", |group| group.word()),
            interpreter: script.interpreter.as_ref().map(super::super::interpreter::Interpreter::in_words),
            warnings: self.warnings(script),
            fallback: (script.mode() != Mode::Daemon).then(|| match &script.settings.fallback {
                Fallback::Wait => "wait".to_owned(),
                Fallback::Worker(name) => name.to_string(),
            }),
            schedule: script.settings.schedule_in_words(),
            max_cost: script.settings.max_cost,
            processes,
        }
    }

    /// Returns the warnings of a script, including those that involve other scripts.
    fn warnings(&self, script: &Script) -> Vec<String> {
        let mut warnings = script.warnings.clone();
        let missing = script
            .settings
            .fallback
            .worker()
            .filter(|name| self.inner.options.worker_sink.get(TenantId::DEFAULT, name).is_none());
        if let Some(name) = missing.filter(|_| script.mode() != Mode::Daemon) {
            warnings.push(format!("its fallback worker `{name}` does not exist"));
        }
        warnings
    }

    fn group(&self, id: &str) -> Option<(Arc<Group>, Option<u32>)> {
        let (worker, number) = match id.split_once('.') {
            Some((worker, number)) => (worker, Some(number.parse().ok()?)),
            None => (id, None),
        };
        let group = self.inner.groups().values().find(|group| group.id == worker).cloned()?;
        let there = number.is_none_or(|number| group.processes().iter().any(|process| process.instance == number));
        there.then_some((group, number))
    }

    /// Returns the name of a worker, or of one of its processes: `NAME.2`. `None` when no started script has that id.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<String> {
        let (group, number) = self.group(id)?;
        let name = group.script().name.to_string();
        Some(number.map_or_else(|| name.clone(), |number| format!("{name}.{number}")))
    }

    /// Restarts a worker, or one of its processes, and logs why. Returns false when no started script has that id.
    #[must_use]
    pub fn restart(&self, id: &str, why: &str) -> bool {
        let Some((group, number)) = self.group(id) else { return false };
        self.again(&group, number, why);
        true
    }

    /// Restarts every process of every worker. Returns how many.
    #[must_use]
    pub fn restart_all(&self, why: &str) -> usize {
        let groups: Vec<Arc<Group>> = self.inner.groups().values().cloned().collect();
        groups.iter().map(|group| self.again(group, None, why)).sum()
    }

    fn again(&self, group: &Group, number: Option<u32>, why: &str) -> usize {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let text = presentable(&format!("restart requested{why}"), &Redactor::default());
        group.log.add(self.inner.now_ms(), number.unwrap_or(0), Stream::Kapelle, text);
        group.tell(number, &Event::Restart)
    }

    /// Sets the number of a worker's processes. Returns false when no started script has that id.
    #[must_use]
    pub fn scale(&self, id: &str, instances: u32) -> bool {
        let Some((group, None)) = self.group(id) else { return false };
        group.scale(instances);
        // With more processes, more tasks run at once.
        self.inner.post(&group);
        true
    }

    /// Returns the log of a worker, also of one that was started earlier.
    #[must_use]
    pub fn log(&self, id: &str) -> Option<Arc<Log>> {
        self.group(id).map(|(group, _)| Arc::clone(&group.log))
    }

    /// Returns why tasks of a tenant's worker wait, when a script of that name cannot work on them. Only the tenant of
    /// the folder receives details: reasons name paths of this machine.
    #[must_use]
    pub fn holds_up(&self, tenant: TenantId, worker: &str) -> Option<String> {
        let script = self.inner.found().iter().find(|script| script.name.as_str() == worker).cloned()?;
        if !script.settings.tenants.admits(tenant) {
            return None;
        }
        let why = self.cannot_work(&script)?;
        Some(if tenant == TenantId::DEFAULT { why } else { format!("worker {worker} cannot work at the moment") })
    }

    fn cannot_work(&self, script: &Script) -> Option<String> {
        let worker = &script.name;
        if script.mode() == Mode::Daemon || script.settings.fallback != Fallback::Wait {
            return None;
        }
        match &script.start {
            Start::Cannot(why) => Some(format!("worker {worker} cannot start: {why}")),
            Start::No(_) => None,
            Start::Yes(_) => {
                let group = self.inner.groups().get(&script.file).cloned()?;
                (!group.works()).then(|| format!("worker {worker} has crashed: {}", group.last_words()))
            }
        }
    }

    /// Ends every process, gracefully where possible.
    pub async fn stop(&self) {
        let watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watching) = watching {
            watching.abort();
            let _ = watching.await;
        }
        let files: Vec<PathBuf> = self.inner.groups().keys().cloned().collect();
        files.iter().for_each(|file| drop(self.inner.retire(file)));
        let found = std::mem::take(&mut *self.inner.found());
        found.iter().for_each(|script| self.inner.take_away(script));
        let ending = std::mem::take(&mut *self.inner.ending.lock().unwrap_or_else(PoisonError::into_inner));
        for end in ending {
            let _ = end.await;
        }
    }
}
