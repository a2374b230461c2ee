//! `storage`: put, get, list and delete objects below one root.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::PathBuf,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    faults::{apart, invalid, unavailable, unsettled},
    object_key::ObjectKey,
    settings::{flag, number, text},
    tree::{Tree, Wrote, whole},
};

static SETTINGS: Table = Table {
    name: "storage_settings",
    about: "The settings of `kind: storage`.",
    required: &["root"],
    keys: &[
        key("root", Shape::Text, "The folder that holds the objects; a relative one is in the project."),
        key("read_only", Shape::Flag, "Whether put and delete are refused."),
        key("max_bytes", Shape::Whole { least: 1, most: 4 << 30 }, "The largest object that is put; default 64 MiB."),
        key("max_read", Shape::Whole { least: 1, most: 16 << 20 }, "The largest object that is read; default 4 MiB."),
    ],
};

/// Objects that one list looks at.
const LOOKED_MAX: usize = 100_000;

/// The kind `storage`.
pub struct Storage;

impl Kind for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, project } = given;
        let written = text(&settings, "root").unwrap_or_default();
        let root = project.join(written);
        let mut faults = Vec::new();
        if written.is_empty() || root.parent().is_none() {
            faults.push(Fault::of(
                "root",
                format!("`{written}` is not a folder of its own"),
                "write one such as ./files",
            ));
        }
        let input = Schema::compile(&input_schema());
        let input = input.map_err(|error| vec![Fault::of("root", error, "report this fault of Kapelle")])?;
        if !faults.is_empty() {
            return Err(faults);
        }
        if spec.description.is_empty() {
            "Put, get, list and delete files below one root".clone_into(&mut spec.description);
        }
        spec.input = Some(input_schema());
        spec.output = Some(output_schema());
        let read_only = flag(&settings, "read_only");
        spec.effects = if read_only { Vec::new() } else { vec![Effect::Files] };
        Ok(Arc::new(StorageWorker {
            spec,
            input,
            place: Place {
                root,
                read_only,
                put_max: number(&settings, "max_bytes", 64 << 20) as u64,
                read_max: number(&settings, "max_read", 4 << 20),
            },
        }))
    }
}

fn input_schema() -> Value {
    object(
        &["operation"],
        json!({
            "operation": { "enum": ["put", "get", "list", "delete"] },
            "key": { "type": "string", "description": "The name of the object: reports/may.pdf" },
            "text": { "type": "string", "description": "put: the content as text" },
            "base64": { "type": "string", "description": "put: the content as base64" },
            "json": { "description": "put: the content as JSON" },
            "file": { "type": "object", "format": "file", "description": "put: a file of the store" },
            "if_absent": { "type": "boolean", "default": false, "description": "put: fail when there is an object" },
            "prefix": { "type": "string", "default": "", "description": "list: the beginning of names" },
            "after": { "type": "string", "description": "list: the last name of the page before" },
            "limit": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
        }),
    )
}

fn output_schema() -> Value {
    let listed = object(
        &["key", "size"],
        json!({ "key": { "type": "string" }, "size": { "type": "integer" }, "modified": { "type": "integer" } }),
    );
    object(
        &[],
        json!({
            "key": { "type": "string" }, "size": { "type": "integer" }, "sha256": { "type": "string" },
            "text": { "type": "string" }, "base64": { "type": "string" }, "deleted": { "type": "boolean" },
            "objects": { "type": "array", "items": listed },
            "next": { "type": "string", "description": "The value of `after` for the next page" },
        }),
    )
}

struct StorageWorker {
    spec: WorkerSpec,
    input: Schema,
    place: Place,
}

/// Root and limits.
#[derive(Clone)]
struct Place {
    root: PathBuf,
    read_only: bool,
    put_max: u64,
    read_max: usize,
}

/// Content that is put.
enum Content {
    Bytes(Vec<u8>),
    /// A file of the store.
    Stored(PathBuf),
}

/// One operation, checked.
enum Operation {
    Put(ObjectKey, Content, bool),
    Get(ObjectKey),
    List { prefix: String, after: Option<String>, limit: usize },
    Delete(ObjectKey),
}

impl Operation {
    fn read(input: &Value, ctx: &TaskContext, place: &Place) -> Result<Operation, TaskError> {
        let operation = input["operation"].as_str().unwrap_or_default();
        let key = || match input["key"].as_str() {
            Some(text) => ObjectKey::parse(text),
            None => Err(invalid(format!("key: {operation} needs the name of an object; add `key`"))),
        };
        if place.read_only && matches!(operation, "put" | "delete") {
            return Err(invalid(format!("operation: the worker's file says `read_only`, so {operation} is refused")));
        }
        match operation {
            "put" => {
                let (key, absent) = (key()?, input["if_absent"].as_bool().unwrap_or(false));
                Ok(Operation::Put(key, content(input, ctx)?, absent))
            }
            "get" => Ok(Operation::Get(key()?)),
            "delete" => Ok(Operation::Delete(key()?)),
            _ => Ok(Operation::List {
                prefix: input["prefix"].as_str().unwrap_or_default().to_owned(),
                after: input["after"].as_str().map(str::to_owned),
                limit: number(input, "limit", 100),
            }),
        }
    }
}

fn content(input: &Value, ctx: &TaskContext) -> Result<Content, TaskError> {
    let given: Vec<&str> =
        ["text", "base64", "json", "file"].into_iter().filter(|key| input.get(*key).is_some()).collect();
    match given.as_slice() {
        ["text"] => Ok(Content::Bytes(input["text"].as_str().unwrap_or_default().as_bytes().to_vec())),
        ["json"] => Ok(Content::Bytes(input["json"].to_string().into_bytes())),
        ["base64"] => {
            let bytes = STANDARD.decode(input["base64"].as_str().unwrap_or_default());
            bytes.map(Content::Bytes).map_err(|error| invalid(format!("base64: {error}; write standard base64")))
        }
        ["file"] => Ok(Content::Stored(stored("file", &input["file"], ctx)?.0)),
        _ => Err(invalid("text, base64, json, file: put needs exactly one of them")),
    }
}

/// Returns the path and the name of a file that an input refers to.
///
/// # Errors
/// A wrong reference, or a file that is not in the store.
pub(crate) fn stored(field: &str, value: &Value, ctx: &TaskContext) -> Result<(PathBuf, String), TaskError> {
    let sha256 = value["$file"].as_str().and_then(|reference| reference.strip_prefix("sha256:")).unwrap_or("");
    // The digits become a file's name, so nothing else may pass.
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid(format!("{field}: not a file; write {{\"$file\": \"sha256:<64 hex digits>\"}}")));
    }
    let path = ctx.files.path(&sha256.to_lowercase());
    let path =
        path.ok_or_else(|| invalid(format!("{field}: the file sha256:{sha256} is not in the store; upload it first")))?;
    Ok((path, value["name"].as_str().unwrap_or("file").to_owned()))
}

impl Place {
    fn open(&self) -> Result<Tree, TaskError> {
        Tree::open(&self.root).map_err(|error| {
            unsettled(format!(
                "root: the folder {} cannot be opened: {error}; make it, or change `root`",
                self.root.display()
            ))
        })
    }

    fn run(&self, operation: Operation, by: (&str, u32)) -> Result<Value, TaskError> {
        let tree = self.open()?;
        match operation {
            Operation::Put(key, content, absent) => self.put(&tree, &key, content, (by, absent)),
            Operation::Get(key) => self.get(&tree, &key),
            Operation::Delete(key) => {
                let deleted = tree.delete(&key).map_err(|error| fault(&key, &error))?;
                Ok(json!({ "key": key.as_str(), "deleted": deleted }))
            }
            Operation::List { prefix, after, limit } => list(&tree, &prefix, after.as_deref(), limit),
        }
    }

    fn put(
        &self,
        tree: &Tree,
        key: &ObjectKey,
        content: Content,
        (by, absent): ((&str, u32), bool),
    ) -> Result<Value, TaskError> {
        let cannot = |error: io::Error| unavailable(format!("file: it cannot be read: {error}"));
        let (size, mut source): (u64, Box<dyn Read>) = match content {
            Content::Bytes(bytes) => (bytes.len() as u64, Box::new(Cursor::new(bytes))),
            Content::Stored(path) => {
                let file = File::open(path).map_err(cannot)?;
                (file.metadata().map_err(cannot)?.len(), Box::new(file))
            }
        };
        if size > self.put_max {
            let most = self.put_max;
            return Err(invalid(format!(
                "key: `{}` would have {size} bytes; `max_bytes` of the settings is {most}",
                key.as_str()
            )));
        }
        let mut counted = Counted { source: &mut source, digest: Sha256::new(), bytes: 0 };
        let wrote = tree.write(key, by, &mut counted, !absent).map_err(|error| fault(key, &error))?;
        let (digest, bytes) = (hex(&counted.digest.finalize()), counted.bytes);
        if wrote == Wrote::Exists && !self.holds(tree, key, &digest)? {
            return Err(invalid(format!(
                "key: `{}` exists already; choose another, or leave `if_absent` out",
                key.as_str()
            )));
        }
        Ok(json!({ "key": key.as_str(), "size": bytes, "sha256": digest }))
    }

    /// Tells whether an object has that content, as after an attempt that ended between its write and its report.
    fn holds(&self, tree: &Tree, key: &ObjectKey, digest: &str) -> Result<bool, TaskError> {
        let Some(mut file) = tree.read(key).map_err(|error| fault(key, &error))? else { return Ok(false) };
        let mut counted = Counted { source: &mut file, digest: Sha256::new(), bytes: 0 };
        io::copy(&mut counted, &mut io::sink()).map_err(|error| fault(key, &error))?;
        Ok(hex(&counted.digest.finalize()) == digest)
    }

    fn get(&self, tree: &Tree, key: &ObjectKey) -> Result<Value, TaskError> {
        let file = tree.read(key).map_err(|error| fault(key, &error))?;
        let file = file.ok_or_else(|| missing(key))?;
        let read = whole(file, self.read_max).map_err(|error| fault(key, &error))?;
        let Some(bytes) = read else {
            let most = self.read_max;
            return Err(invalid(format!(
                "key: `{}` is longer than {most} bytes; raise `max_read` of the settings",
                key.as_str()
            )));
        };
        Ok(got(key, bytes))
    }
}

/// Makes the output of `get`.
pub(crate) fn got(key: &ObjectKey, bytes: Vec<u8>) -> Value {
    let (size, sha256) = (bytes.len(), hex(&Sha256::digest(&bytes)));
    let mut output = json!({ "key": key.as_str(), "size": size, "sha256": sha256 });
    match String::from_utf8(bytes) {
        Ok(text) => output["text"] = json!(text),
        Err(error) => output["base64"] = json!(STANDARD.encode(error.as_bytes())),
    }
    output
}

pub(crate) fn missing(key: &ObjectKey) -> TaskError {
    invalid(format!("key: there is no object `{}`; `list` shows the names", key.as_str()))
}

fn list(tree: &Tree, prefix: &str, after: Option<&str>, limit: usize) -> Result<Value, TaskError> {
    let cannot = |error: io::Error| unavailable(format!("prefix: the folder cannot be read: {error}"));
    let (mut found, more) = tree.list(prefix, LOOKED_MAX).map_err(cannot)?;
    if more {
        return Err(invalid(format!("prefix: more than {LOOKED_MAX} objects begin with it; write a longer one")));
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let mut page = found.iter().filter(|listed| after.is_none_or(|after| listed.key.as_str() > after));
    let shown: Vec<Value> = (&mut page)
        .take(limit)
        .map(|listed| json!({ "key": listed.key, "size": listed.size, "modified": listed.modified_s }))
        .collect();
    let mut output = json!({ "objects": shown });
    if page.next().is_some()
        && let Some(last) = output["objects"].as_array().and_then(|shown| shown.last()).map(|last| last["key"].clone())
    {
        output["next"] = last;
    }
    Ok(output)
}

/// A source that is hashed while it is read.
struct Counted<'a> {
    source: &'a mut dyn Read,
    digest: Sha256,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.digest.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

fn fault(key: &ObjectKey, error: &io::Error) -> TaskError {
    match error.kind() {
        io::ErrorKind::InvalidInput => invalid(format!("key: {error}; choose another name")),
        _ => unavailable(format!("key: `{}`: {error}", key.as_str())),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Worker for StorageWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let input = self.input.admit(input)?;
            let operation = Operation::read(&input, ctx, &self.place)?;
            let (place, task, attempt) = (self.place.clone(), ctx.task.clone(), ctx.attempt);
            apart(move || place.run(operation, (&task, attempt))).await.map(Output::plain)
        })
    }
}
