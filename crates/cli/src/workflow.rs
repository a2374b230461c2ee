//! Workflow files: found, read, checked, and their problems shown.

use std::path::{Path, PathBuf};

use kapelle::{
    Error,
    core::definition::{Action, Definition, Problem, Problems, nearest},
    engine::VersionRef,
    workers::inside,
};

use crate::{app::Workers, failure::Failure, known_workers::KnownWorkers, project::Project};

/// Bytes of a file that are read: one more than a workflow may have.
const READ_MAX: u64 = kapelle::core::definition::FILE_MAX as u64 + 1;

/// A workflow as it was read.
pub struct Workflow {
    pub path: PathBuf,
    pub source: Vec<u8>,
    pub definition: Definition,
}

/// Finds a workflow: a path, or the name of a file in `workflows/`.
///
/// # Errors
/// A message with the existing workflows.
pub fn find(project: &Project, given: &Path) -> Result<PathBuf, Failure> {
    // A pipe, such as `<(command)`, is read once, as a file is.
    if std::fs::metadata(given).is_ok_and(|about| !about.is_dir()) {
        return Ok(given.to_owned());
    }
    if given.is_dir() {
        return Err(Failure::usage(format!("{} is a folder: name a workflow file", given.display())));
    }
    let known = files(project);
    let name = given.to_string_lossy();
    if let Some(found) = known.iter().find(|path| stem(path) == name) {
        return Ok(found.clone());
    }
    let failure = Failure::not_found(format!("there is no workflow {}", given.display()));
    let wanted = stem(given);
    let stems: Vec<String> = known.iter().map(|path| stem(path)).collect();
    Err(match nearest(&wanted, stems.iter().map(String::as_str)) {
        Some(near) => {
            let path = known.iter().find(|path| stem(path) == near);
            failure.help(format!("did you mean {}?", path.map_or_else(|| near.to_owned(), |path| Project::shown(path))))
        }
        None if stems.is_empty() => failure.help("`kapelle init` makes a project with a first workflow"),
        None => failure.help("`kapelle workflows list` shows those of this project"),
    })
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Returns the workflow files of the project.
pub fn files(project: &Project) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.workflows()).into_iter().flatten().flatten();
    let is_workflow = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json") && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_workflow).collect();
    files.sort();
    files.retain(|file| inside::check(&project.root, file).is_ok());
    files
}

/// Reads and checks a workflow file.
///
/// # Errors
/// Every problem with its position.
pub fn read(path: &Path) -> Result<Workflow, Failure> {
    use std::io::Read;
    let mut source = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Failure::io(path, &error))?;
    file.take(READ_MAX).read_to_end(&mut source).map_err(|error| Failure::io(path, &error))?;
    let shown = Project::shown(path);
    match Definition::parse(&source, &shown) {
        Ok(definition) => Ok(Workflow { path: path.to_owned(), source, definition }),
        Err(problems) => Err(refuse(&problems, &source)),
    }
}

impl Workflow {
    /// Returns the workflow for the engine.
    ///
    /// # Errors
    /// A feature that this version does not run yet.
    pub fn version(&self) -> Result<VersionRef, Failure> {
        kapelle::load(&self.source, &Project::shown(&self.path)).map_err(|error| match error {
            Error::Definition(problems) => refuse(&problems, &self.source),
            other => other.into(),
        })
    }

    /// Checks that every step's worker exists.
    ///
    /// # Errors
    /// Each step with an unknown worker, with its position.
    pub fn check_workers(&self, known: &KnownWorkers) -> Result<(), Failure> {
        let mut problems = Problems { file: Project::shown(&self.path), problems: Vec::new(), more: 0 };
        for step in self.definition.blocks.iter().flat_map(|block| &block.steps) {
            let Action::Worker { worker, .. } = &step.action else { continue };
            if known.has(worker.as_str()) {
                continue;
            }
            problems.problems.push(Problem {
                line: step.line,
                column: self.column(step.line, worker.as_str()),
                field: format!("steps.{}.worker", step.name),
                message: known.why_not(worker.as_str()),
                hint: Some(known.hint(worker.as_str())),
            });
        }
        if problems.problems.is_empty() { Ok(()) } else { Err(refuse(&problems, &self.source)) }
    }

    /// Says whether a step is for that worker.
    pub fn names_worker(&self, name: &str) -> bool {
        let mut steps = self.definition.blocks.iter().flat_map(|block| &block.steps);
        steps.any(|step| matches!(&step.action, Action::Worker { worker, .. } if worker.as_str() == name))
    }

    /// Says whether a step may be given to a script: it names one, or starts another workflow that may.
    pub fn may_need_scripts(&self, known: &Workers) -> bool {
        let mut steps = self.definition.blocks.iter().flat_map(|block| &block.steps);
        steps.any(|step| match &step.action {
            Action::Worker { worker, .. } => known.is_script(worker.as_str()),
            Action::Workflow { .. } => true,
            _ => false,
        })
    }

    /// Returns the column of a word in a line, or the line's first column.
    fn column(&self, line: u32, word: &str) -> u32 {
        let text = String::from_utf8_lossy(&self.source);
        let line = text.lines().nth((line as usize).saturating_sub(1)).unwrap_or("");
        let before =
            line.find(word).map_or_else(|| line.len() - line.trim_start().len(), |at| line[..at].chars().count());
        u32::try_from(before).unwrap_or(0) + 1
    }

    /// Returns its inputs in a line; empty when it takes none.
    pub fn inputs_help(&self) -> String {
        let schema = self.definition.inputs.as_deref();
        let properties = schema.and_then(|schema| schema.get("properties")).and_then(|found| found.as_object());
        let required = schema.and_then(|schema| schema.get("required")).and_then(|names| names.as_array());
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let parts: Vec<String> = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| {
                let is_file = property.get("format").is_some_and(|format| format == "file");
                let given = if is_file { format!("--input {name}=@FILE") } else { format!("--input {name}=...") };
                if is_required(name) { given } else { format!("[{given}]") }
            })
            .collect();
        if parts.is_empty() { String::new() } else { format!("it takes {}", parts.join(" ")) }
    }

    /// Returns the folder to which its default files are relative.
    pub fn folder(&self) -> &Path {
        inside::folder_of(&self.path)
    }
}

fn refuse(problems: &Problems, source: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(source);
    Failure::usage(problems.to_string()).rendered(problems.render(&text))
}
