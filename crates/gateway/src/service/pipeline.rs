//! One call from its token to its answer.

use std::{mem, sync::Arc};

use kapelle_core::{Category, Money, TaskError};
use serde_json::json;
use tokio::{select, time::Instant};

use super::{Body, Reply, ReplyStream, deliver::Delivery, stream::Opening};
use crate::{
    access::{Grant, Holder, Tokens},
    answer::Hop,
    chain_call::{ChainCall, End},
    gateway::{Gateway, give_up, tell_short},
    money::Ledger,
    providers::{Fault, format::used},
    replay::{Cache, CallLog, Fingerprint, Flights, Landed, LogError, Recorded, ReplayCursor, ReplaySource, Role},
    upstream_response::{UpstreamBody, UpstreamResponse},
    wire::{ModelCall, NO_MODEL, Operation, Refusal},
};

/// The gateway with its tokens, ledger, log and cache.
pub struct Service {
    gateway: Arc<Gateway>,
    ledger: Arc<dyn Ledger>,
    log: Arc<dyn CallLog>,
    tokens: Tokens,
    cache: Arc<Cache>,
    flights: Arc<Flights>,
}

/// Result of the search for an existing answer.
enum Found {
    /// An answer and its source.
    Answer(Recorded, &'static str),
    /// A provider has to be called.
    Ask(Delivery),
}

impl Service {
    /// Makes a service over a gateway, a ledger and a log of calls.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, ledger: Arc<dyn Ledger>, log: Arc<dyn CallLog>) -> Service {
        Service { gateway, ledger, log, tokens: Tokens::default(), cache: Arc::default(), flights: Arc::default() }
    }

    /// Returns the tokens in force, to issue and revoke them.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Answers one request. `token` is the text after `Bearer`; no other header of the caller counts.
    ///
    /// Every failure is a [`Reply`] in OpenAI's shape: 400 bad request, 401 unknown or revoked token, 402 budget
    /// exhausted, 403 model not granted, 429 rate, 5xx as the message says.
    pub async fn call(&self, operation: Operation, token: &str, body: &[u8]) -> Reply {
        match self.tokens.find(token) {
            Some(holder) => self.serve(operation, &holder, body).await,
            None => Reply::refused(&no_token()),
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
        done.unwrap_or_else(|refusal| Reply::refused(&refusal))
    }

    /// Answers `GET /v1/models`: the aliases that the token may name.
    pub fn models(&self, token: &str) -> Reply {
        match self.tokens.find(token) {
            Some(holder) => self.models_as(&holder.grant),
            None => Reply::refused(&no_token()),
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

    async fn answer(&self, operation: Operation, holder: &Arc<Holder>, body: &[u8]) -> Result<Reply, Refusal> {
        let until = Instant::now() + holder.grant.timeout;
        let call = ModelCall::parse(operation, body)?;
        if !holder.grant.allows(&call.model) {
            let shown: String = call.model.chars().take(80).collect();
            let message = format!("this token may not ask `{shown}`; it may ask: {}", holder.grant.models.join(", "));
            return Err(Refusal::new(403, "model_not_granted", Category::InvalidInput, message));
        }
        match self.remembered(&call, holder, until).await? {
            Found::Answer(answer, source) => Ok(Reply::recorded(&answer, source, Money::ZERO)),
            Found::Ask(delivery) => self.ask(call, holder, delivery, until).await,
        }
    }

    /// Looks for an answer that costs nothing: recorded for this task, cached, or in flight for another caller.
    async fn remembered(&self, call: &ModelCall, holder: &Arc<Holder>, until: Instant) -> Result<Found, Refusal> {
        let fingerprint = Fingerprint::of(call);
        let grant = &holder.grant;
        if let Some(answer) = self.recorded(call, holder, fingerprint).await? {
            return Ok(answer);
        }
        let delivery = |guard| Delivery {
            holder: Arc::clone(holder),
            fingerprint,
            guard,
            log: Arc::clone(&self.log),
            cache: Arc::clone(&self.cache),
            clock: self.gateway.clock.clone(),
        };
        if grant.cache.is_none() || grant.fresh {
            return Ok(Found::Ask(delivery(None)));
        }
        let key = (grant.payer.tenant, fingerprint);
        loop {
            let now_ms = self.gateway.clock.now_ms();
            let kept = self.cache.get(&key, now_ms).or_else(|| self.log.kept(key.0, fingerprint));
            if let Some(answer) = kept {
                return self.shared(answer, delivery(None), "cache").await;
            }
            let mut landed = match self.flights.join(key, grant.task.map(|key| key.task)) {
                Role::Lead(guard) => return Ok(Found::Ask(delivery(Some(guard)))),
                Role::Alone => return Ok(Found::Ask(delivery(None))),
                Role::Follow(landed) => landed,
            };
            let waiting = tokio::time::timeout_at(until, landed.wait_for(|state| !matches!(state, Landed::Flying)));
            let state = match waiting.await {
                Ok(Ok(state)) => state.clone(),
                Ok(Err(_)) => Landed::Gone,
                Err(_) => return Err(Refusal::of(&TaskError::new(Category::Timeout, "no answer in time"))),
            };
            match state {
                Landed::Answered(answer) => return self.shared(*answer, delivery(None), "shared").await,
                Landed::Refused(refusal) => return Err(*refusal),
                Landed::Flying | Landed::Gone => {}
            }
        }
    }

    /// Finds the answer that the task had before, or that its step had in the run that its run repeats.
    async fn recorded(
        &self,
        call: &ModelCall,
        holder: &Holder,
        fingerprint: Fingerprint,
    ) -> Result<Option<Found>, Refusal> {
        let Some(source) = holder.grant.replay_source() else { return Ok(None) };
        let unread = |error: LogError| Refusal::new(500, "internal", Category::Internal, error.to_string());
        let mut place = holder.cursor.lock().await;
        let cursor = match place.take() {
            Some(cursor) => cursor,
            None => self.cursor(holder, source).await.map_err(unread)?,
        };
        let cursor = place.insert(cursor);
        if let Some(answer) = cursor.next(fingerprint) {
            let (label, had) = (cursor.label(), cursor.had(fingerprint));
            drop(place);
            if let Some(leases) = &holder.leases {
                // As with a new answer: an attempt that goes on after a restart must not take this answer for a second
                // sample, so its use is durable before it is returned. If a crash comes between, the attempt calls
                // again.
                leases.give(source.key.task, source.attempt, (fingerprint, had)).await.map_err(unread)?;
            }
            return Ok(Some(Found::Answer(answer, label)));
        }
        match cursor.missing(&call.model) {
            Some(error) => Err(Refusal::new(409, "not_recorded", error.category, error.message)),
            None => Ok(None),
        }
    }

    /// Makes the cursor of the attempt. An attempt that began before this process has already used some answers.
    async fn cursor(&self, holder: &Holder, source: ReplaySource) -> Result<ReplayCursor, LogError> {
        let mut cursor = ReplayCursor::read(&*self.log, source).await?;
        if let Some(leases) = holder.leases.as_ref().filter(|_| !cursor.is_empty()) {
            for (fingerprint, count) in leases.given(source.key.task, source.attempt)? {
                cursor.pass(fingerprint, count);
            }
        }
        Ok(cursor)
    }

    /// Delivers an answer that another call paid for. This task's journal has it before it is delivered, too.
    async fn shared(&self, answer: Recorded, to: Delivery, source: &'static str) -> Result<Found, Refusal> {
        if let Some(key) = to.holder.grant.task {
            let attempt = to.holder.grant.payer.attempt;
            let own = Recorded { cost: Money::ZERO, call: None, attempt, ..answer.clone() };
            let appended = self.log.append(key, own).await;
            appended.map_err(|e| Refusal::new(500, "internal", Category::Internal, e.to_string()))?;
        }
        Ok(Found::Answer(answer, source))
    }

    async fn ask(
        &self,
        call: ModelCall,
        holder: &Arc<Holder>,
        delivery: Delivery,
        until: Instant,
    ) -> Result<Reply, Refusal> {
        let (mut upstream, degraded) = match self.open((&call, delivery.fingerprint), holder, until).await {
            Ok(upstream) => upstream,
            Err(refusal) => {
                delivery.refuse(&refusal);
                return Err(refusal);
            }
        };
        match mem::replace(&mut upstream.answer, UpstreamBody::Taken) {
            UpstreamBody::Whole(whole) => {
                let usage = used(&call, whole.usage, whole.text_tokens);
                let call = upstream.reservation();
                let (usage, cost) = upstream.settle(&usage, holder.grant.task.is_some());
                let answer = Recorded {
                    call,
                    fingerprint: delivery.fingerprint,
                    content_type: "application/json",
                    body: whole.body.into(),
                    provider: upstream.provider,
                    model: upstream.model,
                    usage,
                    cost,
                    degraded,
                    attempt: holder.grant.payer.attempt,
                };
                let answer = delivery.finish(answer).await?;
                Ok(Reply::recorded(&answer, "provider", cost))
            }
            UpstreamBody::Stream(response) => {
                let (provider, model) = (upstream.provider.clone(), upstream.model.clone());
                let why = degraded.clone();
                let stream = ReplyStream::new(Opening { call, upstream, response, delivery, until, degraded });
                Ok(Reply::streamed(stream, (&provider, &model), why.as_deref()))
            }
            UpstreamBody::Taken => Err(Refusal::new(500, "internal", Category::Internal, "no answer".to_owned())),
        }
    }

    /// Calls the chain with the holder's money. Also returns the reason why the first link did not answer.
    async fn open(
        &self,
        (call, fingerprint): (&ModelCall, Fingerprint),
        holder: &Holder,
        until: Instant,
    ) -> Result<(UpstreamResponse, Option<String>), Refusal> {
        let routes = self.gateway.routes();
        let grant = &holder.grant;
        let chain = routes.find(&call.model).map_err(|error| {
            let mut refusal = Refusal::of(&error);
            (refusal.status, refusal.code, refusal.param) =
                (404, Some("model_not_found".into()), Some("model".to_owned()));
            refusal
        })?;
        let chain_call = ChainCall {
            call,
            chain: &chain,
            routes: &routes,
            breakers: &self.gateway.breakers,
            clock: &self.gateway.clock,
            promises: &self.gateway.promises,
            until,
            fallback: routes.fallback && grant.fallback,
            last_attempt: true,
            max_cost: grant.max_cost,
            known_price_only: grant.known_price_only,
            hold: grant.hold,
            payer: Some((&grant.payer, &self.ledger)),
            fingerprint,
            watcher: None,
        };
        match chain_call.run().await {
            Ok(End::Open(upstream, faults)) => {
                let hops: Vec<Hop> = faults.into_iter().map(|fault| *fault.hop).collect();
                Ok((*upstream, Hop::reasons(&hops)))
            }
            Ok(End::Offline(_, faults)) => {
                let passing = faults.iter().any(Fault::passes);
                let refusal = model_required(faults.into_iter().map(|fault| *fault.hop).collect());
                Err(Refusal { passing, ..refusal })
            }
            Err(faults) => {
                tell_short(&faults, &grant.payer, &self.ledger);
                let unsupported = !faults.is_empty() && faults.iter().all(|fault| fault.unsupported);
                let alone = faults.len() == 1;
                let failure = give_up(&call.model, faults);
                let mut refusal = Refusal::of(&failure.error);
                if let Some(told) = &failure.told {
                    refusal = refusal.told(told, alone);
                }
                if unsupported {
                    refusal = Refusal::new(400, "unsupported", refusal.category, refusal.message);
                }
                Err(refusal)
            }
        }
    }
}

/// Refuses a script's call that only an offline link is left for: the script did not name a classical method.
fn model_required(hops: Vec<Hop>) -> Refusal {
    let why = Hop::reasons(&hops).unwrap_or_else(|| "the alias is offline".to_owned());
    let message = format!("{NO_MODEL}{why}");
    Refusal::of(&TaskError::new(Category::ModelRequired, message))
}

fn no_token() -> Refusal {
    let message = "this token is not known here, or has ended with its attempt or process".to_owned();
    Refusal::new(401, "invalid_token", Category::LeaseLost, message)
}
