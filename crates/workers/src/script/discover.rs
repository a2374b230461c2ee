//! What the files of a folder of workers are, what they use, and why each is started or not.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use kapelle_core::{Name, worker::WorkerSpec};
use kapelle_gateway::bypass::{self, Bypass};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::inside;

use super::{
    front::front_matter,
    interpreter::{Interpreter, Interpreters, is_executable},
    lexer::{Language, without_comments},
    requires,
    settings::{Mode, Settings},
    uses::Uses,
};

/// Files that are looked at.
const FILES_MAX: usize = 2_000;
/// Folders within folders that are looked at.
const DEPTH: usize = 6;
/// Of a script, so much is read to tell what it uses.
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
    /// A file that may be executed.
    Executable,
}

impl Kind {
    /// For people.
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

/// Whether a script is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It is, for this reason.
    Yes(String),
    /// It is not meant to be, for this reason.
    No(String),
    /// It should be and cannot: what is missing, and what to do.
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
pub struct Script {
    /// Its place in the folder.
    pub file: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// The name of the worker.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// What it uses.
    pub uses: Uses,
    /// What it says about itself.
    pub settings: Settings,
    /// Whether it is started.
    pub start: Start,
    /// Addresses of providers in it: their calls would be neither metered nor capped.
    pub bypass: Vec<Bypass>,
    /// What runs it.
    pub interpreter: Option<Interpreter>,
    /// What is to be known of it besides.
    pub warnings: Vec<String>,
}

impl Script {
    /// Its id, which says nothing of the place where the file is.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        digest.iter().take(8).fold("worker_".to_owned(), |id, byte| format!("{id}{byte:02x}"))
    }

    /// How it is run.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.settings.mode.unwrap_or_default()
    }

    /// What is known of it as a worker, with the slots of all its processes.
    #[must_use]
    pub fn spec(&self) -> WorkerSpec {
        let settings = &self.settings;
        let described = match settings.description.as_str() {
            "" => format!("{} script {}", self.kind.as_str(), self.file.display()),
            text => text.to_owned(),
        };
        let processes = if self.mode() == Mode::Pool { settings.instances } else { 1 };
        WorkerSpec {
            description: described,
            queue: settings.queue.clone(),
            slots: settings.slots.saturating_mul(processes),
            input: settings.input.clone(),
            output: settings.output.clone(),
            timeout: settings.timeout,
            max_cost: settings.max_cost,
            // So that its tasks wait in their queue while the alias's provider takes no more calls.
            model: settings.model.as_deref().and_then(|model| Name::parse(model).ok()),
            ..WorkerSpec::named(self.name.as_str())
        }
    }
}

/// What distinguishes one state of a script from another: its own time and size, and those of its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(Vec<(Option<SystemTime>, u64)>);

/// What was found in a folder, kept up to date by [`Scan::look`].
#[derive(Debug, Default)]
pub struct Scan {
    root: PathBuf,
    known: BTreeMap<PathBuf, (Mark, Script)>,
}

/// What is different from the look before.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Scripts that are new or changed.
    pub changed: Vec<PathBuf>,
    /// Scripts that are gone.
    pub gone: Vec<PathBuf>,
}

impl Scan {
    /// Of this folder; nothing is looked at yet.
    #[must_use]
    pub fn of(root: &Path) -> Scan {
        Scan { root: root.to_owned(), known: BTreeMap::new() }
    }

    /// Every script, by its place in the folder.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.known.values().map(|(_, script)| script)
    }

    /// The script at that place.
    #[must_use]
    pub fn get(&self, file: &Path) -> Option<&Script> {
        self.known.get(file).map(|(_, script)| script)
    }

    /// Looks at the folder, reads what is new or changed, and what lacked something with `again`.
    pub async fn look(&mut self, interpreters: &Interpreters, again: bool) -> Differences {
        let mut differences = Differences::default();
        let mut files = Vec::new();
        walk(&self.root, 0, &mut files);
        let here: BTreeMap<PathBuf, Mark> =
            files.into_iter().map(|path| (relative(&path, &self.root), mark(&path))).collect();
        differences.gone = self.known.keys().filter(|file| !here.contains_key(*file)).cloned().collect();
        self.known.retain(|file, _| here.contains_key(file));
        for (file, mark) in here {
            let known = self.known.get(&file);
            let lacks = |script: &Script| matches!(script.start, Start::Cannot(_));
            if known.is_some_and(|(before, script)| *before == mark && !(again && lacks(script))) {
                continue;
            }
            let Some(script) = read(&self.root, &file, interpreters).await else { continue };
            let same = known.is_some_and(|(before, known)| *before == mark && known.start == script.start);
            if !same {
                differences.changed.push(file.clone());
            }
            self.known.insert(file, (mark, script));
        }
        self.settle_names(&mut differences);
        differences
    }

    /// Of two scripts with one name, the first is started.
    fn settle_names(&mut self, differences: &mut Differences) {
        let mut first: BTreeMap<Name, PathBuf> = BTreeMap::new();
        for (file, (mark, script)) in &mut self.known {
            if matches!(script.start, Start::No(_)) {
                continue;
            }
            if let Some(other) = first.get(&script.name) {
                let why =
                    format!("{} has the name `{}` already: give one of them another", other.display(), script.name);
                script.start = Start::No(why);
                // Looked at again as soon as it is the only one.
                mark.0.clear();
                if !differences.changed.contains(file) {
                    differences.changed.push(file.clone());
                }
            } else {
                first.insert(script.name.clone(), file.clone());
            }
        }
    }
}

/// The scripts of a folder that take tasks, as they describe themselves, and those whose description is wrong. None is started.
#[must_use]
pub fn takers(root: &Path) -> Vec<Script> {
    let mut files = Vec::new();
    walk(root, 0, &mut files);
    let described = files.iter().filter_map(|path| describe(root, &relative(path, root)));
    let takes = |script: &Script| match script.start {
        Start::Yes(_) => script.mode() != Mode::Daemon,
        Start::No(_) => false,
        Start::Cannot(_) => true,
    };
    described.filter(takes).collect()
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// The scripts below a folder. Links are not followed, so that nothing outside is ever started.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if files.len() >= FILES_MAX {
            return;
        }
        let (path, Ok(about)) = (entry.path(), entry.file_type()) else { continue };
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name.starts_with('.') {
            continue;
        }
        if about.is_dir() {
            let apart = ["node_modules", "__pycache__", "site-packages", "venv", "env"].contains(&name.as_str());
            if depth < DEPTH && !apart && !path.join("pyvenv.cfg").exists() {
                walk(&path, depth + 1, files);
            }
        } else if about.is_file() && kind(&path).is_some() {
            files.push(path);
        }
    }
}

fn kind(path: &Path) -> Option<Kind> {
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

/// Where the settings beside a script stand.
fn beside(path: &Path) -> [PathBuf; 2] {
    ["worker.yaml", "worker.yml"].map(|ending| path.with_extension(ending))
}

fn mark(path: &Path) -> Mark {
    let of = |path: &Path| fs::metadata(path).ok().map(|about| (about.modified().ok(), about.len()));
    let [first, second] = beside(path);
    Mark([path, &first, &second].into_iter().map(|path| of(path).unwrap_or((None, 0))).collect())
}

async fn read(root: &Path, file: &Path, interpreters: &Interpreters) -> Option<Script> {
    let mut script = describe(root, file)?;
    if let Start::Yes(_) = &script.start {
        arrange(&mut script, root, interpreters).await;
    }
    Some(script)
}

/// What a script says, before anybody looks for what runs it.
fn describe(root: &Path, file: &Path) -> Option<Script> {
    let path = root.join(file);
    let kind = kind(&path)?;
    let bytes = inside::read(root, &path, READ_MAX).ok()?;
    let source = String::from_utf8_lossy(&bytes);
    let uses = kind.language().map(|language| Uses::of(&source, language)).unwrap_or_default();
    let bypass = kind.language().map(|language| bypass::addresses(&without_comments(&source, language)));
    let settings = settings((root, &path), file, &source);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("worker");
    let named = settings.as_ref().ok().and_then(|settings| settings.name.clone());
    let name = named.map_or_else(|| Name::parse(stem).map_err(|error| error.to_string()), Ok);
    let mut script = Script {
        file: file.to_owned(),
        name: name.clone().unwrap_or_else(|_| Name::new("worker")),
        kind,
        uses,
        settings: settings.clone().unwrap_or_default(),
        start: Start::No(String::new()),
        bypass: bypass.unwrap_or_default(),
        interpreter: None,
        warnings: Vec::new(),
        path,
    };
    script.warnings = script.bypass.iter().map(bypasses).collect();
    script.start = match (settings, name) {
        (Err(error), _) => Start::Cannot(error),
        (Ok(_), Err(error)) => Start::Cannot(format!("{error}; give it one with `name:`")),
        (Ok(_), Ok(_)) => wanted(&script),
    };
    Some(script)
}

fn bypasses(bypass: &Bypass) -> String {
    format!("line {} names {} itself: calls to it are neither metered nor capped", bypass.line, bypass.host)
}

/// The settings beside a script hold before those in front of it.
fn settings((root, path): (&Path, &Path), file: &Path, source: &str) -> Result<Settings, String> {
    if let Some(beside) = beside(path).iter().find(|path| path.symlink_metadata().is_ok()) {
        let shown = file.with_file_name(beside.file_name().unwrap_or_default()).display().to_string();
        let bytes =
            inside::read(inside::project_of(root), beside, READ_MAX).map_err(|why| format!("{shown}: {why}"))?;
        let read = Settings::parse(&shown, &String::from_utf8_lossy(&bytes), 1);
        return read.map_err(|error| error.to_string());
    }
    match front_matter(source) {
        Some((yaml, line)) => {
            Settings::parse(&file.display().to_string(), &yaml, line).map_err(|error| error.to_string())
        }
        None => Ok(Settings::default()),
    }
}

fn wanted(script: &Script) -> Start {
    let name = script.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let test =
        name.contains(".test.") || name.contains(".spec.") || name.starts_with("test_") || name.contains("_test.");
    match (script.settings.start, script.settings.mode) {
        (Some(false), _) => Start::No("its settings say `start: false`".to_owned()),
        (Some(true), _) => Start::Yes("its settings say `start: true`".to_owned()),
        (None, Some(mode)) => Start::Yes(format!("its settings say `mode: {}`", mode.as_str())),
        (None, None) if test => Start::No("it is a test".to_owned()),
        (None, None) if script.uses.sdk() => Start::Yes(format!("it {}", script.uses.in_words())),
        (None, None) => Start::No(
            "it does not use the OpenAI SDK: say `mode: daemon`, `task` or `pool` in its settings to start it"
                .to_owned(),
        ),
    }
}

async fn arrange(script: &mut Script, root: &Path, interpreters: &Interpreters) {
    let named = script.settings.interpreter.as_deref();
    match interpreters.choose(script.kind, &script.path, root, named).await {
        Ok(interpreter) => {
            let sdk = &script.uses.imports;
            let missing = requires::missing(script.kind, &script.path, root, sdk, &interpreter.program).await;
            script.interpreter = Some(interpreter);
            if let Some(missing) = missing {
                script.start = Start::Cannot(missing);
            }
        }
        Err(error) => script.start = Start::Cannot(error),
    }
}
