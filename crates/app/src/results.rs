//! Streams of results: one receiver for the ends of many tasks.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_api::{self as api, StreamEnd};
use kapelle_core::{TaskId, TenantId, task::Task};
use kapelle_engine::EndedTasks;
use tokio::sync::watch;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    host_stream::ALIVE,
    secrets, to_api,
};

/// Tasks that one stream waits for, and ids of one request.
const OPEN_MAX: usize = 10_000;
/// Ids that are looked up at once; more are looked up on another thread.
const FEW: usize = 32;

/// The open streams of results, by id.
#[derive(Debug, Default)]
pub(crate) struct ResultStreams(Mutex<HashMap<String, Opened>>);

/// A stream, and the key that it belongs to.
#[derive(Debug, Clone)]
struct Opened {
    tenant: TenantId,
    actor: String,
    ended: Arc<EndedTasks>,
}

impl ResultStreams {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of results. Dropped, it waits for nothing any more.
pub struct ResultStream {
    app: Arc<App>,
    id: String,
    ended: Arc<EndedTasks>,
    draining: watch::Receiver<bool>,
    /// Tasks that are not in a line yet.
    queued: VecDeque<Arc<Task>>,
    /// Ids of no task, for the first line; `None` after it.
    first: Option<Vec<String>>,
    over: bool,
}

impl App {
    /// Opens a stream of results, with the first tasks to wait for.
    ///
    /// # Errors
    /// When there are too many ids.
    pub async fn open_results(
        self: &Arc<Self>,
        by: &Caller,
        given: api::OpenResults,
    ) -> Result<ResultStream, AppError> {
        by.allow(Permission::Read)?;
        self.accepting()?;
        let mark = secrets::mark().map_err(|error| AppError::internal(error.to_string()))?;
        let (id, ended) = (format!("r_{mark}"), Arc::<EndedTasks>::default());
        let opened = Opened { tenant: by.tenant, actor: by.actor.clone(), ended: Arc::clone(&ended) };
        self.memory.results.lock().insert(id.clone(), opened);
        let mut stream = ResultStream {
            app: Arc::clone(self),
            id,
            ended,
            draining: self.draining(),
            queued: VecDeque::new(),
            first: None,
            over: false,
        };
        stream.first = Some(self.wait_for_all(by.tenant, given.tasks, &stream.ended).await?);
        Ok(stream)
    }

    /// Changes the tasks that a stream waits for.
    ///
    /// # Errors
    /// When the key has no such stream, or there are too many ids.
    pub async fn change_results(
        self: &Arc<Self>,
        by: &Caller,
        id: &str,
        given: api::ChangeResults,
    ) -> Result<api::OpenedResults, AppError> {
        by.allow(Permission::Read)?;
        let ended = self.results_of(by, id);
        let ended = ended.ok_or_else(|| AppError::not_found(id.chars().take(40).collect::<String>()))?;
        let (forget, _) = ids(&given.forget);
        self.engine.no_longer_wait(&forget, &ended);
        let missing = self.wait_for_all(by.tenant, given.tasks, &ended).await?;
        Ok(api::OpenedResults { open: ended.len() as u64, missing })
    }

    /// Returns the ends that a stream of this key waits for.
    pub(crate) fn results_of(&self, by: &Caller, id: &str) -> Option<Arc<EndedTasks>> {
        let streams = self.memory.results.lock();
        let own = |open: &&Opened| open.tenant == by.tenant && open.actor == by.actor;
        streams.get(id).filter(own).map(|open| Arc::clone(&open.ended))
    }

    /// Refuses more tasks than a stream may wait for.
    pub(crate) fn has_room(ended: &EndedTasks, more: usize) -> Result<(), AppError> {
        if ended.len() + more > OPEN_MAX {
            let message = format!("a stream waits for at most {OPEN_MAX} tasks; open another, or wait for some");
            return Err(AppError::input("tasks", message));
        }
        Ok(())
    }

    /// Waits for tasks too. Returns the ids that are of no task of the tenant.
    async fn wait_for_all(
        self: &Arc<Self>,
        tenant: TenantId,
        given: Vec<String>,
        ended: &Arc<EndedTasks>,
    ) -> Result<Vec<String>, AppError> {
        Self::has_room(ended, given.len())?;
        let (ids, mut missing) = ids(&given);
        let gone = if ids.len() <= FEW {
            self.engine.wait_into(tenant, &ids, ended)?
        } else {
            let ended = Arc::clone(ended);
            self.list_for(tenant, move |app| Ok(app.engine.wait_into(tenant, &ids, &ended)?)).await?
        };
        missing.extend(gone.iter().map(ToString::to_string));
        Ok(missing)
    }
}

/// Reads ids, each once. The second list has the texts that cannot be read.
fn ids(given: &[String]) -> (Vec<TaskId>, Vec<String>) {
    let (mut ids, mut others) = (BTreeSet::new(), Vec::new());
    for text in given {
        match text.parse() {
            Ok(id) => drop(ids.insert(id)),
            Err(_) => others.push(text.chars().take(40).collect()),
        }
    }
    (ids.into_iter().collect(), others)
}

impl ResultStream {
    /// Returns the next line; `None` after the last. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a result cannot be read.
    pub async fn next(&mut self) -> Result<Option<api::ResultLine>, AppError> {
        if self.over {
            return Ok(None);
        }
        if let Some(missing) = self.first.take() {
            let stream = Some(self.id.clone());
            return Ok(Some(api::ResultLine { stream, missing, ..api::ResultLine::default() }));
        }
        loop {
            if let Some(task) = self.queued.front() {
                let task = Some(Box::new(to_api::whole_task(&self.app, task)?));
                self.queued.pop_front();
                return Ok(Some(api::ResultLine { task, ..api::ResultLine::default() }));
            }
            let stopping = tokio::select! {
                biased;
                ended = self.ended.next() => {
                    self.queued = ended;
                    continue;
                }
                _ = self.draining.wait_for(|draining| *draining) => true,
                () = tokio::time::sleep(ALIVE) => false,
            };
            return Ok(Some(if stopping { self.end(StreamEnd::Stopping) } else { api::ResultLine::default() }));
        }
    }

    /// Ends the stream. Returns its last line.
    pub fn end(&mut self, why: StreamEnd) -> api::ResultLine {
        self.over = true;
        api::ResultLine { end: Some(why), ..api::ResultLine::default() }
    }

    /// Says whether a further line is ready.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.queued.is_empty()
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        self.app.memory.results.lock().remove(&self.id);
        self.app.engine.close_waits(&self.ended);
    }
}
