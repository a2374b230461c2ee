//! One call from its grant to its answer, for every caller.

use std::{mem, sync::Arc, time::Duration};

use kapelle_core::{Category, Money, TaskError, worker::TextSink};
use tokio::time::Instant;

use super::{
    Failure, ReplyStream,
    decide::{Follow, Sources, Terms},
    deliver::{Content, Delivery},
    stream::Opening,
};
use crate::{
    access::{Grant, Holder},
    answer::Hop,
    chain_call::{ChainCall, End},
    clock::Clock,
    completion::{self, Completion},
    gateway::{Gateway, Limits},
    money::{Ledger, MemoryLedger},
    providers::{Fault, dialect::Whole, format::used},
    replay::{
        Cache, CacheKey, CallLog, Fingerprint, Flights, Landed, LogError, MemoryLog, Recorded, Replay, ReplayCursor,
        ReplaySource, Role, Source,
    },
    upstream_response::{UpstreamBody, UpstreamResponse},
    watched::Tap,
    wire::{ModelCall, Refusal},
};

/// The ledger, the log of calls, the cache and the calls in flight.
pub(crate) struct Pipeline {
    ledger: Arc<dyn Ledger>,
    pub(crate) log: Arc<dyn CallLog>,
    cache: Cache,
    flights: Arc<Flights>,
    clock: Clock,
}

/// A call and the terms of its caller.
pub(crate) struct Request<'a> {
    pub(crate) call: ModelCall,
    pub(crate) holder: &'a Arc<Holder>,
    pub(crate) limits: &'a Limits,
    /// Sink for the text as it arrives, for a caller that wants the whole answer.
    pub(crate) watcher: Option<&'a dyn TextSink>,
    /// Reader of a streamed answer, for those who watch the caller's task.
    pub(crate) tap: Option<Tap>,
    /// Test of a text for a caller that cannot use every answer.
    pub(crate) fits: Option<&'a (dyn Fn(&str) -> bool + Send + Sync)>,
}

impl Request<'_> {
    /// Tells whether the caller can use an answer that another caller bought. A script can use any.
    fn can_use(&self, answer: &Recorded) -> bool {
        !self.call.of_worker || completion::read(&answer.body).is_ok_and(|completion| self.fits(&completion))
    }

    fn fits(&self, completion: &Completion) -> bool {
        self.fits.is_none_or(|fits| fits(&completion.content))
    }
}

/// Outcome of a call that did not fail.
pub(crate) enum Outcome {
    /// A whole answer, which is recorded.
    Answer(Box<WholeAnswer>),
    /// A stream that a provider has begun.
    Stream(Box<ReplyStream>),
}

/// A whole answer and its origin.
pub(crate) struct WholeAnswer {
    pub(crate) recorded: Recorded,
    pub(crate) source: Source,
    /// The text, if it was read before it was recorded.
    pub(crate) completion: Option<Completion>,
    /// Facts of the call that bought it. `None` for an answer that cost nothing.
    pub(crate) bought: Option<Bought>,
}

/// Facts of a call that bought an answer.
pub(crate) struct Bought {
    /// Whether the price came from a table.
    pub(crate) price_known: bool,
    /// Results of the links before the one that answered.
    pub(crate) hops: Vec<Hop>,
}

/// Result of the search for an existing answer.
enum Found {
    /// An answer and its source.
    Answer(Recorded, Source),
    /// A provider has to be called.
    Ask(Delivery),
}

impl Pipeline {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, log: Arc<dyn CallLog>, clock: Clock) -> Arc<Pipeline> {
        let (cache, flights) = (Cache::default(), Arc::default());
        Arc::new(Pipeline { ledger, log, cache, flights, clock })
    }

    /// Makes the pipeline of a gateway without a store: it has no limits, and forgets everything with the process.
    pub(crate) fn in_memory(clock: Clock) -> Arc<Pipeline> {
        Pipeline::new(Arc::new(MemoryLedger::default()), Arc::new(MemoryLog::default()), clock)
    }

    /// Answers a call.
    pub(crate) async fn run(self: &Arc<Pipeline>, at: &Gateway, request: Request<'_>) -> Result<Outcome, Failure> {
        let until = Instant::now() + request.limits.timeout;
        admit(&request.holder.grant, &request.call.model)?;
        match self.find(at, &request, until).await? {
            Found::Answer(recorded, source) => {
                Ok(Outcome::Answer(Box::new(WholeAnswer { recorded, source, completion: None, bought: None })))
            }
            Found::Ask(delivery) => self.ask(at, request, delivery, until).await,
        }
    }

    /// Caches an answer for equal calls.
    pub(crate) fn cache(&self, key: CacheKey, answer: Recorded, ttl: Duration) {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.cache.put(key, answer, self.clock.now_ms().saturating_add(ttl_ms));
    }

    /// Looks for an answer that costs nothing: recorded for this task, cached, or in flight for another caller.
    async fn find(self: &Arc<Pipeline>, at: &Gateway, request: &Request<'_>, until: Instant) -> Result<Found, Failure> {
        let fingerprint = Fingerprint::of(&request.call);
        let grant = &request.holder.grant;
        let sources = Sources::of(grant);
        if let Some(source) = sources.replay
            && let Some(answer) = self.recorded(at, request, (fingerprint, source)).await?
        {
            return Ok(answer);
        }
        let terms = Terms::of(request.limits);
        let delivery = |guard| Delivery {
            holder: Arc::clone(request.holder),
            fingerprint,
            terms,
            guard,
            pipeline: Arc::clone(self),
        };
        if !sources.shared {
            return Ok(Found::Ask(delivery(None)));
        }
        let key = (grant.payer.tenant, fingerprint);
        loop {
            let kept = self.cache.get(&key, self.clock.now_ms()).or_else(|| self.log.kept(key.0, fingerprint));
            match kept {
                Some(answer) if request.can_use(&answer) => return self.shared(answer, grant, Source::Cache).await,
                Some(_) => return Ok(Found::Ask(delivery(None))),
                None => {}
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
                Err(_) => return Err(Failure::Refused(Refusal::of(&late()))),
            };
            match Follow::of(state, terms) {
                Follow::Answer(answer) if request.can_use(&answer) => {
                    return self.shared(*answer, grant, Source::Shared).await;
                }
                Follow::Answer(_) => return Ok(Found::Ask(delivery(None))),
                Follow::Fail(failure) => return Err(*failure),
                Follow::Again => {}
            }
        }
    }

    /// Finds the answer that the task had before, or that its step had in the run that its run repeats.
    async fn recorded(
        &self,
        at: &Gateway,
        request: &Request<'_>,
        (fingerprint, source): (Fingerprint, ReplaySource),
    ) -> Result<Option<Found>, Failure> {
        let (call, holder) = (&request.call, request.holder);
        let mut place = holder.cursor.lock().await;
        let cursor = match place.take() {
            Some(cursor) => cursor,
            None => self.cursor(holder, source).await.map_err(Failure::internal)?,
        };
        let replay = place.insert(cursor).find(call, fingerprint);
        drop(place);
        let missing =
            |error: TaskError| Failure::Refused(Refusal::new(409, "not_recorded", error.category, error.message));
        match replay {
            Replay::Answer(answer, label, had) => {
                if let Some(leases) = &holder.leases {
                    // As with a new answer: an attempt that goes on after a restart must not take this answer for a
                    // second sample, so its use is durable before it is returned. If a crash comes between, the attempt
                    // calls again.
                    let given = leases.give(source.key.task, source.attempt, (fingerprint, had));
                    given.await.map_err(Failure::internal)?;
                }
                Ok(Some(Found::Answer(*answer, label)))
            }
            Replay::Offline(reason) => {
                let provider = at.routes().offline(&call.model, &reason).map_err(missing)?;
                Err(Failure::Offline { provider, reason: Some(reason), hops: Vec::new(), passing: false })
            }
            Replay::Missing(error) => Err(missing(error)),
            Replay::Nothing => Ok(None),
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
    async fn shared(&self, answer: Recorded, grant: &Grant, source: Source) -> Result<Found, Failure> {
        if let Some(key) = grant.task {
            let attempt = grant.payer.attempt;
            let own = Recorded { cost: Money::ZERO, call: None, attempt, ..answer.clone() };
            self.log.append(key, own).await.map_err(Failure::internal)?;
        }
        Ok(Found::Answer(answer, source))
    }

    async fn ask(
        &self,
        at: &Gateway,
        request: Request<'_>,
        delivery: Delivery,
        until: Instant,
    ) -> Result<Outcome, Failure> {
        let (mut upstream, faults) = match self.open(at, &request, (delivery.fingerprint, until)).await {
            Ok(opened) => opened,
            Err(failure) => {
                delivery.fail(&failure);
                return Err(failure);
            }
        };
        match mem::replace(&mut upstream.answer, UpstreamBody::Taken) {
            UpstreamBody::Whole(whole) if request.call.stream => {
                let degraded = Hop::reasons(&hops(faults));
                let made = ReplyStream::whole((request.call, request.tap), *upstream, delivery, whole, degraded);
                made.map(|stream| Outcome::Stream(Box::new(stream)))
            }
            UpstreamBody::Whole(whole) => read(&request, (*upstream, faults), delivery, whole).await,
            UpstreamBody::Stream(response) => {
                let degraded = Hop::reasons(&hops(faults));
                let Request { call, tap, .. } = request;
                let opening = Opening { call, tap, upstream: *upstream, response, delivery, until, degraded };
                Ok(Outcome::Stream(Box::new(ReplyStream::new(opening))))
            }
            UpstreamBody::Taken => Err(Failure::internal("no answer")),
        }
    }

    /// Calls the chain with the caller's money. Also returns the faults of the links before the one that answers.
    async fn open(
        &self,
        at: &Gateway,
        request: &Request<'_>,
        (fingerprint, until): (Fingerprint, Instant),
    ) -> Result<(Box<UpstreamResponse>, Vec<Fault>), Failure> {
        let routes = at.routes();
        let (call, grant) = (&request.call, &request.holder.grant);
        // A script may name a model; a worker file names an alias.
        let chain = if call.of_worker { routes.chain(&call.model) } else { routes.find(&call.model) };
        let chain = chain.map_err(|error| Failure::Refused(Refusal::unknown_model(&error)))?;
        let chain_call = ChainCall {
            call,
            chain: &chain,
            routes: &routes,
            gateway: at,
            ledger: &self.ledger,
            grant,
            limits: request.limits,
            until,
            fingerprint,
            watcher: request.watcher,
        };
        match chain_call.run().await {
            Ok(End::Open(upstream, faults)) => Ok((upstream, faults)),
            Ok(End::Offline(provider, faults)) => {
                let passing = faults.iter().any(Fault::passes);
                let hops = hops(faults);
                Err(Failure::Offline { provider, reason: Hop::reasons(&hops), hops, passing })
            }
            Err(faults) => {
                self.tell_short(&faults, grant);
                Err(Failure::exhausted(&call.model, faults))
            }
        }
    }

    /// Tells the ledger that the call failed for lack of money alone.
    fn tell_short(&self, faults: &[Fault], grant: &Grant) {
        let lasting = faults.iter().all(|fault| !fault.error.retryable);
        if let Some(why) = faults.iter().find_map(|fault| fault.short.as_deref()).filter(|_| lasting) {
            self.ledger.short(&grant.payer, why);
        }
    }
}

/// Settles and records a whole answer. A prompt worker's answer is read first: one without a text is a fault of its
/// link, is paid for and is not recorded.
async fn read(
    request: &Request<'_>,
    (mut upstream, mut faults): (UpstreamResponse, Vec<Fault>),
    delivery: Delivery,
    whole: Whole,
) -> Result<Outcome, Failure> {
    let usage = used(&request.call, whole.usage, whole.text_tokens);
    let completion = match request.call.of_worker.then(|| completion::read(&whole.body)).transpose() {
        Ok(completion) => completion,
        Err(unread) => {
            upstream.settle(&usage, false);
            faults.push(unread.fault(&upstream));
            let failure = Failure::exhausted(&request.call.model, faults);
            delivery.fail(&failure);
            return Err(failure);
        }
    };
    let (price_known, hops) = (upstream.price_known, hops(faults));
    let degraded = Hop::reasons(&hops);
    // The test matters only to a cache.
    let tested = completion.as_ref().filter(|_| request.holder.grant.cache.is_some());
    let usable = tested.is_none_or(|completion| degraded.is_none() && request.fits(completion));
    let content = Content { kind: "application/json", body: whole.body.into(), degraded };
    let recorded = delivery.settle(&mut upstream, &usage, content);
    let recorded = delivery.finish(recorded, usable).await?;
    let bought = Some(Bought { price_known, hops });
    Ok(Outcome::Answer(Box::new(WholeAnswer { recorded, source: Source::Provider, completion, bought })))
}

/// Checks that a grant allows a model.
pub(super) fn admit(grant: &Grant, model: &str) -> Result<(), Failure> {
    if grant.allows(model) {
        return Ok(());
    }
    let shown: String = model.chars().take(80).collect();
    let message = format!("this token may not ask `{shown}`; it may ask: {}", grant.models.join(", "));
    Err(Failure::Refused(Refusal::new(403, "model_not_granted", Category::InvalidInput, message)))
}

fn hops(faults: Vec<Fault>) -> Vec<Hop> {
    faults.into_iter().map(|fault| *fault.hop).collect()
}

fn late() -> TaskError {
    TaskError::new(Category::Timeout, "no answer in time")
}
