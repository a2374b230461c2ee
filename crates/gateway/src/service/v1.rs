//! The door for scripts and SDKs: bytes of a request and a token come in, a reply goes out.

use std::sync::{Arc, OnceLock};

use kapelle_core::{Category, Money, worker::TextSink};
use serde_json::json;
use tokio::select;

use super::{Body, Failure, Outcome, Reply, Request, pipeline::admit};
use crate::{
    access::{Grant, Holder, Tokens},
    gateway::Gateway,
    watched::{Speaking, Tap, WatchedTasks},
    wire::{Door, ModelCall, Operation, Refusal},
};

/// The gateway with its tokens.
pub struct Service {
    gateway: Arc<Gateway>,
    tokens: Tokens,
    watched: OnceLock<Arc<dyn WatchedTasks>>,
}

impl Service {
    /// Makes a service over a gateway, whose ledger, log and cache it uses.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Service {
        Service { gateway, tokens: Tokens::default(), watched: OnceLock::new() }
    }

    /// Shows the text of calls to those who watch the task of their token. Later calls of this method change nothing.
    pub fn show_to(&self, watched: Arc<dyn WatchedTasks>) {
        let _ = self.watched.set(watched);
    }

    /// Returns the tokens in force, to issue and revoke them.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Answers one request. `token` is the text after `Bearer`; no other header of the caller counts.
    ///
    /// Every failure is a [`Reply`] in the shape of the door: 400 bad request, 401 unknown or revoked token, 402 budget
    /// exhausted, 403 model not granted, 429 rate, 5xx as the message says.
    pub async fn call(&self, operation: Operation, token: &str, body: &[u8]) -> Reply {
        match self.tokens.find(token) {
            Some(holder) => self.serve(operation, &holder, body).await,
            None => Reply::refused(&no_token(), operation.door()),
        }
    }

    /// Answers one request of a caller that was authenticated elsewhere, such as the holder of an API key.
    pub async fn call_as(&self, operation: Operation, grant: Grant, body: &[u8]) -> Reply {
        self.serve(operation, &Holder::once(grant), body).await
    }

    async fn serve(&self, operation: Operation, holder: &Arc<Holder>, body: &[u8]) -> Reply {
        let mut ended = holder.ended();
        let work = self.answer(operation, holder, body);
        // The sender lives in the holder, which lives here: waiting cannot fail.
        let done = select! {
            done = work => done,
            _ = ended.wait_for(|&ended| ended) => Err(no_token()),
        };
        let door = operation.door();
        done.map(|reply| reply.named(door)).unwrap_or_else(|refusal| Reply::refused(&refusal, door))
    }

    async fn answer(&self, operation: Operation, holder: &Arc<Holder>, body: &[u8]) -> Result<Reply, Refusal> {
        let call = ModelCall::parse(operation, body)?;
        let limits = holder.grant.limits();
        let watched = self.watched.get();
        let speaking = watched.and_then(|watched| Speaking::of(&call, holder, &**watched));
        let (watcher, tap) = match speaking {
            Some(speaking) if call.stream => (None, Some(Tap::new(speaking, operation))),
            other => (other, None),
        };
        let watcher = watcher.as_ref().map(|watcher| watcher as &dyn TextSink);
        let request = Request { call, holder, limits: &limits, watcher, tap, fits: None };
        match self.gateway.pipeline().run(&self.gateway, request).await.map_err(Failure::refusal)? {
            Outcome::Answer(answer) => {
                let paid = if answer.bought.is_some() { answer.recorded.cost } else { Money::ZERO };
                Ok(Reply::recorded(&answer.recorded, answer.source, paid))
            }
            Outcome::Stream(stream) => Ok(Reply::streamed(stream)),
        }
    }

    /// Answers `GET /v1/models`: the aliases that the token may name.
    pub fn models(&self, token: &str) -> Reply {
        match self.tokens.find(token) {
            Some(holder) => self.models_as(&holder.grant),
            None => Reply::refused(&no_token(), Door::Openai),
        }
    }

    /// Answers `POST /v1/messages/count_tokens`: an estimate that costs nothing, as limits and rates use it.
    pub fn count(&self, token: &str, body: &[u8]) -> Reply {
        match self.tokens.find(token) {
            Some(holder) => self.count_as(&holder.grant, body),
            None => Reply::refused(&no_token(), Door::Anthropic),
        }
    }

    /// Answers `POST /v1/messages/count_tokens` for a caller that was authenticated elsewhere.
    #[must_use]
    pub fn count_as(&self, grant: &Grant, body: &[u8]) -> Reply {
        let counted = || {
            let call = ModelCall::counted(body)?;
            admit(grant, &call.model).map_err(Failure::refusal)?;
            self.gateway.routes().find(&call.model).map_err(|error| Refusal::unknown_model(&error))?;
            Ok(json!({ "input_tokens": call.input_estimate() }))
        };
        let headers = vec![("content-type", "application/json".to_owned())];
        match counted() {
            Ok(count) => {
                Reply { status: 200, headers, body: Body::Whole(count.to_string().into_bytes()) }.named(Door::Anthropic)
            }
            Err(refusal) => Reply::refused(&refusal, Door::Anthropic),
        }
    }

    /// Answers `GET /v1/models` for a caller that was authenticated elsewhere.
    #[must_use]
    pub fn models_as(&self, grant: &Grant) -> Reply {
        let routes = self.gateway.routes();
        let model = |id: &String| json!({ "id": id, "object": "model", "created": 0, "owned_by": "kapelle" });
        let names = routes.chains.keys().filter(|name| grant.allows(name));
        let list = json!({ "object": "list", "data": names.map(model).collect::<Vec<_>>() });
        let headers = vec![("content-type", "application/json".to_owned())];
        Reply { status: 200, headers, body: Body::Whole(list.to_string().into_bytes()) }
    }
}

fn no_token() -> Refusal {
    let message = "this token is unknown here, or has ended with its attempt or process".to_owned();
    Refusal::new(401, "invalid_token", Category::LeaseLost, message)
}
