//! The context of every verb: the project, its configuration, its data.

use std::{path::PathBuf, sync::Arc};

use kapelle::{
    Builder, Change, Kapelle, WEBHOOKS_KEY_FILE, Watch, WorkerSpec,
    core::yaml::{Problems, nearest},
    documents::ChildReader,
    scripts::{Script, Start, environment::Surroundings, scan::takers},
    store::private,
    supervisor::helper_process::{Helper, sweep_leftovers},
    trail::KEY_FILE,
    workers::{Catalogue, inside},
};

use crate::{
    cli::Global,
    failure::{Code, Failure},
    out::Out,
    project::Project,
    settings::{Environment, Settings},
    trust,
};

/// The context of every verb.
pub struct App {
    pub global: Global,
    pub out: Out,
    pub project: Project,
    /// Helper that starts scripts, for verbs that need it.
    pub helper: Option<Helper>,
}

/// The workers of a project, and the problems of its files.
pub struct Workers {
    pub catalogue: Catalogue,
    pub problems: Vec<Problems>,
    /// The gateway of its prompt workers.
    pub gateway: Arc<kapelle::gateway::Gateway>,
    pub aliases: Vec<kapelle::gateway::AliasStatus>,
    /// Scripts that take tasks; a script replaces another worker of its name.
    pub scripts: Vec<Script>,
    /// Scripts with invalid settings.
    pub broken: Vec<Script>,
}

impl Workers {
    /// Returns the description of the worker of that name.
    pub fn spec(&self, name: &str) -> Option<WorkerSpec> {
        let script = self.scripts.iter().find(|script| script.name.as_str() == name).map(Script::spec);
        script.or_else(|| self.catalogue.get(name).map(|worker| worker.spec().clone()))
    }

    /// Says whether the worker of that name is a script.
    pub fn is_script(&self, name: &str) -> bool {
        self.scripts.iter().any(|script| script.name.as_str() == name)
    }

    /// Returns the problem of the settings of the script of that name.
    pub fn why_broken(&self, name: &str) -> Option<&str> {
        let script = self.broken.iter().find(|script| script.name.as_str() == name)?;
        Some(script.start.why())
    }

    /// Returns the name of each worker.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let written = self.catalogue.iter().map(|worker| worker.spec().name.as_str());
        written.chain(self.scripts.iter().map(|script| script.name.as_str()))
    }

    /// Returns the description of the worker of that name.
    ///
    /// # Errors
    /// When it is unknown; the message suggests a similar name.
    pub fn find(&self, name: &str) -> Result<WorkerSpec, Failure> {
        self.spec(name).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            if let Some(why) = self.why_broken(name) {
                return Failure::usage(format!("worker `{shown}` is a script that cannot be started: {why}"));
            }
            let failure = Failure::not_found(format!("unknown worker `{shown}`"));
            match nearest(name, self.names()) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help("`kapelle workers list` shows them all"),
            }
        })
    }
}

impl App {
    /// Finds the project. Its configuration is read by the verbs that need it.
    ///
    /// # Errors
    /// When there is no current folder.
    pub fn new(global: Global) -> Result<App, Failure> {
        let out = Out { json: global.json, quiet: global.quiet };
        Ok(App { project: Project::find()?, out, global, helper: None })
    }

    /// Returns the context without the helper, for checks beside the verb.
    pub fn beside(&self) -> App {
        App { global: self.global.clone(), out: self.out, project: self.project.clone(), helper: None }
    }

    /// Starts the process that starts scripts, unless `RUN_WORKERS` disables scripts. Processes left behind by earlier
    /// ones are ended first.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start_helper(&mut self) -> Result<(), Failure> {
        let environment = Environment::load(&self.project.root);
        match environment.get("RUN_WORKERS").map(str::to_lowercase).as_deref() {
            None | Some("true" | "1" | "yes" | "on") => {}
            Some("false" | "0" | "no" | "off") => return Ok(()),
            Some(other) => return Err(Failure::usage(format!("RUN_WORKERS={other}: expected true or false"))),
        }
        if !cfg!(target_os = "linux") {
            return Ok(());
        }
        let left = sweep_leftovers();
        if left > 0 {
            self.out.note(&format!("{left} processes left behind by a killed server were ended"));
        }
        let program = std::env::current_exe();
        let helper = program.and_then(Helper::start).map_err(|error| {
            Failure::new(Code::Temporary, format!("the process that starts scripts cannot be started: {error}"))
                .help("RUN_WORKERS=false disables scripts")
        })?;
        self.helper = Some(helper);
        Ok(())
    }

    /// Starts the helper for a verb that works on tasks itself, if scripts take tasks and no server runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start_helper_for_tasks(&mut self) -> Result<(), Failure> {
        if takers(&self.project.workers()).is_empty() { Ok(()) } else { self.start_helper() }
    }

    /// Returns the settings that all scripts share.
    pub fn surroundings(&self, settings: &Settings, url: Option<String>) -> Surroundings {
        let environment = settings.environment.clone();
        let providers = settings.config.providers.values();
        let keys = providers.clone().flat_map(|provider| [provider.key_variable(), provider.base_url_env.as_deref()]);
        let folder = self.data().ok();
        let of_folder = folder
            .iter()
            .flat_map(|folder| [folder.join("token"), folder.join(KEY_FILE), folder.join(WEBHOOKS_KEY_FILE)]);
        Surroundings {
            keys: keys.flatten().map(str::to_owned).collect(),
            secrets: environment.secrets(),
            secret_files: of_folder.chain(providers.filter_map(|provider| provider.api_key_file.clone())).collect(),
            model: environment.get("AI_MODEL").unwrap_or("fast").to_owned(),
            lookup: Box::new(move |name| environment.get(name).map(str::to_owned)),
            url,
        }
    }

    /// Returns the folder with the state.
    ///
    /// # Errors
    /// Never at present; the folder may be named by a variable that has to be read.
    pub fn data(&self) -> Result<PathBuf, Failure> {
        let environment = Environment::load(&self.project.root);
        Ok(self.project.data(self.global.data.as_deref(), environment.get("KAPELLE_DATA")))
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// Its problems, with their positions.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let settings = Settings::load(&self.project)?;
        for warning in settings.environment.warnings() {
            self.out.warn(warning);
        }
        for name in &settings.unknown {
            self.out.warn(&format!("unknown setting {name}: `kapelle config show` lists the known ones"));
        }
        Ok(settings)
    }

    /// Returns a builder for a Kapelle over the project.
    ///
    /// # Errors
    /// When the folder of the data is unknown.
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

    /// Creates the data folder, closes it to other users, and warns of files that could not be closed. Verbs that write
    /// call it before they open the folder.
    ///
    /// # Errors
    /// When others could replace files in the folder, or it cannot be created.
    pub fn prepare_data(&self) -> Result<PathBuf, Failure> {
        let folder = self.data()?;
        for note in private::prepare(&folder)? {
            self.out.warn(&note);
        }
        Ok(folder)
    }

    /// Opens the data of the project for writing.
    ///
    /// # Errors
    /// When the folder is in use or open to others, or the store fails.
    pub async fn open(&self, settings: &Settings) -> Result<Kapelle, Failure> {
        self.open_with(settings, |builder| builder).await
    }

    async fn open_with(&self, settings: &Settings, with: fn(Builder) -> Builder) -> Result<Kapelle, Failure> {
        trust::check(&self.project, settings)?;
        self.prepare_data()?;
        for told in inside::left_out(&self.project.workflows()) {
            self.out.warn(&told);
        }
        Ok(with(self.builder(settings)?).open().await?)
    }

    /// Opens the data of the project for a server, which also fires schedules.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_server(&self, settings: &Settings) -> Result<Kapelle, Failure> {
        self.open_with(settings, |builder| builder.schedules().deliveries()).await
    }

    /// Opens the data for one change, without working on tasks.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_idle(&self) -> Result<Kapelle, Failure> {
        self.prepare_data()?;
        Ok(self.builder(&self.settings()?)?.idle().open().await?)
    }

    /// Returns the workers, without opening the data.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn workers(&self, settings: &Settings) -> Result<Workers, Failure> {
        let (gateway, catalogue, problems) = self.builder(settings)?.catalogue()?;
        let (scripts, broken) =
            takers(&self.project.workers()).into_iter().partition(|script| matches!(script.start, Start::Yes(_)));
        Ok(Workers { catalogue, problems, aliases: gateway.status(), gateway, scripts, broken })
    }

    /// Warns of worker files that are not in effect.
    pub fn warn_problems(&self, problems: &[Problems]) {
        for problem in problems {
            self.out.warn(&format!("a worker file is not in effect: {problem}"));
        }
    }

    /// Applies and reports changed files of workers and workflows while something runs.
    pub fn watch(&self, kapelle: &Kapelle) -> Watch {
        let out = self.out;
        kapelle.watch(&self.project.workers(), &self.project.workflows(), move |change| match change {
            Change::Worker { name, .. } => out.note(&format!("worker `{name}` is in effect")),
            Change::WorkerGone { name } => out.note(&format!("worker `{name}` is gone: its file was removed")),
            Change::Workflow { name, .. } => out.note(&format!("workflow `{name}` was reloaded")),
            Change::WorkflowGone { name } => out.note(&format!("workflow `{name}` is gone: its file was removed")),
            Change::Broken { message, .. } => out.warn(&format!("a changed file is not in effect: {message}")),
        })
    }

    /// Checks that the folder has data.
    ///
    /// # Errors
    /// When it has none yet.
    pub fn has_data(&self) -> Result<(), Failure> {
        let folder = self.data()?;
        if folder.join("kapelle.db").is_file() {
            return Ok(());
        }
        let shown = Project::shown(&folder);
        Err(Failure::not_found(format!("no data in {shown} yet"))
            .help("start something with `kapelle run`, or name another folder with --data"))
    }

    /// Returns the command line that resumes a run.
    pub fn resume_line(&self, run: &str) -> String {
        match &self.global.data {
            Some(folder) => format!("kapelle resume {run} --data {}", folder.display()),
            None => format!("kapelle resume {run}"),
        }
    }
}
