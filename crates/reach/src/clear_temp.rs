//! `clear_temp`: deletes expired files of one folder.

use std::{
    fs,
    ops::ControlFlow,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, CancelFlag, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use serde_json::{Value, json};

use crate::{
    faults::{apart, unavailable, unsettled},
    reach::Now,
    settings::{duration, number, text},
    tree::{Marks, Removed, Tree},
};

static SETTINGS: Table = Table {
    name: "clear_temp_settings",
    about: "The settings of `kind: clear_temp`.",
    required: &["root", "older_than"],
    keys: &[
        key("root", Shape::Text, "The folder whose files expire; a relative one is in the project."),
        key("older_than", Shape::Duration, "The time since the last change after which a file is deleted, such as 7d."),
        key(
            "max_bytes",
            Shape::Whole { least: 0, most: 1 << 50 },
            "The total size that may stay: the files that are longest unchanged are deleted beyond it.",
        ),
        key(
            "keep_for",
            Shape::Duration,
            "The time since the last change in which `max_bytes` deletes no file; default 1m.",
        ),
    ],
};

/// Entries that one task looks at.
const LOOKED_MAX: usize = 200_000;
/// Deleted files that the output names.
const NAMED_MAX: usize = 1_000;
/// Faults that the output names.
const FAULTS_MAX: usize = 100;

/// The kind `clear_temp`.
pub struct ClearTemp {
    state: PathBuf,
    now: Now,
}

impl ClearTemp {
    /// Makes the kind. `state` is the folder of the state, which is never cleared.
    #[must_use]
    pub fn new(state: &Path, now: Now) -> ClearTemp {
        ClearTemp { state: state.to_owned(), now }
    }
}

impl Kind for ClearTemp {
    fn name(&self) -> &'static str {
        "clear_temp"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, project } = given;
        let written = text(&settings, "root").unwrap_or_default();
        let limits = Limits {
            root: project.join(written),
            project,
            state: self.state.clone(),
            age_s: duration(&settings, "older_than", Duration::MAX).as_secs(),
            keep_s: duration(&settings, "keep_for", Duration::from_secs(60)).as_secs(),
            max_bytes: settings["max_bytes"].is_number().then(|| number(&settings, "max_bytes", 0) as u64),
        };
        let refused = if written.is_empty() { Some("it is empty".to_owned()) } else { limits.refusal(&limits.root) };
        if let Some(why) = refused {
            return Err(vec![Fault::of(
                "root",
                format!("`{written}`: {why}"),
                "name a folder of its own such as ./tmp",
            )]);
        }
        let input = Schema::compile(&input_schema());
        let input = input.map_err(|error| vec![Fault::of("root", error, "report this fault of Kapelle")])?;
        if spec.description.is_empty() {
            spec.description = format!("Delete expired files of {written}");
        }
        spec.input = Some(input_schema());
        spec.output = Some(output_schema());
        spec.effects = vec![Effect::Files];
        Ok(Arc::new(ClearTempWorker { spec, input, limits, now: Arc::clone(&self.now) }))
    }
}

fn input_schema() -> Value {
    object(
        &[],
        json!({ "dry_run": { "type": "boolean", "default": false, "description": "Tell what would be deleted" } }),
    )
}

fn output_schema() -> Value {
    let count = json!({ "type": "integer" });
    let file = object(
        &["file", "size", "reason"],
        json!({
            "file": { "type": "string" }, "size": count, "modified": count,
            "reason": { "enum": ["age", "total_size"] },
        }),
    );
    let fault = object(&["file", "reason"], json!({ "file": { "type": "string" }, "reason": { "type": "string" } }));
    let sum = object(&["files", "bytes"], json!({ "files": count, "bytes": count }));
    object(
        &["dry_run", "deleted", "kept", "skipped", "files", "faults", "complete"],
        json!({
            "dry_run": { "type": "boolean" },
            "deleted": sum,
            "kept": sum,
            "skipped": { "type": "integer", "description": "Links, pipes and the like, which stay" },
            "files": { "type": "array", "items": file, "description": "The first 1,000 deleted files" },
            "faults": { "type": "array", "items": fault, "description": "Files that could not be deleted" },
            "complete": { "type": "boolean", "description": "False when the folder holds more than one task looks at" },
        }),
    )
}

struct ClearTempWorker {
    spec: WorkerSpec,
    input: Schema,
    limits: Limits,
    now: Now,
}

/// Folder and limits.
#[derive(Clone)]
struct Limits {
    root: PathBuf,
    project: PathBuf,
    state: PathBuf,
    age_s: u64,
    keep_s: u64,
    max_bytes: Option<u64>,
}

/// A file that expired.
struct Expired {
    path: Vec<u8>,
    marks: Marks,
    reason: &'static str,
}

/// Files of the folder by their fate.
#[derive(Default)]
struct Judged {
    expired: Vec<Expired>,
    kept: (u64, u64),
    skipped: u64,
    unread: u64,
    complete: bool,
}

impl Limits {
    /// Says why a folder is not cleared: it holds the project, or belongs to the state.
    fn refusal(&self, root: &Path) -> Option<String> {
        let root = plain(root);
        if root.parent().is_none() {
            return Some("it is the root of the file system".to_owned());
        }
        if plain(&self.project).starts_with(&root) {
            return Some("it holds the project itself".to_owned());
        }
        let state = plain(&self.state);
        (state.starts_with(&root) || root.starts_with(&state))
            .then(|| "it holds or is the folder of the state of Kapelle".to_owned())
    }

    fn run(&self, now_s: i64, dry_run: bool, cancel: &CancelFlag) -> Result<Value, TaskError> {
        let shown = self.root.display();
        let cannot =
            |error| unsettled(format!("root: the folder {shown} cannot be opened: {error}; make it, or change `root`"));
        // A link may have been put in its place since the file was read.
        let root = self.root.canonicalize().map_err(cannot)?;
        if let Some(why) = self.refusal(&root) {
            return Err(unsettled(format!("root: {shown}: {why}; name a folder of its own such as ./tmp")));
        }
        let tree = Tree::open(&root).map_err(cannot)?;
        let judged = self.judge(&tree, now_s).map_err(|error| unavailable(format!("root: {shown}: {error}")))?;
        Ok(sweep(&tree, judged, dry_run, cancel))
    }

    fn judge(&self, tree: &Tree, now_s: i64) -> std::io::Result<Judged> {
        let mut judged = Judged { complete: true, ..Judged::default() };
        let mut young = Vec::new();
        let mut looked = 0;
        let age = |marks: Marks| u64::try_from(now_s.saturating_sub(marks.modified_s)).unwrap_or(0);
        judged.unread = tree.walk("", &mut |met| {
            if looked == LOOKED_MAX {
                judged.complete = false;
                return ControlFlow::Break(());
            }
            looked += 1;
            match met.file {
                None => judged.skipped += 1,
                Some(marks) if age(marks) > self.age_s => {
                    judged.expired.push(Expired { path: met.path, marks, reason: "age" });
                }
                Some(marks) => young.push(Expired { path: met.path, marks, reason: "total_size" }),
            }
            ControlFlow::Continue(())
        })?;
        young.sort_by(|a, b| (a.marks.modified_s, &a.path).cmp(&(b.marks.modified_s, &b.path)));
        let mut left: u64 = young.iter().map(|file| file.marks.size).sum();
        for file in young {
            let beyond = self.max_bytes.is_some_and(|most| left > most);
            if beyond && age(file.marks) > self.keep_s && file.marks.size > 0 {
                left -= file.marks.size;
                judged.expired.push(file);
            } else {
                judged.kept = (judged.kept.0 + 1, judged.kept.1 + file.marks.size);
            }
        }
        Ok(judged)
    }
}

fn sweep(tree: &Tree, judged: Judged, dry_run: bool, cancel: &CancelFlag) -> Value {
    let Judged { expired, mut kept, skipped, unread, mut complete } = judged;
    let (mut deleted, mut files, mut faults) = ((0_u64, 0_u64), Vec::new(), Vec::new());
    if unread > 0 {
        faults.push(json!({ "file": "", "reason": format!("{unread} folders cannot be read") }));
    }
    for file in expired {
        if cancel.is_raised() {
            complete = false;
            break;
        }
        let name = String::from_utf8_lossy(&file.path).into_owned();
        let removed = if dry_run { Ok(Removed::Gone) } else { tree.remove(&file.path, file.marks) };
        match removed {
            Ok(Removed::Gone) => {
                deleted = (deleted.0 + 1, deleted.1 + file.marks.size);
                if files.len() < NAMED_MAX {
                    let (size, modified) = (file.marks.size, file.marks.modified_s);
                    files.push(json!({ "file": name, "size": size, "modified": modified, "reason": file.reason }));
                }
            }
            Ok(Removed::Missing) => {}
            Ok(Removed::Changed) => kept = (kept.0 + 1, kept.1 + file.marks.size),
            Err(error) => {
                kept = (kept.0 + 1, kept.1 + file.marks.size);
                if faults.len() < FAULTS_MAX {
                    faults.push(json!({ "file": name, "reason": error.to_string() }));
                }
            }
        }
    }
    json!({
        "dry_run": dry_run,
        "deleted": { "files": deleted.0, "bytes": deleted.1 },
        "kept": { "files": kept.0, "bytes": kept.1 },
        "skipped": skipped, "files": files, "faults": faults, "complete": complete,
    })
}

/// Returns the path without `.` and `..`, and without links as far as it exists.
fn plain(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => {
                plain.push(part);
                plain = fs::canonicalize(&plain).unwrap_or(plain);
            }
        }
    }
    plain
}

impl Worker for ClearTempWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let input = self.input.admit(input)?;
            let dry_run = input["dry_run"].as_bool().unwrap_or(false);
            let (limits, now_s, cancel) = (self.limits.clone(), (self.now)().div_euclid(1_000), ctx.cancel.clone());
            apart(move || limits.run(now_s, dry_run, &cancel)).await.map(Output::plain)
        })
    }
}
