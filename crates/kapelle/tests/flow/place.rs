//! A folder of one test, its workers, and checks of a run's result.

use super::*;

pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("kapelle-flow-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Place(folder)
    }

    /// Opens the folder with its workers: `echo` returns its input, `fail` fails, `hang` never ends, `odd` fails for
    /// even numbers, `count` numbers its calls.
    pub async fn open(&self) -> Kapelle {
        let kapelle = Kapelle::builder(&self.0).environment(|_| None).open().await.unwrap();
        workers(&kapelle);
        // Events are made only while somebody listens. A permanent listener makes sure that none is missed between a
        // look at the rows and listening.
        std::mem::forget(kapelle.engine().watch());
        kapelle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn workers(kapelle: &Kapelle) {
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    kapelle
        .register("fail", async |input: Value| {
            let why = input["why"].as_str().unwrap_or("no").to_owned();
            Err(TaskError::new(Category::InvalidInput, why).permanent())
        })
        .unwrap();
    kapelle.register("hang", async |_| std::future::pending().await).unwrap();
    kapelle
        .register("odd", async |input: Value| match input["n"].as_u64() {
            Some(n) if n % 2 == 1 => Ok(json!(n)),
            n => Err(TaskError::new(Category::InvalidInput, format!("{n:?} is even")).permanent()),
        })
        .unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    kapelle
        .register("count", move |_| {
            let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(json!(number)) }
        })
        .unwrap();
}

/// Returns the steps of a run by path: state and output, and the error of a failed one.
pub fn steps(kapelle: &Kapelle, run: &Run) -> BTreeMap<String, (StateKind, Value)> {
    let mut found = BTreeMap::new();
    let mut after = TaskId(0);
    loop {
        let page = kapelle.engine().reader().steps(run.id(), after, 1_000).unwrap();
        let Some(last) = page.last() else { return found };
        after = last.id;
        for task in page {
            let value = match &task.state {
                TaskState::Succeeded { output, .. } => kapelle.engine().value(output).unwrap(),
                TaskState::Failed { error, .. } => json!(error.message),
                TaskState::Skipped { reason, .. } | TaskState::Cancelled { reason, .. } => json!(**reason),
                _ => Value::Null,
            };
            let path = task.origin.as_ref().unwrap().path.to_string();
            assert!(found.insert(path.clone(), (task.state.kind(), value)).is_none(), "{path} has two rows");
        }
    }
}

pub fn states(kapelle: &Kapelle, run: &Run) -> Vec<String> {
    steps(kapelle, run).iter().map(|(path, (state, _))| format!("{path} {}", state.as_str())).collect()
}

pub async fn outcome(kapelle: &Kapelle, workflow: &str, inputs: Value) -> (Result<Value, String>, Vec<String>) {
    let run = kapelle.start(workflow, inputs).await.unwrap();
    let ended = run.wait().await;
    let ended = ended.map(|result| result.outputs).map_err(|error| match error {
        Error::Failed { error, .. } => error.message,
        other => other.to_string(),
    });
    (ended, states(kapelle, &run))
}

/// Waits for an event that puts the step at that path into that state.
pub async fn until(kapelle: &Kapelle, run: &Run, path: &str, state: StateKind) -> Task {
    let mut events = kapelle.engine().watch();
    loop {
        let page = kapelle.engine().reader().steps(run.id(), TaskId(0), 1_000).unwrap();
        let here = |task: &&Task| task.origin.as_ref().is_some_and(|origin| &*origin.path == path);
        if let Some(task) = page.iter().find(here).filter(|task| task.state.kind() == state) {
            return task.clone();
        }
        events.recv().await.unwrap();
    }
}
