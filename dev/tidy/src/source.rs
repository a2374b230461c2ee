//! The files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Rust source file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path below the root of the repository, with `/` between the parts.
    pub path: String,
    /// Its text.
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
    let root = root();
    let mut found = Vec::new();
    for folder in ["crates", "dev", "bench", "examples"] {
        walk(&root, &root.join(folder), &mut found);
    }
    found.sort_by(|a: &Source, b: &Source| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "corpus" && !name.starts_with('.') {
            walk(root, &path, found);
        } else if name.ends_with(".rs")
            && let (Ok(text), Ok(short)) = (fs::read_to_string(&path), path.strip_prefix(root))
        {
            found.push(Source { path: short.to_string_lossy().replace('\\', "/"), text });
        }
    }
}
