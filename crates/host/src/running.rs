//! The attempts under way.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_api as api;
use kapelle_core::worker::CancelFlag;
use tokio::{task::AbortHandle, time::Instant};

/// The attempts under way, by their lease tokens. An attempt stays until its report is delivered, so that its lease is
/// renewed until then.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    cancel: CancelFlag,
    abort: Option<AbortHandle>,
    since: Instant,
    /// A heartbeat told the server that the task has arrived.
    arrived: bool,
    /// The worker has ended, and its report is on the way: the answer to that decides.
    ended: bool,
    progress: Option<(f64, String)>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attempt that is about to be started.
    pub(crate) fn begin(&self, token: &str, cancel: CancelFlag, since: Instant) {
        let entry = Entry { cancel, abort: None, since, arrived: false, ended: false, progress: None };
        self.lock().insert(token.to_owned(), entry);
    }

    /// Adds the way to abort an attempt. One that was stopped meanwhile is aborted at once.
    pub(crate) fn started(&self, token: &str, abort: AbortHandle) {
        match self.lock().get_mut(token) {
            Some(entry) => entry.abort = Some(abort),
            None => abort.abort(),
        }
    }

    /// Keeps the latest progress of an attempt for the next heartbeat.
    pub(crate) fn progress(&self, token: &str, share: f64, message: &str) {
        if let Some(entry) = self.lock().get_mut(token) {
            entry.progress = Some((share, message.to_owned()));
        }
    }

    /// Notes that an attempt ended by itself. Returns false if it had been stopped.
    pub(crate) fn end(&self, token: &str) -> bool {
        self.lock().get_mut(token).is_some_and(|entry| !std::mem::replace(&mut entry.ended, true))
    }

    /// Removes an attempt whose report was answered.
    pub(crate) fn delivered(&self, token: &str) {
        self.lock().remove(token);
    }

    /// Stops an attempt. Returns false if it has ended already.
    pub(crate) fn stop(&self, token: &str) -> bool {
        let mut entries = self.lock();
        if entries.get(token).is_none_or(|entry| entry.ended) {
            return false;
        }
        let Some(entry) = entries.remove(token) else { return false };
        entry.cancel.raise();
        if let Some(abort) = entry.abort {
            abort.abort();
        }
        true
    }

    /// Says whether it holds no attempt.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The lease tokens of all.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Says whether the server waits for a sign that an attempt has arrived, which began before `begun`.
    pub(crate) fn awaits_sign(&self, begun: Instant) -> bool {
        self.lock().values().any(|entry| !entry.arrived && entry.since <= begun)
    }

    /// The heartbeats of all.
    pub(crate) fn beats(&self) -> Vec<api::BeatTask> {
        let beat = |(token, entry): (&String, &Entry)| api::BeatTask {
            lease_token: token.clone(),
            progress: entry.progress.as_ref().map(|(share, _)| *share),
            message: entry.progress.as_ref().map(|(_, message)| message.clone()).filter(|message| !message.is_empty()),
        };
        self.lock().iter().map(beat).collect()
    }

    /// Notes that these have reached the server.
    pub(crate) fn arrived(&self, beats: &[api::BeatTask]) {
        let told: HashSet<&str> = beats.iter().map(|beat| beat.lease_token.as_str()).collect();
        for (token, entry) in &mut *self.lock() {
            entry.arrived |= told.contains(token.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_is_renewed_until_the_report_is_delivered_and_a_late_stop_does_nothing() {
        let (running, begun) = (Running::default(), Instant::now());
        running.begin("a", CancelFlag::default(), begun);
        running.progress("a", 0.5, "half");
        assert!(
            running.awaits_sign(begun) && !running.awaits_sign(begun.checked_sub(Duration::from_millis(1)).unwrap())
        );
        let beats = running.beats();
        assert_eq!((beats[0].progress, beats[0].message.as_deref()), (Some(0.5), Some("half")));
        running.arrived(&beats);
        assert!(!running.awaits_sign(begun));
        assert!(running.end("a") && !running.end("a"));
        assert!(!running.stop("a"));
        assert_eq!(running.tokens(), ["a"]);
        running.delivered("a");
        assert_eq!(running.beats(), []);
    }

    #[test]
    fn a_stopped_attempt_reports_nothing() {
        let (running, cancel) = (Running::default(), CancelFlag::default());
        running.begin("a", cancel.clone(), Instant::now());
        assert!(running.stop("a") && cancel.is_raised());
        assert!(!running.end("a") && !running.stop("a"));
    }
}
