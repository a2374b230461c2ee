//! Workers that ship with Kapelle and need settings of the owner: a folder, hosts, a program, a mail server.
//!
//! A file `workers/NAME.yaml` with `kind: storage` (or another kind) gives a worker its name and its settings. An input
//! never holds these settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{
    worker::{Worker, WorkerSpec},
    yaml::{self, Key, Problems, Reader, Shape, Table, Trail, key},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::prompt::{
    definition::Checker,
    file::{FORM, PER_KEY, PromptFile, RETRY, SLOTS},
};

/// A kind of shipped worker that a file configures.
pub trait Kind: Send + Sync {
    /// Returns the word after `kind:`.
    fn name(&self) -> &'static str;

    /// Returns the keys of `settings:`.
    fn settings(&self) -> &'static Table;

    /// Makes the worker of one file.
    ///
    /// # Errors
    /// The invalid settings.
    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>>;
}

/// The content of one file of a configured worker.
#[derive(Debug, Clone)]
pub struct Given {
    /// Name, queue, slots and the like. Description, schemas and effects are those of the kind.
    pub spec: WorkerSpec,
    /// The values of `settings:`, of the shapes of the table.
    pub settings: Value,
    /// The folder of the project, to which relative paths refer.
    pub project: PathBuf,
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Fault {
    /// The field within `settings:`, such as `hosts[0]`.
    pub field: String,
    pub message: String,
    pub hint: String,
}

impl Fault {
    /// Makes a fault of a field.
    #[must_use]
    pub fn of(field: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { field: field.into(), message: message.into(), hint: hint.into() }
    }
}

/// All kinds of this program, by name.
#[derive(Clone, Default)]
pub struct Kinds(BTreeMap<&'static str, Arc<dyn Kind>>);

impl Kinds {
    /// Adds a kind.
    pub fn insert(&mut self, kind: Arc<dyn Kind>) {
        self.0.insert(kind.name(), kind);
    }

    /// Returns the kind of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.0.get(name)
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// The queue of configured workers unless their file names another.
const DEFAULT_QUEUE: &str = "default";

/// The keys beside `settings:`.
static CONFIGURED: Table = Table {
    name: "configured",
    about: "A shipped worker with settings.",
    required: &["kind", "name"],
    keys: CONFIGURED_KEYS,
};

const CONFIGURED_KEYS: &[Key] = &[
    key("kind", Shape::Text, "The shipped worker, such as `storage`."),
    key("name", Shape::Name, "The name by which steps call it."),
    key("description", Shape::Text, "One line for people."),
    key("queue", Shape::Name, "The queue in which its tasks wait; default default."),
    key("slots", SLOTS, "Tasks that run at once."),
    key("timeout", Shape::Duration, "Time limit of one attempt."),
    key("retry", Shape::Object(&RETRY), "Rules for retries of a failed attempt."),
    key("per_key", PER_KEY, "Tasks of one concurrency key that run at once."),
    key("requires", Shape::List(&Shape::Text), "The labels that a host must have."),
    key("tenants", Shape::List(&Shape::Text), "Other tenants that may use it: all, or numbers."),
    key("settings", Shape::Json, "The settings of its kind."),
];

/// Returns the word after `kind:` of a worker file. `None` when the file cannot be read or has no such word.
pub(crate) fn kind_of(file: &str, bytes: &[u8]) -> Option<String> {
    let word = yaml::document(bytes, file, FORM, |document| {
        Ok(document.root.as_ref().and_then(|root| root.get("kind")?.text().map(str::to_owned)))
    });
    word.ok().flatten()
}

/// Reads a file of a configured worker.
///
/// # Errors
/// Every problem, with file, line, column, field and what to do.
pub fn configured(file: &str, bytes: &[u8], kind: &dyn Kind, project: &Path) -> Result<Arc<dyn Worker>, Problems> {
    yaml::document(bytes, file, FORM, |document| {
        let Some(root) = document.root else { return Err(Problems::whole(file, "the file is empty", FORM.empty)) };
        let mut reader = Reader { source: document.source, problems: document.problems };
        let json = reader.object(&root, &Trail::ROOT, &CONFIGURED).unwrap_or_default();
        let mut written: PromptFile = serde_json::from_value(json).unwrap_or_default();
        let settings = match root.get("settings") {
            Some(node) => reader.object(node, &Trail::ROOT.then("settings"), kind.settings()).unwrap_or_default(),
            None => Value::Object(serde_json::Map::new()),
        };
        let missing = root.get("settings").is_none() && !kind.settings().required.is_empty();
        let mut checker = Checker { reader, root: &root };
        if missing {
            let wanted = kind.settings().required.join(", ");
            let hint = format!("add `settings:` with the keys {wanted}");
            let message = format!("a worker of the kind `{}` needs settings", kind.name());
            checker.report("settings", message, Some(&hint));
        }
        let mut spec = checker.settings(&mut written, DEFAULT_QUEUE);
        if !checker.reader.problems.is_empty() {
            return Err(checker.reader.problems.sorted());
        }
        spec.version = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        kind.make(Given { spec, settings, project: project.to_owned() }).map_err(|faults| {
            for fault in faults {
                checker.report(&format!("settings.{}", fault.field), fault.message, Some(&fault.hint));
            }
            checker.reader.problems.sorted()
        })
    })
}

#[cfg(test)]
mod tests {
    use kapelle_core::{
        TaskError,
        worker::{BoxFuture, Output, TaskContext},
    };

    use super::*;

    struct Echo;
    struct EchoWorker(WorkerSpec);

    static ECHO: Table = Table {
        name: "echo",
        about: "",
        required: &["word"],
        keys: &[key("word", Shape::Text, "The word."), key("loud", Shape::Flag, "Whether it is loud.")],
    };

    impl Kind for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }

        fn settings(&self) -> &'static Table {
            &ECHO
        }

        fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
            if given.settings["word"] == "bad" {
                return Err(vec![Fault::of("word", "`bad` is not a word", "write another")]);
            }
            Ok(Arc::new(EchoWorker(given.spec)))
        }
    }

    impl Worker for EchoWorker {
        fn spec(&self) -> &WorkerSpec {
            &self.0
        }

        fn execute<'a>(&'a self, _: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
            Box::pin(std::future::ready(Ok(Output::plain(input))))
        }
    }

    fn read(text: &str) -> Result<Arc<dyn Worker>, String> {
        configured("e.yaml", text.as_bytes(), &Echo, Path::new(".")).map_err(|problems| problems.to_string())
    }

    #[test]
    fn common_keys_reach_the_spec() {
        let worker = read("kind: echo\nname: mine\nqueue: ml\nslots: 3\ntimeout: 5s\nsettings: { word: a }\n").unwrap();
        let spec = worker.spec();
        assert_eq!((spec.name.as_str(), spec.queue.as_str(), spec.slots), ("mine", "ml", 3));
        assert_eq!(spec.timeout.map(|time| time.0), Some(5_000));
        assert!(!spec.version.is_empty());
    }

    #[test]
    fn faults_are_placed() {
        for (text, part) in [
            ("kind: echo\nname: x\n", "settings: a worker of the kind `echo` needs settings"),
            ("kind: echo\nname: x\nsettings: {}\n", "e.yaml:3:11: settings: `word` is missing"),
            (
                "kind: echo\nname: x\nsettings:\n  word: bad\n",
                "e.yaml:4:9: settings.word: `bad` is not a word (write another)",
            ),
            ("kind: echo\nname: x\nsettings: { word: a, wrod: b }\n", "e.yaml:3:22: settings.wrod: unknown key `wrod`"),
            (
                "kind: echo\nname: x\nsettings: { word: a, loud: 3 }\n",
                "e.yaml:3:28: settings.loud: expected true or false",
            ),
            ("kind: echo\nname: x\nprompt: hi\nsettings: { word: a }\n", "e.yaml:3:1: prompt: unknown key `prompt`"),
            ("kind: echo\nsettings: { word: a }\n", "`name` is missing"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
