//! The collection of figures, and their way to the file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use kapelle_core::{
    Account, AccountKind, Name, TenantId,
    account::day_of,
    task::{StateKind, Task, TaskState},
};
use kapelle_store::{
    StoreError,
    history::{Dimension, Figures, History, Mark, Point, Resolution},
};

use crate::{app::App, machine};

/// Names of one kind and tenant that have a history of their own in one span; the rest counts for all together.
const NAMES: usize = 200;
/// Tenants whose figures are collected at once.
const KEYS: usize = 20_000;
/// Accounts of a kind that are compared.
const ACCOUNTS: u32 = 200;

/// Subject of a figure.
type Subject = (TenantId, Dimension, String);
/// Spent amount, calls, tokens sent and received.
type Book = (u64, u64, u64, u64);

/// Figures that were not written yet, and what they are compared with.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    history: OnceLock<History>,
    /// Ended tasks since the last writing, by tenant, queue and worker.
    ended: Mutex<HashMap<(TenantId, Name, Name), Figures>>,
    /// Totals of accounts at the last writing.
    books: Mutex<HashMap<Subject, Book>>,
}

impl Recorder {
    /// Returns the file; `None` before the application serves, and when it cannot be opened.
    pub(super) fn history(&self) -> Option<&History> {
        self.history.get()
    }

    /// Counts the end of a task. Called by the loop: must be quick.
    pub(crate) fn ended(&self, task: &Task) {
        if self.history.get().is_none() {
            return;
        }
        let (failed, times) = match &task.state {
            TaskState::Succeeded { started_at, ended_at, .. } => (false, Some((*started_at, *ended_at))),
            TaskState::Failed { .. } => (true, None),
            _ => return,
        };
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= KEYS {
            return;
        }
        let figures = ended.entry((task.tenant, task.queue.clone(), task.worker.clone())).or_default();
        figures.ended += 1;
        figures.failed += u64::from(failed);
        if let Some((started, over)) = times {
            figures.duration.add(over.since(started).0);
            // The wait of a later attempt is that of its retry rules.
            if task.epoch <= 1 {
                figures.wait.add(started.since(task.created_at).0);
            }
        }
    }

    /// Takes what was collected, by subject.
    fn take(&self) -> BTreeMap<Subject, Figures> {
        let ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        let mut figures: BTreeMap<Subject, Figures> = BTreeMap::new();
        for ((tenant, queue, worker), more) in ended {
            for (dimension, name) in [
                (Dimension::All, String::new()),
                (Dimension::Queue, queue.to_string()),
                (Dimension::Worker, worker.to_string()),
            ] {
                figures.entry((tenant, dimension, name)).or_default().merge(&more);
            }
        }
        figures
    }

    /// Adds what an account spent since the last call. The first amount of an account is only remembered.
    fn spend(&self, figures: &mut BTreeMap<Subject, Figures>, subject: Subject, now: Book) {
        let last = self.books.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.clone(), now);
        let Some(last) = last.filter(|last| *last != now) else { return };
        let figures = figures.entry(subject).or_default();
        // A total that fell began again, as that of the day does at midnight.
        let since = |last: u64, now: u64| now.checked_sub(last).unwrap_or(now);
        figures.spent_nanousd += since(last.0, now.0);
        figures.calls += since(last.1, now.1);
        figures.input_tokens += since(last.2, now.2);
        figures.output_tokens += since(last.3, now.3);
    }
}

impl App {
    /// Records history from now on, until the application ends. Must be called within a tokio runtime.
    pub(crate) fn record_history(self: &Arc<Self>) {
        let history = match History::open(self.folder()) {
            Ok(history) => history,
            Err(error) => {
                tracing::warn!(%error, "the history for charts cannot be opened; charts stay empty");
                return;
            }
        };
        let started = Mark {
            at: self.now().0,
            kind: "started".to_owned(),
            text: format!("version {}", env!("CARGO_PKG_VERSION")),
        };
        if let Err(error) = history.mark(&started) {
            tracing::warn!(%error, "the start is not marked on the charts");
        }
        if self.memory.recorder.history.set(history).is_err() {
            return;
        }
        let (app, mut draining) = (Arc::downgrade(self), self.draining());
        let span = Duration::from_millis(Resolution::TenSeconds.span_ms().unsigned_abs());
        drop(tokio::spawn(async move {
            loop {
                let ends = tokio::select! {
                    () = tokio::time::sleep(span) => false,
                    _ = draining.wait_for(|draining| *draining) => true,
                };
                let Some(app) = app.upgrade() else { return };
                if let Err(error) = app.list(|app| Ok(app.write_history(true)?)).await {
                    tracing::warn!(%error, "the history for charts could not be written");
                }
                if ends {
                    return;
                }
            }
        }));
    }

    /// Writes what was collected, with a sample of the gauges.
    pub(crate) fn write_history(&self, gauges: bool) -> Result<(), StoreError> {
        let recorder = &self.memory.recorder;
        let Some(history) = recorder.history() else { return Ok(()) };
        let mut figures = recorder.take();
        if gauges {
            self.sample(&mut figures)?;
        }
        let now = self.now().0;
        let at = now - now.rem_euclid(Resolution::TenSeconds.span_ms());
        let mut names: HashMap<(TenantId, Dimension), usize> = HashMap::new();
        let points = figures.into_iter().filter(|((tenant, dimension, _), _)| {
            let count = names.entry((*tenant, *dimension)).or_default();
            *count += 1;
            *count <= NAMES
        });
        let point = |((tenant, dimension, name), figures)| Point { tenant, dimension, name, at, figures };
        history.write(&points.map(point).collect::<Vec<_>>(), now)
    }

    /// Adds samples of the gauges, and what was spent since the last ones.
    fn sample(&self, figures: &mut BTreeMap<Subject, Figures>) -> Result<(), StoreError> {
        let reader = self.reader();
        let mut tenants = reader.busy_tenants()?;
        tenants.push(TenantId::DEFAULT);
        tenants.extend(reader.tenant_accounts(ACCOUNTS)?.into_iter().map(|row| row.tenant));
        tenants.sort_unstable();
        tenants.dedup();
        let settings = self.settings();
        for tenant in tenants {
            let all = figures.entry((tenant, Dimension::All, String::new())).or_default();
            all.samples += 1;
            all.slots += settings.queues.values().map(|slots| u64::from(*slots)).sum::<u64>();
            all.runs += reader.attention(tenant, 0)?.open_runs;
            if tenant == TenantId::DEFAULT {
                let cores = self.memory.machine.process_cpu(std::process::id(), self.steady_ms()).unwrap_or(0.0);
                all.cpu_milli += (cores * 1_000.0) as u64;
                all.memory_bytes += machine::process_memory(std::process::id()).unwrap_or(0);
            }
            self.sample_tasks(tenant, figures)?;
            self.sample_books(tenant, figures)?;
        }
        Ok(())
    }

    fn sample_tasks(&self, tenant: TenantId, figures: &mut BTreeMap<Subject, Figures>) -> Result<(), StoreError> {
        let settings = self.settings();
        let mut sampled: BTreeMap<Subject, (u64, u64)> = BTreeMap::new();
        for name in settings.queues.keys() {
            sampled.entry((tenant, Dimension::Queue, name.to_string())).or_default();
        }
        for lane in self.reader().open_tasks(tenant)? {
            let (ready, running) = match lane.state {
                StateKind::Ready => (lane.tasks, 0),
                StateKind::Running => (0, lane.tasks),
                _ => continue,
            };
            for (dimension, name) in [
                (Dimension::All, String::new()),
                (Dimension::Queue, lane.queue.to_string()),
                (Dimension::Worker, lane.worker.to_string()),
            ] {
                let sample = sampled.entry((tenant, dimension, name)).or_default();
                *sample = (sample.0 + ready, sample.1 + running);
            }
        }
        for (subject, (ready, running)) in sampled {
            let is_all = subject.1 == Dimension::All;
            let slots = match subject.1 {
                Dimension::Queue => u64::from(settings.slots(&Name::new(&subject.2))),
                _ => 0,
            };
            let figures = figures.entry(subject).or_default();
            figures.samples += u64::from(!is_all);
            figures.slots += slots;
            (figures.ready, figures.running) = (figures.ready + ready, figures.running + running);
        }
        Ok(())
    }

    fn sample_books(&self, tenant: TenantId, figures: &mut BTreeMap<Subject, Figures>) -> Result<(), StoreError> {
        let (reader, recorder) = (self.reader(), &self.memory.recorder);
        let book = |row: &kapelle_store::AccountRow| (row.spent.0, row.calls, row.input, row.output);
        let today = reader.account(tenant, &Account::Day, day_of(self.now()))?;
        let today = today.as_ref().map_or((0, 0, 0, 0), book);
        recorder.spend(figures, (tenant, Dimension::All, String::new()), today);
        for (kind, dimension) in [
            (AccountKind::Queue, Dimension::Queue),
            (AccountKind::Worker, Dimension::Worker),
            (AccountKind::Provider, Dimension::Provider),
            (AccountKind::Model, Dimension::Model),
        ] {
            for row in reader.accounts(tenant, kind, ACCOUNTS)? {
                recorder.spend(figures, (tenant, dimension, row.account.name()), book(&row));
            }
        }
        Ok(())
    }
}
