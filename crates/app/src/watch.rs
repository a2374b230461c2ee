//! Hot reload: files of workers and workflows take effect, or are reported, while something runs.
//!
//! The folders are scanned twice a second rather than watched by the system: a few `stat` calls cost nothing, and it
//! works on every file system, including network mounts and containers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kapelle_core::{Name, worker::Worker};
use kapelle_engine::Engine;
use kapelle_gateway::Gateway;
use kapelle_workers::{Catalogue, inside};

use crate::{
    app::App,
    error::Error,
    file_schedules::{FileSchedules, Taken},
    workflow_files,
};

/// Interval between scans. A change takes effect within two scans.
const EVERY: Duration = Duration::from_millis(500);
/// Files of a folder that are read.
const FILES_MAX: usize = 1_000;
/// The longest worker file that is read, in bytes; the parser reports a longer one.
const READ_MAX: u64 = (16 << 20) + 1;

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Change {
    /// A worker is in effect.
    Worker { name: String, file: PathBuf },
    /// A worker's file was removed, and the worker with it, unless a built-in one has its name.
    WorkerGone { name: String },
    /// A workflow is valid.
    Workflow { name: String, file: PathBuf },
    /// The file of a workflow was removed. Its stored versions stay.
    WorkflowGone { name: String },
    /// A file is invalid. The former version stays in effect.
    Broken {
        file: PathBuf,
        /// The problem, with line and column.
        message: String,
    },
}

/// A watch on the folders, which ends when it is dropped.
#[derive(Debug)]
pub struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The version of a file: its time and size.
type Mark = (Option<SystemTime>, u64);

/// The versions of the files of a folder.
pub(crate) type Marks = BTreeMap<PathBuf, Mark>;

/// Returns the versions of the YAML files of folders, by folder. Taken before the files are read, so that a change during
/// the start is noticed.
pub(crate) fn marks<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> BTreeMap<PathBuf, Marks> {
    folders.into_iter().map(|folder| (folder.clone(), marks_of(folder))).collect()
}

fn marks_of(folder: &Path) -> Marks {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let known = entries.filter(|entry| kapelle_workers::catalogue::is_worker_file(&entry.path())).filter_map(|entry| {
        let about = entry.metadata().ok()?;
        about.is_file().then(|| (entry.path(), (about.modified().ok(), about.len())))
    });
    known.take(FILES_MAX).collect()
}

struct Watcher {
    engine: Engine,
    gateway: Arc<Gateway>,
    shipped: Catalogue,
    workers: PathBuf,
    workflows: PathBuf,
    marks: Marks,
    names: BTreeMap<PathBuf, Name>,
    /// The workflows by file.
    flows: BTreeMap<PathBuf, Name>,
}

impl App {
    /// Watches a folder of workers and a folder of workflows, and calls `report` for every change from now on. Of
    /// folders that were read at the start, changes since then count too. Must be called within a tokio runtime.
    #[must_use = "dropping it ends the watch"]
    pub fn watch(&self, workers: &Path, workflows: &Path, report: impl Fn(Change) + Send + 'static) -> Watch {
        let mut watcher = Watcher {
            engine: self.engine.clone(),
            gateway: Arc::clone(&self.gateway),
            shipped: self.shipped.clone(),
            workers: workers.to_owned(),
            workflows: workflows.to_owned(),
            marks: Marks::new(),
            names: BTreeMap::new(),
            flows: BTreeMap::new(),
        };
        let schedules = self.file_schedules.clone();
        watcher.learn(&self.read);
        Watch(tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let looked = tokio::task::spawn_blocking(move || {
                    let changes = watcher.look();
                    (watcher, changes)
                });
                let Ok((back, changes)) = looked.await else { return };
                watcher = back;
                let flows = changes.iter().any(Change::is_of_workflow);
                changes.into_iter().for_each(&report);
                if let (Some(schedules), true) = (&schedules, flows) {
                    apply(schedules).await.into_iter().for_each(&report);
                }
            }
        }))
    }
}

impl Change {
    fn is_of_workflow(&self) -> bool {
        matches!(self, Change::Workflow { .. } | Change::WorkflowGone { .. })
    }
}

/// Applies the schedules of the workflows that are in effect now. Returns what is not in effect.
async fn apply(schedules: &FileSchedules) -> Vec<Change> {
    match schedules.apply().await {
        Ok(taken) => taken.into_iter().map(|Taken { file, message }| Change::Broken { file, message }).collect(),
        Err(error) => {
            tracing::warn!(%error, "the schedules of the workflow files are as before; the next change tries again");
            Vec::new()
        }
    }
}

impl Watcher {
    /// Records the files that are in effect already: those read at the start, or else the current ones.
    fn learn(&mut self, read_at_start: &BTreeMap<PathBuf, Marks>) {
        for folder in [&self.workers, &self.workflows] {
            self.marks.extend(read_at_start.get(folder).cloned().unwrap_or_else(|| marks_of(folder)));
        }
        for file in self.marks.keys().filter(|file| file.starts_with(&self.workers)) {
            let worker = read(file).and_then(|text| self.worker(file, &text));
            if let Ok(worker) = worker {
                self.names.insert(file.clone(), worker.spec().name.clone());
            }
        }
        for file in self.marks.keys().filter(|file| file.starts_with(&self.workflows)) {
            let named = read(file).ok().and_then(|text| workflow_files::named(&text, &file.display().to_string()).ok());
            if let Some((name, _)) = named {
                self.flows.insert(file.clone(), name);
            }
        }
    }

    fn look(&mut self) -> Vec<Change> {
        let files = self.files();
        let mut changes = Vec::new();
        let before = std::mem::take(&mut self.marks);
        for file in before.keys().filter(|file| !files.contains_key(*file)) {
            if let Some(name) = self.names.remove(file) {
                self.put_back(&name);
                changes.push(Change::WorkerGone { name: name.to_string() });
            }
            if let Some(name) = self.flows.remove(file) {
                self.forget(&name);
                changes.push(Change::WorkflowGone { name: name.to_string() });
            }
        }
        for (file, mark) in &files {
            if before.get(file) != Some(mark) {
                changes.push(self.take(file));
            }
        }
        self.marks = files;
        changes
    }

    fn take(&mut self, file: &Path) -> Change {
        let broken = |message: String| Change::Broken { file: file.to_owned(), message };
        let text = match read(file) {
            Ok(text) => text,
            Err(message) => return broken(message),
        };
        if file.starts_with(&self.workers) {
            return match self.worker(file, &text) {
                Ok(worker) => {
                    let name = worker.spec().name.clone();
                    if let Some(before) =
                        self.names.insert(file.to_owned(), name.clone()).filter(|before| *before != name)
                    {
                        self.put_back(&before);
                    }
                    self.engine.registry().replace(worker, self.shipped.get(name.as_str()));
                    self.engine.workers_changed();
                    Change::Worker { name: name.to_string(), file: file.to_owned() }
                }
                Err(message) => broken(message),
            };
        }
        match workflow_files::named(&text, &file.display().to_string()) {
            Ok((name, version)) => {
                let before = self.flows.insert(file.to_owned(), name.clone());
                if let Some(before) = before.filter(|before| *before != name) {
                    self.forget(&before);
                }
                self.engine.registry().insert_workflow(name.clone(), version);
                Change::Workflow { name: name.to_string(), file: file.to_owned() }
            }
            Err(Error::Definition(problems)) => broken(problems.render(&String::from_utf8_lossy(&text))),
            Err(error) => broken(error.to_string()),
        }
    }

    fn worker(&self, file: &Path, text: &[u8]) -> Result<Arc<dyn Worker>, String> {
        self.shipped.worker_of(file, text, &self.gateway).map_err(|error| error.to_string())
    }

    /// Handles a removed worker file: a built-in worker of its name takes effect again, if there is one.
    fn put_back(&self, name: &Name) {
        self.engine.registry().remove(name, self.shipped.get(name.as_str()));
        self.engine.workers_changed();
    }

    /// Handles a workflow that its file no longer has, unless another file has it.
    fn forget(&self, name: &Name) {
        if !self.flows.values().any(|known| known == name) {
            self.engine.registry().remove_workflow(name);
        }
    }

    fn files(&self) -> Marks {
        let mut files = marks_of(&self.workers);
        files.extend(marks_of(&self.workflows));
        files
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    inside::read(inside::project_of(inside::folder_of(file)), file, READ_MAX)
        .map_err(|why| format!("{} {why}", file.display()))
}
