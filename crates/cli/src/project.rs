//! The folders of a project and its data.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// The file that makes a folder a project.
pub const CONFIG_FILE: &str = "kapelle.yaml";
/// The data folder of a project, by default.
const DATA_FOLDER: &str = ".kapelle";

/// A project: the nearest folder with a `kapelle.yaml`, or the current one.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Project {
    pub root: PathBuf,
    /// Its `kapelle.yaml`, when it has one.
    pub config: Option<PathBuf>,
}

impl Project {
    /// Searches from the current folder upwards.
    ///
    /// # Errors
    /// When there is no current folder.
    pub fn find() -> Result<Project, Failure> {
        let here = env::current_dir()
            .map_err(|error| Failure::not_found(format!("the current folder cannot be read: {error}")))?;
        let root = here.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file());
        Ok(match root {
            Some(root) => Project { root: root.to_owned(), config: Some(root.join(CONFIG_FILE)) },
            None => Project { root: here, config: None },
        })
    }

    /// Reads the project again: its `kapelle.yaml` may have been added or removed.
    pub fn again(&self) -> Project {
        let config = self.root.join(CONFIG_FILE);
        Project { root: self.root.clone(), config: config.is_file().then_some(config) }
    }

    /// Returns the folder with the state: `--data`, `KAPELLE_DATA`, or `.kapelle` of the project.
    pub fn data(&self, flag: Option<&Path>, variable: Option<&str>) -> PathBuf {
        match (flag, variable) {
            (Some(flag), _) => flag.to_owned(),
            (None, Some(variable)) if !variable.is_empty() => PathBuf::from(variable),
            _ => self.root.join(DATA_FOLDER),
        }
    }

    /// Returns the folder with worker files.
    pub fn workers(&self) -> PathBuf {
        self.root.join("workers")
    }

    /// Returns the folder with workflow files.
    pub fn workflows(&self) -> PathBuf {
        self.root.join("workflows")
    }

    /// Formats a path for people: relative to the current folder where that is shorter.
    pub fn shown(path: &Path) -> String {
        let relative = env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
        relative.unwrap_or_else(|| path.to_owned()).display().to_string()
    }
}
