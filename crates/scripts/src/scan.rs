//! The scripts of a folder, kept up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use kapelle_core::Name;

use super::{
    discover::{Script, Start, beside, describe, kind, read},
    interpreter::Interpreters,
    settings::Mode,
};

/// The most files that are read.
const FILES_MAX: usize = 2_000;
/// The deepest level of folders that are searched.
const DEPTH: usize = 6;

/// The version of a script: the time and size of its file and of its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark(Vec<(Option<SystemTime>, u64)>);

/// A script as it was read.
#[derive(Debug)]
struct Known {
    mark: Mark,
    /// The decision about its start when it is considered alone.
    alone: Start,
    script: Script,
}

/// The scripts of a folder, kept up to date by [`Scan::look`].
#[derive(Debug, Default)]
pub struct Scan {
    root: PathBuf,
    known: BTreeMap<PathBuf, Known>,
}

/// The changes since the scan before.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Differences {
    /// Scripts that are new or changed.
    pub changed: Vec<PathBuf>,
    /// Scripts that are gone.
    pub gone: Vec<PathBuf>,
}

impl Scan {
    /// Makes a scan of this folder; nothing is read yet.
    #[must_use]
    pub fn of(root: &Path) -> Scan {
        Scan { root: root.to_owned(), known: BTreeMap::new() }
    }

    /// Returns every script, by its path in the folder.
    pub fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.known.values().map(|known| &known.script)
    }

    /// Returns the script at that path.
    #[must_use]
    pub fn get(&self, file: &Path) -> Option<&Script> {
        self.known.get(file).map(|known| &known.script)
    }

    /// Scans the folder and reads new and changed files; with `again`, also scripts that lacked something.
    pub async fn look(&mut self, interpreters: &Interpreters, again: bool) -> Differences {
        let mut files = Vec::new();
        walk(&self.root, 0, &mut files);
        let here: BTreeMap<PathBuf, Mark> =
            files.into_iter().map(|path| (relative(&path, &self.root), mark(&path))).collect();
        let gone = self.known.keys().filter(|file| !here.contains_key(*file)).cloned().collect();
        self.known.retain(|file, _| here.contains_key(file));
        let before: BTreeMap<PathBuf, Start> =
            self.known.iter().map(|(file, known)| (file.clone(), known.script.start.clone())).collect();
        let mut changed = BTreeSet::new();
        for (file, mark) in here {
            let known = self.known.get(&file);
            let lacks = |known: &Known| matches!(known.alone, Start::Cannot(_));
            if known.is_some_and(|known| known.mark == mark && !(again && lacks(known))) {
                continue;
            }
            let Some(script) = read(&self.root, &file, interpreters).await else { continue };
            if !known.is_some_and(|known| known.mark == mark && known.alone == script.start) {
                changed.insert(file.clone());
            }
            self.known.insert(file, Known { mark, alone: script.start.clone(), script });
        }
        self.settle();
        let other = self.known.iter().filter(|(file, known)| before.get(*file) != Some(&known.script.start));
        changed.extend(other.map(|(file, _)| file.clone()));
        Differences { changed: changed.into_iter().collect(), gone }
    }

    /// Decides what depends on other files: modules of other scripts are not started, and of two scripts with one name
    /// only the first is.
    fn settle(&mut self) {
        let mut importers: BTreeMap<&PathBuf, PathBuf> = BTreeMap::new();
        for (file, known) in self.known.iter().filter(|(_, known)| !known.script.is_test()) {
            for module in &known.script.imports {
                importers.entry(module).or_insert_with(|| file.clone());
            }
        }
        let importers: BTreeMap<PathBuf, PathBuf> =
            importers.into_iter().map(|(module, importer)| (module.clone(), importer)).collect();
        let mut first: BTreeMap<Name, PathBuf> = BTreeMap::new();
        for (file, Known { alone, script, .. }) in &mut self.known {
            script.start = alone.clone();
            if let Some(importer) = importers.get(file).filter(|_| script.may_be_module()) {
                let why = format!("{} imports it: set `mode:` in its settings to start it as well", importer.display());
                script.start = Start::No(why);
            }
            if matches!(script.start, Start::No(_)) {
                continue;
            }
            if let Some(other) = first.get(&script.name) {
                let (name, this, other) = (&script.name, file.display(), other.display());
                let why =
                    format!("{other} and {this} both have the name `{name}`: give one of them another with `name:`");
                script.start = Start::No(why);
            } else {
                first.insert(script.name.clone(), file.clone());
            }
        }
    }
}

/// Returns the scripts of a folder that take tasks, as they describe themselves, and those whose description is wrong.
/// It starts none of them.
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

/// Returns the scripts that lie in a folder itself and that `workers/` would start. It starts none of them.
#[must_use]
pub fn startable(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|about| about.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .take(FILES_MAX)
        .collect();
    names.sort_unstable();
    names.retain(|name| {
        let script = describe(folder, Path::new(name));
        script.is_some_and(|script| matches!(script.start, Start::Yes(_)))
    });
    names
}

/// Returns the id and the name of every script of a folder. It starts none of them.
#[must_use]
pub fn named(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(root, 0, &mut files);
    let described = files.iter().filter_map(|path| describe(root, &relative(path, root)));
    described.map(|script| (script.id(), script.name.to_string())).collect()
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// Lists the scripts below a folder. Links are not followed, so that nothing outside is ever started.
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

fn mark(path: &Path) -> Mark {
    let of = |path: &Path| fs::metadata(path).ok().map(|about| (about.modified().ok(), about.len()));
    let [first, second] = beside(path);
    Mark([path, &first, &second].into_iter().map(|path| of(path).unwrap_or((None, 0))).collect())
}
