//! The gateway's ledger and log of calls, kept by the engine: reservations, settlements and answers are commands of its
//! turns, so that nothing is sent or delivered before it is committed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use kapelle_core::{Account, CallId, DurationMs, Money, TenantId};
use kapelle_engine::{
    AnswerRecord, CallOrder, CallOver, Clock, Command, Engine, EngineError, LimitBy, Notice, Reserved, WeakEngine,
    command,
};
use kapelle_gateway::{
    Usage,
    money::{Ledger, NoMoney, Order, Outcome, Payer, Pending, ReservationId, Settlement},
    replay::{CallLog, Fingerprint, LogError, Record, Recorded, TaskKey},
};
use kapelle_store::{CallRow, CallState, KeptRow};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    prepaid_journal::PrepaidJournal,
    prepaid_pool::{Found, PrepaidPool},
    recorded_rerun,
    shortages::Shortages,
};

/// The ledger of an engine. It exists before the engine, because workers begin with it.
pub(crate) struct EngineLedger {
    engine: watch::Sender<Option<WeakEngine>>,
    settled: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
    pool: PrepaidPool,
    /// The journal of used prepaid amounts; money is prepaid once it is there.
    taken: OnceLock<PrepaidJournal>,
    /// Processes of scripts that lack money.
    pub(crate) shortages: Shortages,
    /// Default time limit of an attempt.
    pub(crate) timeout: DurationMs,
}

/// Metadata of an answer.
#[derive(Serialize, Deserialize)]
struct Meta {
    event_stream: bool,
    input: u64,
    output: u64,
    cached: u64,
    cache_write: u64,
    reasoning: u64,
    cost_nanousd: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    degraded: Option<String>,
}

/// The content type of every recorded answer.
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

impl EngineLedger {
    pub(crate) fn new(clock: Arc<dyn Clock>, timeout: DurationMs) -> Arc<EngineLedger> {
        Arc::new(EngineLedger {
            engine: watch::Sender::new(None),
            settled: watch::Sender::new(0),
            clock,
            pool: PrepaidPool::default(),
            taken: OnceLock::new(),
            shortages: Shortages::default(),
            timeout,
        })
    }

    /// Connects the engine. Prepaid amounts that the former process left are charged, and `taken` starts empty.
    pub(crate) fn bind(self: &Arc<EngineLedger>, engine: &Engine, taken: Option<PrepaidJournal>) {
        if let Some(taken) = taken {
            let _ = self.taken.set(taken);
        }
        let books = Arc::downgrade(self);
        engine.listen(Box::new(move |notice| {
            let Some(books) = books.upgrade() else { return };
            match notice {
                Notice::Drawn(block) => books.pool.drawn(block),
                Notice::Spent(call) => {
                    if let Some(taken) = books.taken.get() {
                        taken.spent(*call);
                    }
                }
                _ => {}
            }
        }));
        self.engine.send_replace(Some(engine.downgrade()));
    }

    /// Signals that money may be available again.
    pub(crate) fn stir(&self) {
        self.settled.send_modify(|count| *count += 1);
    }

    pub(crate) fn now(&self) -> Option<Engine> {
        self.engine.borrow().as_ref().and_then(WeakEngine::upgrade)
    }

    async fn bound(&self) -> Result<Engine, EngineError> {
        let mut engine = self.engine.subscribe();
        let bound = engine.wait_for(Option::is_some).await.map_err(|_| EngineError::Stopped)?;
        bound.as_ref().and_then(WeakEngine::upgrade).ok_or(EngineError::Stopped)
    }

    /// Begins a call on a prepaid amount of its payer, if one is large enough. Otherwise the order says whether to
    /// prepay.
    fn begin(&self, engine: &Engine, payer: &Payer, order: &mut CallOrder) -> Option<CallId> {
        let taken = self.taken.get()?;
        let now = self.clock.now();
        let block = match self.pool.find(payer, order.worst, now, self.clock.steady_ms()) {
            Found::Prepaid(block) => block,
            Found::Ask(purse) => {
                order.purse = purse;
                return None;
            }
        };
        order.purse = Some(block.purse());
        let id = block.id();
        let written = taken.write(id, order);
        // The file knows of it, and its end is reported: one turn writes both.
        engine.tell_soon(command::Spend { call: id, order: Box::new(order.clone()), at: now });
        match written {
            Ok(()) => Some(id),
            // A call that would be unknown after a crash is not sent on a prepaid amount.
            Err(_) => {
                engine.tell(command::Settle { call: id, over: Box::new(over(Outcome::Free.into())) });
                None
            }
        }
    }

    fn tell(&self, command: impl Into<Command>) {
        // An engine that has ended charges open calls when it starts again.
        if let Some(engine) = self.now() {
            engine.tell(command);
        }
    }

    pub(crate) fn recorded_of(engine: &Engine, rows: Vec<CallRow>) -> Result<Vec<Recorded>, LogError> {
        let wrong = |what: String| LogError(format!("a recorded answer {what}"));
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(answer) = &row.answer else { continue };
            let body = engine.reader().payload(answer.payload).map_err(|error| wrong(error.to_string()))?;
            let meta: Meta = serde_json::from_str(&answer.meta).map_err(|error| wrong(error.to_string()))?;
            answers.push(Recorded {
                fingerprint: Fingerprint(row.fingerprint),
                content_type: if meta.event_stream { EVENTS } else { JSON },
                body: body.ok_or_else(|| wrong("is no longer stored".to_owned()))?.into(),
                provider: row.provider.to_string(),
                model: row.model.to_string(),
                usage: Usage {
                    input: meta.input,
                    output: meta.output,
                    cached: meta.cached,
                    cache_write: meta.cache_write,
                    reasoning: meta.reasoning,
                },
                cost: Money(meta.cost_nanousd),
                degraded: meta.degraded,
                attempt: row.attempt,
                call: None,
            });
        }
        Ok(answers)
    }
}

fn meta(answer: &Recorded) -> Arc<str> {
    let usage = answer.usage;
    let meta = Meta {
        event_stream: answer.content_type == EVENTS,
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cache_write: usage.cache_write,
        reasoning: usage.reasoning,
        cost_nanousd: answer.cost.0,
        degraded: answer.degraded.clone(),
    };
    Arc::from(serde_json::to_string(&meta).unwrap_or_default())
}

fn call(reservation: ReservationId) -> CallId {
    CallId(reservation.0.cast_signed())
}

/// A requested reservation. If it is dropped before the reply, it is settled with the reply.
struct Asked {
    reply: Option<JoinHandle<Result<Reserved, EngineError>>>,
    engine: Engine,
}

impl Asked {
    fn new(engine: Engine, order: CallOrder) -> Asked {
        let command = command::Reserve(Box::new(order));
        let asking = engine.clone();
        Asked { reply: Some(tokio::spawn(async move { asking.ask(command).await })), engine }
    }

    async fn reserved(mut self) -> Result<Reserved, NoMoney> {
        let Some(reply) = self.reply.as_mut() else { return Ok(Reserved::Over) };
        let reply = reply.await;
        self.reply = None;
        match reply {
            Ok(Ok(reserved)) => Ok(reserved),
            Ok(Err(error)) => Err(NoMoney::Broken(error.to_string())),
            Err(error) => Err(NoMoney::Broken(error.to_string())),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        let engine = self.engine.clone();
        tokio::spawn(async move {
            if let Ok(Ok(Reserved::Yes(id))) = reply.await {
                engine.tell(command::Settle { call: id, over: Box::new(over(Outcome::Free.into())) });
            }
        });
    }
}

fn over(settlement: Settlement) -> CallOver {
    let (state, cost) = match settlement.outcome {
        Outcome::Free => (CallState::Free, Money::ZERO),
        Outcome::Cost(cost) => (CallState::Charged, cost),
        Outcome::Unknown => (CallState::Unknown, Money::ZERO),
    };
    let request_id = settlement.request_id.as_deref().map(Arc::from);
    CallOver { state, cost, input: settlement.usage.input, output: settlement.usage.output, request_id }
}

impl Ledger for EngineLedger {
    fn reserve<'a>(&'a self, payer: &'a Payer, order: Order) -> Pending<'a, Result<ReservationId, NoMoney>> {
        Box::pin(async move {
            let engine = self.bound().await.map_err(|error| NoMoney::Broken(error.to_string()))?;
            let mut order = CallOrder {
                tenant: payer.tenant,
                payer: payer.accounts.clone(),
                attempt: payer.attempt,
                epoch: payer.replay_epoch,
                worst: order.worst,
                operation: Arc::from(order.operation),
                provider: Arc::from(order.provider),
                model: Arc::from(order.model),
                fingerprint: order.fingerprint.0,
                purse: None,
            };
            if let Some(id) = self.begin(&engine, payer, &mut order) {
                self.shortages.paid(payer);
                return Ok(ReservationId(id.0.cast_unsigned()));
            }
            let mut settled = self.settled.subscribe();
            loop {
                settled.mark_unchanged();
                match Asked::new(engine.clone(), order.clone()).reserved().await? {
                    Reserved::Yes(id) => {
                        self.shortages.paid(payer);
                        return Ok(ReservationId(id.0.cast_unsigned()));
                    }
                    Reserved::Over => return Err(NoMoney::Over),
                    Reserved::Never { account, needs, left } => return Err(NoMoney::Spent { account, needs, left }),
                    // The sender lives as long as this ledger, so waiting cannot fail.
                    Reserved::Later => drop(settled.changed().await),
                }
            }
        })
    }

    fn settle(&self, reservation: ReservationId, settlement: Settlement) {
        let appended = settlement.appended;
        let command = command::Settle { call: call(reservation), over: Box::new(over(settlement)) };
        match self.now().filter(|_| appended) {
            // One turn writes the end and the answer.
            Some(engine) => engine.tell_soon(command),
            None => self.tell(command),
        }
        // The loop takes commands in order: a new request is decided after the settlement.
        self.stir();
    }

    fn short(&self, payer: &Payer, why: &NoMoney) {
        self.shortages.note(payer, why, self.clock.now());
        let NoMoney::Spent { needs, .. } = why else { return };
        if let Some(task) = payer.task().filter(|_| payer.attempt > 0) {
            self.tell(command::Short { task, attempt: payer.attempt, needs: *needs });
        }
    }

    fn limit(&self, tenant: TenantId, account: &Account, limit: Money) {
        self.tell(command::SetLimit { tenant, account: account.clone(), limit, by: LimitBy::Tenant });
        self.stir();
    }
}

impl CallLog for EngineLedger {
    fn recorded(&self, key: TaskKey) -> Pending<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move {
            let lost = |error: EngineError| LogError(error.to_string());
            let engine = self.bound().await.map_err(lost)?;
            let rows = engine.reader().recorded(key.task, key.replay_epoch).map_err(|error| lost(error.into()))?;
            EngineLedger::recorded_of(&engine, rows)
        })
    }

    fn record(&self, key: TaskKey) -> Pending<'_, Result<Record, LogError>> {
        Box::pin(async move {
            let lost = |error: EngineError| LogError(error.to_string());
            let engine = self.bound().await.map_err(lost)?;
            recorded_rerun::record(&engine, key)
        })
    }

    fn append(&self, key: TaskKey, answer: Recorded) -> Pending<'_, Result<(), LogError>> {
        Box::pin(async move {
            let lost = |error: EngineError| LogError(error.to_string());
            let engine = self.bound().await.map_err(lost)?;
            let record = AnswerRecord {
                call: answer.call.map(call),
                tenant: key.tenant,
                task: key.task,
                attempt: answer.attempt,
                epoch: key.replay_epoch,
                fingerprint: answer.fingerprint.0,
                provider: Arc::from(answer.provider.as_str()),
                model: Arc::from(answer.model.as_str()),
                meta: meta(&answer),
                body: engine.payload_of(answer.body).map_err(lost)?,
            };
            engine.ask(command::Record(Box::new(record))).await.map_err(lost)?;
            Ok(())
        })
    }

    fn kept(&self, tenant: TenantId, fingerprint: Fingerprint) -> Option<Recorded> {
        let engine = self.now()?;
        let row = engine.reader().kept(tenant, &fingerprint.0, self.clock.now()).ok().flatten()?;
        EngineLedger::recorded_of(&engine, vec![row]).ok()?.pop()
    }

    fn keep(&self, tenant: TenantId, answer: &Recorded, recorded: bool, ttl: Duration) {
        let (Some(engine), Some(id)) = (self.now(), answer.call) else { return };
        let row = KeptRow {
            tenant,
            fingerprint: answer.fingerprint.0,
            call: call(id),
            until: self.clock.now() + DurationMs(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX / 4)),
        };
        let body = if recorded { None } else { Some(engine.payload_of(Arc::clone(&answer.body))) };
        let answer = match body {
            Some(Ok(body)) => Some((body, meta(answer))),
            Some(Err(_)) => return,
            None => None,
        };
        engine.tell(command::Keep { row, answer });
    }
}
