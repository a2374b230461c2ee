//! One workflow over many files: a run for each, a bounded number of them at a time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kapelle::{
    Kapelle, RunId,
    core::{TenantId, definition::Strategy},
    engine::VersionRef,
    workers::inside,
};
use kapelle_api::{Api, RunState};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    api_session::in_process,
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure},
    inputs::{InputArgs, Inputs},
    out::stderr_is_terminal,
    project::Project,
    result,
    signals::Signals,
};

/// Runs that are open at once. More would not be faster, and each uses memory.
const OPEN_MAX: usize = 16;
/// Files taken from the folders named.
const FILES_MAX: usize = 100_000;

/// The files, and the input that each of them is.
#[derive(Debug, Default)]
pub struct Each {
    name: String,
    files: Vec<PathBuf>,
}

impl Each {
    /// Reads `name=FOLDER` or `name=FILE`, several times for one name.
    ///
    /// # Errors
    /// When a path does not exist, a folder has no files, or several inputs are named.
    pub fn read(arguments: &[String], schema: Option<&Value>) -> Result<Each, Failure> {
        let mut each = Each::default();
        for argument in arguments {
            let (name, path) = argument.split_once('=').ok_or_else(|| {
                Failure::usage(format!("--each {argument}: there is no `=`")).help("write --each document=FOLDER")
            })?;
            if !each.name.is_empty() && each.name != name {
                return Err(Failure::usage(format!("--each names both `{}` and `{name}`", each.name))
                    .help("one input can differ from run to run; the others are given with --input"));
            }
            let known = schema.and_then(|schema| schema.get("properties")).is_none_or(|all| all.get(name).is_some());
            if !known {
                return Err(Failure::usage(format!("--each {argument}: unknown input `{name}`")));
            }
            name.clone_into(&mut each.name);
            each.add(Path::new(path))?;
        }
        if !arguments.is_empty() && each.files.is_empty() {
            return Err(Failure::usage(format!("--each {}: there is no file", arguments.join(" "))));
        }
        Ok(each)
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let about = std::fs::metadata(path).map_err(|error| Failure::io(path, &error))?;
        if !about.is_dir() {
            self.files.push(path.to_owned());
            return Ok(());
        }
        let entries = std::fs::read_dir(path).map_err(|error| Failure::io(path, &error))?;
        let visible = |path: &PathBuf| {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            path.is_file() && !hidden
        };
        // A folder of other people's files may hold a link to one of the user's own.
        let within = |file: &PathBuf| inside::check(path, file).is_ok();
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(visible).filter(within).collect();
        files.sort();
        self.files.extend(files);
        if self.files.len() > FILES_MAX {
            return Err(Failure::usage(format!("--each: more than {FILES_MAX} files")));
        }
        Ok(())
    }

    /// Says whether there is one run only.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the inputs of the first run, or of the only one.
    pub fn first(&self, inputs: &InputArgs) -> InputArgs {
        if self.is_empty() { inputs.clone() } else { self.nth(inputs, 0) }
    }

    /// Returns the inputs of a run.
    pub fn nth(&self, inputs: &InputArgs, number: usize) -> InputArgs {
        let mut inputs = inputs.clone();
        if let Some(file) = self.files.get(number) {
            inputs.input.push(format!("{}=@{}", self.name, file.display()));
        }
        inputs
    }
}

/// The common part of the runs.
pub struct Many<'a> {
    pub app: &'a App,
    pub kapelle: &'a Kapelle,
    pub version: &'a VersionRef,
    pub strategy: Option<Strategy>,
    pub folder: Option<&'a Path>,
}

/// Counts of the results.
#[derive(Default)]
struct Tally {
    ended: Vec<Value>,
    failed: Vec<String>,
    stopped: Option<Code>,
}

impl Many<'_> {
    /// Starts a run for each file and waits for them all.
    ///
    /// # Errors
    /// When the store fails. A run that fails, or a file that cannot be read, is reported and does not stop the others.
    pub async fn run(&self, each: &Each, prepare: impl Fn(usize) -> Result<Inputs, Failure>) -> Result<Code, Failure> {
        let cannot = |error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}"));
        let mut signals = Signals::listen().map_err(cannot)?;
        let bar = self.bar(each.files.len());
        let mut waiting: VecDeque<usize> = (0..each.files.len()).collect();
        let mut open: JoinSet<(usize, RunId)> = JoinSet::new();
        let mut tally = Tally::default();
        loop {
            while tally.stopped.is_none() && open.len() < OPEN_MAX {
                let Some(number) = waiting.pop_front() else { break };
                match self.start(prepare(number)).await {
                    Ok(run) => {
                        let engine = self.kapelle.engine().clone();
                        open.spawn(async move {
                            // The row has the state of the run, whatever ended the wait.
                            let _ = engine.wait_run(TenantId::DEFAULT, run).await;
                            (number, run)
                        });
                    }
                    Err(failure) => self.refused(&each.files[number], &failure, &mut tally, &bar),
                }
            }
            tokio::select! {
                biased;
                code = signals.next() => {
                    if tally.stopped.replace(code).is_some() { break }
                    bar.println("finishing the open runs; press Ctrl-C again to stop now");
                }
                ended = open.join_next() => match ended {
                    Some(Ok((number, run))) => self.ended(&each.files[number], run, &mut tally, &bar).await?,
                    Some(Err(_)) => {}
                    None => break,
                },
            }
        }
        bar.finish_and_clear();
        self.kapelle.drain().await;
        self.tell(each, tally)
    }

    async fn start(&self, inputs: Result<Inputs, Failure>) -> Result<RunId, Failure> {
        let inputs = inputs?;
        inputs.store(self.kapelle.files())?;
        Ok(self.kapelle.start_with(self.version.clone(), inputs.value, self.strategy.clone()).await?.id())
    }

    fn bar(&self, files: usize) -> ProgressBar {
        let drawn = stderr_is_terminal() && !self.app.out.quiet;
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}");
        ProgressBar::with_draw_target(Some(files as u64), target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    async fn ended(&self, file: &Path, run: RunId, tally: &mut Tally, bar: &ProgressBar) -> Result<(), Failure> {
        let (api, id) = (in_process(self.kapelle), run.to_string());
        let shown = Project::shown(file);
        if let Some(folder) = self.folder {
            result::write(&RunView::load(&api, &id).await?, folder)?;
        }
        let ended = api.run(&id, 0).await?;
        let mut entry = json!({ "file": shown, "run": id, "state": ended.state });
        let mut line = format!("{run} {} {:>8}  {shown}", ended.state, describe::took(&ended));
        if ended.state != RunState::Succeeded {
            let why = ended.error.map_or_else(|| "it was not finished".to_owned(), |error| error.message);
            line = format!("{line}: {why}");
            entry["error"] = json!(why);
            tally.failed.push(format!("{shown} ({run}): {why}"));
        }
        tally.ended.push(entry);
        self.advance(bar, &line, tally);
        Ok(())
    }

    fn refused(&self, file: &Path, failure: &Failure, tally: &mut Tally, bar: &ProgressBar) {
        let shown = Project::shown(file);
        tally.failed.push(format!("{shown}: {}", failure.message));
        tally.ended.push(json!({ "file": shown, "state": "refused", "error": failure.message }));
        self.advance(bar, &format!("refused {shown}: {}", failure.message), tally);
    }

    fn advance(&self, bar: &ProgressBar, line: &str, tally: &Tally) {
        bar.inc(1);
        if !tally.failed.is_empty() {
            bar.set_message(format!("{} failed", tally.failed.len()));
        }
        if bar.is_hidden() {
            self.app.out.note(line);
        }
    }

    fn tell(&self, each: &Each, tally: Tally) -> Result<Code, Failure> {
        let (all, failed) = (each.files.len(), tally.failed.len());
        if self.app.out.json {
            let state =
                json!({ "files": all, "succeeded": tally.ended.len() - failed, "failed": failed, "runs": tally.ended });
            self.app.out.print_json(&state)?;
        }
        let succeeded = tally.ended.len() - failed;
        self.app.out.note(&format!("{}: {succeeded} succeeded, {failed} failed", crate::shown::count(all, "file")));
        tally.failed.iter().for_each(|line| self.app.out.note(&format!("  failed  {line}")));
        if let Some(code) = tally.stopped {
            let left = all - tally.ended.len();
            let line = self.app.resume_line("").trim_end().to_owned();
            self.app.out.note(&format!("{left} not begun or not finished. Finish what was begun with: {line}"));
            return Ok(code);
        }
        Ok(if failed == 0 { Code::Ok } else { Code::Failed })
    }
}
