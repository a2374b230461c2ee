//! The live events of one run.

use std::{collections::VecDeque, sync::Arc};

use kapelle_api as api;
use kapelle_app::{Entry, Error, Start};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::run::Run;

/// The live events of one run, from the moment of [`Run::events`] on. The last one is the end of the run.
pub struct RunEvents {
    run: Run,
    name: String,
    missed: VecDeque<Arc<Entry>>,
    coming: Receiver<Arc<Entry>>,
    /// Whether the state of the run is to be read: at the beginning, and after events were lost.
    look: bool,
    over: bool,
}

impl RunEvents {
    pub(crate) fn new(run: Run, start: Start) -> RunEvents {
        let name = run.id.to_string();
        RunEvents { run, name, missed: start.missed.into(), coming: start.coming, look: true, over: false }
    }

    /// Waits for the next event. Returns `None` after the end of the run, and when the engine closes.
    ///
    /// A reader that is more than 1,024 events of all runs behind misses the oldest ones, but never the end.
    ///
    /// # Errors
    /// When the run does not exist, or the store fails.
    pub async fn next(&mut self) -> Result<Option<api::LiveEvent>, Error> {
        if self.over {
            return Ok(None);
        }
        if std::mem::take(&mut self.look)
            && let Some(end) = self.end().await?
        {
            return Ok(Some(end));
        }
        loop {
            let entry = match self.missed.pop_front() {
                Some(entry) => entry,
                None => match self.coming.recv().await {
                    Ok(entry) => entry,
                    Err(RecvError::Lagged(_)) => match self.end().await? {
                        Some(end) => return Ok(Some(end)),
                        None => continue,
                    },
                    Err(RecvError::Closed) => return Ok(None),
                },
            };
            if entry.body.run.as_deref() == Some(self.name.as_str()) {
                self.over = entry.body.event == api::LiveKind::RunEnded;
                return Ok(Some(entry.body.clone()));
            }
            // The hub lost events itself: the end may have been among them.
            if entry.body.event == api::LiveKind::Resync
                && let Some(end) = self.end().await?
            {
                return Ok(Some(end));
            }
        }
    }

    /// Returns the end of the run as an event, if it has ended.
    async fn end(&mut self) -> Result<Option<api::LiveEvent>, Error> {
        let run = self.run.state().await?;
        if run.ended_at.is_none() {
            return Ok(None);
        }
        self.over = true;
        Ok(Some(api::LiveEvent {
            run: Some(run.id),
            at: run.ended_at,
            state: Some(run.state.as_str().to_owned()),
            ..api::LiveEvent::of(api::LiveKind::RunEnded)
        }))
    }
}

impl std::fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RunEvents").field(&self.run.id).finish()
    }
}
