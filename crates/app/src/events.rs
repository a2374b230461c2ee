//! Live events of everything, numbered, with the latest ones kept: a client that was away briefly continues at its
//! position, and one that was away longer must reload.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_api::{LiveEvent, LiveKind};
use kapelle_core::{RunId, TenantId, task::Task};
use kapelle_engine::{Engine, Event, EventKind, LiveOutputs, Notice};
use tokio::sync::broadcast;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    to_api,
};

/// Events kept for returning clients.
const KEPT: usize = 1_024;

/// A numbered event.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Entry {
    pub tenant: TenantId,
    /// Its number since collection began.
    pub number: u64,
    /// The event for clients.
    pub body: LiveEvent,
    /// The encoded event, made once for all listeners, in each of two forms.
    forms: [OnceLock<Arc<[u8]>>; 2],
}

impl Entry {
    /// Returns the event in one of two forms. The first caller makes it.
    pub fn form(&self, form: usize, make: impl FnOnce(&Entry) -> Vec<u8>) -> Arc<[u8]> {
        self.forms[form % 2].get_or_init(|| Arc::from(make(self))).clone()
    }
}

/// Live events of everything.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Whether anybody listens: events are made only then.
    pub(crate) active: AtomicBool,
    state: Mutex<State>,
    sender: broadcast::Sender<Arc<Entry>>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Arc<Entry>>,
    next: u64,
    /// Increased whenever collection begins again: earlier cursors become invalid.
    epoch: u64,
    /// Whether the collecting task runs.
    gathering: bool,
}

/// The starting position of a listener.
pub struct Start {
    /// Events that it has missed.
    pub missed: Vec<Arc<Entry>>,
    /// Whether it has missed more than is kept.
    pub resync: bool,
    /// Events to come.
    pub coming: broadcast::Receiver<Arc<Entry>>,
    /// Prefix of its cursors.
    pub epoch: u64,
}

impl Default for Hub {
    fn default() -> Hub {
        let (sender, _) = broadcast::channel(KEPT);
        Hub { active: AtomicBool::new(false), state: Mutex::default(), sender }
    }
}

impl Hub {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from now on, or from after a cursor.
    pub fn listen(self: &Arc<Self>, engine: &Engine, cursor: Option<&str>, origin: u64) -> Start {
        let mut state = self.state();
        if !state.gathering {
            state.gathering = true;
            // Different in any two processes; otherwise a cursor of one would be valid in the other.
            state.epoch = origin.wrapping_add(state.epoch + 1);
            state.kept.clear();
            self.active.store(true, Ordering::Release);
            tokio::spawn(gather(Arc::clone(self), engine.watch()));
        }
        let epoch = state.epoch;
        let seen = cursor.map(|cursor| parse(cursor, epoch));
        let (missed, resync) = match seen {
            None => (Vec::new(), false),
            Some(None) => (Vec::new(), true),
            Some(Some(seen)) => {
                let oldest = state.kept.front().map_or(state.next, |entry| entry.number);
                let missed = state.kept.iter().filter(|entry| entry.number > seen).cloned().collect();
                (missed, seen + 1 < oldest || seen >= state.next)
            }
        };
        Start { missed, resync, coming: self.sender.subscribe(), epoch }
    }

    /// Publishes an event.
    pub fn publish(&self, tenant: TenantId, body: LiveEvent) {
        let mut state = self.state();
        let entry = Arc::new(Entry { tenant, number: state.next, body, forms: Default::default() });
        state.next += 1;
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&entry));
        let _ = self.sender.send(entry);
    }

    /// Publishes a notice about costs. Called by the loop: must be quick.
    pub fn notice(&self, notice: &Notice) {
        if !self.active.load(Ordering::Relaxed) {
            return;
        }
        match notice {
            Notice::BudgetLow { tenant, account, limit, spent } => {
                let body = LiveEvent {
                    account: Some(account.written()),
                    limit_nanousd: Some(limit.0),
                    spent_nanousd: Some(spent.0),
                    ..LiveEvent::of(LiveKind::BudgetLow)
                };
                self.publish(*tenant, body);
            }
            Notice::Parked { tenant, task, needs } => {
                let body = LiveEvent {
                    task: Some(task.to_string()),
                    needs_nanousd: Some(needs.0),
                    ..LiveEvent::of(LiveKind::TaskParked)
                };
                self.publish(*tenant, body);
            }
            Notice::Lease { .. }
            | Notice::Revoked { .. }
            | Notice::Drawn(_)
            | Notice::Spent(_)
            | Notice::Changed(_)
            | Notice::Deliveries
            | Notice::Full(_) => {}
        }
    }

    /// Publishes the end of a task. Called by the loop: must be quick.
    pub fn task_ended(&self, task: &Arc<Task>) {
        // Steps are published with their runs.
        if !self.active.load(Ordering::Acquire) || task.origin.is_some() {
            return;
        }
        self.publish(task.tenant, ended(LiveKind::TaskEnded, task));
    }
}

impl App {
    /// Listens to the events of everything from now on, or from after a cursor.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub fn listen(&self, by: &Caller, cursor: Option<&str>) -> Result<Start, AppError> {
        by.allow(Permission::Read)?;
        Ok(self.memory.hub.listen(&self.engine, cursor, self.now().0.cast_unsigned()))
    }

    /// Publishes events of tasks, costs and hosts to listeners, and counts the results of workers, from now on.
    pub fn serve(self: &Arc<Self>, settings: crate::settings::Settings) {
        self.set_up(settings);
        let (money, changes) = (Arc::clone(&self.memory.hub), Arc::clone(&self.memory.changes));
        self.engine.listen(Box::new(move |notice| {
            money.notice(notice);
            changes.notice(notice);
        }));
        let (stats, hub) = (Arc::clone(&self.memory.stats), Arc::clone(&self.memory.hub));
        let (progress, recorder) = (Arc::clone(&self.memory.progress), Arc::clone(&self.memory.recorder));
        self.record_history();
        self.engine.observe(Box::new(move |task| {
            stats.ended(task);
            recorder.ended(task);
            hub.task_ended(task);
            progress.forget(task.id);
        }));
    }

    /// Returns the text that models are writing now.
    #[must_use]
    pub fn live_output(&self) -> &Arc<LiveOutputs> {
        self.engine.live_output()
    }

    /// Returns the events of runs, to wait for one of a run. Its entries are read with [`App::entries`].
    #[must_use]
    pub fn watch_runs(&self) -> RunEvents {
        RunEvents(self.engine.watch())
    }
}

/// A receiver of events of runs.
pub struct RunEvents(broadcast::Receiver<Event>);

impl RunEvents {
    /// Waits for an event of a run, or for having missed some. Never returns once the engine has ended.
    pub async fn of(&mut self, run: RunId) {
        loop {
            match self.0.recv().await {
                Ok(event) if event.run != run => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}

/// Formats the cursor of an event.
#[must_use]
pub fn cursor(epoch: u64, number: u64) -> String {
    format!("{epoch:x}-{number:x}")
}

fn parse(cursor: &str, epoch: u64) -> Option<u64> {
    let (of, number) = cursor.split_once('-')?;
    let same = u64::from_str_radix(of, 16).ok()? == epoch;
    same.then(|| u64::from_str_radix(number, 16).ok()).flatten()
}

fn ended(kind: LiveKind, task: &Task) -> LiveEvent {
    LiveEvent {
        task: Some(task.id.to_string()),
        worker: Some(task.worker.to_string()),
        queue: Some(task.queue.to_string()),
        state: Some(task.state.kind().as_str().to_owned()),
        attempt: Some(task.epoch),
        at: task.ended_at().map(to_api::time),
        ..LiveEvent::of(kind)
    }
}

/// Collects the events of runs while anybody listens.
async fn gather(hub: Arc<Hub>, mut events: broadcast::Receiver<Event>) {
    let mut look = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => hub.publish(event.tenant, run_event(&event)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // The numbers continue with a gap, which makes every returning listener reload; present listeners
                    // are notified.
                    hub.state().next += KEPT as u64;
                    hub.publish(TenantId(0), LiveEvent::of(LiveKind::Resync));
                }
                Err(broadcast::error::RecvError::Closed) => break,
            },
            _ = look.tick() => {
                let mut state = hub.state();
                if hub.sender.receiver_count() == 0 && state.kept.is_empty() {
                    hub.active.store(false, Ordering::Release);
                    state.gathering = false;
                    return;
                }
                if hub.sender.receiver_count() == 0 {
                    // One more round, so that a client that returns at once has missed nothing.
                    state.kept.clear();
                    state.next += KEPT as u64;
                }
            }
        }
    }
    hub.state().gathering = false;
}

fn run_event(event: &Event) -> LiveEvent {
    let of = LiveEvent::of;
    let mut body = match &event.kind {
        EventKind::StepEnded { task } => ended(LiveKind::StepEnded, task),
        EventKind::RunStarted => of(LiveKind::RunStarted),
        EventKind::StepReady { task } => LiveEvent { task: Some(task.to_string()), ..of(LiveKind::StepReady) },
        EventKind::StepWaiting { task, wait } => LiveEvent {
            task: Some(task.to_string()),
            waits_for: serde_json::to_value(wait).ok(),
            ..of(LiveKind::StepWaiting)
        },
        EventKind::AttemptStarted { task, attempt } => {
            LiveEvent { task: Some(task.to_string()), attempt: Some(*attempt), ..of(LiveKind::AttemptStarted) }
        }
        EventKind::StepSkipped { reason } => {
            LiveEvent { reason: serde_json::to_value(reason).ok(), ..of(LiveKind::StepSkipped) }
        }
        EventKind::RunEnded { status } => {
            LiveEvent { state: Some(status.as_str().to_owned()), ..of(LiveKind::RunEnded) }
        }
    };
    body.run = Some(event.run.to_string());
    body.at = Some(to_api::time(event.at));
    body.step = event.step.as_ref().map(ToString::to_string);
    body
}
