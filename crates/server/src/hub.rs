//! Live events of everything, numbered, with the last ones kept: who was away for a moment goes on where they were, and
//! who was away for longer is told to look anew.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use kapelle::{
    core::{TenantId, Timestamp, task::Task},
    engine::{Engine, Event, EventKind, Notice},
    scripts::FleetEvent,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::{shown, stream};

/// Events kept for those who come back.
const KEPT: usize = 1_024;

/// An event of something.
#[derive(Debug)]
pub struct Entry {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its number since events are gathered.
    pub number: u64,
    /// What happened.
    body: Value,
    /// The same as it is sent, made once for all who listen.
    sse: OnceLock<Bytes>,
    text: OnceLock<Utf8Bytes>,
}

impl Entry {
    /// As a server-sent event.
    pub fn sse(&self, epoch: u64) -> Bytes {
        let made = || {
            let kind = self.body["event"].as_str().unwrap_or("event");
            stream::event(&cursor(epoch, self.number), kind, &self.body)
        };
        self.sse.get_or_init(made).clone()
    }

    /// As a message of a WebSocket.
    pub fn text(&self, epoch: u64) -> Utf8Bytes {
        let made = || {
            let mut body = self.body.clone();
            body["cursor"] = Value::from(cursor(epoch, self.number));
            Utf8Bytes::from(body.to_string())
        };
        self.text.get_or_init(made).clone()
    }
}

/// Live events of everything.
#[derive(Debug)]
pub struct Hub {
    /// Somebody listens. Nobody pays for events that nobody watches.
    active: AtomicBool,
    state: Mutex<State>,
    sender: broadcast::Sender<Arc<Entry>>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Arc<Entry>>,
    next: u64,
    /// Raised whenever gathering begins again: cursors from before are of no use.
    epoch: u64,
    /// The task that gathers.
    gathering: bool,
}

/// Where a listener begins.
pub struct Start {
    /// What it has missed.
    pub missed: Vec<Arc<Entry>>,
    /// It has missed more than is kept.
    pub resync: bool,
    /// What comes.
    pub coming: broadcast::Receiver<Arc<Entry>>,
    /// What its cursors begin with.
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

    /// Listens from now on, or from behind a cursor.
    pub fn listen(self: &Arc<Self>, engine: &Engine, cursor: Option<&str>, origin: u64) -> Start {
        let mut state = self.state();
        if !state.gathering {
            state.gathering = true;
            // Never the same in two processes, or a cursor of the one would be taken for one of the other.
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

    /// Tells of something.
    pub fn publish(&self, tenant: TenantId, body: Value) {
        let mut state = self.state();
        let entry = Arc::new(Entry { tenant, number: state.next, body, sse: OnceLock::new(), text: OnceLock::new() });
        state.next += 1;
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&entry));
        let _ = self.sender.send(entry);
    }

    /// Something has happened to a script, which is one of the folder's owner.
    pub fn script_event(&self, event: &FleetEvent) {
        if self.active.load(Ordering::Acquire) {
            let body = json!({
                "event": format!("worker_{}", event.what),
                "id": event.id,
                "worker": event.worker,
                "instance": event.instance,
                "detail": event.detail,
                "at": shown::time(Timestamp(event.at_ms)),
            });
            self.publish(TenantId::DEFAULT, body);
        }
    }

    /// Something about money. Called by the loop: quick.
    pub fn notice(&self, notice: &Notice) {
        if !self.active.load(Ordering::Relaxed) {
            return;
        }
        match notice {
            Notice::BudgetLow { tenant, account, limit, spent } => {
                let account = account.written();
                let body = json!({ "event": "budget_low", "account": account, "limit_nanousd": limit.0, "spent_nanousd": spent.0 });
                self.publish(*tenant, body);
            }
            Notice::Parked { tenant, task, needs } => {
                let body = json!({ "event": "task_parked", "task": task.to_string(), "needs_nanousd": needs.0 });
                self.publish(*tenant, body);
            }
            Notice::Lease { .. } | Notice::Drawn(_) | Notice::Spent(_) => {}
        }
    }

    /// A task has ended. Called by the loop: quick.
    pub fn task_ended(&self, task: &Arc<Task>) {
        // Steps are told of with their runs.
        if !self.active.load(Ordering::Acquire) || task.origin.is_some() {
            return;
        }
        self.publish(task.tenant, ended("task_ended", task));
    }
}

/// The cursor of an event.
pub fn cursor(epoch: u64, number: u64) -> String {
    format!("{epoch:x}-{number:x}")
}

fn parse(cursor: &str, epoch: u64) -> Option<u64> {
    let (of, number) = cursor.split_once('-')?;
    let same = u64::from_str_radix(of, 16).ok()? == epoch;
    same.then(|| u64::from_str_radix(number, 16).ok()).flatten()
}

fn ended(event: &str, task: &Task) -> Value {
    json!({
        "event": event,
        "task": task.id.to_string(),
        "worker": task.worker.as_str(),
        "queue": task.queue.as_str(),
        "state": task.state.kind().as_str(),
        "attempt": task.epoch,
        "at": task.ended_at().map(shown::time),
    })
}

/// Gathers the events of runs while somebody listens.
async fn gather(hub: Arc<Hub>, mut events: broadcast::Receiver<Event>) {
    let mut look = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => hub.publish(event.tenant, run_event(&event)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // The numbers go on with a gap, which makes every listener that comes back look anew; those who
                    // listen now are told.
                    hub.state().next += KEPT as u64;
                    hub.publish(TenantId(0), json!({ "event": "resync" }));
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
                    // One more round, so that who comes back at once has missed nothing.
                    state.kept.clear();
                    state.next += KEPT as u64;
                }
            }
        }
    }
    hub.state().gathering = false;
}

fn run_event(event: &Event) -> Value {
    let mut body = match &event.kind {
        EventKind::StepEnded { task } => ended("step_ended", task),
        EventKind::RunStarted => json!({ "event": "run_started" }),
        EventKind::StepReady { task } => json!({ "event": "step_ready", "task": task.to_string() }),
        EventKind::StepWaiting { task, wait } => {
            json!({ "event": "step_waiting", "task": task.to_string(), "for": wait })
        }
        EventKind::AttemptStarted { task, attempt } => {
            json!({ "event": "attempt_started", "task": task.to_string(), "attempt": attempt })
        }
        EventKind::StepSkipped { reason } => json!({ "event": "step_skipped", "reason": reason }),
        EventKind::RunEnded { status } => json!({ "event": "run_ended", "state": status.as_str() }),
    };
    body["run"] = json!(event.run.to_string());
    body["at"] = json!(shown::time(event.at));
    if let Some(step) = &event.step {
        body["step"] = json!(step);
    }
    body
}
