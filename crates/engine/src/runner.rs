//! The thread on which the turns are taken.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use kapelle_core::TaskId;
use tokio::sync::{broadcast, oneshot};

use crate::{
    clock::Clock,
    dispatcher::Dispatcher,
    error::EngineError,
    evaluator::Evaluator,
    events::Event,
    id_map::IdMap,
    long_poll::{LongPolls, Poll},
    turn::{Command, Effect, Input, LoopState, Made, Notice, Reply, Ticket, Turned, command},
    waiters::{Waiter, Waiters},
};

/// Commands taken into one turn. A command beyond this is the next turn's, so that a turn stays short.
const COMMANDS_MAX: usize = 2_048;
/// Limit of tasks submitted in one turn.
const TASKS_MAX: usize = 4_096;
/// Longest sleep of the loop: a wall clock that was set forward is noticed within it.
const NAP_MAX: Duration = Duration::from_millis(1_000);
/// Wait before a write that a full disk refused is retried.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// Interval of the deletion of expired rows, and its longest delay by a busy loop.
const EXPIRE_EVERY_MS: u64 = 60_000;
/// Pause of a busy loop between two turns that delete expired rows.
const EXPIRE_PAUSE_MS: u64 = 1_000;

/// A message to the loop.
pub(crate) enum Message {
    /// A command, and the receiver of its reply.
    Command(Box<Command>, Answer),
    /// Commands that came together, and the receivers of their replies.
    Many(Vec<(Command, Answer)>),
    /// A worker host's claim, which waits for tasks.
    Poll(Box<Poll>),
    /// The credit of a worker host has risen.
    Look,
    /// Stop new starts; report when the attempts in progress have ended.
    WhenIdle(oneshot::Sender<()>),
    /// Stop new starts; end when the attempts in progress have ended.
    Drain,
    /// End now.
    Stop,
}

/// Receiver of a reply.
pub(crate) enum Answer {
    /// Nobody. A command that a full disk refuses is retried.
    Nobody,
    /// A receiver.
    Reply(oneshot::Sender<Result<Reply, EngineError>>),
    /// A receiver that also waits for the ends of the tasks that are made.
    Watch(oneshot::Sender<Result<Reply, EngineError>>, Waiter),
    /// A worker host that waits until there is work for it.
    Poll(Box<Poll>),
}

/// Sender of messages to the loop.
#[derive(Clone)]
pub(crate) struct Inbox(pub(crate) Sender<Message>);

impl Inbox {
    /// Sends a command without a receiver of the reply.
    pub(crate) fn send(&self, command: impl Into<Command>) {
        // Once the loop has ended the sender gets no answer; the store has the truth for the next start.
        let _ = self.0.send(Message::Command(Box::new(command.into()), Answer::Nobody));
    }
}

/// Commands that wait for the next turn without causing one.
#[derive(Default)]
pub(crate) struct Soon(Mutex<Vec<Command>>);

impl Soon {
    pub(crate) fn add(&self, command: Command) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// State of the thread.
pub(crate) struct Runner {
    pub(crate) state: LoopState,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) soon: Arc<Soon>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) evaluator: Evaluator,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) watching: Arc<AtomicBool>,
    pub(crate) answers: IdMap<Ticket, Answer>,
    /// Commands without a receiver that a full disk refused, and the time of their retry on the monotonic clock.
    pub(crate) deferred: VecDeque<Command>,
    pub(crate) deferred_until: u64,
    pub(crate) polls: LongPolls,
    pub(crate) next_ticket: Ticket,
    pub(crate) draining: bool,
    /// Receivers that wait for an idle engine.
    pub(crate) when_idle: Vec<oneshot::Sender<()>>,
    /// Time of the next deletion of expired rows, on the monotonic clock.
    pub(crate) expire_at: u64,
    /// Time of that deletion on a busy loop, which has no idle moment for it.
    pub(crate) expire_by: u64,
}

impl Runner {
    /// Takes turns until it is told to stop. `started` is the work that recovery left.
    pub(crate) fn run(mut self, started: Turned) {
        let mut more = started.more;
        self.perform(started.effects);
        let mut inputs = Vec::new();
        loop {
            if !self.collect(&mut inputs, more) {
                break;
            }
            self.watching.store(self.events.receiver_count() > 0, Ordering::Relaxed);
            let turned = self.state.turn(&inputs, self.clock.now(), self.clock.steady_ms());
            let stirred = more || inputs.iter().any(|input| !matches!(input.command, Command::Claim(_)));
            more = turned.more;
            let broken = turned.broken;
            self.reply(turned.replies, &mut inputs);
            // After the replies: a poll that found no work may have searched before another command of its turn made a
            // task ready.
            if stirred {
                self.polls.stirred();
            }
            self.perform(turned.effects);
            self.polls.wake(&self.state);
            if broken {
                tracing::error!("the store failed for good; the engine stops so that nothing is lost");
                break;
            }
            if (self.draining || !self.when_idle.is_empty()) && self.is_idle() {
                for idle in self.when_idle.drain(..) {
                    let _ = idle.send(());
                }
                if self.draining {
                    break;
                }
            }
        }
        if let Err(error) = self.state.give_back_all() {
            tracing::debug!(%error, "prepaid amounts were not released; the next start releases them");
        }
        self.dispatcher.running.stop_all();
        self.state.close();
        self.waiters.close();
    }

    /// Says whether this process has no attempts in progress.
    fn is_idle(&self) -> bool {
        self.dispatcher.running.is_empty() && self.state.idle_here()
    }

    /// Waits for work. Returns false when it is time to end.
    fn collect(&mut self, inputs: &mut Vec<Input>, more: bool) -> bool {
        inputs.clear();
        let (mut tasks, mut look) = (0, more);
        let nap = if more || self.polls.is_awake() { Duration::ZERO } else { self.nap() };
        let mut next = match self.inbox.recv_timeout(nap) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(message) = next.take() {
            match message {
                Message::Stop => return false,
                Message::WhenIdle(idle) => {
                    self.when_idle.push(idle);
                    self.state.drain();
                }
                Message::Drain => {
                    self.draining = true;
                    self.state.drain();
                }
                Message::Command(command, answer) => {
                    tasks += if let Command::Submit(submit) = &*command { submit.tasks.len() } else { 1 };
                    self.enter(*command, answer, inputs);
                }
                Message::Many(commands) => {
                    tasks += commands.len();
                    commands.into_iter().for_each(|(command, answer)| self.enter(command, answer, inputs));
                }
                Message::Poll(poll) => self.enter(poll.command(), Answer::Poll(poll), inputs),
                Message::Look => look = true,
            }
            if inputs.len() < COMMANDS_MAX && tasks < TASKS_MAX {
                next = self.inbox.try_recv().ok();
            }
        }
        for command in self.polls.returned() {
            self.enter(command, Answer::Nobody, inputs);
        }
        for poll in self.polls.woken() {
            self.enter(poll.command(), Answer::Poll(Box::new(poll)), inputs);
        }
        // After all that came, and in front of it: the end of a call is not decided before its beginning.
        let soon = self.soon.take();
        self.enter_first(soon, inputs);
        self.queue_up(inputs);
        self.enter_expiry(more, inputs);
        if self.is_due() {
            self.enter(command::Tick.into(), Answer::Nobody, inputs);
        }
        if look || inputs.iter().any(may_make_ready) {
            for poll in self.polls.late() {
                self.enter(poll.command(), Answer::Poll(Box::new(poll)), inputs);
            }
        }
        true
    }

    /// Adds commands without a receiver in front of the others.
    fn enter_first(&mut self, commands: impl IntoIterator<Item = Command>, inputs: &mut Vec<Input>) {
        let others = std::mem::take(inputs);
        for command in commands {
            self.enter(command, Answer::Nobody, inputs);
        }
        if inputs.is_empty() {
            *inputs = others;
        } else {
            inputs.extend(others);
        }
    }

    /// Queues commands without a receiver behind those that a full disk has refused.
    fn queue_up(&mut self, inputs: &mut Vec<Input>) {
        if self.deferred.is_empty() {
            return;
        }
        // Even if there is other work: under steady traffic an idle moment may be long in coming.
        if self.clock.steady_ms() >= self.deferred_until {
            let deferred = std::mem::take(&mut self.deferred);
            return self.enter_first(deferred, inputs);
        }
        for input in std::mem::take(inputs) {
            if self.answers.contains_key(&input.ticket)
                || matches!(input.command, Command::Tick(_) | Command::Expire(_))
            {
                inputs.push(input);
            } else {
                self.deferred.push_back(input.command);
            }
        }
    }

    fn enter(&mut self, command: Command, answer: Answer, inputs: &mut Vec<Input>) {
        self.next_ticket += 1;
        if !matches!(answer, Answer::Nobody) {
            self.answers.insert(self.next_ticket, answer);
        }
        inputs.push(Input { ticket: self.next_ticket, command });
    }

    /// Adds the deletion of expired rows when it is due. An idle loop takes a turn for it, a busy one adds it to the
    /// next.
    fn enter_expiry(&mut self, more: bool, inputs: &mut Vec<Input>) {
        let steady = self.clock.steady_ms();
        let busy = more || !inputs.is_empty();
        if steady < if busy { self.expire_by } else { self.expire_at } {
            return;
        }
        self.expire_at = steady.saturating_add(EXPIRE_EVERY_MS);
        self.expire_by = self.expire_at.saturating_add(EXPIRE_EVERY_MS);
        self.enter(command::Expire.into(), Answer::Nobody, inputs);
    }

    fn is_due(&self) -> bool {
        let due = self.state.next_due().is_some_and(|due| due <= self.clock.now());
        due || self.state.next_steady().is_some_and(|end| end <= self.clock.steady_ms())
    }

    fn nap(&self) -> Duration {
        let steady = self.clock.steady_ms();
        if !self.deferred.is_empty() {
            return Duration::from_millis(self.deferred_until.saturating_sub(steady)).min(FULL_PAUSE);
        }
        let now = self.clock.now();
        let due = self.state.next_due().map(|due| Duration::from_millis(due.since(now).0));
        let lease = self.state.next_steady().map(|end| Duration::from_millis(end.saturating_sub(steady)));
        due.unwrap_or(NAP_MAX).min(lease.unwrap_or(NAP_MAX)).min(NAP_MAX)
    }

    fn reply(&mut self, replies: Vec<(Ticket, Result<Reply, EngineError>)>, inputs: &mut Vec<Input>) {
        let full = replies.iter().filter(|(_, reply)| is_full(reply)).count() as u64;
        if full > 0 {
            self.waiters.tell(&Notice::Full(full));
        }
        for ((ticket, reply), input) in replies.into_iter().zip(inputs.drain(..)) {
            if let Ok(Reply::Expire(true)) = reply {
                self.expire_at = self.clock.steady_ms();
                self.expire_by = self.expire_at.saturating_add(EXPIRE_PAUSE_MS);
            }
            match self.answers.remove(&ticket) {
                None | Some(Answer::Nobody) => {
                    if is_full(&reply) && !matches!(input.command, Command::Tick(_) | Command::Expire(_)) {
                        if self.deferred.is_empty() {
                            let pause = u64::try_from(FULL_PAUSE.as_millis()).unwrap_or(u64::MAX);
                            self.deferred_until = self.clock.steady_ms().saturating_add(pause);
                        }
                        self.deferred.push_back(input.command);
                    }
                }
                Some(Answer::Poll(poll)) => self.polls.answer(*poll, reply),
                Some(Answer::Reply(sender)) => {
                    let _ = sender.send(reply);
                }
                Some(Answer::Watch(sender, waiter)) => {
                    // Before any effect of the turn: the tasks cannot have ended yet, unless their key was used before.
                    if let Ok(Reply::Submit(Made { first, count, repeated: false })) = &reply {
                        let made = (first.0..first.0 + i64::from(*count)).map(TaskId);
                        self.waiters.add_made(made, waiter);
                    }
                    let _ = sender.send(reply);
                }
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Dispatch(dispatch) => self.dispatcher.dispatch(dispatch),
                Effect::Stop(task) => self.dispatcher.running.stop(task),
                Effect::Evaluate(evaluation) => self.evaluator.evaluate(evaluation),
                Effect::Ended(task) => self.waiters.task_ended(&task),
                Effect::RunEnded(run) => self.waiters.run_ended(run),
                Effect::Session(logged) => self.waiters.logged(&logged),
                Effect::Tell(notice) => self.waiters.tell(&notice),
                Effect::Notify(event) => {
                    let _ = self.events.send(event);
                }
            }
        }
    }
}

/// Says whether a command may make a task ready.
fn may_make_ready(input: &Input) -> bool {
    !matches!(input.command, Command::Claim(_) | Command::Heartbeat(_) | Command::Expire(_))
}

/// Says whether a full disk refused a command.
fn is_full(reply: &Result<Reply, EngineError>) -> bool {
    matches!(reply, Err(EngineError::Store(error)) if error.is_temporary())
}
