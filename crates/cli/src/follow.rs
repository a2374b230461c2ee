//! Waiting for runs while showing them, until they end or this process is asked to end.

use kapelle::{
    Kapelle, RunId,
    core::{TenantId, task::WaitFor},
    engine::{Event, EventKind},
};
use tokio::sync::broadcast::Receiver;

use crate::{
    app::App,
    failure::{Code, Failure},
    progress::{self, Progress},
    signals::Signals,
};

/// The way in which waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The awaited work has ended.
    Ended,
    /// This process was asked to end; running attempts were finished.
    Drained(Code),
    /// This process was asked to end twice; running attempts will start again.
    Stopped(Code),
}

/// The display and the wait.
pub struct Follow<'a> {
    /// The display of each run.
    pub shown: Vec<Progress>,
    app: &'a App,
    kapelle: &'a Kapelle,
    events: Receiver<Event>,
    signals: Signals,
}

impl<'a> Follow<'a> {
    /// Listens to events and signals from now on: made before anything is started, so that nothing is missed.
    ///
    /// # Errors
    /// When the system does not deliver signals.
    pub fn new(app: &'a App, kapelle: &'a Kapelle) -> Result<Follow<'a>, Failure> {
        let signals = Signals::listen()
            .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
        Ok(Follow { app, kapelle, events: kapelle.engine().watch(), signals, shown: Vec::new() })
    }

    /// Shows events until `done` completes or a signal comes, then lets the running attempts finish.
    ///
    /// # Errors
    /// When `done` fails.
    pub async fn until(mut self, done: impl Future<Output = Result<(), Failure>>) -> Result<End, Failure> {
        let mut done = std::pin::pin!(done);
        let asked = loop {
            tokio::select! {
                biased;
                code = self.signals.next() => break Some(code),
                Some(event) = progress::next(&mut self.events) => {
                    self.shown.iter().for_each(|one| one.event(self.kapelle.app(), &event));
                    self.waits(&event);
                }
                ended = &mut done => {
                    ended?;
                    break None;
                }
            }
        };
        if asked.is_some() {
            self.say("finishing the running steps; press Ctrl-C again to stop now");
        }
        let end = self.drain(asked).await;
        self.shown.drain(..).for_each(Progress::close);
        Ok(end)
    }

    async fn drain(&mut self, asked: Option<Code>) -> End {
        let drained = self.kapelle.drain();
        let mut drained = std::pin::pin!(drained);
        loop {
            tokio::select! {
                biased;
                code = self.signals.next() => return End::Stopped(code),
                Some(event) = progress::next(&mut self.events) => self.shown.iter().for_each(|one| one.event(self.kapelle.app(), &event)),
                () = &mut drained => break,
            }
        }
        while let Ok(event) = self.events.try_recv() {
            self.shown.iter().for_each(|one| one.event(self.kapelle.app(), &event));
        }
        asked.map_or(End::Ended, End::Drained)
    }

    /// Reports what a step waits for, if a person has to provide it.
    fn waits(&self, event: &Event) {
        let EventKind::StepWaiting { task, wait } = &event.kind else { return };
        let step = event.step.as_deref().unwrap_or("a step");
        let run = event.run;
        let other = "from another terminal once this process has ended (Ctrl-C)";
        match wait {
            WaitFor::Approval { .. } => {
                self.say(&format!("{step} waits for an approval: `kapelle approvals approve {task}`, {other}"));
            }
            WaitFor::Signal { name, .. } => {
                self.say(&format!("{step} waits for a signal: `kapelle runs signal {run} {name}`, {other}"));
            }
            WaitFor::Timer { until } => self.say(&format!("{step} waits until {}", crate::shown::time(*until))),
            WaitFor::Run(child) => self.say(&format!("{step} waits for {child}")),
            WaitFor::Scope(_) => {}
        }
    }

    fn say(&self, text: &str) {
        match self.shown.first() {
            Some(one) => one.say(text),
            None => self.app.out.note(text),
        }
    }
}

/// Waits until a run has ended.
///
/// # Errors
/// When the engine stops.
pub async fn run_ended(kapelle: &Kapelle, run: RunId) -> Result<(), Failure> {
    kapelle.engine().wait_run(TenantId::DEFAULT, run).await?;
    Ok(())
}
