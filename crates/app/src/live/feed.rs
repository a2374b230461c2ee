//! One listener with its topics.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use kapelle_api as api;
use kapelle_core::{
    CallId, RunId, TaskId, Timestamp,
    task::{StateKind, Task, TaskState, WaitFor},
};
use kapelle_engine::{Changes, RunChange, SingleTexts, TaskChange};
use kapelle_store::{Page, StoreError, TaskFilter};
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{
    change_log::{Entry, Listening},
    delta,
    rates::Rates,
    texts::Texts,
    topic::Topic,
};
use crate::{app::App, app_error::AppError, caller::Permission, keyring::Identity};

/// The least time between two messages of a topic.
const EVERY: Duration = Duration::from_millis(100);
/// Time between two messages of `stats`, in ticks.
const STATS_TICKS: u64 = 10;
/// Topics of one listener.
const TOPICS: usize = 64;
/// Tasks that are looked up when a topic begins.
const KNOWN: u32 = 1_000;
/// Calls whose rows are read for one message.
const CALLS: usize = 500;

/// A listener: its topics, and its place in the log of changes.
pub struct LiveFeed {
    app: Arc<App>,
    who: Arc<Identity>,
    listening: Listening,
    /// The number of the next entry to read.
    next: u64,
    topics: BTreeMap<Topic, Texts>,
    /// Listens to what models write for single tasks, while such a topic is followed.
    single: Option<SingleTexts>,
    /// Listens to what models write for steps outside of this process, while a run is followed.
    steps: Option<watch::Receiver<()>>,
    /// Steps known to wait for a person, whose end is told, too; and tasks known to wait for money.
    asked: HashSet<TaskId>,
    parked: HashSet<TaskId>,
    rates: Rates,
    /// Messages that were made and not returned yet.
    made: Vec<api::LiveFrame>,
    ticks: u64,
    tick: tokio::time::Interval,
}

/// The newest changes of each row.
#[derive(Default)]
struct Merged<'a> {
    runs: BTreeMap<RunId, &'a RunChange>,
    tasks: BTreeMap<TaskId, (&'a TaskChange, Timestamp)>,
    calls: BTreeMap<CallId, ()>,
    turns: Vec<&'a Changes>,
    events: Vec<&'a api::LiveEvent>,
}

impl App {
    /// Begins to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the caller may not read.
    pub fn live_feed(self: &Arc<Self>, who: &Arc<Identity>) -> Result<LiveFeed, AppError> {
        who.allow(Permission::Read)?;
        let listening = self.memory.changes.listen(self.now());
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(LiveFeed {
            next: self.memory.changes.next(),
            app: Arc::clone(self),
            who: Arc::clone(who),
            listening,
            topics: BTreeMap::new(),
            single: None,
            steps: None,
            asked: HashSet::new(),
            parked: HashSet::new(),
            rates: Rates::default(),
            made: Vec::new(),
            ticks: 0,
            tick,
        })
    }
}

impl LiveFeed {
    /// Takes a message of the client. Topics that others serve are given in `others`, for the answer.
    pub fn hear(&mut self, request: &api::LiveRequest, others: Vec<String>) -> api::LiveFrame {
        let mut refused = Vec::new();
        for text in &request.unsubscribe {
            if let Some(topic) = Topic::parse(text) {
                self.topics.remove(&topic);
            }
        }
        for text in &request.subscribe {
            if let Err(detail) = self.follow(text) {
                refused.push(api::RefusedTopic { topic: text.chars().take(100).collect(), detail });
            }
        }
        let single = self.topics.keys().any(|topic| matches!(topic, Topic::Task(_) | Topic::Tasks));
        self.single = match self.single.take() {
            Some(kept) => Some(kept).filter(|_| single),
            None => single.then(|| self.app.live_output().take_single()),
        };
        let runs = self.topics.keys().any(|topic| matches!(topic, Topic::Run(_)));
        self.steps = runs.then(|| self.steps.take().unwrap_or_else(|| self.app.live_output().watch()));
        // Entries from before the first topic belong to nobody, unless the client says where it was.
        let resync = request.cursor.as_deref().is_some_and(|cursor| !self.go_to(cursor));
        let subscribed = self.topics.keys().map(ToString::to_string).chain(others).collect();
        api::LiveFrame {
            subscribed: Some(subscribed),
            refused,
            resync,
            cursor: Some(self.cursor()),
            ..api::LiveFrame::default()
        }
    }

    fn follow(&mut self, text: &str) -> Result<(), String> {
        let topic = Topic::parse(text).ok_or_else(|| {
            "unknown topic; expected runs, run:ID, tasks, task:ID, workers, queues, money, approvals, logs:ID or stats"
                .to_owned()
        })?;
        if self.topics.contains_key(&topic) {
            return Ok(());
        }
        if self.topics.len() >= TOPICS {
            return Err(format!("{TOPICS} topics are followed already; expected fewer; unsubscribe from one"));
        }
        let known = match &topic {
            Topic::Run(run) => self.app.has_run(&self.who, *run).map(|_| ()),
            Topic::Task(task) => self.app.one_task(self.who.tenant, *task).map(|_| ()),
            _ => Ok(()),
        };
        known.map_err(|error| error.to_string())?;
        match &topic {
            Topic::Approvals => self.asked = self.in_state(StateKind::Waiting, is_approval)?,
            Topic::Money => self.parked = self.in_state(StateKind::Parked, |_| true)?,
            _ => {}
        }
        let texts = Texts::of(self.app.live_output(), &topic);
        self.topics.insert(topic, texts);
        Ok(())
    }

    /// Returns the newest tasks in a state, so that their leaving it is told.
    fn in_state(&self, state: StateKind, wanted: impl Fn(&Task) -> bool) -> Result<HashSet<TaskId>, String> {
        let filter = TaskFilter { state: Some(state), steps: true, ..TaskFilter::default() };
        let page = Page { before: None, most: KNOWN };
        let found = self.app.reader().tasks(self.who.tenant, &filter, page);
        let found = found.map_err(|error| AppError::from(error).to_string())?;
        Ok(found.iter().filter(|task| wanted(task)).map(|task| task.id).collect())
    }

    /// Returns the place of this listener, for its next connection.
    fn cursor(&self) -> String {
        format!("{:x}-{:x}", self.listening.epoch, self.next)
    }

    /// Continues at a cursor. Returns false when what came after it is not known.
    fn go_to(&mut self, cursor: &str) -> bool {
        let place = cursor.split_once('-').and_then(|(epoch, next)| {
            Some((u64::from_str_radix(epoch, 16).ok()?, u64::from_str_radix(next, 16).ok()?))
        });
        match place {
            Some((epoch, next)) if epoch == self.listening.epoch && next <= self.app.memory.changes.next() => {
                self.next = next;
                true
            }
            _ => false,
        }
    }

    /// Waits for changes, and returns a message for each topic that has some.
    pub async fn frames(&mut self) -> Vec<api::LiveFrame> {
        loop {
            self.tick.tick().await;
            self.ticks += 1;
            // Kept while the counts are made: this may be dropped meanwhile.
            let changed = self.changed();
            self.made.extend(changed);
            if self.ticks.is_multiple_of(STATS_TICKS) && self.topics.contains_key(&Topic::Stats) {
                let stats = self.stats().await;
                self.made.extend(stats);
            }
            if !self.made.is_empty() {
                return std::mem::take(&mut self.made);
            }
        }
    }

    async fn stats(&mut self) -> Option<api::LiveFrame> {
        let counts = self.app.counts(&self.who).await.ok()?;
        let per_s = self.rates.since_last(&self.app, self.who.tenant, &counts);
        let at = crate::to_api::time(self.app.now());
        let stats = Some(api::LiveStats { at, counts: (*counts).clone(), per_s });
        Some(api::LiveFrame { topic: Topic::Stats.to_string(), stats, ..api::LiveFrame::default() })
    }

    fn changed(&mut self) -> Vec<api::LiveFrame> {
        let unseen = self.app.memory.changes.since(self.next);
        self.next = unseen.next;
        let mut merged = Merged::default();
        for entry in &unseen.entries {
            self.merge(entry, &mut merged);
        }
        let mut frames = Vec::new();
        let outputs = Arc::clone(self.app.live_output());
        let mut topics = std::mem::take(&mut self.topics);
        for (topic, texts) in &mut topics {
            let mut frame = self.frame(topic, &merged).unwrap_or_else(|_| resync());
            frame.resync |= unseen.lost && *topic != Topic::Stats;
            frame.texts = texts.read(&outputs, topic);
            if frame == api::LiveFrame::default() {
                continue;
            }
            frames.push(api::LiveFrame { topic: topic.to_string(), cursor: Some(self.cursor()), ..frame });
        }
        self.topics = topics;
        frames
    }

    /// Adds what belongs to the listener's tenant.
    fn merge<'a>(&self, entry: &'a Entry, merged: &mut Merged<'a>) {
        let tenant = self.who.tenant;
        let turn = match entry {
            Entry::Event(of, event) => {
                if *of == tenant {
                    merged.events.push(event);
                }
                return;
            }
            Entry::Turn(turn) => turn,
        };
        merged.runs.extend(turn.runs.iter().filter(|run| run.tenant == tenant).map(|run| (run.id, run)));
        let tasks = turn.tasks.iter().filter(|task| task.tenant == tenant);
        merged.tasks.extend(tasks.map(|task| (task.id, (task, turn.at))));
        // The tenant of a settled call is known by its row.
        merged.calls.extend(turn.calls.iter().map(|call| (call.id, ())));
        merged.turns.push(turn);
    }

    /// Returns what changed of a topic.
    fn frame(&mut self, topic: &Topic, merged: &Merged<'_>) -> Result<api::LiveFrame, StoreError> {
        let mut frame = api::LiveFrame::default();
        let tasks = || merged.tasks.values();
        let told = |(task, at): &(&TaskChange, Timestamp)| delta::task(task, *at);
        let tenant = self.who.tenant;
        match topic {
            Topic::Runs => frame.runs = merged.runs.values().map(|run| delta::run(run)).collect(),
            Topic::Run(id) => {
                frame.run = merged.runs.get(id).map(|run| delta::run(run));
                let own = |task: &TaskChange| task.step.as_ref().is_some_and(|(run, _)| run == id);
                frame.steps = tasks().filter(|(task, _)| own(task)).map(told).collect();
            }
            Topic::Tasks => frame.tasks = tasks().filter(|(task, _)| task.step.is_none()).map(told).collect(),
            Topic::Task(id) => frame.tasks = merged.tasks.get(id).map(told).into_iter().collect(),
            Topic::Workers => frame.events = merged.events.iter().map(|event| (*event).clone()).collect(),
            Topic::Queues => {
                let gates = merged.turns.iter().flat_map(|turn| &turn.gates);
                frame.gates = gates.filter(|gate| gate.tenant == tenant).map(delta::gate).collect();
            }
            Topic::Approvals => {
                let asked = &mut self.asked;
                let shown = tasks().filter(|(task, _)| kept(asked, task.id, task.wait == Some("approval")));
                frame.tasks = shown.map(told).collect();
            }
            Topic::Money => {
                let parked = &mut self.parked;
                let shown = tasks().filter(|(task, _)| kept(parked, task.id, task.needs.is_some()));
                frame.tasks = shown.map(told).collect();
                let budgets = merged.turns.iter().flat_map(|turn| &turn.budgets);
                frame.budgets = budgets.filter(|budget| budget.tenant == tenant).map(delta::budget).collect();
                frame.resync = merged.calls.len() > CALLS;
                for id in merged.calls.keys().take(CALLS) {
                    frame.calls.extend(self.app.reader().call(tenant, *id)?.as_ref().map(delta::call));
                }
            }
            Topic::Stats => {}
        }
        Ok(frame)
    }
}

fn is_approval(task: &Task) -> bool {
    matches!(task.state, TaskState::Waiting(WaitFor::Approval { .. }))
}

fn resync() -> api::LiveFrame {
    api::LiveFrame { resync: true, ..api::LiveFrame::default() }
}

/// Says whether a row is in a state that is followed, or just left it.
fn kept(known: &mut HashSet<TaskId>, id: TaskId, is_in: bool) -> bool {
    if is_in {
        known.insert(id);
        return true;
    }
    known.remove(&id)
}
