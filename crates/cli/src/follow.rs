//! Waiting for runs while showing them, until they end or somebody asks this process to end.

use kapelle::{Kapelle, RunId, core::TenantId, engine::Event};
use tokio::sync::broadcast::Receiver;

use crate::{
    app::App,
    failure::{Code, Failure},
    progress::{self, Progress},
    signals::Signals,
};

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What was waited for has ended.
    Ended,
    /// Somebody asked this process to end; what had begun was finished.
    Drained(Code),
    /// Somebody asked twice; what had begun will be begun again.
    Stopped(Code),
}

/// What is shown and waited for.
pub struct Follow<'a> {
    pub app: &'a App,
    pub kapelle: &'a Kapelle,
    pub events: Receiver<Event>,
    pub shown: Vec<Progress>,
}

impl Follow<'_> {
    /// Shows events until `done` is done or a signal comes, then lets the attempts under way finish.
    ///
    /// # Errors
    /// When `done` fails, or signals cannot be listened to.
    pub async fn until(mut self, done: impl Future<Output = Result<(), Failure>>) -> Result<End, Failure> {
        let mut signals = Signals::listen()
            .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
        let mut done = std::pin::pin!(done);
        let asked = loop {
            tokio::select! {
                biased;
                code = signals.next() => break Some(code),
                Some(event) = progress::next(&mut self.events) => self.shown.iter().for_each(|one| one.event(&event)),
                ended = &mut done => {
                    ended?;
                    break None;
                }
            }
        };
        if asked.is_some() {
            self.say("finishing the steps under way; press Ctrl-C again to stop at once");
        }
        let end = self.drain(&mut signals, asked).await;
        self.shown.drain(..).for_each(Progress::close);
        Ok(end)
    }

    async fn drain(&mut self, signals: &mut Signals, asked: Option<Code>) -> End {
        let drained = self.kapelle.drain();
        let mut drained = std::pin::pin!(drained);
        loop {
            tokio::select! {
                biased;
                code = signals.next() => return End::Stopped(code),
                Some(event) = progress::next(&mut self.events) => self.shown.iter().for_each(|one| one.event(&event)),
                () = &mut drained => break,
            }
        }
        while let Ok(event) = self.events.try_recv() {
            self.shown.iter().for_each(|one| one.event(&event));
        }
        asked.map_or(End::Ended, End::Drained)
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
