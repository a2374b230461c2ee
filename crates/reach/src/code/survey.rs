//! The walk through a source tree: what is read, what is left out, and what is found.

use std::{collections::BTreeMap, io, path::Path};

use ignore::WalkBuilder;
use kapelle_core::{TaskError, worker::CancelFlag};
use serde_json::{Value, json};

use super::{
    duplicates::Blocks,
    functions,
    lines::{Finding, look},
};
use crate::{
    faults::{invalid, unavailable, unsettled},
    object_key::ObjectKey,
    tree::{Tree, whole},
};

/// Deepest folder that is read.
const DEPTH_MAX: usize = 64;
/// Bytes in which a NUL marks a file that is not text.
const HEAD: usize = 8_192;

/// Limits and measures of the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) files: usize,
    pub(super) file_bytes: usize,
    pub(super) bytes: u64,
    pub(super) line_length: usize,
    pub(super) function_lines: usize,
    pub(super) file_lines: usize,
}

/// The choice of a task.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// A folder or file below the root.
    pub(super) path: Option<ObjectKey>,
    /// The checks; empty for all.
    pub(super) checks: Vec<String>,
    /// Findings that are named.
    pub(super) limit: usize,
}

#[derive(Default)]
struct Survey {
    files: usize,
    lines: usize,
    bytes: u64,
    skipped: usize,
    complete: bool,
    endings: BTreeMap<String, usize>,
    counts: BTreeMap<&'static str, usize>,
    found: Vec<(String, Finding)>,
    blocks: Blocks,
}

/// Surveys a tree.
///
/// # Errors
/// A root that cannot be opened, a path that is not there.
pub(super) fn survey(root: &Path, limits: Limits, wanted: &Wanted, cancel: &CancelFlag) -> Result<Value, TaskError> {
    let shown = root.display();
    let tree = Tree::open(root).map_err(|error| {
        unsettled(format!("root: the folder {shown} cannot be opened: {error}; make it, or change `root`"))
    })?;
    let mut survey = Survey { complete: true, ..Survey::default() };
    let prefix = wanted.path.as_ref().map(ObjectKey::as_str);
    // Links are not followed, and rules of folders above the root do not count.
    let mut walk = WalkBuilder::new(root);
    walk.follow_links(false).parents(false).git_global(false).require_git(false).hidden(false);
    walk.max_depth(Some(DEPTH_MAX)).sort_by_file_path(Ord::cmp);
    walk.filter_entry(|entry| entry.file_name() != ".git");
    for entry in walk.build() {
        let Ok(entry) = entry else {
            survey.skipped += 1;
            continue;
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.path().strip_prefix(root).ok().and_then(Path::to_str).map(|name| name.replace('\\', "/"));
        let Some(name) = name else {
            survey.skipped += 1;
            continue;
        };
        let inside =
            |prefix: &str| name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        if !prefix.is_none_or(inside) {
            continue;
        }
        if survey.files == limits.files || survey.bytes >= limits.bytes || cancel.is_raised() {
            survey.complete = false;
            break;
        }
        survey.read(&tree, &name, limits).map_err(|error| unavailable(format!("{name}: {error}")))?;
    }
    if let Some(path) = prefix.filter(|_| survey.files + survey.skipped == 0) {
        return Err(invalid(format!("path: `{path}` has no file that is not ignored; write a path below the root")));
    }
    Ok(survey.report(wanted))
}

impl Survey {
    fn read(&mut self, tree: &Tree, name: &str, limits: Limits) -> io::Result<()> {
        // The tree opens the parts one by one, so that a link that was put there meanwhile leads nowhere.
        let Ok(key) = ObjectKey::parse(name) else {
            self.skipped += 1;
            return Ok(());
        };
        let file = match tree.read(&key) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                self.skipped += 1;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let text = whole(file, limits.file_bytes)?.filter(|bytes| !bytes.iter().take(HEAD).any(|byte| *byte == 0));
        let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            self.skipped += 1;
            return Ok(());
        };
        let ending = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map_or("", |(_, ending)| ending);
        let lines: Vec<&str> = text.lines().collect();
        self.files += 1;
        self.lines += lines.len();
        self.bytes += text.len() as u64;
        *self.endings.entry(ending.to_lowercase()).or_default() += lines.len();
        let each = lines.iter().enumerate();
        let mut found: Vec<Finding> =
            each.flat_map(|(at, line)| look(line, at + 1, ending, limits.line_length)).collect();
        found.extend(functions::long(&lines, ending, limits.function_lines));
        if lines.len() > limits.file_lines {
            let message = format!("{} lines; divide the file into parts of at most {}", lines.len(), limits.file_lines);
            found.push(Finding::new("long_file", 1, message));
        }
        found.extend(self.blocks.add(name, &lines));
        self.found.extend(found.into_iter().map(|finding| (name.to_owned(), finding)));
        Ok(())
    }

    fn report(mut self, wanted: &Wanted) -> Value {
        self.found.retain(|(_, finding)| wanted.checks.is_empty() || wanted.checks.iter().any(|c| c == finding.check));
        for (_, finding) in &self.found {
            *self.counts.entry(finding.check).or_default() += 1;
        }
        // Dangerous findings first, then by place.
        self.found.sort_by(|(file, a), (other, b)| (rank(a.check), file, a.line).cmp(&(rank(b.check), other, b.line)));
        let more = self.found.len().saturating_sub(wanted.limit);
        let shown = self.found.iter().take(wanted.limit);
        let findings: Vec<Value> = shown
            .map(|(file, f)| json!({ "file": file, "line": f.line, "check": f.check, "message": f.message }))
            .collect();
        let mut markdown =
            format!("# Source report\n\n{} files, {} lines, {} findings.\n", self.files, self.lines, self.found.len());
        for (file, finding) in self.found.iter().take(wanted.limit) {
            let plain: String = file.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect();
            markdown.push_str(&format!("\n- `{plain}:{}` ({}): {}", finding.line, finding.check, finding.message));
        }
        if more > 0 {
            markdown.push_str(&format!("\n\n{more} further findings are not listed."));
        }
        markdown.push('\n');
        json!({
            "files": self.files, "lines": self.lines, "skipped": self.skipped, "complete": self.complete,
            "lines_by_ending": self.endings, "counts": self.counts, "findings": findings, "more": more,
            "markdown": markdown,
        })
    }
}

fn rank(check: &str) -> usize {
    ["secret", "conflict", "broad_catch", "debugging", "duplicate", "long_function", "long_file", "mark"]
        .iter()
        .position(|known| *known == check)
        .unwrap_or(usize::MAX)
}
