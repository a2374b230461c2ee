//! The program that runs a script: Node with its flags for TypeScript, the Python of a virtual environment, or the file
//! itself.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use kapelle_supervisor::LimitedChild;

use super::discover::Kind;

/// The command that runs a script.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Interpreter {
    pub program: PathBuf,
    /// Its arguments before the file; for a file that runs itself, `program` is the file.
    pub before: Vec<String>,
    /// Its version, when it reports one.
    pub version: String,
}

impl Interpreter {
    /// Returns a description for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = vec![self.program.display().to_string()];
        words.extend(self.before.iter().cloned());
        if !self.version.is_empty() {
            words.push(format!("({})", self.version));
        }
        words.join(" ")
    }
}

/// The installed programs and their versions, each queried once.
#[derive(Debug, Default)]
pub struct Interpreters {
    path: Option<std::ffi::OsString>,
    versions: Mutex<BTreeMap<PathBuf, String>>,
}

/// The first Node versions that strip types: with a flag, and by default.
const NODE_STRIPS: (u32, u32) = (22, 6);
const NODE_STRIPS_UNASKED: [(u32, u32); 2] = [(22, 18), (23, 6)];

impl Interpreters {
    /// Searches this `PATH`.
    #[must_use]
    pub fn along(path: Option<&OsStr>) -> Interpreters {
        Interpreters { path: path.map(OsStr::to_owned), versions: Mutex::default() }
    }

    /// Returns the path of a program.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
    }

    /// Returns the interpreter for a kind of script.
    ///
    /// # Errors
    /// Returns a message that names what is missing, and what to do.
    pub async fn choose(
        &self,
        kind: Kind,
        file: &Path,
        root: &Path,
        named: Option<&str>,
    ) -> Result<Interpreter, String> {
        if let Some(named) = named {
            let program = if named.contains('/') { Some(PathBuf::from(named)) } else { self.find(named) };
            let program = program.filter(|program| is_executable(program));
            let program = program.ok_or_else(|| format!("its interpreter `{named}` does not exist"))?;
            return Ok(self.plain(program).await);
        }
        match kind {
            Kind::JavaScript => {
                let node = self.find("node").ok_or("it needs Node.js, and `node` is not on the PATH: install it")?;
                Ok(self.plain(node).await)
            }
            Kind::TypeScript => self.typescript(file, root).await,
            Kind::Python => {
                let own = upwards(file, root).find_map(|folder| environment_of(&folder));
                let found = own.or_else(|| self.find("python3")).or_else(|| self.find("python"));
                let python = found.ok_or("it needs Python 3, and `python3` is not on the PATH: install it")?;
                Ok(self.plain(python).await)
            }
            Kind::Executable => {
                Ok(Interpreter { program: file.to_owned(), before: Vec::new(), version: String::new() })
            }
        }
    }

    async fn plain(&self, program: PathBuf) -> Interpreter {
        let version = self.version(&program).await;
        Interpreter { program, before: Vec::new(), version }
    }

    async fn typescript(&self, file: &Path, root: &Path) -> Result<Interpreter, String> {
        let near =
            upwards(file, root).map(|folder| folder.join("node_modules/.bin/tsx")).find(|tsx| is_executable(tsx));
        if let Some(tsx) = near.or_else(|| self.find("tsx")) {
            return Ok(self.plain(tsx).await);
        }
        let Some(node) = self.find("node") else {
            return Err("it needs Node.js, and `node` is not on the PATH: install it".to_owned());
        };
        let mut interpreter = self.plain(node).await;
        let version = number(&interpreter.version);
        let unasked = NODE_STRIPS_UNASKED.iter().any(|(major, minor)| version.0 == *major && version.1 >= *minor);
        if unasked || version.0 > 23 {
            return Ok(interpreter);
        }
        if version >= NODE_STRIPS {
            interpreter.before = vec!["--experimental-strip-types".to_owned()];
            return Ok(interpreter);
        }
        Err(format!(
            "it is TypeScript, which Node {} does not run: install Node 22.6 or later, or `npm install tsx` beside it",
            interpreter.version
        ))
    }

    /// Returns the output of `--version`, queried once per program.
    async fn version(&self, program: &Path) -> String {
        let known = self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(program).cloned();
        if let Some(known) = known {
            return known;
        }
        let mut child = LimitedChild::new(program);
        child.args.push("--version".into());
        child.env.extend(self.path.clone().map(|path| ("PATH".into(), path)));
        child.env.extend(std::env::var_os("HOME").map(|home| ("HOME".into(), home)));
        child.limits.memory = 8 << 30;
        child.limits.wall = std::time::Duration::from_secs(5);
        let said = child.run().await.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let version = said.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned();
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.insert(program.to_owned(), version.clone());
        version
    }
}

/// Parses `v22.6.0` as (22, 6).
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Returns the folders from that of a file up to the watched one.
pub(super) fn upwards(file: &Path, root: &Path) -> impl Iterator<Item = PathBuf> {
    let top = root.parent().unwrap_or(root).to_owned();
    let folders: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_owned).collect();
    folders.into_iter().take_while(move |folder| folder.starts_with(&top))
}

/// Returns the Python of a virtual environment in a folder.
fn environment_of(folder: &Path) -> Option<PathBuf> {
    let names = [".venv", "venv", "env"];
    names
        .iter()
        .map(|name| folder.join(name))
        .find(|venv| venv.join("pyvenv.cfg").is_file())
        .map(|v| v.join("bin/python"))
}

pub(super) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_runs_what_is_chosen_by_what_is_there() {
        let place = std::env::temp_dir().join(format!("kapelle-interpreters-{}", std::process::id()));
        let program = |path: &str, says: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            let file = place.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, format!("#!/bin/sh\necho {says}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            file
        };
        let root = place.join("workers");
        let file = root.join("deep/a.ts");
        let none = Interpreters::along(Some(OsStr::new("/no/such/folder")));
        for (kind, part) in [(Kind::JavaScript, "`node`"), (Kind::TypeScript, "`node`"), (Kind::Python, "`python3`")] {
            assert!(none.choose(kind, &file, &root, None).await.unwrap_err().contains(part));
        }
        for (version, wanted) in [("v20.20.2", None), ("v22.7.0", Some(1)), ("v22.18.0", Some(0)), ("v24.1.0", Some(0))]
        {
            let bin = program("bin/node", version).parent().unwrap().to_owned();
            let there = Interpreters::along(Some(bin.as_os_str()));
            let chosen = there.choose(Kind::TypeScript, &file, &root, None).await;
            assert_eq!(chosen.as_ref().ok().map(|chosen| chosen.before.len()), wanted, "{version}: {chosen:?}");
        }
        let tsx = program("workers/node_modules/.bin/tsx", "tsx v4");
        assert_eq!(none.choose(Kind::TypeScript, &file, &root, None).await.unwrap().program, tsx);
        let python = program("workers/.venv/bin/python", "Python 3.12.1");
        fs::write(root.join(".venv/pyvenv.cfg"), "").unwrap();
        let chosen = none.choose(Kind::Python, &file, &root, None).await.unwrap();
        assert_eq!((chosen.program, chosen.version.as_str()), (python, "Python 3.12.1"));
        assert!(none.choose(Kind::Python, &file, &root, Some("deno")).await.unwrap_err().contains("`deno`"));
        fs::remove_dir_all(&place).unwrap();
    }
}
