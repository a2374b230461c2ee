//! Scripts as their files describe them, for a process that does not supervise them: their tasks can be submitted, and
//! they are shown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_api as api;
use kapelle_core::{
    Category, Name, TaskError, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_scripts::{
    Mode, Scan, Script, Start,
    interpreter::{Interpreter, Interpreters},
    scan::takers,
};
use serde_json::Value;

use crate::{app::App, app_error::AppError, fleet::LOGS};

/// The scripts of the folders of workers that take tasks, as their files describe them.
pub(crate) struct DescribedScripts {
    folders: Vec<PathBuf>,
    takers: Vec<Script>,
}

/// A worker whose script this process does not start.
struct Described(WorkerSpec);

impl Worker for Described {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, _: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        let error = TaskError::new(Category::Unavailable, format!("{}: its script is not started here", self.0.name));
        Box::pin(async move { Err(error) })
    }
}

impl App {
    /// Registers the scripts of the folders that take tasks, where this process starts no task.
    pub(crate) fn describe_scripts(&self, folders: &[PathBuf]) {
        if self.rest.is_none() {
            return;
        }
        let all: Vec<Script> = folders.iter().flat_map(|folder| takers(folder)).collect();
        for script in all.iter().filter(|script| matches!(script.start, Start::Yes(_))) {
            let shipped = self.shipped.get(script.name.as_str());
            self.engine.registry().replace(Arc::new(Described(script.spec())), shipped);
        }
        let _ = self.described.set(DescribedScripts { folders: folders.to_vec(), takers: all });
    }

    /// Returns why the settings of a script of that name are invalid; `None` when they are valid, or no script has the
    /// name.
    pub(crate) fn script_broken(&self, tenant: TenantId, name: &Name) -> Option<String> {
        if tenant != TenantId::DEFAULT {
            return None;
        }
        if let Some(fleet) = self.fleet() {
            let broken = |script: &&kapelle_scripts::fleet::ScriptStatus| {
                script.standing == "cannot_start" && script.mode != "daemon" && script.name == name.as_str()
            };
            return fleet.status().iter().find(broken).map(|script| script.why.clone());
        }
        let broken = |script: &&Script| script.name == *name && matches!(script.start, Start::Cannot(_));
        Some(self.described.get()?.takers.iter().find(broken)?.start.why().to_owned())
    }

    /// Says whether the worker of that name is a script that this process does not supervise.
    pub(crate) fn is_described(&self, name: &Name) -> bool {
        self.described.get().is_some_and(|all| all.takers.iter().any(|script| script.name == *name))
    }
}

impl App {
    /// Returns the scripts of the folders of workers as a supervisor would start them. `None` where this process may
    /// start tasks, and therefore knows their state.
    pub(crate) async fn described_scripts(&self, tenant: TenantId) -> Option<Vec<api::Script>> {
        let described = self.described.get().filter(|_| tenant == TenantId::DEFAULT)?;
        let mut all = Vec::new();
        for folder in &described.folders {
            all.extend(startable(folder).await);
        }
        Some(all)
    }

    /// Returns the last lines of a script from the file of its log, as the process that supervised it wrote them.
    pub(crate) fn lines_of_file(&self, id: &str, tail: usize) -> Result<api::LogLines, AppError> {
        let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let path = self.folder.join(LOGS).join(format!("{id}.log"));
        let text = std::fs::read(path).ok().filter(|_| is_id).ok_or_else(|| {
            let message = format!("{id} has a log once `kapelle serve` or `kapelle supervise` has started it");
            AppError::new(api::code::NOT_FOUND, message)
        })?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(tail);
        let numbered = (first as u64..).zip(&lines[first..]);
        Ok(api::LogLines { lines: numbered.filter_map(|(number, line)| parsed(number, line)).collect() })
    }
}

/// Parses a line of a log: `2026-11-21T03:40:05.123Z 1/out text`.
fn parsed(number: u64, line: &str) -> Option<api::LogLine> {
    let (at, rest) = line.split_once(' ')?;
    let (origin, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let (instance, stream) = origin.split_once('/')?;
    let (at, stream, text) = (at.to_owned(), stream.to_owned(), text.to_owned());
    Some(api::LogLine { number, at, instance: instance.parse().ok()?, stream, text })
}

/// Returns the scripts of a folder as a supervisor would start them. It starts none of them.
pub async fn startable(folder: &Path) -> Vec<api::Script> {
    let mut scan = Scan::of(folder);
    scan.look(&Interpreters::along(std::env::var_os("PATH").as_deref()), false).await;
    scan.scripts().map(shown).collect()
}

fn shown(script: &Script) -> api::Script {
    api::Script {
        id: script.id(),
        name: script.name.to_string(),
        file: script.file.display().to_string(),
        kind: script.kind.as_str().to_owned(),
        mode: api::ScriptMode::from_word(script.mode().as_str()).unwrap_or(api::ScriptMode::Task),
        uses: script.uses.in_words(),
        standing: match script.start {
            Start::Yes(_) => api::ScriptStanding::Startable,
            Start::No(_) => api::ScriptStanding::NotStarted,
            Start::Cannot(_) => api::ScriptStanding::CannotStart,
        },
        why: script.start.why().to_owned(),
        state: api::ProcessState::Absent,
        interpreter: script.interpreter.as_ref().map(Interpreter::in_words),
        warnings: script.warnings.clone(),
        fallback: (script.mode() != Mode::Daemon).then(|| {
            let worker = script.settings.fallback.worker();
            worker.map_or_else(|| "wait".to_owned(), ToString::to_string)
        }),
        schedule: script.settings.schedule_in_words(),
        max_cost_nanousd: script.settings.max_cost.map(|cost| cost.0),
        processes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn a_line_of_a_file_reads_as_it_was_written() {
        let line = parsed(3, "2026-11-21T03:40:05.123Z 2/err two words").unwrap();
        assert_eq!((line.number, line.instance, line.stream.as_str(), line.text.as_str()), (3, 2, "err", "two words"));
        assert_eq!(parsed(0, "2026-11-21T03:40:05.123Z 1/out ").unwrap().text, "");
        assert!(parsed(0, "nonsense").is_none());
    }
}
