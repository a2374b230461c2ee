//! One process of a script, from its first start to its last end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kapelle_supervisor::{
    helper_process::LaunchError,
    machine::{Cause, Effect, Event, Exit, Machine},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{FleetEvent, ProcessStatus, group::Group, handle::Inner, process::RunningProcess};
use crate::{log::Stream, token::Shortage};

/// Time limit for a changed process to become ready; then the next one is changed.
const TURN: Duration = Duration::from_secs(60);

/// Interval at which a parked process looks for money, and the longer one when it is parked again after a short life.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_LATER: Duration = Duration::from_secs(30);
/// A life that is short, in milliseconds.
const SHORT_LIFE_MS: i64 = 10_000;

/// An order to processes; with a number, only to the process of that id.
pub(super) type Order = (Option<i32>, Event);

/// One process of a script.
pub(super) struct Instance {
    pub(super) number: u32,
    orders: mpsc::UnboundedSender<Order>,
    shown: watch::Receiver<ProcessStatus>,
    close: watch::Sender<bool>,
    life: Mutex<Option<JoinHandle<()>>>,
}

impl Instance {
    /// Starts it.
    pub(super) fn begin(inner: &Arc<Inner>, group: &Arc<Group>, number: u32) -> Instance {
        let (orders, inbox) = mpsc::unbounded_channel();
        let id = format!("{}.{number}", group.id);
        let first = ProcessStatus { id, instance: number, state: "starting", ..ProcessStatus::default() };
        let (show, shown) = watch::channel(first);
        let (close, closing) = watch::channel(false);
        // A scheduled process waits for its first time.
        let due = group.due_in(inner.now_ms()).map(|wait| inner.steady_ms().saturating_add(wait));
        let life = Life {
            inner: Arc::clone(inner),
            group: Arc::clone(group),
            number,
            machine: due.map_or_else(|| Machine::new(group.policy()), |due| Machine::due(group.policy(), due)),
            orders: orders.clone(),
            live: None,
            show,
            started_ms: None,
            shortage: None,
            parked_twice: false,
        };
        let life = tokio::spawn(life.run(inbox, closing));
        if due.is_none() {
            let _ = orders.send((None, Event::Start));
        }
        Instance { number, orders, shown, close, life: Mutex::new(Some(life)) }
    }

    pub(super) fn tell(&self, event: Event) {
        let _ = self.orders.send((None, event));
    }

    pub(super) fn status(&self) -> ProcessStatus {
        self.shown.borrow().clone()
    }

    /// Ends it for good.
    pub(super) fn close(&self) {
        self.close.send_replace(true);
    }

    /// Waits until it has ended for good.
    pub(super) async fn closed(&self) {
        let life = self.life.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(life) = life {
            let _ = life.await;
        }
    }

    /// Restarts it with the current text. The future completes when the process works again, or has failed to.
    pub(super) fn roll(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut shown = self.shown.clone();
        let before = shown.borrow().pid;
        self.tell(Event::Restart);
        async move {
            let turned = shown.wait_for(|status| {
                let fresh = status.pid.is_some() && status.pid != before && status.state == "running";
                fresh || matches!(status.state, "crashed" | "waiting" | "finished" | "stopped" | "parked")
            });
            let _ = tokio::time::timeout(TURN, turned).await;
        }
    }
}

struct Life {
    inner: Arc<Inner>,
    group: Arc<Group>,
    number: u32,
    machine: Machine,
    orders: mpsc::UnboundedSender<Order>,
    live: Option<RunningProcess>,
    show: watch::Sender<ProcessStatus>,
    started_ms: Option<i64>,
    /// Money that it lacked when it was parked last.
    shortage: Option<Shortage>,
    /// Whether it was parked again soon after its start.
    parked_twice: bool,
}

impl Life {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>, mut closing: watch::Receiver<bool>) {
        let mut closed = false;
        if self.machine.word() == "waiting" {
            self.tell("stopped", None);
        }
        loop {
            let room = self.room();
            let deadline = self.machine.deadline().map(|at| self.inner.begun + Duration::from_millis(at));
            let event = tokio::select! {
                order = inbox.recv() => match order {
                    Some((Some(pid), _)) if self.machine.pid() != Some(pid) => continue,
                    Some((_, event)) => event,
                    None => return,
                },
                _ = closing.wait_for(|close| *close), if !closed => {
                    closed = true;
                    Event::Close
                }
                exit = ended(&mut self.live) => match exit.cause {
                    Some(Cause::HelperLost) => Event::Lost,
                    _ => Event::Exited(exit),
                },
                () = at(deadline) => Event::Time,
                () = room => Event::Start,
            };
            self.handle(event).await;
            if self.machine.is_over() {
                return;
            }
        }
    }

    /// Handles an event, and the events that follow from it at once.
    async fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let before = self.machine.word();
            let event = self.judge(event, before);
            let exit = match &event {
                Event::Exited(exit) | Event::Broke(exit) => Some(exit.clone()),
                Event::Lost => Some(Exit::because(Cause::HelperLost)),
                _ => None,
            };
            if exit.is_some() {
                let asked = before == "stopping" || matches!(event, Event::Lost);
                self.bury(asked).await;
            }
            if let (Event::Exited(_), Some(wait)) = (&event, self.group.due_in(self.inner.now_ms())) {
                let due = self.inner.steady_ms().saturating_add(wait);
                self.machine.policy.every_ms = self.machine.started_at().map(|started| due.saturating_sub(started));
            }
            let refused = matches!(event, Event::Refused(_));
            let effect = self.machine.handle(event, self.inner.steady_ms());
            let exit = exit.or_else(|| self.machine.last().filter(|_| refused).cloned());
            self.tell(before, exit);
            match effect {
                Some(Effect::Spawn) => next = Some(self.spawn().await),
                Some(Effect::Terminate) => self.live.iter().for_each(|live| live.handle().terminate()),
                Some(Effect::Kill) => self.live.iter().for_each(|live| live.handle().kill()),
                None => {}
            }
        }
    }

    /// Turns a failure after a call that was refused for lack of money into the wait for more.
    fn judge(&mut self, event: Event, before: &str) -> Event {
        match event {
            Event::Exited(exit) if !exit.is_success() && matches!(before, "starting" | "running") => {
                let lived = self.started_ms.map_or(i64::MAX, |at| self.inner.now_ms().saturating_sub(at));
                self.parked_twice = self.shortage.is_some() && lived < SHORT_LIFE_MS;
                self.shortage = self.live.as_ref().and_then(RunningProcess::shortage);
                if self.shortage.is_some() { Event::Broke(exit) } else { Event::Exited(exit) }
            }
            event => event,
        }
    }

    /// Waits until a parked process could pay again. A process that was parked soon after its start is started less
    /// often: others may use up the money before it does.
    fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let shortage = self.shortage.clone().filter(|_| self.machine.word() == "parked");
        let every = if self.parked_twice { LOOK_LATER } else { LOOK };
        let (inner, worker) = (Arc::clone(&self.inner), self.group.script().name.clone());
        async move {
            let Some(shortage) = shortage else { return std::future::pending().await };
            loop {
                tokio::time::sleep(every).await;
                if inner.options.tokens.has_room(&worker, &shortage) {
                    return;
                }
            }
        }
    }

    async fn spawn(&mut self) -> Event {
        match RunningProcess::start(&self.inner, &self.group, self.number, self.orders.clone()).await {
            Ok(live) => {
                let pid = live.handle().pid();
                self.started_ms = Some(self.inner.now_ms());
                self.live = Some(live);
                Event::Spawned { pid }
            }
            Err(LaunchError::Refused(message) | LaunchError::NoHelper(message)) => Event::Refused(message),
        }
    }

    /// Cleans up after its process has ended: reads the rest of its output and revokes its token.
    async fn bury(&mut self, asked: bool) {
        self.group.seats.gone(self.number, asked);
        if let Some(live) = self.live.take() {
            live.finish().await;
        }
    }

    /// Publishes the state, and an event when the state changed or a process ended.
    fn tell(&mut self, before: &'static str, exit: Option<Exit>) {
        let (word, now) = (self.machine.word(), self.inner.now_ms());
        let wait = match self.machine.state() {
            kapelle_supervisor::machine::State::Waiting { until } => Some(until.saturating_sub(self.inner.steady_ms())),
            _ => None,
        };
        let last = exit.as_ref().and(self.machine.last());
        let parked = self.shortage.as_ref().filter(|_| word == "parked").map(|shortage| shortage.why.clone());
        let detail = parked
            .clone()
            .unwrap_or_else(|| describe(word, last, wait, self.machine.failures(), self.machine.policy.tries));
        let news = word != before || exit.is_some();
        // Anybody that sees the state finds the reason in the log.
        if news {
            self.group.log.add(now, self.number, Stream::Kapelle, detail.clone());
        }
        self.show.send_modify(|status| {
            status.state = word;
            status.pid = self.machine.pid();
            status.started_at_ms = self.machine.pid().and(self.started_ms);
            status.next_start_ms = wait.map(|wait| now.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)));
            status.restarts = self.machine.restarts();
            status.runs = self.machine.runs();
            status.failures = self.machine.failures();
            status.parked = parked;
            if exit.is_some() {
                status.last_exit = self.machine.last().cloned();
                status.last_exit_ms = Some(now);
            }
        });
        if word == "running" && before != "running" {
            let live = self.live.as_ref();
            live.and_then(RunningProcess::seat).into_iter().for_each(|seat| self.group.seats.add(seat));
        }
        if !news {
            return;
        }
        self.inner.tell(FleetEvent {
            at_ms: now,
            id: self.group.id.clone(),
            worker: self.group.script().name.to_string(),
            instance: Some(self.number),
            what: word,
            detail,
            exit: last.cloned(),
            pid: self.machine.pid(),
        });
        if matches!(word, "crashed" | "running" | "finished") {
            self.group.standing_changed();
        }
    }
}

fn describe(word: &str, exit: Option<&Exit>, wait: Option<u64>, failures: u32, tries: u32) -> String {
    let swept = exit.map_or(0, |exit| exit.swept);
    let left = if swept > 0 { format!(", {swept} processes that it left behind were ended") } else { String::new() };
    match (word, exit) {
        ("waiting", Some(exit)) => {
            let count = if failures > 0 { format!(" (try {failures} of {tries})") } else { String::new() };
            format!("ended: {exit}{left}; next start in {}{count}", in_words(wait.unwrap_or(0)))
        }
        ("waiting", None) => format!("scheduled start in {}", in_words(wait.unwrap_or(0))),
        ("crashed", Some(exit)) => format!("ended: {exit}{left}; {failures} failures in a row, no further restart"),
        (_, Some(exit)) => format!("{word}: {exit}{left}"),
        (_, None) => word.to_owned(),
    }
}

/// Formats a wait with its largest fitting unit, rounded to the nearest whole number.
fn in_words(ms: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    UNITS
        .iter()
        .find(|(unit, _)| ms >= 2 * unit)
        .map_or_else(|| format!("{ms} ms"), |(unit, name)| format!("{} {name}", (ms + unit / 2) / unit))
}

async fn ended(live: &mut Option<RunningProcess>) -> Exit {
    match live {
        Some(live) => live.ended().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
