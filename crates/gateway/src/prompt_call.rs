//! The door for prompt workers in this process, which need no token: a request comes in, an answer or the offline link
//! goes out.

use std::sync::Arc;

use kapelle_core::{TenantId, worker::TextSink};

use crate::{
    access::{Grant, Holder},
    answer::Route,
    completion,
    error::GatewayError,
    gateway::{Gateway, Limits},
    money::Payer,
    replay::Source,
    request::ChatRequest,
    service::{Failure, Outcome, Request},
};

/// Test of a text, for a caller that cannot use every answer.
type Fits<'a> = Box<dyn Fn(&str) -> bool + Send + Sync + 'a>;

/// The calls of one attempt of a prompt worker, with its grant and the recorded answers that are left to it.
pub struct PromptCall<'a> {
    holder: Arc<Holder>,
    watcher: Option<Arc<dyn TextSink>>,
    fits: Option<Fits<'a>>,
}

impl<'a> PromptCall<'a> {
    /// Makes the calls of an attempt. [`Grant::of_task`] grants them to a task; a caller without a task replays nothing.
    #[must_use]
    pub fn new(grant: Grant) -> PromptCall<'a> {
        PromptCall { holder: Holder::once(grant), watcher: None, fits: None }
    }

    /// Adds a sink for answers while they are written. The provider is then asked for a stream.
    #[must_use]
    pub fn watched(mut self, watcher: Arc<dyn TextSink>) -> PromptCall<'a> {
        self.watcher = Some(watcher).filter(|watcher| watcher.is_read());
        self
    }

    /// Adds a test of answers. An answer that fails it is neither cached nor shared with equal calls.
    #[must_use]
    pub fn fitting(mut self, fits: impl Fn(&str) -> bool + Send + Sync + 'a) -> PromptCall<'a> {
        self.fits = Some(Box::new(fits));
        self
    }

    /// Shows an answer that is already complete.
    fn show(&self, text: &str) {
        if let Some(watcher) = &self.watcher {
            watcher.begin();
            watcher.add(text);
        }
    }
}

impl Gateway {
    /// Calls the models of the alias in order until one answers, for a caller that is no task.
    ///
    /// A missing or refused key falls to the next link, the offline one included. A temporary fault (rate limit,
    /// timeout, 5xx, no connection) falls to the next model, but to offline only in the last attempt, so that the
    /// task's retry rules come first. A request that the provider refuses never ends offline.
    ///
    /// # Errors
    /// [`GatewayError`] when no link may answer.
    pub async fn complete(&self, alias: &str, request: &ChatRequest, limits: &Limits) -> Result<Route, GatewayError> {
        let grant = Grant::of(Payer::of(TenantId::DEFAULT, Vec::new()));
        self.complete_for(&PromptCall::new(grant), alias, request, limits).await
    }

    /// Calls the models of the alias for an attempt of a task, as [`Gateway::complete`] does. An answer that the task
    /// had before is replayed; any other answer is paid for and recorded before it is returned. The limits of a call
    /// replace those of the grant.
    ///
    /// # Errors
    /// See [`Gateway::complete`]; also when a budget is exhausted, or an answer cannot be recorded.
    pub async fn complete_for(
        &self,
        prompt: &PromptCall<'_>,
        alias: &str,
        request: &ChatRequest,
        limits: &Limits,
    ) -> Result<Route, GatewayError> {
        let call = completion::call_of(alias, request).map_err(GatewayError::plain)?;
        let grant = &prompt.holder.grant;
        if let (Some(remote), Some(key)) = (self.remote(), grant.task) {
            return remote.complete((key.task, grant.payer.attempt), &call, limits).await.map_err(GatewayError::plain);
        }
        let (watcher, fits) = (prompt.watcher.as_deref(), prompt.fits.as_deref());
        let request = Request { call, holder: &prompt.holder, limits, watcher, tap: None, fits };
        match self.pipeline().run(self, request).await {
            Ok(Outcome::Answer(whole)) => {
                // A provider's answer was shown while it arrived.
                let shown = whole.source == Source::Provider;
                let answer = completion::answer_of(*whole).map_err(GatewayError::plain)?;
                if !shown {
                    prompt.show(&answer.content);
                }
                Ok(Route::Answer(answer))
            }
            Ok(Outcome::Stream(_)) => Failure::internal("a prompt worker's answer came as a stream").route(),
            Err(failure) => failure.route(),
        }
    }
}
