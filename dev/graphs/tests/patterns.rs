//! The workflow patterns: each file lists the events of its workflow and the expected results, line by line.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its files cannot be read")]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use kapelle_core::{Category, DurationMs, Name, RunId, TaskError, TaskId, definition::Definition, task::Task};
use kapelle_engine::{
    QueueOptions,
    turn::{Command, NewPayload, Reported, command},
};
use kapelle_graphs::{Engine, TENANT};
use kapelle_store::{Page, Reader as _, RunFilter};
use serde_json::Value as Json;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/patterns");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/workflow-patterns.md");

/// Execution of one pattern file.
struct Life {
    engine: Engine,
    run: RunId,
}

impl Life {
    fn start(source: &str, inputs: &Json, queues: &[(Name, u32)]) -> Result<Life, String> {
        let definition =
            Definition::parse(source.as_bytes(), "pattern.yaml").map_err(|problems| problems.to_string())?;
        let mut engine = Engine::calm(queues.iter().map(|(name, slots)| (name.clone(), QueueOptions::of(*slots))));
        let run = engine.run(&Arc::new(definition), source, inputs)?;
        Ok(Life { engine, run })
    }

    /// Returns all rows, of this run and of those that it started, by their paths.
    fn rows(&self) -> Result<BTreeMap<String, Task>, String> {
        let page = Page { before: None, most: 1_000 };
        let mut runs =
            self.engine.reader.runs(TENANT, &RunFilter::default(), page).map_err(|error| error.to_string())?;
        runs.sort_by_key(|run| run.id);
        let mut rows = BTreeMap::new();
        for (number, run) in runs.iter().enumerate() {
            for row in self.engine.rows(run.id)? {
                let path = row.origin.as_ref().map(|origin| origin.path.to_string()).unwrap_or_default();
                let path = if number == 0 { path } else { format!("#{}:{path}", number + 1) };
                rows.insert(path, row);
            }
        }
        Ok(rows)
    }

    fn row(&self, path: &str) -> Result<Task, String> {
        self.rows()?.remove(path).ok_or_else(|| format!("`{path}` has not begun"))
    }

    fn report(&mut self, path: &str, reported: Reported) -> Result<(), String> {
        let task = self.row(path)?.id;
        let at = self.engine.held.iter().position(|held| held.report.task == task);
        let held = self.engine.held.remove(at.ok_or_else(|| format!("`{path}` is not under way"))?);
        self.ask(command::Report { tenant: TENANT, report: held.report, reported })
    }

    fn ask(&mut self, command: impl Into<Command>) -> Result<(), String> {
        let command = command.into();
        match self.engine.pump(vec![command])?.pop() {
            Some(Ok(_)) => Ok(()),
            other => Err(format!("refused: {other:?}")),
        }
    }

    fn running(&self) -> Result<String, String> {
        let held: Vec<TaskId> = self.engine.held.iter().map(|held| held.report.task).collect();
        let rows = self.rows()?;
        Ok(rows
            .iter()
            .filter(|(_, row)| held.contains(&row.id))
            .map(|(path, _)| path.as_str())
            .collect::<Vec<_>>()
            .join(", "))
    }

    fn status(&self) -> Result<kapelle_core::run::RunStatus, String> {
        let row = self.engine.reader.run(TENANT, self.run).map_err(|error| error.to_string())?;
        row.map(|row| row.status).ok_or_else(|| "the run is not stored".to_owned())
    }

    fn line(&mut self, verb: &str, rest: &str) -> Result<(), String> {
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "ends" => {
                let output = if more.is_empty() { payload("{\"v\": 1}")? } else { payload(more)? };
                self.report(first, Reported::Succeed { output, provenance: Arc::default() })
            }
            "fails" => {
                let error = TaskError::new(Category::Provider, "as the pattern wants it").permanent();
                self.report(first, Reported::Fail { error })
            }
            "cancelled" => {
                let task = self.row(first)?.id;
                self.ask(command::Cancel { task, reason: Arc::from("a person") })
            }
            "cancel" => self.ask(command::CancelRun { run: self.run, reason: Arc::from("a person") }),
            "signal" => {
                let payload = payload(if more.is_empty() { "null" } else { more })?;
                self.ask(command::Signal { run: self.run, name: Name::new(first), payload, key: None })
            }
            "passes" => {
                let span = DurationMs::parse(rest).map_err(|error| error.to_string())?;
                self.engine.now += span.0 as i64;
                self.ask(command::Tick)
            }
            "running" => same("under way", &in_order(rest), &in_order(&self.running()?)),
            "is" => {
                let state = self.rows()?.get(first).map_or("none", |row| row.state.kind().as_str());
                same(first, more, state)
            }
            "input" => same(first, &json(more)?, &self.engine.value(&self.row(first)?.input)?),
            "steps" => {
                let rows = self.rows()?;
                let states: Vec<String> =
                    rows.iter().map(|(path, row)| format!("{path} {}", row.state.kind().as_str())).collect();
                same("the steps", &in_order(rest), &in_order(&states.join(", ")))
            }
            "run" => same("the run", rest, self.status()?.kind().as_str()),
            "outputs" => match self.status()? {
                kapelle_core::run::RunStatus::Succeeded { outputs, .. } => {
                    same("the outputs", &json(rest)?, &self.engine.value(&outputs)?)
                }
                other => Err(format!("there are no outputs: {other:?}")),
            },
            other => Err(format!("`{other}` is no verb")),
        }
    }
}

fn json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))
}

fn payload(text: &str) -> Result<NewPayload, String> {
    Ok(NewPayload::Bytes(Arc::from(json(text)?.to_string().as_bytes())))
}

fn in_order(list: &str) -> Vec<String> {
    let mut parts: Vec<String> = list.split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    parts.sort();
    parts
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(what: &str, wanted: T, found: U) -> Result<(), String> {
    if wanted == found { Ok(()) } else { Err(format!("{what}: wanted {wanted:?}, found {found:?}")) }
}

fn play(source: &str) -> Result<(), String> {
    let mut life: Option<Life> = None;
    let mut queues = Vec::new();
    let mut asserted = false;
    for (number, line) in source.lines().enumerate() {
        let Some(line) = line.strip_prefix("#! ") else { continue };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let told = |error| format!("line {}: {line}\n    {error}", number + 1);
        match (verb, &mut life) {
            ("queue", _) => {
                let (name, slots) = rest.split_once(' ').ok_or_else(|| told("which queue?".to_owned()))?;
                queues.push((Name::new(name), slots.parse().map_err(|_| told("how many slots?".to_owned()))?));
            }
            ("start", _) => {
                let inputs = json(if rest.is_empty() { "{}" } else { rest }).map_err(told)?;
                life = Some(Life::start(source, &inputs, &queues).map_err(told)?);
            }
            (_, Some(life)) => life.line(verb, rest).map_err(told)?,
            (_, None) => return Err(told("nothing was started".to_owned())),
        }
        asserted |= verb == "run";
    }
    if asserted { Ok(()) } else { Err("nothing is said of how the run ends".to_owned()) }
}

/// Returns the number and text of each file.
fn files() -> Vec<(u32, String, String)> {
    let mut found: Vec<(u32, String, String)> = fs::read_dir(Path::new(FILES))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let number = name.split('-').next().and_then(|number| number.parse().ok());
            (number.unwrap_or_else(|| panic!("{name} has no number")), name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_pattern_that_is_claimed_does_what_its_file_says() {
    let mut wrong = Vec::new();
    for (_, name, source) in files() {
        if let Err(error) = play(&source) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{} patterns:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn the_document_claims_what_the_files_show_and_nothing_else() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let mut claims = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let Some(number) = cells.get(1).and_then(|cell| cell.parse::<u32>().ok()) {
            assert!(claims.insert(number, cells[3].to_owned()).is_none(), "{number} stands there twice");
        }
    }
    assert_eq!(claims.keys().copied().collect::<Vec<_>>(), (1..=43).collect::<Vec<_>>(), "there are 43 patterns");
    let shown: Vec<u32> = files().into_iter().map(|(number, ..)| number).collect();
    let claimed: Vec<u32> = claims.iter().filter(|(_, claim)| *claim != "no").map(|(number, _)| *number).collect();
    assert_eq!(claimed, shown, "what is claimed has a file, and the other way round");
    for (word, sentence) in [("direct", "directly"), ("workaround", "with a workaround"), ("no", "not at all")] {
        let count = claims.values().filter(|claim| *claim == word).count();
        assert!(
            document.contains(&format!("**{count}** {sentence}")),
            "{count} are {word}, and the text says otherwise"
        );
    }
}

#[test]
fn a_pattern_that_is_not_kept_is_noticed() {
    let wrong = "#! start\n#! ends a\n#! run failed\nname: x\nsteps: { a: { worker: desk } }\n";
    let error = play(wrong).unwrap_err();
    assert!(error.contains("line 3") && error.contains("succeeded"), "{error}");
}
