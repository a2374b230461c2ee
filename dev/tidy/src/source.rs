//! The files of the repository.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A source file or a document.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Source {
    /// Its path below the root of the repository, with `/` between the parts.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The lines before the first `#[cfg(test)]` of a module: what the limits count.
    pub fn product_lines(&self) -> impl Iterator<Item = &str> {
        let mut lines = self.text.lines().peekable();
        std::iter::from_fn(move || {
            let line = lines.next()?;
            let tests = line.starts_with("#[cfg(test)]")
                && lines.peek().is_some_and(|next| next.starts_with("mod ") || next.starts_with("pub(crate) mod "));
            if tests { None } else { Some(line) }
        })
    }

    /// Whether the file holds tests only.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.contains("/benches/") || self.path.ends_with("/tests.rs")
    }
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Every Rust source file below `crates/`, `dev/`, `bench/` and `examples/`, in order.
#[must_use]
pub fn sources() -> Vec<Source> {
    let here = ["crates/", "dev/", "bench/", "examples/"];
    read(|path| path.ends_with(".rs") && here.iter().any(|folder| path.starts_with(folder)))
}

/// Every Markdown document of the repository, in order. The change log tells what was, in the words of its time.
#[must_use]
pub fn documents() -> Vec<Source> {
    read(|path| path.ends_with(".md") && path != "CHANGELOG.md")
}

/// Paths of all files of the repository, without build output and installed packages.
#[must_use]
pub fn paths() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&root(), "", &mut found);
    found
}

fn read(wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let root = root();
    let wanted = paths().into_iter().filter(|path| wanted(path));
    wanted.filter_map(|path| Some(Source { text: fs::read_to_string(root.join(&path)).ok()?, path })).collect()
}

fn walk(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    let skipped = ["target", "corpus", "node_modules", "dist", "__pycache__", "out"];
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.path().is_dir() {
            found.insert(path);
        } else if !skipped.contains(&name.as_str()) && !name.starts_with('.') {
            walk(root, &path, found);
        }
    }
}
