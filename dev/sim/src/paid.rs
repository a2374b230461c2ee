//! Recorded stories with money: tasks call models of a provider with a rate limit, and pay with prepaid amounts. Their
//! payers use some before the loop withdraws them, as threads of a process do in the middle of a turn.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use kapelle_core::{Account, CallId, Category, Money, Name, TaskError, TenantId, Timestamp, task::Report};
use kapelle_engine::{
    CallOrder, CallOver, LimitBy, Reply, Reserved, SubmitTask, Taken, command,
    turn::{Command, Effect, Input, LoopState, NewPayload, Notice, Prepaid, Reported},
};
use kapelle_store::{CallState, Fault, MemStore};

use crate::{
    plan::{Plan, WORKERS, Workers},
    record::{Drawn, Life, Recording, watch},
    rng::Rng,
};

const STEPS: u64 = 400;
/// Limits of an account: some leave no room for prepaid amounts.
const LIMITS: [u64; 3] = [2_000, 20_000, 2_000_000];

/// The story while it is lived.
struct Stage {
    plan: Plan,
    rng: Rng,
    store: MemStore,
    state: LoopState,
    lives: Vec<Life>,
    faults: Faults,
    now: i64,
    ticket: u64,
    attempts: Vec<Report>,
    /// Amounts that their payers hold.
    held: Vec<Arc<Prepaid>>,
    /// Calls on used amounts, of which the loop does not know.
    sent: Vec<(CallId, CallOrder)>,
    /// Calls in flight that the loop knows, with their highest cost.
    open: Vec<(CallId, u64)>,
}

/// The faults of the disk, as they are drawn.
#[derive(Clone)]
struct Faults {
    happened: Arc<Mutex<Vec<Fault>>>,
    calm: Arc<AtomicBool>,
    conflicts: u32,
    full: u32,
}

impl Faults {
    fn draw(&self, rng: &mut Rng) -> Fault {
        let fault = if self.calm.load(Ordering::Relaxed) {
            Fault::None
        } else if rng.chance(self.conflicts) {
            Fault::Conflict
        } else if rng.chance(self.full) {
            Fault::Full
        } else {
            Fault::None
        };
        self.happened.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        fault
    }
}

/// Lives through a seed with money, and writes it down.
///
/// # Errors
/// When a start or a turn fails for good.
pub fn record_paid(seed: u64) -> Result<Recording, String> {
    let mut rng = Rng::new(seed);
    let plan = Plan { servers: 1, ..Plan::draw(&mut rng) };
    let (conflicts, full) = (plan.faults.conflict, plan.faults.full);
    let faults = Faults { happened: Arc::default(), calm: Arc::default(), conflicts, full };
    let store = MemStore::new();
    let state = LoopState::new(Box::new(store.share()), plan.options.clone(), Arc::new(plan.directory.fresh()), {
        let mut random = Rng::new(seed);
        Box::new(move || random.draw())
    });
    let (now, ticket) = (1_000, 0);
    let (attempts, held, sent, open) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut stage =
        Stage { plan, rng, store, state, lives: Vec::new(), faults, now, ticket, attempts, held, sent, open };
    stage.begin(Taken::Unknown)?;
    for _ in 0..STEPS {
        stage.now += stage.rng.below(150) as i64;
        stage.step()?;
    }
    let Stage { plan, store, lives, faults, .. } = stage;
    let commits = faults.happened.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Recording::of_store(plan, lives, commits, &store)
}

impl Stage {
    /// Starts a process.
    fn begin(&mut self, taken: Taken) -> Result<(), String> {
        let (mut random, mut luck) = (Rng::new(self.rng.draw()), Rng::new(self.rng.draw()));
        let (drawn, faults) = (Drawn::default(), self.faults.clone());
        let written = Arc::clone(&drawn);
        let random = move || {
            let number = random.draw();
            written.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            number
        };
        let store = self.store.share().with_faults(move |_| faults.draw(&mut luck));
        let directory: Arc<Workers> = Arc::new(self.plan.directory.fresh());
        self.state = LoopState::new(Box::new(store), self.plan.options.clone(), directory, Box::new(random));
        watch(&self.state);
        self.state.record_outside();
        self.state.taken(taken.clone());
        self.faults.calm.store(true, Ordering::Relaxed);
        let started = self.state.recover(Timestamp(self.now), self.now.unsigned_abs());
        self.faults.calm.store(false, Ordering::Relaxed);
        self.lives.push(Life::new((self.now, self.now.unsigned_abs()), &started, drawn, &taken)?);
        (self.attempts, self.held) = (Vec::new(), Vec::new());
        (self.sent, self.open) = (Vec::new(), Vec::new());
        let turned = started.map_err(|error| error.to_string())?;
        self.follow(turned.effects);
        if turned.more { self.turn(Vec::new()).map(drop) } else { Ok(()) }
    }

    /// Takes turns until nothing is left. Returns the replies of the first.
    fn turn(&mut self, commands: Vec<Command>) -> Result<Vec<Option<Reply>>, String> {
        let mut replies = None;
        let mut commands = Some(commands);
        loop {
            let inputs = commands.take().unwrap_or_default().into_iter().map(|command| {
                self.ticket += 1;
                Input { ticket: self.ticket, command }
            });
            let inputs: Vec<Input> = inputs.collect();
            let steady = self.now.unsigned_abs();
            let turned = self.state.turn(&inputs, Timestamp(self.now), steady);
            let life = self.lives.last_mut().ok_or("no process")?;
            life.turn(&inputs, (self.now, steady), &turned)?;
            if turned.broken {
                return Err("the loop broke".to_owned());
            }
            self.follow(turned.effects);
            let answered = turned.replies.into_iter().map(|(_, reply)| reply.ok()).collect();
            replies.get_or_insert(answered);
            if !turned.more {
                return Ok(replies.unwrap_or_default());
            }
        }
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Dispatch(dispatch) => {
                    let (epoch, nonce) = (dispatch.lease.epoch, dispatch.lease.nonce);
                    self.attempts.push(Report { task: dispatch.task, epoch, nonce });
                }
                Effect::Stop(task) => self.attempts.retain(|report| report.task != task),
                Effect::Tell(Notice::Drawn(block)) => self.held.push(block),
                _ => {}
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        match self.rng.below(24) {
            0..4 => self.submit(),
            4..10 => self.call(),
            10 | 11 => self.tell(),
            12..15 => self.settle(),
            15..18 => self.report(),
            18 => {
                let account =
                    [Account::Day, Account::Tenant, Account::Worker("here".to_owned())][self.rng.place(3)].clone();
                let limit = Money(LIMITS[self.rng.place(3)]);
                let tenant = TenantId::DEFAULT;
                self.turn(vec![command::SetLimit { tenant, account, limit, by: LimitBy::Owner }.into()]).map(drop)
            }
            19 if self.rng.chance(300) => {
                // A process that is killed leaves the list of the amounts it used; a machine that stops does not.
                let sent = std::mem::take(&mut self.sent);
                let taken = if self.rng.chance(700) { Taken::Known(sent) } else { Taken::Unknown };
                self.begin(taken)
            }
            20 => {
                self.now += Prepaid::IDLE_MS as i64;
                self.turn(vec![command::Tick.into()]).map(drop)
            }
            _ => self.turn(vec![command::Tick.into()]).map(drop),
        }
    }

    fn submit(&mut self) -> Result<(), String> {
        let count = 1 + self.rng.below(3);
        let tasks = (0..count).map(|number| {
            let input = NewPayload::Bytes(Arc::from(format!("{{\"n\":{number}}}").as_bytes()));
            SubmitTask::new(Name::new(WORKERS[self.rng.place(2)]), input)
        });
        let tasks: Arc<[SubmitTask]> = tasks.collect();
        self.turn(vec![command::Submit { tenant: TenantId::DEFAULT, tasks, key: None }.into()]).map(drop)
    }

    /// Calls a model: with a prepaid amount at once, and otherwise after the reservation.
    fn call(&mut self) -> Result<(), String> {
        if self.attempts.is_empty() {
            return Ok(());
        }
        let attempt = self.attempts[self.rng.place(self.attempts.len())];
        let (worst, text) = (1 + self.rng.below(200), Arc::<str>::from("x"));
        let payer = Account::Task(attempt.task);
        let order = CallOrder {
            tenant: TenantId::DEFAULT,
            payer: vec![payer.clone()],
            attempt: attempt.epoch,
            epoch: 0,
            worst: Money(worst),
            operation: Arc::clone(&text),
            provider: Arc::clone(&text),
            model: text,
            fingerprint: [0; 32],
            purse: Some(attempt.task.0.unsigned_abs()),
        };
        self.held.retain(|block| !block.is_over());
        let now = Timestamp(self.now);
        let used = self.held.iter().find(|block| block.payer().contains(&payer) && block.take(order.worst, now));
        if let Some(block) = used {
            self.sent.push((block.id(), order));
            return Ok(());
        }
        let replies = self.turn(vec![command::Reserve(Box::new(order)).into()])?;
        if let Some(Some(Reply::Reserve(Reserved::Yes(call)))) = replies.first() {
            self.open.push((*call, worst));
        }
        Ok(())
    }

    /// Tells the loop of the calls on used amounts. Those that a full disk refuses are told again.
    fn tell(&mut self) -> Result<(), String> {
        let sent = std::mem::take(&mut self.sent);
        let at = Timestamp(self.now);
        let spend = |(call, order): &(CallId, CallOrder)| {
            command::Spend { call: *call, order: Box::new(order.clone()), at }.into()
        };
        let replies = self.turn(sent.iter().map(spend).collect())?;
        for ((call, order), reply) in sent.into_iter().zip(replies) {
            match reply {
                Some(_) => self.open.push((call, order.worst.0)),
                None => self.sent.push((call, order)),
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        let at = self.rng.place(self.open.len());
        let (call, worst) = self.open.swap_remove(at);
        let cost = Money(self.rng.below(worst + 1));
        let over = CallOver { state: CallState::Charged, cost, input: 1, output: 1, request_id: None };
        let replies = self.turn(vec![command::Settle { call, over: Box::new(over) }.into()])?;
        if !matches!(replies.first(), Some(Some(_))) {
            self.open.push((call, worst));
        }
        Ok(())
    }

    fn report(&mut self) -> Result<(), String> {
        if self.attempts.is_empty() {
            return Ok(());
        }
        let at = self.rng.place(self.attempts.len());
        let report = self.attempts.swap_remove(at);
        let reported = if self.rng.chance(300) {
            Reported::Fail { error: TaskError::new(Category::Unavailable, "not now") }
        } else {
            Reported::Succeed { output: NewPayload::None, provenance: Arc::default() }
        };
        let replies = self.turn(vec![command::Report { tenant: TenantId::DEFAULT, report, reported }.into()])?;
        if !matches!(replies.first(), Some(Some(_))) {
            self.attempts.push(report);
        }
        Ok(())
    }
}
