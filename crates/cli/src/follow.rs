//! Waiting for runs while showing them, until they end or this process is asked to end.

use std::collections::HashSet;

use kapelle::{
    Kapelle, RunId,
    core::{TenantId, task::WaitFor},
    engine::{Event, EventKind},
};
use kapelle_api::Waiting;
use tokio::sync::broadcast::Receiver;

use crate::{
    app::App,
    describe::StepView,
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
    /// Tasks of steps whose wait for a person or a signal is reported.
    waits: HashSet<String>,
}

impl<'a> Follow<'a> {
    /// Listens to events and signals from now on: made before anything is started, so that nothing is missed.
    ///
    /// # Errors
    /// When the system does not deliver signals.
    pub fn new(app: &'a App, kapelle: &'a Kapelle) -> Result<Follow<'a>, Failure> {
        let signals = Signals::listen()
            .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
        Ok(Follow { app, kapelle, events: kapelle.engine().watch(), signals, shown: Vec::new(), waits: HashSet::new() })
    }

    /// Shows a run that was under way before, with its steps as they are now. Their events since this was made are in
    /// that state or still come.
    pub fn resumed(&mut self, progress: Progress, run: &str, steps: &[StepView], alone: bool) {
        if alone {
            steps.iter().for_each(|step| progress.ended_before(step));
        }
        self.shown.push(progress);
        for step in steps {
            if let Some(task) = &step.task
                && let Some(waiting) = &task.waiting
            {
                self.wait(&step.name, run, &task.id, waiting);
            }
        }
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
    fn waits(&mut self, event: &Event) {
        let EventKind::StepWaiting { task, wait } = &event.kind else { return };
        let step = event.step.as_deref().unwrap_or("a step");
        let run = event.run.to_string();
        match wait {
            WaitFor::Approval { .. } => {
                self.wait(step, &run, &task.to_string(), &Waiting::Approval { task: task.to_string() });
            }
            WaitFor::Signal { name, .. } => {
                self.wait(step, &run, &task.to_string(), &Waiting::Signal { signal: name.to_string() });
            }
            WaitFor::Timer { until } => self.say(&format!("{step} waits until {}", crate::shown::time(*until))),
            WaitFor::Run(child) => self.say(&format!("{step} waits for {child}")),
            WaitFor::Scope(_) => {}
        }
    }

    /// Reports the wait of a step once, if a person or another program has to end it.
    fn wait(&mut self, step: &str, run: &str, task: &str, waiting: &Waiting) {
        let what = match waiting {
            Waiting::Approval { task } => format!("an approval: `kapelle approvals approve {task}`"),
            Waiting::Signal { signal } => format!("a signal: `kapelle runs signal {run} {signal}`"),
            _ => return,
        };
        if self.waits.insert(task.to_owned()) {
            self.say(&format!("{step} waits for {what}, from another terminal once this process has ended (Ctrl-C)"));
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
