//! The engine as its users hold it.

mod at_rest;

use std::sync::{Arc, Mutex, PoisonError, mpsc::channel};

use kapelle_core::{Name, RunId, TaskId, TenantId, middleware::Middleware, task::Task, worker::FileSource};
use kapelle_store::{Reader, RunRow, Store};
use tokio::sync::{broadcast, oneshot};

use crate::{
    clock::Clock,
    dispatcher::{Dispatcher, Running, Spill},
    error::EngineError,
    evaluator::{Evaluator, Sources},
    events::Event,
    input_memory::InputMemory,
    live_output::LiveOutputs,
    long_poll::LongPolls,
    options::Options,
    random::Random,
    registry::Registry,
    runner::{Answer, Inbox, Message, Runner, Soon},
    turn::{
        Ask, Command, Directory, Key, LoopState, NewRun, NoticeFlags, RateWaits, Recovered, Reply, SubmitTask, Taken,
        VersionRef, command,
    },
    waiters::{Listener, Observer, SessionObserver, Waiter, Waiters},
    weak_engine::WeakEngine,
};

/// Events kept for a slow watcher before it misses some.
const EVENTS_KEPT: usize = 4_096;

/// Parts that an engine is made from.
pub struct Parts {
    /// Writing side of the store.
    pub store: Box<dyn Store>,
    /// Reading side of the store.
    pub reader: Arc<dyn Reader>,
    /// Workers of this process.
    pub registry: Arc<Registry>,
    /// Files that inputs refer to.
    pub files: Arc<dyn FileSource>,
    /// Storage of values that are too large for a row.
    pub spill: Spill,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Middleware around every attempt, outermost first.
    pub middleware: Vec<Arc<dyn Middleware>>,
    /// Calls that the former process had sent on its prepaid amounts.
    pub taken: Taken,
}

/// A running engine. A clone is another handle; [`Engine::stop`] ends it for all.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    inbox: Inbox,
    soon: Arc<Soon>,
    reader: Arc<dyn Reader>,
    registry: Arc<Registry>,
    waiters: Arc<Waiters>,
    events: broadcast::Sender<Event>,
    spill: Spill,
    flags: NoticeFlags,
    rate_waits: RateWaits,
    live_output: Arc<LiveOutputs>,
    recovered: Recovered,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Engine {
    /// Recovers from the store and starts the loop. Must be called within a tokio runtime, on which the workers then
    /// run.
    ///
    /// # Errors
    /// When the store fails, or a thread cannot be started.
    pub fn start(parts: Parts, options: Options) -> Result<Engine, EngineError> {
        let Parts { store, reader, registry, files, spill, clock, middleware, taken } = parts;
        let (sender, receiver) = channel();
        let (inbox, soon) = (Inbox(sender), Arc::new(Soon::default()));
        let directory: Arc<dyn Directory> = Arc::clone(&registry) as Arc<dyn Directory>;
        let evaluators = options.evaluators;
        let sources =
            Sources { reader: Arc::clone(&reader), directory: Arc::clone(&directory), spill: Arc::clone(&spill) };
        let mut random = Random::new();
        let mut state = LoopState::new(store, options, directory, Box::new(move || random.draw()));
        let (watching, flags, rate_waits) = (state.watch_flag(), state.notice_flags(), state.rate_waits());
        state.taken(taken);
        let started = state.recover(clock.now(), clock.steady_ms())?;
        let recovered = state.recovered;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let waiters = Arc::new(Waiters::default());
        let cannot = |error: std::io::Error| EngineError::InvalidInput(format!("a thread cannot be started: {error}"));
        let evaluator = Evaluator::start(evaluators, &sources, &inbox).map_err(cannot)?;
        let live_output = Arc::new(LiveOutputs::default());
        let dispatcher = Dispatcher {
            runtime: tokio::runtime::Handle::current(),
            registry: Arc::clone(&registry),
            reader: Arc::clone(&reader),
            files,
            spill: Arc::clone(&spill),
            inbox: inbox.clone(),
            running: Arc::new(Running::default()),
            memory: InputMemory::default(),
            middleware: middleware.into(),
            live_output: Arc::clone(&live_output),
        };
        let runner = Runner {
            state,
            inbox: receiver,
            soon: Arc::clone(&soon),
            clock,
            dispatcher,
            evaluator,
            waiters: Arc::clone(&waiters),
            events: events.clone(),
            watching,
            answers: crate::id_map::IdMap::default(),
            deferred: std::collections::VecDeque::new(),
            deferred_until: 0,
            polls: LongPolls::default(),
            next_ticket: 0,
            draining: false,
            when_idle: Vec::new(),
            expire_at: 0,
            expire_by: 0,
        };
        let thread = std::thread::Builder::new().name("kapelle-loop".to_owned()).spawn(move || runner.run(started));
        let thread = Mutex::new(Some(thread.map_err(cannot)?));
        Ok(Engine {
            inner: Arc::new(Inner {
                inbox,
                soon,
                reader,
                registry,
                waiters,
                events,
                spill,
                flags,
                rate_waits,
                live_output,
                recovered,
                thread,
            }),
        })
    }

    /// Sends a command to the loop and waits for its reply, which is given after the commit.
    ///
    /// # Errors
    /// The refusal, or the failure of the store.
    pub async fn ask<C: Ask>(&self, command: C) -> Result<C::Reply, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let command = command.into();
        self.read_version(&command).await;
        self.post(Message::Command(Box::new(command), Answer::Reply(sender)))?;
        let reply = receiver.await.unwrap_or(Err(EngineError::Stopped))?;
        C::reply(reply).ok_or(EngineError::Stopped)
    }

    /// Reads the text of the stored version that a command names, so that the loop does not.
    async fn read_version(&self, command: &Command) {
        let Some((_, VersionRef::Stored(version))) = command.version() else { return };
        let (reader, registry, version) = (Arc::clone(&self.inner.reader), Arc::clone(&self.inner.registry), *version);
        let Some((tenant, _)) = command.version() else { return };
        let reading = move || crate::evaluator::hand_over(&*reader, &*registry, tenant, version);
        // Should it fail, the loop reads the text itself and says what is wrong.
        let _ = tokio::task::spawn_blocking(reading).await;
    }

    pub(crate) fn post(&self, message: Message) -> Result<(), EngineError> {
        self.inner.inbox.0.send(message).map_err(|_| EngineError::Stopped)
    }

    /// Submits tasks, all or none. Returns the id of the first; they are numbered without gaps.
    ///
    /// # Errors
    /// When a key was used for another body, or the store fails.
    pub async fn submit(
        &self,
        tenant: TenantId,
        tasks: Vec<SubmitTask>,
        key: Option<Key>,
    ) -> Result<TaskId, EngineError> {
        Ok(self.ask(command::Submit { tenant, tasks: Arc::from(tasks), key }).await?.first)
    }

    /// Submits one task and waits until it has ended.
    ///
    /// # Errors
    /// When it is refused, the store fails, or the engine stops.
    pub async fn submit_and_wait(&self, tenant: TenantId, task: SubmitTask) -> Result<Arc<Task>, EngineError> {
        let (_, ended) = self.submit_watched(tenant, task).await?;
        ended.await.map_err(|_| EngineError::Stopped)
    }

    /// Submits one task. Returns its id and a receiver of its end.
    ///
    /// # Errors
    /// When it is refused, the store fails, or the engine stops.
    pub async fn submit_watched(
        &self,
        tenant: TenantId,
        task: SubmitTask,
    ) -> Result<(TaskId, oneshot::Receiver<Arc<Task>>), EngineError> {
        let (reply, replied) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let command = command::Submit { tenant, tasks: Arc::from([task]), key: None };
        self.post(Message::Command(Box::new(command.into()), Answer::Watch(reply, Waiter::One(end))))?;
        match replied.await.unwrap_or(Err(EngineError::Stopped))? {
            Reply::Submit(made) => Ok((made.first, ended)),
            _ => Err(EngineError::Stopped),
        }
    }

    /// Waits until a task has ended.
    ///
    /// # Errors
    /// When the task does not exist, the store fails, or the engine stops.
    pub async fn wait(&self, tenant: TenantId, id: TaskId) -> Result<Arc<Task>, EngineError> {
        let ended = self.inner.waiters.task(id);
        let task = self.inner.reader.task(tenant, id)?.ok_or(EngineError::NoSuchTask(id))?;
        if task.state.kind().is_terminal() {
            return Ok(Arc::new(task));
        }
        ended.await.map_err(|_| EngineError::Stopped)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// When a key was used for another body, or the store fails.
    pub async fn start_run(&self, tenant: TenantId, run: NewRun, key: Option<Key>) -> Result<RunId, EngineError> {
        Ok(self.ask(command::StartRun { tenant, run, key }).await?.run)
    }

    /// Waits until a run has ended.
    ///
    /// # Errors
    /// When the run does not exist, the store fails, or the engine stops.
    pub async fn wait_run(&self, tenant: TenantId, id: RunId) -> Result<RunRow, EngineError> {
        loop {
            let ended = self.inner.waiters.run(id);
            let row = self.inner.reader.run(tenant, id)?.ok_or(EngineError::NoSuchRun(id))?;
            if row.status.kind().is_terminal() {
                return Ok(row);
            }
            ended.await.map_err(|_| EngineError::Stopped)?;
        }
    }

    /// Calls a function for the end of every task from now on, once it is committed and on the thread of the loop: it
    /// must be quick. Only the first observer is kept.
    pub fn observe(&self, observer: Observer) {
        self.inner.waiters.observe(observer);
    }

    /// Sets the observer of session log entries, as [`Engine::observe`] does.
    pub fn observe_session(&self, observer: SessionObserver) {
        self.inner.waiters.observe_session(observer);
    }

    /// Calls a function for notices about costs, and about leases and rows while [`Engine::notice_flags`] ask for them, as [`Engine::observe`] does.
    pub fn listen(&self, listener: Listener) {
        self.inner.waiters.listen(listener);
    }

    /// Returns the flags that turn notices of leases and of changed rows on.
    #[must_use]
    pub fn notice_flags(&self) -> &NoticeFlags {
        &self.inner.flags
    }

    /// Returns the waits of workers at their rate.
    #[must_use]
    pub fn rate_waits(&self) -> &RateWaits {
        &self.inner.rate_waits
    }

    /// Sends a command whose reply nobody wants. A command that a full disk refuses is retried.
    pub fn tell(&self, command: impl Into<Command>) {
        self.inner.inbox.send(command);
    }

    /// Leaves a command for the next turn, which comes within a second. Later commands are decided after it.
    pub fn tell_soon(&self, command: impl Into<Command>) {
        self.inner.soon.add(command.into());
    }

    /// Subscribes to the events of all runs from now on. A slow watcher learns the number of missed events.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Returns the text that models are writing.
    #[must_use]
    pub fn live_output(&self) -> &Arc<LiveOutputs> {
        &self.inner.live_output
    }

    /// Returns the replay epoch of a task: the number of attempts before that one that ended with a bad answer.
    ///
    /// # Errors
    /// When the store fails.
    pub fn replay_epoch(&self, task: TaskId, attempt: u32) -> Result<u64, EngineError> {
        crate::dispatcher::replay_epoch(&*self.inner.reader, task, attempt)
    }

    /// Returns the open work that the start found.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.inner.recovered
    }

    /// Returns the reading side of the store.
    #[must_use]
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.inner.reader
    }

    /// Returns the workers of this process.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Tells the loop that workers were added or removed.
    pub fn workers_changed(&self) {
        self.inner.inbox.send(command::WorkersChanged);
    }

    /// Tells whether the tenant of the folder has a worker of that name in this process.
    #[must_use]
    pub fn has_worker(&self, name: &Name) -> bool {
        self.inner.registry.get(TenantId::DEFAULT, name).is_some()
    }

    /// Returns a weak handle.
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine::of(&self.inner)
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inner.inbox
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.inner.waiters
    }

    /// Stores bytes as a file. Returns their hash.
    pub(crate) fn spill(&self, bytes: &[u8]) -> Result<String, String> {
        (self.inner.spill)(bytes)
    }

    /// Stops new starts, and waits for the attempts in progress. Commands are still written.
    pub async fn idle(&self) {
        let (idle, is_idle) = oneshot::channel();
        let _ = (self.post(Message::WhenIdle(idle)), is_idle.await);
    }

    /// Stops new starts, waits for the attempts in progress, and ends.
    pub async fn drain(&self) {
        let _ = self.post(Message::Drain);
        self.join().await;
    }

    /// Ends at once: attempts in progress are stopped and begin again at the next start.
    pub async fn stop(&self) {
        let _ = self.post(Message::Stop);
        self.join().await;
    }

    async fn join(&self) {
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.inbox.0.send(Message::Stop);
    }
}
