//! All workers by name: the built-in ones, and the user's own, which take precedence.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use kapelle_core::{worker::Worker, yaml::Problems};
use kapelle_gateway::Gateway;

use crate::{
    builtin::{Log, Report, Sleep},
    configured::{self, Kind, Kinds},
    inside,
    prompt::{PromptDefinition, PromptWorker},
};

/// The built-in prompt workers, compiled in.
const SHIPPED: &[(&str, &str)] = &[
    ("workers/category_classifier.yaml", include_str!("../../../workers/category_classifier.yaml")),
    ("workers/document_analyzer.yaml", include_str!("../../../workers/document_analyzer.yaml")),
    ("workers/lesson_writer.yaml", include_str!("../../../workers/lesson_writer.yaml")),
    ("workers/negotiator.yaml", include_str!("../../../workers/negotiator.yaml")),
    ("workers/question_generator.yaml", include_str!("../../../workers/question_generator.yaml")),
    ("workers/research_synthesizer.yaml", include_str!("../../../workers/research_synthesizer.yaml")),
    ("workers/sentiment_analyzer.yaml", include_str!("../../../workers/sentiment_analyzer.yaml")),
    ("workers/summarizer.yaml", include_str!("../../../workers/summarizer.yaml")),
    ("workers/translator.yaml", include_str!("../../../workers/translator.yaml")),
];

/// Files of a folder that are read.
const FILES_MAX: usize = 1_000;
/// Bytes of a file that are read: one byte more than a worker file may have.
const READ_MAX: u64 = (256 << 10) + 1;

/// Workers by name.
#[derive(Clone, Default)]
pub struct Catalogue {
    workers: BTreeMap<String, Arc<dyn Worker>>,
    kinds: Kinds,
}

impl Catalogue {
    /// Makes a catalogue of the built-in workers, except `extract_text`, which is in the crate for documents.
    ///
    /// # Errors
    /// [`Problems`] when a built-in file names an alias that the configuration removed.
    pub fn shipped(gateway: &Arc<Gateway>) -> Result<Catalogue, Problems> {
        let mut catalogue = Catalogue::default();
        #[cfg(feature = "offline")]
        {
            catalogue.insert(Arc::new(crate::builtin::Keywords::default()));
            catalogue.insert(Arc::new(crate::builtin::Language::default()));
        }
        catalogue.insert(Arc::new(Log::default()));
        catalogue.insert(Arc::new(Report::default()));
        catalogue.insert(Arc::new(Sleep::default()));
        for (file, text) in SHIPPED {
            catalogue.insert(Arc::new(prompt_worker(file, text.as_bytes(), gateway)?.for_all()));
        }
        Ok(catalogue)
    }

    /// Adds every `.yaml` and `.yml` file of a folder. A worker with an existing name replaces the earlier one; an
    /// invalid file does not affect the others. A folder that does not exist has no workers.
    #[must_use = "the errors are for the user"]
    pub fn add_folder(&mut self, folder: &Path, gateway: &Arc<Gateway>) -> Vec<Problems> {
        let mut errors = Vec::new();
        let shown = folder.display().to_string();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return errors,
            Err(error) => return vec![Problems::whole(&shown, format!("cannot be read: {error}"), "")],
        };
        let is_yaml = |path: &Path| is_worker_file(path);
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| is_yaml(p)).collect();
        paths.sort();
        if paths.len() > FILES_MAX {
            errors.push(Problems::whole(&shown, format!("only the first {FILES_MAX} files are read"), ""));
            paths.truncate(FILES_MAX);
        }
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for path in paths {
            let file = path.display().to_string();
            let loaded = inside::read(inside::project_of(folder), &path, READ_MAX)
                .map_err(|message| Problems::whole(&file, message, ""))
                .and_then(|bytes| self.worker_of(&path, &bytes, gateway));
            match loaded {
                Ok(worker) => {
                    let name = worker.spec().name.to_string();
                    if let Some(other) = own.get(&name) {
                        let message = format!("the worker `{name}` is already declared in {other}");
                        errors.push(Problems::whole(&file, message, "give one of them another name"));
                    } else {
                        own.insert(name, file);
                        self.insert(worker);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Reads a worker file of any kind: of a prompt, or of a shipped worker with settings.
    ///
    /// # Errors
    /// [`Problems`] with file, line, column and what to do.
    pub fn worker_of(&self, path: &Path, bytes: &[u8], gateway: &Arc<Gateway>) -> Result<Arc<dyn Worker>, Problems> {
        let file = path.display().to_string();
        let kind = configured::kind_of(&file, bytes).and_then(|word| self.kinds.get(&word));
        let Some(kind) = kind else { return Ok(Arc::new(prompt_worker(&file, bytes, gateway)?)) };
        let project = path.parent().map_or(Path::new("."), inside::project_of);
        configured::configured(&file, bytes, &**kind, project)
    }

    /// Adds a kind of worker that files can configure.
    #[must_use]
    pub fn with_kind(mut self, kind: Arc<dyn Kind>) -> Catalogue {
        self.kinds.insert(kind);
        self
    }

    /// Returns the kinds of workers that files can configure.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Adds a worker, or replaces the one of its name.
    pub fn insert(&mut self, worker: Arc<dyn Worker>) {
        self.workers.insert(worker.spec().name.to_string(), worker);
    }

    /// Returns the catalogue with one worker added or replaced.
    #[must_use]
    pub fn with(mut self, worker: Arc<dyn Worker>) -> Catalogue {
        self.insert(worker);
        self
    }

    /// The worker of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn Worker>> {
        self.workers.get(name).cloned()
    }

    /// All workers by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Worker>> {
        self.workers.values()
    }
}

/// Says whether a file declares a prompt worker, by its name: YAML that is not the settings of a script beside it.
#[must_use]
pub fn is_worker_file(path: &Path) -> bool {
    let settings = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.ends_with(".worker"));
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") && !settings
}

/// Reads a worker file and binds it to the gateway.
///
/// # Errors
/// [`Problems`] with file, line, column and what to do.
pub fn prompt_worker(file: &str, bytes: &[u8], gateway: &Arc<Gateway>) -> Result<PromptWorker, Problems> {
    let definition = PromptDefinition::parse(file, bytes)?;
    if !gateway.knows(definition.alias()) {
        let aliases: Vec<String> = gateway.status().into_iter().map(|status| status.alias).collect();
        let message = format!("unknown model alias `{}`", definition.alias());
        let hint = format!("there are: {}; chains of models stand under `models:` in kapelle.yaml", aliases.join(", "));
        return Err(Problems::whole(file, message, &hint));
    }
    Ok(PromptWorker::new(definition, Arc::clone(gateway)))
}
