//! What every verb stands on: the project, its configuration, its data.

use std::{path::PathBuf, sync::Arc};

use kapelle::{
    Builder, Change, Kapelle, Watch,
    store::SqliteReader,
    workers::{Catalogue, DefinitionError, document::ChildReader},
};

use crate::{
    cli::Global,
    failure::Failure,
    out::Out,
    project::Project,
    settings::{Environment, Settings},
};

/// What every verb stands on.
pub struct App {
    pub global: Global,
    pub out: Out,
    pub project: Project,
}

/// The workers that a project has, and what is wrong with its files.
pub struct Workers {
    pub catalogue: Catalogue,
    pub problems: Vec<DefinitionError>,
    pub aliases: Vec<kapelle::gateway::AliasStatus>,
}

impl App {
    /// Finds the project. Its configuration is read by the verbs that need it.
    ///
    /// # Errors
    /// When there is no current folder.
    pub fn new(global: Global) -> Result<App, Failure> {
        let out = Out { json: global.json, quiet: global.quiet };
        Ok(App { project: Project::find()?, out, global })
    }

    /// The folder with the state.
    ///
    /// # Errors
    /// When the project's `.env`, which may name it, cannot be read.
    pub fn data(&self) -> Result<PathBuf, Failure> {
        let environment = Environment::load(&self.project.root)?;
        Ok(self.project.data(self.global.data.as_deref(), environment.get("KAPELLE_DATA")))
    }

    /// The configuration.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let settings = Settings::load(&self.project)?;
        for name in &settings.unknown {
            self.out.warn(&format!("{name} is no setting: `kapelle config show` lists them"));
        }
        Ok(settings)
    }

    /// A Kapelle over the project, ready to be opened.
    ///
    /// # Errors
    /// When the folder of the data cannot be told.
    pub fn builder(&self, settings: &Settings) -> Result<Builder, Failure> {
        let environment = settings.environment.clone();
        let reader = ChildReader::new(std::env::current_exe().ok());
        Ok(Kapelle::builder(self.data()?)
            .config(settings.config.clone())
            .environment(move |name| environment.get(name).map(str::to_owned))
            .workers(&self.project.workers())
            .workflows(&self.project.workflows())
            .session_log()
            .document_reader(Arc::new(reader)))
    }

    /// The workers, without opening the data.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn workers(&self, settings: &Settings) -> Result<Workers, Failure> {
        let (gateway, catalogue, problems) = self.builder(settings)?.catalogue()?;
        Ok(Workers { catalogue, problems, aliases: gateway.status() })
    }

    /// Tells of worker files that are not in effect.
    pub fn warn_problems(&self, problems: &[DefinitionError]) {
        for problem in problems {
            self.out.warn(&format!("a worker file is not in effect: {problem}"));
        }
    }

    /// Lets changed files of workers and workflows take effect, and tells of them, while something runs.
    pub fn watch(&self, kapelle: &Kapelle) -> Watch {
        let out = self.out;
        kapelle.watch(&self.project.workers(), &self.project.workflows(), move |change| match change {
            Change::Worker { name, .. } => out.note(&format!("worker `{name}` is in effect")),
            Change::WorkerGone { name } => out.note(&format!("worker `{name}` is gone: its file was removed")),
            Change::Workflow { name, .. } => out.note(&format!("workflow `{name}` was read again")),
            Change::Broken { message, .. } => out.warn(&format!("a changed file is not in effect: {message}")),
        })
    }

    /// The data, for reading. Works while another process writes.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn reader(&self) -> Result<SqliteReader, Failure> {
        let folder = self.data()?;
        if !folder.join("kapelle.db").is_file() {
            let shown = Project::shown(&folder);
            return Err(Failure::not_found(format!("there is nothing in {shown} yet"))
                .help("start something with `kapelle run`, or name another folder with --data"));
        }
        Ok(SqliteReader::open_read_only(&folder)?)
    }

    /// The command line that goes on with a run.
    pub fn resume_line(&self, run: &str) -> String {
        match &self.global.data {
            Some(folder) => format!("kapelle resume {run} --data {}", folder.display()),
            None => format!("kapelle resume {run}"),
        }
    }
}
