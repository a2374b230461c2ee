//! The scripts of a folder: what each file is, what it uses, and why it is started or not.

use std::path::{Path, PathBuf};

use kapelle_core::{Name, worker::WorkerSpec};
use kapelle_gateway::bypass::{self, Bypass};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use kapelle_workers::inside;

use super::{
    front_matter::{Block, FrontMatter},
    hints::{literal_keys, only_defines, stdin_line},
    imports::{imports, starts_itself},
    interpreter::{Interpreter, Interpreters, is_executable},
    lexer::{Language, without_comments},
    naming, requires,
    settings::{Mode, Settings},
    uses::Uses,
};

/// Bytes of a script that are read to tell what it uses.
const READ_MAX: u64 = 1 << 20;

/// The kinds of scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `.js`, `.mjs`, `.cjs`.
    JavaScript,
    /// `.ts`, `.mts`, `.cts`.
    TypeScript,
    /// `.py`.
    Python,
    /// A file with the permission to execute.
    Executable,
}

impl Kind {
    /// Returns the name for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::JavaScript => "JavaScript",
            Kind::TypeScript => "TypeScript",
            Kind::Python => "Python",
            Kind::Executable => "executable",
        }
    }

    fn language(self) -> Option<Language> {
        match self {
            Kind::JavaScript | Kind::TypeScript => Some(Language::JavaScript),
            Kind::Python => Some(Language::Python),
            Kind::Executable => None,
        }
    }
}

/// The decision whether a script is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The script is started, for this reason.
    Yes(String),
    /// The script is not meant to be started, for this reason.
    No(String),
    /// The script should be started but cannot: what is missing, and what to do.
    Cannot(String),
}

impl Start {
    /// The reason.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Start::Yes(why) | Start::No(why) | Start::Cannot(why) => why,
        }
    }
}

/// A script of the folder.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Script {
    /// Its path in the folder.
    pub file: PathBuf,
    pub path: PathBuf,
    /// The name of the worker.
    pub name: Name,
    /// The kind, by the ending of its file.
    pub kind: Kind,
    /// The SDKs and frameworks that it uses.
    pub uses: Uses,
    /// The settings in or beside its file.
    pub settings: Settings,
    /// Whether it is started.
    pub start: Start,
    /// Addresses of providers in its code: such calls would be neither metered nor capped.
    pub bypass: Vec<Bypass>,
    /// The program that runs it.
    pub interpreter: Option<Interpreter>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Files of the folder that it imports.
    pub(super) imports: Vec<PathBuf>,
    /// Whether it has a main entry point of its own.
    pub(super) starts_itself: bool,
    /// Whether it only defines functions for others.
    only_defines: bool,
}

impl Script {
    /// Returns its id, which does not reveal the path of the file.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        digest.iter().take(8).fold("worker_".to_owned(), |id, byte| format!("{id}{byte:02x}"))
    }

    /// Says whether its name marks it as a test.
    pub(super) fn is_test(&self) -> bool {
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.contains(".test.") || name.contains(".spec.") || name.starts_with("test_") || name.contains("_test.")
    }

    /// Says whether it is started only because of what it uses, so that it may be a module of another script.
    pub(super) fn may_be_module(&self) -> bool {
        self.settings.start.is_none() && self.settings.mode.is_none() && !self.starts_itself
    }

    /// Returns its mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settings.mode.unwrap_or_default()
    }

    /// Returns its description as a worker, with the slots of all its processes.
    #[must_use]
    pub fn spec(&self) -> WorkerSpec {
        let settings = &self.settings;
        let plain = || format!("{} script {}", self.kind.as_str(), self.file.display());
        let described = if settings.description.is_empty() { plain() } else { settings.description.clone() };
        let processes = if self.mode() == Mode::Pool { settings.instances } else { 1 };
        WorkerSpec {
            description: described,
            queue: settings.queue.clone(),
            slots: settings.slots.saturating_mul(processes),
            input: settings.input.clone(),
            output: settings.output.clone(),
            timeout: settings.timeout,
            max_cost: settings.max_cost,
            // Its tasks wait in their queue while the alias's provider takes no more calls.
            model: settings.model.as_deref().and_then(|model| Name::parse(model).ok()),
            tenants: settings.tenants.clone(),
            ..WorkerSpec::named(self.name.as_str())
        }
    }
}

/// Returns the kind of a file by its ending; `None` when it is not a script.
pub(super) fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    match path.extension().and_then(|ending| ending.to_str()) {
        _ if name.contains(".d.") => None,
        Some("js" | "mjs" | "cjs") => Some(Kind::JavaScript),
        Some("ts" | "mts" | "cts") => Some(Kind::TypeScript),
        Some("py") => Some(Kind::Python),
        None | Some("sh" | "rb" | "pl") if is_executable(path) => Some(Kind::Executable),
        _ => None,
    }
}

/// Returns the possible paths of the settings file beside a script.
pub(super) fn beside(path: &Path) -> [PathBuf; 2] {
    ["worker.yaml", "worker.yml"].map(|ending| path.with_extension(ending))
}

/// Reads a script and finds its interpreter.
pub(super) async fn read(root: &Path, file: &Path, interpreters: &Interpreters) -> Option<Script> {
    let mut script = describe(root, file)?;
    if let Start::Yes(_) = &script.start {
        arrange(&mut script, root, interpreters).await;
    }
    Some(script)
}

/// Reads the description of a script without looking for its interpreter.
pub(super) fn describe(root: &Path, file: &Path) -> Option<Script> {
    let path = root.join(file);
    let kind = kind(&path)?;
    let bytes = inside::read(root, &path, READ_MAX).ok()?;
    let source = String::from_utf8_lossy(&bytes);
    let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
    let language = kind.language();
    let uses = language.map(|language| Uses::of(source, language)).unwrap_or_default();
    let bypass = language.map(|language| bypass::addresses(&without_comments(source, language))).unwrap_or_default();
    let mut warnings: Vec<String> = bypass.iter().map(bypasses).collect();
    warnings.extend(uses.unmetered());
    warnings.extend(language.map(|language| keys(source, language)).unwrap_or_default());
    let settings = settings((root, &path), file, source, &mut warnings);
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let named = settings.as_ref().ok().and_then(|settings| settings.name.clone());
    let mut script = Script {
        file: file.to_owned(),
        name: named.unwrap_or_else(|| naming::name(&stem)),
        kind,
        uses,
        settings: settings.clone().unwrap_or_default(),
        start: Start::No(String::new()),
        bypass,
        interpreter: None,
        warnings,
        imports: language.map(|language| imports(file, source, language)).unwrap_or_default(),
        starts_itself: language.is_some_and(|language| starts_itself(source, language)),
        only_defines: language.is_some_and(|language| only_defines(source, language)),
        path,
    };
    // A daemon whose settings name the mode reads what its own code writes, or nothing.
    if let Some(line) = language.filter(|_| script.settings.mode.is_none()).and_then(|l| stdin_line(source, l)) {
        let what = "standard input, which stays empty for a daemon: set `mode: task` to give it tasks there";
        script.warnings.push(format!("line {line} reads {what}"));
    }
    script.start = match settings {
        Err(error) => Start::Cannot(error),
        Ok(_) => wanted(&script, root),
    };
    Some(script)
}

fn keys(source: &str, language: Language) -> Vec<String> {
    let lines = literal_keys(source, language).into_iter();
    let what = "gives a key as text, which the gateway refuses: leave it out, the SDK then reads its variable";
    lines.map(|line| format!("line {line} {what}")).collect()
}

fn bypasses(bypass: &Bypass) -> String {
    format!("line {} names {} itself: calls to it are neither metered nor capped", bypass.line, bypass.host)
}

/// Returns the settings; those beside a script take precedence over those in front of it.
fn settings(
    (root, path): (&Path, &Path),
    file: &Path,
    source: &str,
    warnings: &mut Vec<String>,
) -> Result<Settings, String> {
    if let Some(beside) = beside(path).iter().find(|path| path.symlink_metadata().is_ok()) {
        let shown = file.with_file_name(beside.file_name().unwrap_or_default()).display().to_string();
        let bytes =
            inside::read(inside::project_of(root), beside, READ_MAX).map_err(|why| format!("{shown}: {why}"))?;
        return Settings::parse(&shown, &bytes).map_err(|error| error.to_string());
    }
    let Some(front) = FrontMatter::find(source) else { return Ok(Settings::default()) };
    match front.read(&file.display().to_string()) {
        Block::Settings(settings) => Ok(*settings),
        Block::Wrong(problems) => Err(problems.to_string()),
        Block::Comment(remark) => {
            warnings.extend(remark);
            Ok(Settings::default())
        }
    }
}

fn wanted(script: &Script, root: &Path) -> Start {
    let name = script.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let inner = script.file.parent().is_some_and(|folder| folder != Path::new(""));
    let package = inner && script.path.with_file_name("__init__.py").exists() && script.path.starts_with(root);
    let no = |why: &str| Start::No(format!("{why}: set `mode: daemon`, `task` or `pool` in its settings to start it"));
    match (script.settings.start, script.settings.mode) {
        (Some(false), _) => Start::No("its settings say `start: false`".to_owned()),
        (Some(true), _) => Start::Yes("its settings say `start: true`".to_owned()),
        (None, Some(mode)) => Start::Yes(format!("its settings say `mode: {}`", mode.as_str())),
        (None, None) if script.is_test() => Start::No("it is a test".to_owned()),
        (None, None) if name.starts_with('_') => no("its name begins with `_`, which marks a helper"),
        (None, None) if package && script.kind == Kind::Python => no("it is a module of a package"),
        (None, None) if matches!(name, "conftest.py" | "setup.py") => no("it is a tool of Python"),
        (None, None) if script.uses.sdk() && script.only_defines && !script.starts_itself => {
            no("it only defines functions for others")
        }
        (None, None) if script.uses.sdk() => Start::Yes(format!("it {}", script.uses.in_words())),
        (None, None) => no("it uses no SDK or framework that asks models"),
    }
}

async fn arrange(script: &mut Script, root: &Path, interpreters: &Interpreters) {
    let named = script.settings.interpreter.as_deref();
    match interpreters.choose(script.kind, &script.path, root, named).await {
        Ok(interpreter) => {
            let missing = requires::missing(script, root, &interpreter.program).await;
            script.interpreter = Some(interpreter);
            if let Some(missing) = missing {
                script.start = Start::Cannot(missing);
            }
        }
        Err(error) => script.start = Start::Cannot(error),
    }
}
